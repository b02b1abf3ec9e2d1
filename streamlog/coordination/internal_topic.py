"""A coordinator's topic: 50 partitions, of which each key has one, found as Kafka finds it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from streamlog.coordination.replay import Replay
from streamlog.errors import CorruptRecordError
from streamlog.record import Columns, ControlType, decode_batch, encode_batch, read_control
from streamlog.record import read_header as read_batch_header
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamlog.coordination.transaction_state import ProducerIdentity
    from streamlog.storage import LogDirectory, PartitionLog, ReadableLog
    from streamlog.topic import TopicDescription

TRANSACTION_TOPIC: Final = "__transaction_state"
OFFSETS_TOPIC: Final = "__consumer_offsets"
INTERNAL_TOPICS: Final = frozenset({TRANSACTION_TOPIC, OFFSETS_TOPIC})
"""No producer may write to them: a record that is not theirs keeps the log from being opened."""
PARTITIONS: Final = 50
CONFIG: Final = {"segment.bytes": str(100 << 20)}
READ_BYTES: Final = 1 << 20


def java_string_hash(text: str) -> int:
    """Java's String.hashCode, a signed 32-bit number over UTF-16 units."""
    data = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for high, low in zip(data[::2], data[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


@lru_cache(maxsize=1024)
def choose_home(key: str, partitions: int) -> int:
    """The partition of a group or transactional id, by Kafka's `Utils.abs(hash) % partitions`.

    The absolute value, not the hash without its sign bit as for records: seen on a broker.
    """
    value = java_string_hash(key)
    return 0 if value == -(1 << 31) else abs(value) % partitions


class ReadableDirectory(Protocol):
    """A log directory to be read, by its owner or beside it."""

    def topics(self) -> Mapping[str, TopicDescription]: ...

    def partition(self, topic: str, partition: int) -> ReadableLog: ...


class InternalTopic:
    """Appends records to one coordinator's topic.

    The topic is made at its first use and a partition's directory at its first write. Usable from
    any thread; who appends keeps the order of one key's records.
    """

    def __init__(self, directory: LogDirectory, name: str) -> None:
        self._directory = directory
        self.name = name
        self._partitions: int | None = None

    def home(self, key: str) -> TopicPartition:
        """The partition of a group or transactional id.

        Makes the topic if need be, durably: the first time not on the flusher's thread.
        """
        if self._partitions is None:
            known = self._directory.topics().get(self.name)
            if known is None:  # one that was made with another number of partitions keeps it
                known = self._directory.create_topic(self.name, PARTITIONS, CONFIG, exist_ok=True)
            self._partitions = known.partitions
        return TopicPartition(self.name, choose_home(key, self._partitions))

    def log(self, home: int) -> PartitionLog:
        return self._directory.partition(self.name, home)

    def append(
        self,
        home: int,
        keys: Sequence[bytes],
        values: Sequence[bytes | None],
        *,
        now_ms: int,
        identity: ProducerIdentity | None = None,
        base_sequence: int = -1,
    ) -> int:
        """Appends one batch, with an `identity` in its transaction; returns its base offset.

        Not durable. Raises what `PartitionLog.append` raises.
        """
        producer_id, producer_epoch = identity or (-1, -1)
        batch = encode_batch(
            keys,
            values,
            [now_ms] * len(keys),
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            transactional=identity is not None,
        )
        return self.log(home).append(batch, now_ms=now_ms).base_offset


def read_replays(
    directory: ReadableDirectory, topic: str, key: str | None = None
) -> Iterator[tuple[int, Replay]]:
    """Number and content of every partition that has any, up to the high watermark.

    With a `key`, a group or transactional id, only of the one that it has its home in.
    """
    description = directory.topics().get(topic)
    partitions = 0 if description is None else description.partitions
    homes = range(partitions) if key is None else [choose_home(key, partitions or 1)]
    for home in homes if partitions else ():
        log = directory.partition(topic, home)
        if log.high_watermark > log.log_start_offset:
            yield home, read_replay(log)


def read_replay(log: ReadableLog) -> Replay:
    """Folds all of a partition below its high watermark.

    Raises `CorruptLogError` for a damaged batch.
    """
    replay = Replay()
    offset = log.log_start_offset
    while offset < log.high_watermark:
        fetched = log.read(offset, READ_BYTES, "read_uncommitted")
        try:
            _fold(replay, fetched.data)
        except CorruptRecordError as error:
            raise fetched.place(error) from error
        offset = fetched.next_offset
    return replay


def _fold(replay: Replay, data: bytes) -> None:
    position = 0
    while position < len(data):
        header = read_batch_header(data, position)
        if header.is_control:
            control = read_control(data, position)
            replay.marker(control.producer_id, commit=control.type is ControlType.COMMIT)
            position += header.size_bytes
            continue
        columns = Columns()
        position = decode_batch(data, position, columns)
        replay.records(
            columns.keys,
            columns.values,
            columns.offsets,
            transaction_of=header.producer_id if header.is_transactional else None,
        )
