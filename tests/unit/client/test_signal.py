"""What wakes a consumer."""

import threading

import pytest

from streamlog.client.signal import Signal


class Source:
    def __init__(self):
        self.listeners = []

    def add_listener(self, callback):
        self.listeners.append(callback)

    def remove_listener(self, callback):
        self.listeners.remove(callback)


@pytest.fixture
def signal():
    return Signal()


def test_what_happens_after_arming_ends_the_wait(signal):
    signal.arm()
    assert not signal.wait(0)
    signal.fire()
    assert signal.wait(0)
    signal.arm()
    assert not signal.wait(0)


def test_an_interrupt_is_taken_once(signal):
    signal.interrupt()
    assert signal.wait(0)
    assert signal.take_interrupt()
    assert not signal.take_interrupt()


def test_it_listens_to_the_sources_it_was_given_last(signal):
    first, second = Source(), Source()
    signal.listen({"a": first})
    signal.listen({"a": first, "b": second})
    assert (len(first.listeners), len(second.listeners)) == (1, 1)
    signal.listen({"b": second})
    assert (len(first.listeners), len(second.listeners)) == (0, 1)
    signal.arm()
    second.listeners[0]()
    assert signal.wait(0)
    signal.detach()
    assert second.listeners == []


def test_a_callback_that_raises_is_reported_and_not_called_again(signal, monkeypatch):
    reported = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    calls = []

    def fails():
        calls.append(1)
        raise RuntimeError("the loop is closed")

    signal.callback = fails
    signal.fire()
    signal.fire()
    assert len(calls) == 1
    assert [str(error) for error in reported] == ["the loop is closed"]
    assert signal.wait(0)
