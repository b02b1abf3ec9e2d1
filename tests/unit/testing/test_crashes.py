"""Crash tests of those who build on the log."""

from __future__ import annotations

import pytest

import streamlog.testing
from streamlog.testing import Adversary, ManualClock, crashes


def place(log, note):
    with log.producer() as producer:
        for number in range(10):
            producer.send("orders", value=b"%d" % number).result()
            note(number)


def prepare(log):
    log.create_topic("orders")


def read(log):
    with log.consumer("orders") as consumer:
        return [int(record.value) for record in consumer.poll(max_records=100)]


def test_what_was_promised_is_there_after_every_loss_of_power():
    seen = [(crash.cut, crash.notes, read(crash.log)) for crash in crashes(place, prepare=prepare)]
    assert len(seen) == 100
    assert all(found[: len(notes)] == notes for _, notes, found in seen)
    assert len({tuple(notes) for _, notes, _ in seen}) > 5  # the cuts come at all stages
    assert {cut.adversary for cut, _, _ in seen} == set(Adversary)


def test_what_was_not_promised_may_be_lost():
    lengths = set()
    for crash in crashes(place, prepare=prepare):
        lengths.add(len(read(crash.log)) - len(crash.notes))
    assert lengths >= {0, 1}


def test_a_bug_of_the_work_is_found():
    def promise_too_early(log, note):
        with log.producer() as producer:
            for number in range(10):
                note(number)
                producer.send("orders", value=b"%d" % number).result()

    kept = [
        read(crash.log)[: len(crash.notes)] == crash.notes
        for crash in crashes(promise_too_early, prepare=prepare)
    ]
    assert not all(kept)


def test_runs_repeat_and_another_seed_chooses_others():
    def cuts(**arguments):
        return [crash.cut for crash in crashes(place, prepare=prepare, count=20, **arguments)]

    assert cuts() == cuts(clock=ManualClock()) != cuts(seed="other")
    everything = [crash.cut for crash in crashes(lambda log, note: note(1), count=None)]
    assert len(everything) == len(set(everything)) > 20


def test_every_public_name_is_there():
    for name in streamlog.testing.__all__:
        assert getattr(streamlog.testing, name) is not None
    with pytest.raises(AttributeError):
        streamlog.testing.nothing  # noqa: B018 - the access is the test
