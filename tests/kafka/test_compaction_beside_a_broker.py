"""Of the same batches, our compaction leaves the records and markers that a broker's leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from broker_topics import ROLLING, create_topics
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streamlog.record import (
    Batch,
    Columns,
    ControlType,
    decode_batch,
    read_control,
    read_header,
    scan,
)
from streamlog.storage import LogDirectory
from streamlog.storage.checkpoint_file import decode_offsets
from streamlog.testing import FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from broker import KafkaBroker

    from streamlog.storage import PartitionLog

WAIT_S = 240
MINUTE_MS = 60_000
TOPIC = "compaction-beside"
COMPACTING = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
}
Left = tuple[int, str, bytes | None, bytes | None, int]
"""Offset, what it is, key, value, timestamp."""


class Story:
    """What is produced to the broker: each step moves time on, so segments roll.

    From now on, as a marker has the broker's time, and a segment that one begins would never roll.
    """

    def __init__(self, broker: KafkaBroker) -> None:
        self.minute = 0
        self.start_ms = int(time.time() * 1000)
        settings = {"bootstrap.servers": broker.bootstrap, "linger.ms": 50}
        self.plain = Producer(settings | {"enable.idempotence": True})
        self.zipped = Producer(settings | {"compression.type": "zstd"})
        self.transactional = Producer(settings | {"transactional.id": TOPIC})
        self.transactional.init_transactions(WAIT_S)

    def put(self, producer: Producer, *rows: tuple[str, str | None]) -> None:
        for number, (key, value) in enumerate(rows):
            producer.produce(
                TOPIC, value, key, 0, timestamp=self.start_ms + self.minute * MINUTE_MS + number
            )
        producer.flush(WAIT_S)

    def transact(self, *rows: tuple[str, str | None], commit: bool) -> None:
        self.transactional.begin_transaction()
        self.put(self.transactional, *rows)
        if commit:
            self.transactional.commit_transaction(WAIT_S)
        else:
            self.transactional.abort_transaction(WAIT_S)

    def first(self) -> None:
        for number in range(8):
            self.minute += 1
            pairs = [(f"key-{each}", f"{number}-{each}") for each in range(number % 4 + 2)]
            self.put(self.plain, *pairs, (f"only-{number}", "once"))
            self.put(self.zipped, (f"zip-{number % 3}", "x" * 300), ("gone", f"{number}"))
            gone = f"gone-{number}"
            self.transact((f"t-{number % 2}", f"{number}"), (gone, "no"), commit=number % 3 > 0)
            if number % 3 == 2:
                self.put(self.plain, ("gone", None), (f"only-{number - 1}", None))

    def second(self) -> None:
        for number in range(4):
            self.minute += 1
            self.put(self.plain, ("key-1", f"late-{number}"), (f"t-{number % 2}", "plain"))
            self.transact((f"t-{number}", "late"), commit=number % 2 == 0)


def ended_batches(broker: KafkaBroker) -> list[bytes]:
    """As `batches`, when the marker of the last transaction has been written."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = batches(broker)
        if read_header(found[-1]).is_control:
            return found
        time.sleep(0.05)
    pytest.fail("the broker has not ended the last transaction")


def batches(broker: KafkaBroker) -> list[bytes]:
    """Everything in the broker's segments."""
    found: list[bytes] = []
    for path in broker.segments(TOPIC):
        found += [each.data for each in scan(path.read_bytes()) if isinstance(each, Batch)]
    return found


def left(data: list[bytes]) -> list[Left]:
    """Every record and marker."""
    rows: list[Left] = []
    for batch in data:
        header = read_header(batch)
        if header.is_control:
            if header.record_count:
                control = read_control(batch)
                rows.append((control.offset, control.type.name, None, None, control.timestamp))
            continue
        columns = Columns()
        decode_batch(batch, 0, columns)
        kinds = ["transactional" if header.is_transactional else "plain"] * len(columns)
        rows += zip(
            columns.offsets,
            kinds,
            columns.keys,
            columns.values,
            columns.timestamps,
            strict=True,
        )
    return rows


def alter(broker: KafkaBroker, **config: str) -> None:
    resource = ConfigResource(ResourceType.TOPIC, TOPIC)
    for name, value in config.items():
        key = name.replace("_", ".")
        resource.add_incremental_config(
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        )
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(WAIT_S)


def wait_until_cleaned(broker: KafkaBroker) -> None:
    """Until its cleaner has come to the active segment, and the files have their names."""
    checkpoint = broker.data_directory / "cleaner-offset-checkpoint"
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        active = int(broker.segments(TOPIC)[-1].stem)
        content = checkpoint.read_bytes() if checkpoint.exists() else b""
        offsets = decode_offsets(content) if content else {}
        waiting = list(broker.segments(TOPIC)[0].parent.glob("*.log.[cs]*"))
        if offsets.get(TopicPartition(TOPIC, 0)) == active and not waiting:
            return
        time.sleep(0.05)
    pytest.fail(f"the broker has not cleaned the topic to {active}: {offsets}, {waiting}")


def append(log: PartitionLog, batch: bytes) -> None:
    """The same batch, which gets the same offset."""
    header = read_header(batch)
    if header.is_control:
        control = read_control(batch)
        assert control.type in ControlType
        result = log.append_control(
            control.type,
            control.producer_id,
            control.producer_epoch,
            control.coordinator_epoch,
            now_ms=control.timestamp,
        )
    else:
        result = log.append(bytearray(batch), now_ms=header.max_timestamp)
    assert result.base_offset == header.base_offset


def step(directory: LogDirectory, now_ms: int) -> None:
    assert directory.cleaner is not None
    while directory.cleaner.step(now_ms):
        pass
    assert directory.cleaner.faults == {}


def our_batches(log: PartitionLog) -> list[bytes]:
    return [
        segment.pread(header.size_bytes, position)
        for segment in log.view().segments
        for position, header in segment.walk(0, segment.size_bytes)
    ]


def test_the_same_survives_as_in_a_broker(kafka: KafkaBroker) -> None:
    create_topics(kafka, {TOPIC: (1, {**ROLLING, "cleanup.policy": "delete"})})
    story = Story(kafka)
    story.first()
    before = ended_batches(kafka)
    alter(kafka, **{name.replace(".", "_"): value for name, value in COMPACTING.items()})
    wait_until_cleaned(kafka)
    once = batches(kafka)

    files = FaultyFiles()
    with LogDirectory.open("/log", files=files, clock=ManualClock(), threaded=False) as directory:
        directory.create_topic(TOPIC, 1, {**ROLLING, **COMPACTING})
        log = directory.partition(TOPIC, 0)
        for batch in before:
            append(log, batch)
            directory.flusher.wait_durable()
        step(directory, story.start_ms)
        assert left(our_batches(log)) == left(once)
        assert len(left(once)) < len(left(before)) * 0.6

        # Again: what has got its horizon goes, tombstones and markers without data.
        alter(kafka, cleanup_policy="delete")
        story.second()
        for batch in ended_batches(kafka):
            if read_header(batch).base_offset >= log.log_end_offset:
                append(log, batch)
                directory.flusher.wait_durable()
        alter(kafka, cleanup_policy="compact")
        wait_until_cleaned(kafka)
        step(directory, story.start_ms + 1)
        twice = left(batches(kafka))
        assert left(our_batches(log)) == twice
        assert not [row for row in twice if row[2] == b"gone" and row[3] is None]
