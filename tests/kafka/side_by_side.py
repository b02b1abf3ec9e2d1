"""Sequences of operations, and the two logs that run them: one of ours, and a broker's.

`sequence(seed)` is the same list for the same seed. Every operation has a producer id, epoch and
sequence of its own choosing, so duplicates, gaps, old epochs and markers out of place are as
frequent as what is right. Timestamps lie in the future, so that markers, whose time is the clock's,
never roll a segment: only a `Produce` that is made for it does, and segments are the same, too.
(Where age matters they lie in the past, and there are no markers.)
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from raw_client import EARLIEST, LATEST, RawClient

from streamlog.errors import StreamlogError
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
    from collections.abc import Callable

    from broker import KafkaBroker

    from streamlog.storage import LogDirectory
    from streamlog.topic import Isolation

FUTURE = 4_102_444_800_000
PAST = 1_000_000_000_000
DAY_MS = 24 * 60 * 60 * 1000
ROLL_MS = 31 * DAY_MS
MAX_BYTES = 4000
COMMON = {
    "segment.ms": str(30 * DAY_MS),
    "max.message.bytes": str(MAX_BYTES),
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
}
PLAIN, COMPACTED, COMPACTED_AWAY = "plain", "compacted", "compacted-away"
RETAINED, AGED = "retained", "aged"
CONFIGS = {
    PLAIN: COMMON,
    COMPACTED: COMMON | {"cleanup.policy": "compact"},
    COMPACTED_AWAY: COMMON | {"cleanup.policy": "compact", "delete.retention.ms": "0"},
    RETAINED: COMMON,
    AGED: COMMON | {"retention.ms": "-1"},
}
NEVER, ALWAYS = "1.0", "0.0"
"""Of `min.cleanable.dirty.ratio`: a log is as dirty as that at most, or at least."""
MAX_SEQUENCE = (1 << 31) - 1
WAIT_S = 240
KAFKA_NAMES = {
    0: "",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    10: "MESSAGE_TOO_LARGE",
    44: "POLICY_VIOLATION",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE",
    87: "INVALID_RECORD",
}


def kind_of(seed: int) -> str:
    """Which of the configurations the sequence of that seed is for."""
    return list(CONFIGS)[seed % len(CONFIGS)]


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


@dataclass(frozen=True)
class Clean:
    """One round of compaction, as far as the log can be cleaned now."""


@dataclass(frozen=True)
class DeleteRecords:
    """Below the offset; -1 for all."""

    offset: int


@dataclass(frozen=True, kw_only=True)
class Retain:
    """Deletes segments, the oldest first.

    Until no more than `size_bytes` are left, or those without a record since `timestamp`.
    """

    size_bytes: int = -1
    timestamp: int | None = None

    def configuration(self) -> dict[str, str]:
        if self.timestamp is None:
            return {"retention.bytes": str(self.size_bytes)}
        return {"retention.ms": str(int(time.time() * 1000) - self.timestamp)}

    def taken_back(self) -> dict[str, str]:
        return dict.fromkeys(self.configuration(), "-1")


Operation = Produce | Marker | Lookup | Clean | DeleteRecords | Retain


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
    kind = kind_of(seed)
    start = PAST if kind == AGED else FUTURE
    now = start + rng.randrange(DAY_MS)
    producers = [
        _Producer(100 + each, epoch=rng.choice([0, 0, 3]), sequence=rng.choice([0, 0, 0, 1 << 20]))
        for each in range(3)
    ]
    if rng.random() < 0.3:
        producers[0].sequence = MAX_SEQUENCE - rng.randrange(12)
    operations: list[Operation] = []
    for number in range(length):
        now += rng.choice([0, 1, 1000, 1000, DAY_MS // 10, -500])
        if rng.random() < 0.15:
            now += ROLL_MS
            operations.append(_roll(number, now))
        if number and number % (length // 3) == 0:
            operations += _shrink(rng, kind, producers, (start, now))
        if kind == AGED and rng.random() < 0.8:
            operations.append(Produce(**_content(rng, now)))
        elif kind == AGED:
            operations.append(Lookup(rng.randrange(start, now + 1000), "read_uncommitted"))
        else:
            operations.append(_operation(rng, rng.choice(producers), now, number))
    now += ROLL_MS
    return [*operations, _roll(length, now), *_shrink(rng, kind, producers, (start, now))]


def _operation(rng: random.Random, producer: _Producer, now: int, number: int) -> Operation:
    kind = rng.random()
    if kind < 0.12:
        return Lookup(rng.randrange(FUTURE, now + 1000), "read_uncommitted")
    if kind < 0.2:
        special = rng.choice([EARLIEST, LATEST])
        return Lookup(special, rng.choice(["read_committed", "read_uncommitted"]))
    if kind < 0.24:
        return DeleteRecords(rng.randrange(-1, number + 2))
    if kind < 0.3:
        return Produce(**_content(rng, now))
    if kind < 0.47:
        return _end(rng, producer)
    if kind < 0.58 and producer.sent:
        return rng.choice(producer.sent[-7:])
    return _produce(rng, producer, now)


def _shrink(
    rng: random.Random, kind: str, producers: list[_Producer], span: tuple[int, int]
) -> list[Operation]:
    """What the log is made smaller by. We keep what an open transaction reaches, Kafka does not."""
    if kind in (COMPACTED, COMPACTED_AWAY):
        return [Clean()]
    if kind == RETAINED:
        ends: list[Operation] = [
            Marker(producer_id=each.producer_id, epoch=each.epoch, commit=False)
            for each in producers
        ]
        return [*ends, Retain(size_bytes=rng.choice([500, 2000, 5000]))]
    if kind == AGED:  # the active segment is newer: Kafka would delete that, too
        return [Retain(timestamp=rng.randrange(*span) - ROLL_MS // 2)]
    return []


def _roll(number: int, now: int) -> Produce:
    """So long after the segment began that it begins another."""
    return Produce(keys=[b"roll"], values=[b"%d" % number], timestamps=[now])


def _content(rng: random.Random, now: int) -> dict[str, object]:
    count = rng.choice([1, 1, 2, 3, 5])
    size = 6000 if rng.random() < 0.03 else rng.choice([0, 3, 20, 200])
    return {
        "keys": [b"key %d" % rng.randrange(6) for _ in range(count)],
        "values": [None if rng.random() < 0.2 else rng.randbytes(size) for _ in range(count)],
        "timestamps": [now + rng.randrange(-200, 200) for _ in range(count)],
        "codec": rng.choice(list(Codec)),
        "damaged": rng.random() < 0.02,
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
    """In a directory that was opened without threads, so that nothing happens by itself."""

    def __init__(self, directory: LogDirectory, topic: str, kind: str) -> None:
        config = CONFIGS[kind]
        if kind != PLAIN:
            config = config | {"min.cleanable.dirty.ratio": ALWAYS}
        directory.create_topic(topic, 1, config)
        self._directory = directory
        self._log = directory.partition(topic, 0)
        self._steps = 0
        directory.alter_config({"log.retention.check.interval.ms": "1"})

    def run(self, operation: Operation) -> Outcome:
        try:
            offset = self._run(operation)
        except StreamlogError as error:
            return Outcome(error.kafka_error)
        self._directory.flusher.wait_durable()
        return Outcome("", offset)

    def _run(self, operation: Operation) -> int:
        log, now_ms = self._log, self._directory.clock.now_ms()
        match operation:
            case Produce():
                return log.append(operation.batch(), now_ms=now_ms, verify=True).base_offset
            case Marker(producer_id=producer_id, epoch=epoch):
                kind = ControlType.COMMIT if operation.commit else ControlType.ABORT
                log.append_control(kind, producer_id, epoch, 0, now_ms=now_ms)
                return -1
            case Lookup(timestamp=timestamp, isolation=isolation):
                if timestamp == EARLIEST:
                    return log.log_start_offset
                if timestamp == LATEST:
                    return log.bound(isolation)
                found = log.offset_for_timestamp(timestamp)
                return -1 if found is None else found[0]
            case Clean():
                cleaner = self._directory.cleaner
                assert cleaner is not None
                while cleaner.step(now_ms):
                    pass
                return cleaner.cleaned_offset(log.topic_partition)
            case DeleteRecords(offset=offset):
                name = log.topic_partition
                return self._directory.delete_records({name: offset})[name]
            case Retain():
                self._retain(operation.configuration(), now_ms)
                self._retain(operation.taken_back(), now_ms)
                return log.log_start_offset

    def _retain(self, config: dict[str, str], now_ms: int) -> None:
        topic, _ = self._log.topic_partition
        self._directory.alter_topic(topic, config=config)
        self._steps += 2  # of the interval at which retention is checked
        self._directory.housekeeper.step(now_ms + self._steps)

    def agrees(self, operation: Operation, ours: Outcome, theirs: Outcome) -> bool:
        """Whether both logs have the same outcome, but for what Kafka forgets after a deletion.

        Its last stable offset may be that of a transaction's first record below the log's start.
        And it looks a time up in the first segment only that is late enough: where the log starts
        behind the record that is, for as long as that segment is there, it finds nothing.
        """
        if ours == theirs or not isinstance(operation, Lookup) or theirs.error:
            return ours == theirs
        start = self._log.log_start_offset
        if operation.timestamp == LATEST:
            return ours.offset == start > theirs.offset
        return theirs.offset == -1 and start > 0

    def survivors(self) -> list[tuple[object, ...]]:
        return survivors(self._log.directory, self._log.log_start_offset)


class BrokersLog:
    """Of a topic that was created with `CONFIGS[kind]`, and with a dirty ratio of `NEVER`."""

    def __init__(self, broker: KafkaBroker, client: RawClient, topic: str) -> None:
        client.wait_leader(topic)
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        self._data_directory = broker.data_directory
        self._path = broker.data_directory / f"{topic}-0"
        self._client = client
        self._topic = topic

    def run(self, operation: Operation, expected: int) -> Outcome:
        """`expected` is what a `Clean` or `Retain` is to reach; the broker is waited for."""
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
            case DeleteRecords(offset=wanted):
                error, offset = client.delete_records(topic, wanted)
            case Clean():
                ratio = "min.cleanable.dirty.ratio"
                changes = ({ratio: ALWAYS}, {ratio: NEVER})
                error, offset = 0, self._wait(self._cleaned_offset, expected, changes)
            case Retain():
                changes = (operation.configuration(), operation.taken_back())
                error, offset = 0, self._wait(self._log_start_offset, expected, changes)
        return Outcome(KAFKA_NAMES.get(error, str(error)), -1 if error else offset)

    def _wait(
        self,
        value: Callable[[], int],
        expected: int,
        changes: tuple[dict[str, str], dict[str, str]],
    ) -> int:
        """The value when it is as expected, under a configuration that is taken back then."""
        if value() == expected:
            return expected  # nothing was to be done
        there, back = changes
        self._alter(there | {"max.message.bytes": "1"})
        deadline = time.monotonic() + WAIT_S
        while value() != expected and time.monotonic() < deadline:
            time.sleep(0.01)
        self._alter(back | {"max.message.bytes": str(MAX_BYTES)})
        # Both take effect at once, but a while after the answer.
        damaged = encode_batch([b"k"], [b"v"], [FUTURE])
        damaged[-1] ^= 1
        while KAFKA_NAMES[self._client.produce(self._topic, damaged).error] == "MESSAGE_TOO_LARGE":
            assert time.monotonic() < deadline + WAIT_S
        return value()

    def _log_start_offset(self) -> int:
        return self._client.list_offset(self._topic, EARLIEST).offset

    def _cleaned_offset(self) -> int:
        checkpoint = self._data_directory / "cleaner-offset-checkpoint"
        lines = checkpoint.read_text().splitlines() if checkpoint.exists() else []
        offsets = [line.split()[2] for line in lines if line.startswith(f"{self._topic} 0 ")]
        return int(offsets[0]) if offsets else 0

    def _alter(self, values: dict[str, str]) -> None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in values.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, self._topic, incremental_configs=entries)
        (altered,) = self._admin.incremental_alter_configs([resource]).values()
        altered.result(WAIT_S)

    def survivors(self) -> list[tuple[object, ...]]:
        return survivors(self._path, self._log_start_offset())


def survivors(partition: Path | str, log_start_offset: int = 0) -> list[tuple[object, ...]]:
    """Every batch in a partition's files; of a marker all but its time, which is the clock's.

    Not what is below the start: when its files go is up to the housekeeping.
    """
    found: list[tuple[object, ...]] = []
    for path in sorted(Path(partition).glob("*.log")):
        for event in scan(path.read_bytes()):
            if not isinstance(event, Batch):
                continue  # the end, or zeros that are there in advance
            header = event.header
            if header.last_offset < log_start_offset:
                continue
            batch = (
                path.stem,
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
