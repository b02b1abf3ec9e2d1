"""What a partition knows of its producers: sequences, epochs, open transactions (KIP-98). Pure.

A producer's batches carry consecutive sequence numbers, so a batch that comes twice is known (the
last five batches are kept) and one that is missing is missed. A transaction is open from its first
batch to its marker; the last stable offset is the first offset of the oldest open one.

    none ──transactional batch──> open ──marker──> undecided ──marker below the HW──> none

A transaction whose marker is in the log but not yet below the high watermark still holds the last
stable offset back: a crash could take the marker away again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    OutOfOrderSequenceError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.record import BatchHeader
    from streamlog.topic import TopicPartition

BATCHES_KEPT: Final = 5
NO_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_OFFSET: Final = -1
MAX_SEQUENCE: Final = (1 << 31) - 1


class ProducedBatch(NamedTuple):
    """One of the last batches of a producer."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp: int


class CompletedTransaction(NamedTuple):
    """A transaction whose marker is at `last_offset`."""

    producer_id: int
    first_offset: int
    last_offset: int
    aborted: bool


class ProducerEntry:
    """One producer. `transaction_first_offset` is -1 while no transaction is open."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "last_timestamp",
        "producer_id",
        "transaction_first_offset",
    )

    def __init__(self, producer_id: int, epoch: int = NO_EPOCH) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.batches: list[ProducedBatch] = []
        self.coordinator_epoch = -1
        self.last_timestamp = -1
        self.transaction_first_offset = NO_OFFSET

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    def move_to_epoch(self, epoch: int) -> None:
        """A new epoch starts its sequences again."""
        if epoch != self.epoch:
            self.batches.clear()
            self.epoch = epoch


class ProducerSummary(NamedTuple):
    """A producer at one moment, for who looks on."""

    producer_id: int
    epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    transaction_first_offset: int | None


class ProducerState:
    """All producers of a partition. The partition log's lock guards it."""

    def __init__(
        self, topic_partition: TopicPartition, entries: Iterable[ProducerEntry] = ()
    ) -> None:
        self._topic_partition = topic_partition
        self.entries = {entry.producer_id: entry for entry in entries}
        # In the order of their first offsets, so the oldest is the first.
        self._open: dict[int, int] = dict(
            sorted(
                (
                    (entry.producer_id, entry.transaction_first_offset)
                    for entry in self.entries.values()
                    if entry.transaction_first_offset != NO_OFFSET
                ),
                key=lambda item: item[1],
            )
        )
        self._undecided: list[CompletedTransaction] = []

    def check(self, header: BatchHeader) -> ProducedBatch | None:
        """Whether a client's batch may be appended; the earlier one where it is a duplicate.

        Raises `InvalidProducerEpochError` for an old epoch, `OutOfOrderSequenceError` for a gap,
        `InvalidTransactionStateError` for a batch outside the producer's open transaction.
        """
        entry = self.entries.get(header.producer_id)
        if entry is None:
            return None
        if header.producer_epoch == entry.epoch:
            first, last = header.base_sequence, header.last_sequence
            for batch in entry.batches:
                if batch.first_sequence == first and batch.last_sequence == last:
                    return batch
        self._check_epoch(entry, header.producer_epoch)
        self._check_sequence(entry, header)
        if entry.transaction_first_offset != NO_OFFSET and not header.is_transactional:
            raise InvalidTransactionStateError(
                f"producer {entry.producer_id}", "Ongoing", "append outside the transaction"
            )
        return None

    def append(self, header: BatchHeader, base_offset: int) -> None:
        """Takes note of a data batch that is in the log."""
        entry = self.entries.get(header.producer_id) or self._entry(header.producer_id)
        if header.producer_epoch != entry.epoch:
            entry.move_to_epoch(header.producer_epoch)
        batch = ProducedBatch(
            header.base_sequence,
            header.last_sequence,
            base_offset,
            base_offset + header.last_offset_delta,
            header.max_timestamp,
        )
        entry.batches.append(batch)
        if len(entry.batches) > BATCHES_KEPT:
            del entry.batches[0]
        entry.last_timestamp = header.max_timestamp
        if header.is_transactional and entry.transaction_first_offset == NO_OFFSET:
            entry.transaction_first_offset = base_offset
            self._open[entry.producer_id] = base_offset

    def check_marker(self, producer_id: int, epoch: int) -> None:
        """Raises `InvalidProducerEpochError` for a marker of an old epoch."""
        entry = self.entries.get(producer_id)
        if entry is not None:
            self._check_epoch(entry, epoch)

    def end_transaction(
        self,
        producer_id: int,
        epoch: int,
        coordinator_epoch: int,
        offset: int,
        timestamp: int,
        *,
        aborted: bool,
    ) -> CompletedTransaction | None:
        """Takes note of a marker in the log; None where it ends nothing."""
        entry = self._entry(producer_id)
        entry.move_to_epoch(epoch)
        entry.coordinator_epoch = coordinator_epoch
        entry.last_timestamp = timestamp
        entry.transaction_first_offset = NO_OFFSET
        first_offset = self._open.pop(producer_id, None)
        if first_offset is None:
            return None
        completed = CompletedTransaction(producer_id, first_offset, offset, aborted)
        self._undecided.append(completed)
        return completed

    def summaries(self) -> list[ProducerSummary]:
        """All producers, in no order."""
        return [
            ProducerSummary(
                entry.producer_id,
                entry.epoch,
                entry.last_sequence,
                entry.last_timestamp,
                entry.coordinator_epoch,
                self._open.get(entry.producer_id),
            )
            for entry in self.entries.values()
        ]

    def open_transactions(self) -> dict[int, tuple[int, int]]:
        """Producer id to (epoch, first offset) of every open transaction, oldest first."""
        return {
            producer_id: (self.entries[producer_id].epoch, first_offset)
            for producer_id, first_offset in self._open.items()
        }

    def first_open_offset(self) -> int | None:
        """Where the oldest open transaction begins."""
        return next(iter(self._open.values()), None)

    def first_unstable_offset(self) -> int | None:
        """Where the oldest open or undecided transaction begins."""
        first = self.first_open_offset()
        for completed in self._undecided:
            if first is None or completed.first_offset < first:
                first = completed.first_offset
        return first

    def decide_below(self, high_watermark: int) -> None:
        """The markers below the high watermark hold nothing back any more."""
        undecided = self._undecided
        if undecided and undecided[0].last_offset < high_watermark:
            self._undecided = [c for c in undecided if c.last_offset >= high_watermark]

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forgets who has not written for so long and has no transaction open.

        By the timestamps of the records, as Kafka does. The next batch of such a producer may have
        any sequence.
        """
        expired = [
            entry.producer_id
            for entry in self.entries.values()
            if now_ms - entry.last_timestamp >= expiration_ms
            and entry.transaction_first_offset == NO_OFFSET
        ]
        for producer_id in expired:
            del self.entries[producer_id]

    def _entry(self, producer_id: int) -> ProducerEntry:
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = ProducerEntry(producer_id)
        return entry

    def _check_epoch(self, entry: ProducerEntry, epoch: int) -> None:
        if epoch < entry.epoch:
            topic, partition = self._topic_partition
            raise InvalidProducerEpochError(
                topic, partition, entry.producer_id, current=entry.epoch, found=epoch
            )

    def _check_sequence(self, entry: ProducerEntry, header: BatchHeader) -> None:
        if header.producer_epoch != entry.epoch or entry.last_sequence == MAX_SEQUENCE:
            expected = 0
        else:
            expected = entry.last_sequence + 1
        if header.base_sequence != expected:
            topic, partition = self._topic_partition
            raise OutOfOrderSequenceError(
                topic,
                partition,
                entry.producer_id,
                expected=expected,
                found=header.base_sequence,
            )
