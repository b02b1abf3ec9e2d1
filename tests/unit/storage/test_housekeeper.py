"""The housekeeper, by hand and with its thread."""

from __future__ import annotations

from threading import Event

import pytest

from streamlog.errors import StreamlogError
from streamlog.storage.housekeeper import NEVER, RETRY_MS, Housekeeper
from streamlog.testing.manual_clock import ManualClock

PATIENCE_S = 60


class Recorder:
    """A task that says when it ran."""

    def __init__(self, *next_in_ms: int) -> None:
        self.ran_at: list[int] = []
        self._next_in_ms = list(next_in_ms)

    def __call__(self, now_ms: int) -> int:
        self.ran_at.append(now_ms)
        return now_ms + self._next_in_ms.pop(0) if self._next_in_ms else NEVER


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000)


@pytest.fixture
def housekeeper(clock: ManualClock) -> Housekeeper:
    return Housekeeper("test", clock, threaded=False)


def test_a_task_runs_when_it_is_due_and_says_when_it_is_due_again(
    housekeeper: Housekeeper,
) -> None:
    task = Recorder(500, 100)
    housekeeper.add(task, due_ms=1100)
    assert housekeeper.step(1000) == 1100
    assert housekeeper.step(1100) == 1600
    assert housekeeper.step(1599) == 1600
    assert housekeeper.step(1700) == 1800
    assert housekeeper.step(1800) == NEVER
    assert task.ran_at == [1100, 1700, 1800]


def test_a_task_without_a_time_runs_at_the_next_step(housekeeper: Housekeeper) -> None:
    task = Recorder()
    housekeeper.add(task)
    housekeeper.step(1000)
    assert task.ran_at == [1000]


def test_a_task_that_is_woken_runs_earlier_but_never_later(housekeeper: Housekeeper) -> None:
    task = Recorder()
    housekeeper.add(task, due_ms=5000)
    housekeeper.wake(task, due_ms=9000)
    assert housekeeper.step(1000) == 5000
    housekeeper.wake(task, due_ms=2000)
    assert housekeeper.step(1000) == 2000
    housekeeper.wake(task)
    housekeeper.step(1000)
    housekeeper.wake(Recorder())
    assert task.ran_at == [1000]


def test_a_task_that_is_woken_while_it_runs_runs_again(housekeeper: Housekeeper) -> None:
    ran_at: list[int] = []

    def task(now_ms: int) -> int:
        ran_at.append(now_ms)
        if len(ran_at) == 1:
            housekeeper.wake(task)
        return NEVER

    housekeeper.add(task)
    assert housekeeper.step(1000) == 1000
    assert housekeeper.step(1001) == NEVER
    assert ran_at == [1000, 1001]


def test_a_task_that_fails_stops_no_other_and_is_tried_again(housekeeper: Housekeeper) -> None:
    def failing(now_ms: int) -> int:
        raise StreamlogError(f"at {now_ms}")

    task = Recorder()
    housekeeper.add(failing)
    housekeeper.add(task)
    with pytest.raises(StreamlogError, match="at 1000"):
        housekeeper.step(1000)
    assert task.ran_at == [1000]
    assert housekeeper.step(1001) == 1000 + RETRY_MS


def test_tasks_may_remove_themselves_and_others(housekeeper: Housekeeper) -> None:
    other = Recorder()

    def task(now_ms: int) -> int:
        housekeeper.remove(task)
        housekeeper.remove(other)
        return now_ms

    housekeeper.add(task, due_ms=900)
    housekeeper.add(other)
    assert housekeeper.step(1000) == NEVER
    assert other.ran_at == []


def test_a_clock_that_was_set_back_delays_nothing(housekeeper: Housekeeper) -> None:
    task = Recorder()
    housekeeper.add(task, due_ms=1100)
    assert housekeeper.step(400) == 500
    housekeeper.step(500)
    assert task.ran_at == [500]


def test_the_thread_runs_what_is_due_until_it_is_stopped() -> None:
    clock = ManualClock(1000)
    housekeeper = Housekeeper("test", clock)
    ran = Event()

    def task(_: int) -> int:
        ran.set()
        return NEVER

    housekeeper.add(task)
    assert ran.wait(PATIENCE_S)
    ran.clear()
    housekeeper.wake(task)
    assert ran.wait(PATIENCE_S)
    housekeeper.stop()
    ran.clear()
    housekeeper.add(task)
    assert not ran.is_set()


def test_the_thread_ends_with_writing() -> None:
    ended = Event()

    def task(_: int) -> int:
        ended.set()
        raise StreamlogError("writing has ended")

    housekeeper = Housekeeper("test", ManualClock(1000), has_ended=ended.is_set)
    housekeeper.add(task)
    assert ended.wait(PATIENCE_S)
    housekeeper.stop()


def test_the_thread_goes_on_behind_a_task_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(1000)
    housekeeper = Housekeeper("the housekeeper of a test", clock)
    ran = Event()

    def failing(_: int) -> int:
        raise StreamlogError("for some reason")

    def task(_: int) -> int:
        ran.set()
        return NEVER

    housekeeper.add(failing)
    housekeeper.add(task)
    assert ran.wait(PATIENCE_S)
    ran.clear()
    housekeeper.wake(task)
    assert ran.wait(PATIENCE_S)
    housekeeper.stop()
    assert "the housekeeper of a test: for some reason" in caplog.text
