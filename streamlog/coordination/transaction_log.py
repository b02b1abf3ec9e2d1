"""A transactional id's place in `__transaction_state`: what is written when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.coordination.internal_topic import TRANSACTION_TOPIC, InternalTopic, read_replays
from streamlog.coordination.transaction_record import (
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from streamlog.coordination.transaction_state import TransactionMetadata, TransactionState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from streamlog.coordination.internal_topic import ReadableDirectory
    from streamlog.coordination.transaction_state import ProducerIdentity
    from streamlog.storage import LogDirectory, PartitionLog
    from streamlog.topic import TopicPartition


class Transaction:
    """A transactional id with what its coordinator keeps beside the metadata.

    `held` are records that may wait, oldest first, and must while `markers_durable` is False: a
    record that replaces a prepare record before the markers are durable would lose the decision.
    `ending` is the last end, under way or done. The coordinator's lock guards it.
    """

    __slots__ = ("ending", "held", "logs", "markers_durable", "metadata", "sequences")

    def __init__(self, metadata: TransactionMetadata) -> None:
        self.metadata = metadata
        self.held: list[TransactionMetadata] = []
        self.markers_durable = True
        self.ending: Future[ProducerIdentity] | None = None
        self.logs: dict[TopicPartition, PartitionLog] = {}
        self.sequences: dict[TopicPartition, int] = {}

    @property
    def abortable(self) -> bool:
        return self.metadata.abortable

    def begin(self) -> None:
        """Forgets the last transaction's partitions."""
        self.logs, self.sequences, self.ending = {}, {}, None

    def hold(self, metadata: TransactionMetadata) -> None:
        """Makes `metadata` the current one; its record may wait."""
        self.metadata = metadata
        ongoing = TransactionState.ONGOING
        if self.held and metadata.state is ongoing and self.held[-1].state is ongoing:
            self.held.pop()
        self.held.append(metadata)


class TransactionLog:
    """Writes and reads the records of transactions. The coordinator's lock guards it."""

    def __init__(self, directory: LogDirectory) -> None:
        self._topic = InternalTopic(directory, TRANSACTION_TOPIC)

    def create(self, transactional_id: str) -> None:
        """Makes the topic if need be. Waits for the flusher."""
        self._topic.home(transactional_id)

    def write_held(self, transaction: Transaction, *, now_ms: int) -> None:
        """Appends what was held, as one batch; not durable."""
        if not transaction.held:
            return
        assert transaction.markers_durable, transaction.metadata
        name = transaction.metadata.transactional_id
        values = [encode_value(metadata) for metadata in transaction.held]
        self._topic.append(
            self._topic.home(name).partition,
            [encode_key(name)] * len(values),
            values,
            now_ms=now_ms,
        )
        transaction.held.clear()

    def forget(self, transactional_id: str, *, now_ms: int) -> None:
        """Appends the id's tombstone; not durable."""
        home = self._topic.home(transactional_id).partition
        self._topic.append(home, [encode_key(transactional_id)], [None], now_ms=now_ms)


def read_transactions(directory: ReadableDirectory) -> Iterator[TransactionMetadata]:
    """The newest record of every transactional id, below the high watermark."""
    for _, replay in read_replays(directory, TRANSACTION_TOPIC):
        for key, (_, value) in replay.latest.items():
            transactional_id = decode_key(key)
            if transactional_id is not None and value is not None:
                yield decode_value(transactional_id, value)
