"""A partition's producers against a model of a few lines: sequences, epochs, transactions."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    OutOfOrderSequenceError,
    ProducerError,
)
from streamlog.record import BatchHeader
from streamlog.storage.producer_snapshot import decode_snapshot, encode_snapshot
from streamlog.storage.producer_state import ProducerState
from streamlog.topic import TopicPartition

PARTITION = TopicPartition("t", 0)
PRODUCERS = (5, 6, 7)
SEQUENCES = 1 << 31
TRANSACTIONAL = 0x10


@dataclass
class Producer:
    """`batches` are (first, last sequence, first offset), the newest last."""

    epoch: int
    batches: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    opened_at: int | None = None

    @property
    def next_sequence(self) -> int:
        return (self.batches[-1][1] + 1) % SEQUENCES if self.batches else 0

    def judge(
        self, epoch: int, first: int, last: int, *, transactional: bool
    ) -> int | type[ProducerError] | None:
        """The offset of the batch that this one repeats, the error it gets, or None."""
        if epoch < self.epoch:
            return InvalidProducerEpochError
        if epoch == self.epoch:
            for first_known, last_known, offset in self.batches[-5:]:
                if (first_known, last_known) == (first, last):
                    return offset
        if first != (self.next_sequence if epoch == self.epoch else 0):
            return OutOfOrderSequenceError
        if self.opened_at is not None and not transactional:
            return InvalidTransactionStateError
        return None

    def become(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, []


class ProducerStateMachine(RuleBasedStateMachine):
    """Every batch that is not refused is in the log, whose end is `offset`."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ProducerState(PARTITION)
        self.producers: dict[int, Producer] = {}
        self.offset = 0

    @rule(
        producer_id=st.sampled_from(PRODUCERS),
        epochs_on=st.sampled_from([0, 0, 0, 0, 1, -1]),
        skipped=st.sampled_from([0, 0, 0, 1, -1]),
        count=st.integers(1, 3),
        transactional=st.booleans(),
        begins_at=st.sampled_from([0, 7, SEQUENCES - 2, SEQUENCES - 1]),
    )
    def produce(
        self,
        producer_id: int,
        epochs_on: int,
        skipped: int,
        count: int,
        transactional: bool,
        begins_at: int,
    ) -> None:
        known = self.producers.get(producer_id)
        if known is None:
            epoch, first = 3, begins_at
        else:
            epoch = known.epoch + epochs_on
            first = (known.next_sequence if epochs_on == 0 else 0) + skipped
            first %= SEQUENCES
        self.send(producer_id, epoch, first, count, transactional=transactional)

    @rule(data=st.data(), transactional=st.booleans())
    def repeat_a_batch(self, data: st.DataObject, transactional: bool) -> None:
        sent = [
            (producer_id, producer.epoch, first, (last - first) % SEQUENCES + 1)
            for producer_id, producer in self.producers.items()
            for first, last, _ in producer.batches[-7:]
        ]
        if sent:
            self.send(*data.draw(st.sampled_from(sent)), transactional=transactional)

    def send(
        self, producer_id: int, epoch: int, first: int, count: int, *, transactional: bool
    ) -> None:
        last = (first + count - 1) % SEQUENCES
        header = BatchHeader(
            base_offset=0,
            batch_length=100,
            partition_leader_epoch=0,
            magic=2,
            crc=0,
            attributes=TRANSACTIONAL if transactional else 0,
            last_offset_delta=count - 1,
            base_timestamp=self.offset,
            max_timestamp=self.offset,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=first,
            record_count=count,
        )
        known = self.producers.get(producer_id)
        expected = known and known.judge(epoch, first, last, transactional=transactional)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.state.check(header)
            return
        duplicate = self.state.check(header)
        if expected is not None:
            assert duplicate is not None
            assert duplicate.first_offset == expected
            return
        assert duplicate is None
        self.state.append(header, self.offset)
        producer = self.producers.setdefault(producer_id, Producer(epoch))
        producer.become(epoch)
        producer.batches.append((first, last, self.offset))
        if transactional and producer.opened_at is None:
            producer.opened_at = self.offset
        self.offset += count

    @rule(producer_id=st.sampled_from(PRODUCERS), epochs_on=st.sampled_from([0, 1, 1, -1]))
    def end_transaction(self, producer_id: int, epochs_on: int) -> None:
        producer = self.producers.setdefault(producer_id, Producer(3))
        epoch = producer.epoch + epochs_on
        if epochs_on < 0 and producer_id in self.state.entries:
            with pytest.raises(InvalidProducerEpochError):
                self.state.check_marker(producer_id, epoch)
            return
        self.state.check_marker(producer_id, epoch)
        completed = self.state.end_transaction(
            producer_id, epoch, 0, self.offset, self.offset, aborted=True
        )
        assert (completed and completed.first_offset) == producer.opened_at
        producer.become(epoch)
        producer.opened_at = None
        self.offset += 1

    @rule()
    def make_all_durable(self) -> None:
        self.state.decide_below(self.offset)
        opened = [each.opened_at for each in self.producers.values() if each.opened_at is not None]
        assert self.state.first_unstable_offset() == min(opened, default=None)

    @rule()
    def restart_from_a_snapshot(self) -> None:
        """Kafka's file has only the last batch of a producer."""
        entries = decode_snapshot(encode_snapshot(self.state.entries.values()))
        assert entries is not None
        self.state = ProducerState(PARTITION, entries)
        for producer in self.producers.values():
            del producer.batches[:-1]

    @invariant()
    def the_same_is_open(self) -> None:
        opened = {
            producer_id: (producer.epoch, producer.opened_at)
            for producer_id, producer in self.producers.items()
            if producer.opened_at is not None
        }
        assert self.state.open_transactions() == opened
        offsets = [first for _, first in self.state.open_transactions().values()]
        assert offsets == sorted(offsets), "the oldest is the first"


ProducerStateMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestProducerState = ProducerStateMachine.TestCase
