"""Sequences of operations, and the two logs that run them: one of ours, and a broker's.

`sequence(seed)` is the same list for the same seed. Every operation has a producer id, epoch and
sequence of its own choosing, so duplicates, gaps, old epochs and markers out of place are as
frequent as what is right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from raw_client import EARLIEST, LATEST, RawClient

from streamlog.errors import (
    CorruptRecordError,
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    OutOfOrderSequenceError,
    RecordTooLargeError,
    StreamlogError,
)
from streamlog.record import (
    Batch,
    Codec,
    Columns,
    ControlType,
    decode_batch,
    encode_batch,
    read_control,
    scan,
)

if TYPE_CHECKING:
    from streamlog.storage import LogDirectory
    from streamlog.topic import Isolation

HOUR_MS = 60 * 60 * 1000
ROLL_MS = 1 * HOUR_MS
CONFIG = {"segment.ms": str(ROLL_MS), "max.message.bytes": "4000"}
MAX_SEQUENCE = (1 << 31) - 1
KAFKA_NAMES = {
    0: "",
    2: "CORRUPT_MESSAGE",
    10: "MESSAGE_TOO_LARGE",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE",
    87: "INVALID_RECORD",
}
OUR_NAMES: dict[type[StreamlogError], str] = {
    CorruptRecordError: "CORRUPT_MESSAGE",
    RecordTooLargeError: "MESSAGE_TOO_LARGE",
    OutOfOrderSequenceError: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    InvalidProducerEpochError: "INVALID_PRODUCER_EPOCH",
    InvalidTransactionStateError: "INVALID_TXN_STATE",
}


class Outcome(NamedTuple):
    """Kafka's name of the error, "" for none, and the offset that was given."""

    error: str
    offset: int = -1


@dataclass(frozen=True, kw_only=True)
class Produce:
    keys: list[bytes | None]
    values: list[bytes | None] = field(repr=False)
    timestamps: list[int]
    codec: Codec = Codec.NONE
    producer_id: int = -1
    epoch: int = -1
    sequence: int = -1
    transactional: bool = False
    damaged: bool = False

    def batch(self) -> bytearray:
        batch = encode_batch(
            self.keys,
            self.values,
            self.timestamps,
            [[("n", b"%d" % each)] if each % 2 else [] for each in range(len(self.keys))],
            codec=self.codec,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=self.sequence,
            transactional=self.transactional,
        )
        if self.damaged:
            batch[-1] ^= 1
        return batch


@dataclass(frozen=True, kw_only=True)
class Marker:
    producer_id: int
    epoch: int
    commit: bool


@dataclass(frozen=True)
class Lookup:
    timestamp: int
    isolation: Isolation


Operation = Produce | Marker | Lookup


class Log(Protocol):
    """One partition that runs operations."""

    def run(self, operation: Operation) -> Outcome: ...

    def survivors(self) -> list[tuple[object, ...]]:
        """Every batch that is left, and all that counts of it."""
        ...


@dataclass
class _Producer:
    """What a producer would send next, if it were a good one."""

    producer_id: int
    epoch: int = 0
    sequence: int = 0
    transactional: bool = False
    sent: list[Produce] = field(default_factory=list[Produce])


def sequence(seed: int, length: int = 60) -> list[Operation]:
    """Mostly what good producers do, with a fault now and then."""
    rng = random.Random(seed)
    now = 1_700_000_000_000 + rng.randrange(HOUR_MS)
    start = now
    producers = [
        _Producer(100 + each, epoch=rng.choice([0, 0, 3]), sequence=rng.choice([0, 0, 0, 1 << 20]))
        for each in range(3)
    ]
    if rng.random() < 0.3:
        producers[0].sequence = MAX_SEQUENCE - rng.randrange(12)
    operations: list[Operation] = []
    for _ in range(length):
        now += rng.choice([0, 1, 1000, 1000, ROLL_MS // 3, 2 * ROLL_MS, -500])
        producer = rng.choice(producers)
        kind = rng.random()
        if kind < 0.12:
            operations.append(Lookup(rng.randrange(start - 1000, now + 1000), "read_uncommitted"))
        elif kind < 0.2:
            special = rng.choice([EARLIEST, LATEST])
            operations.append(Lookup(special, rng.choice(["read_committed", "read_uncommitted"])))
        elif kind < 0.27:
            operations.append(Produce(**_content(rng, now)))
        elif kind < 0.45:
            operations.append(_end(rng, producer))
        elif kind < 0.58 and producer.sent:
            operations.append(rng.choice(producer.sent[-7:]))
        else:
            operations.append(_produce(rng, producer, now))
    return operations


def _content(rng: random.Random, now: int) -> dict[str, object]:
    count = rng.choice([1, 1, 2, 3, 5])
    size = 6000 if rng.random() < 0.03 else rng.choice([0, 3, 20, 200])
    return {
        "keys": [b"key %d" % rng.randrange(6) for _ in range(count)],
        "values": [None if rng.random() < 0.2 else rng.randbytes(size) for _ in range(count)],
        "timestamps": [now + rng.randrange(-200, 200) for _ in range(count)],
        "codec": rng.choice(list(Codec)),
        "damaged": size < 1000 and rng.random() < 0.02,
    }


def _produce(rng: random.Random, producer: _Producer, now: int) -> Produce:
    """The producer's next batch, or one with a gap, from behind, or of another epoch."""
    epoch, first = producer.epoch, producer.sequence
    if rng.random() < 0.25:
        producer.transactional = not producer.transactional
    fault = rng.random()
    if fault < 0.08:
        first = (first + rng.randrange(1, 5)) % (MAX_SEQUENCE + 1)
    elif fault < 0.13:
        first = max(first - rng.randrange(1, 5), 0)
    elif fault < 0.18:
        epoch = max(epoch - 1, 0)
    elif fault < 0.23:
        epoch += 1
        first = rng.choice([0, 0, first])
    operation = Produce(
        **_content(rng, now),
        producer_id=producer.producer_id,
        epoch=epoch,
        sequence=first,
        transactional=producer.transactional,
    )
    if fault >= 0.18 and not operation.damaged:
        producer.epoch = epoch
        producer.sequence = (first + len(operation.keys)) % (MAX_SEQUENCE + 1)
    producer.sent.append(operation)
    return operation


def _end(rng: random.Random, producer: _Producer) -> Marker:
    """A marker of the producer's epoch, of the next one (KIP-890), or of an old one."""
    step = rng.choice([0, 0, 0, 1, 1, -1])
    epoch = max(producer.epoch + step, 0)
    if epoch > producer.epoch:
        producer.epoch, producer.sequence = epoch, 0
    return Marker(producer_id=producer.producer_id, epoch=epoch, commit=rng.random() < 0.6)


class OurLog:
    def __init__(self, directory: LogDirectory, topic: str) -> None:
        directory.create_topic(topic, 1, CONFIG)
        self._directory = directory
        self._log = directory.partition(topic, 0)
        self._path = f"{directory.root}/{topic}-0"
        self._markers: list[int] = []

    def run(self, operation: Operation) -> Outcome:
        try:
            offset = self._run(operation)
        except tuple(OUR_NAMES) as error:
            return Outcome(OUR_NAMES[type(error)])
        self._directory.flusher.wait_durable()
        return Outcome("", offset)

    def _run(self, operation: Operation) -> int:
        log, now_ms = self._log, self._directory.clock.now_ms()
        match operation:
            case Produce():
                return log.append(operation.batch(), now_ms=now_ms, verify=True).base_offset
            case Marker(producer_id=producer_id, epoch=epoch):
                kind = ControlType.COMMIT if operation.commit else ControlType.ABORT
                marker = log.append_control(kind, producer_id, epoch, 0, now_ms=now_ms)
                self._markers.append(marker.base_offset)
                return -1
            case Lookup(timestamp=timestamp, isolation=isolation):
                if timestamp == EARLIEST:
                    return log.log_start_offset
                if timestamp == LATEST:
                    return log.bound(isolation)
                return self._find(timestamp)

    def _find(self, timestamp: int) -> int:
        """Kafka may answer with a marker, whose time is the clock's; we answer with a record."""
        start = self._log.log_start_offset
        found = self._log.offset_for_timestamp(timestamp)
        offsets = [offset for offset in self._markers if offset >= start]
        return min([found[0], *offsets] if found else offsets, default=-1)

    def survivors(self) -> list[tuple[object, ...]]:
        return survivors(self._path)


class BrokersLog:
    def __init__(self, client: RawClient, path: Path, topic: str) -> None:
        client.wait_leader(topic)
        self._client = client
        self._topic = topic
        self._path = path

    def run(self, operation: Operation) -> Outcome:
        client, topic = self._client, self._topic
        match operation:
            case Produce():
                name = "anyone" if operation.transactional else None
                error, offset = client.produce(topic, operation.batch(), transactional_id=name)
            case Marker(producer_id=producer_id, epoch=epoch, commit=commit):
                error = client.write_marker(topic, producer_id, epoch, 0, commit=commit)
                offset = -1
            case Lookup(timestamp=timestamp, isolation=isolation):
                error, offset = client.list_offset(topic, timestamp, isolation)
        return Outcome(KAFKA_NAMES.get(error, str(error)), -1 if error else offset)

    def survivors(self) -> list[tuple[object, ...]]:
        return survivors(self._path)


def survivors(partition: Path | str) -> list[tuple[object, ...]]:
    """Every batch in a partition's files; of a marker all but its time, which is the clock's.

    Not in which segment it is: Kafka rolls before it looks whether it will refuse the batch.
    """
    found: list[tuple[object, ...]] = []
    for path in sorted(Path(partition).glob("*.log")):
        for event in scan(path.read_bytes()):
            if not isinstance(event, Batch):
                continue  # the end, or zeros that are there in advance
            header = event.header
            batch = (
                header.base_offset,
                header.last_offset,
                header.attributes,
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
            )
            if header.is_control:
                control = read_control(event.data)
                found.append((*batch, control.type.name, control.coordinator_epoch))
                continue
            columns = Columns()
            decode_batch(event.data, 0, columns)
            rows = zip(
                columns.offsets, columns.timestamps, columns.keys, columns.values, strict=True
            )
            found.append((*batch, header.max_timestamp, tuple(rows), repr(columns.headers)))
    return found
