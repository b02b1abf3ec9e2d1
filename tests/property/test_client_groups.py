"""Consumers of one group beside a model: whoever comes, goes, polls or falls silent.

All polls are of one thread. Where nobody is put out of the group, commits before each hand-over
and the coordinator's fencing have to make every record somebody's, and nobody else's. Where the
silent are put out, a record may be taken twice, but none is lost and no commit is undone.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import streamlog
from streamlog.client.assignors import ASSIGNORS
from streamlog.errors import GroupError
from streamlog.testing import FaultyFiles, ManualClock

if TYPE_CHECKING:
    from streamlog import TopicPartition
    from streamlog.client.consumer import EmbeddedConsumer

PARTITIONS = 5
SLOTS = st.integers(0, 3)


class Consumers(RuleBasedStateMachine):
    patience_ms = 300_000

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.log = streamlog.open("/log", files=FaultyFiles(), clock=self.clock, threaded=False)
        self.log.create_topic("bids", PARTITIONS)
        self.consumers: dict[int, EmbeddedConsumer] = {}
        self.sent: list[bytes] = []
        self.taken: list[bytes] = []
        self.assignors = ["range"]

    @initialize(assignor=st.sampled_from(sorted(ASSIGNORS)))
    def choose_assignor(self, assignor: str) -> None:
        self.assignors = [assignor]

    @rule(slot=SLOTS, static=st.booleans())
    def open(self, slot: int, static: bool) -> None:
        if slot not in self.consumers:
            self.consumers[slot] = self.log.consumer(
                "bids",
                group="g",
                assignors=self.assignors,
                group_instance_id=f"static-{slot}" if static else None,
                session_timeout_ms=6_000,
                max_poll_interval_ms=self.patience_ms,
            )

    @rule(slot=SLOTS, times=st.integers(1, 3))
    def poll(self, slot: int, times: int) -> None:
        if consumer := self.consumers.get(slot):
            for _ in range(times):
                self.taken += [record.value for record in consumer.poll(max_records=2)]

    @rule(slot=SLOTS)
    def close(self, slot: int) -> None:
        if consumer := self.consumers.pop(slot, None):
            consumer.close()

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def send(self, partition: int) -> None:
        value = b"%d" % len(self.sent)
        with self.log.producer() as producer:
            producer.send("bids", value=value, partition=partition)
        self.sent.append(value)

    @rule()
    def let_a_second_pass(self) -> None:
        self.clock.advance(1_000)
        self.log.step()

    def take_the_rest(self) -> None:
        """It goes to whoever is there, once the sessions of static members are over."""
        self.open(0, static=False)
        for _ in range(30):
            for slot in list(self.consumers):
                self.poll(slot, 3)
            self.let_a_second_pass()


class PatientGroup(Consumers):
    @invariant()
    def a_partition_has_one_reader_at_most(self) -> None:
        held = [each for consumer in self.consumers.values() for each in consumer._readers]
        assert len(held) == len(set(held))
        assert len(self.taken) == len(set(self.taken))

    def teardown(self) -> None:
        self.take_the_rest()
        assert sorted(self.taken) == sorted(self.sent)
        self.log.close()


class StrictGroup(Consumers):
    patience_ms = 2_000

    def __init__(self) -> None:
        super().__init__()
        self.committed: dict[TopicPartition, int] = {}

    @rule(slot=SLOTS)
    def commit(self, slot: int) -> None:
        if consumer := self.consumers.get(slot):
            with suppress(GroupError):
                consumer.commit()

    @rule(seconds=st.integers(2, 8))
    def be_silent(self, seconds: int) -> None:
        for _ in range(seconds):
            self.let_a_second_pass()

    @invariant()
    def no_commit_is_undone(self) -> None:
        before, self.committed = self.committed, self.log.committed_offsets("g")
        assert all(self.committed[each] >= offset for each, offset in before.items())

    def teardown(self) -> None:
        self.take_the_rest()
        assert set(self.taken) == set(self.sent)
        self.log.close()


TestPatientGroup = PatientGroup.TestCase
TestStrictGroup = StrictGroup.TestCase
