"""Logs of ours with everything in them that Kafka should understand, and what readers find there.

`write_public` goes through `streamlog.open`, as applications do; `write_raw` goes to the storage,
for what no producer of ours writes: chosen producers, wrapping sequences, open transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from side_by_side import COMPACTED, COMPACTED_AWAY, OurLog, kind_of, sequence

import streamlog
from streamlog.client.contract import GroupMetadata
from streamlog.record import Codec, ControlType, encode_batch
from streamlog.storage import LogDirectory
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Headers, Log
    from streamlog.topic import Isolation

START = 1_700_000_000_000
SMALL_SEGMENTS = {"segment.bytes": "4000", "index.interval.bytes": "512", "retention.ms": "-1"}
CODECS = [codec.name.lower() for codec in Codec]
MAX_SEQUENCE = (1 << 31) - 1
HOUR_MS = 60 * 60 * 1000

CODECS_TOPIC = "codecs"
TRANSACTIONS_TOPIC = "transactions"
APPEND_TIME_TOPIC = "append-time"
TIMES_TOPIC = "times"
TOMBSTONES_TOPIC = "tombstones"
PUBLIC_TOPICS = {
    CODECS_TOPIC: 1,
    TRANSACTIONS_TOPIC: 2,
    APPEND_TIME_TOPIC: 1,
    TIMES_TOPIC: 1,
    TOMBSTONES_TOPIC: 1,
}
CLEANED_TOPICS = {"cleaned": 21, "cleaned-away": 2}
"""With the seed of the sequence of operations that they are made of."""
KINDS = {"cleaned": COMPACTED, "cleaned-away": COMPACTED_AWAY}
DELETED_TO = 33
"""In the topic "deleted", whose first records are gone: inside of a batch, and of a segment."""
RAW_TOPICS = dict.fromkeys(["open", "sequences", "deleted", *CLEANED_TOPICS], 1)
GROUP = "readers"
LOOKUPS = [0, START - 1, START, START + 5_000, START + 60_001, START + 119_999, 1 << 42]
"""Moments to look offsets up by; the last one is behind all records but the broker's own."""


class Row(NamedTuple):
    """A record as any reader gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def write_public(root: Path) -> None:
    with streamlog.open(root, durability="os") as log:
        for topic, partitions in PUBLIC_TOPICS.items():
            config = dict(SMALL_SEGMENTS)
            if topic == APPEND_TIME_TOPIC:
                config["message.timestamp.type"] = "LogAppendTime"
            log.create_topic(topic, partitions, config=config)
        _write_codecs(log)
        _write_transactions(log)
        _write_times(log)
        _commit_offsets(log)


def _write_codecs(log: Log) -> None:
    """Of every codec, in several segments: small and large, nulls, empty, headers; all topics."""
    for number, codec in enumerate(CODECS * 2):
        with log.producer(compression=codec) as producer:
            times = [START + 10_000 * number + each for each in (0, 3, 1, 3, 2)]
            headers: list[Headers] = [
                [],
                [("name", b"value"), ("name", None), ("ключ", b"")],
                [],
                [("", b"\0" * 100)],
                [],
            ]
            columns = [
                [b"key", None, b"", b"k" * 300, b"gone"],
                [b"value", b"no key", b"", b"text %d " % number * 200, None],
            ]
            for topic in (CODECS_TOPIC, APPEND_TIME_TOPIC):
                producer.send_columns(
                    topic, *columns, timestamps=times, headers=headers, partition=0
                )
            producer.send(TOMBSTONES_TOPIC, b"key %d" % (number % 3), b"%d" % number, timestamp=1)
            producer.send(TOMBSTONES_TOPIC, b"key %d" % (number % 4), None, timestamp=0)


def _write_transactions(log: Log) -> None:
    """Of three producers at once, in both partitions and several segments; a third is aborted."""
    producers = [log.producer(transactional_id=f"writer-{name}") for name in "abc"]
    plain = log.producer()
    for number in range(12):
        for producer in producers:
            producer.begin_transaction()
        for step in range(3):
            for name, producer in enumerate(producers):
                for partition in (0, 1):
                    value = b"%d of %d by %d " % (step, number, name) + b"x" * 150
                    time = START + 10_000 * number + step
                    producer.send(
                        TRANSACTIONS_TOPIC, None, value, partition=partition, timestamp=time
                    )
                producer.flush()
            plain.send(TRANSACTIONS_TOPIC, b"plain", b"%d" % number, timestamp=START)
        for name, producer in enumerate(producers):
            if (number + name) % 3:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
    for producer in [*producers, plain]:
        producer.close()


def _write_times(log: Log) -> None:
    """Timestamps that go forth and back, a batch each ten."""
    with log.producer() as producer:
        for number in range(40):
            times = [START + number * 3_000 + each * 7_919 % 10_000 for each in range(10)]
            producer.send_columns(
                TIMES_TOPIC, None, [b"%d" % each for each in times], timestamps=times, partition=0
            )


def _commit_offsets(log: Log) -> None:
    """Of a group by itself, and with transactions of which one is aborted."""
    with log.consumer(CODECS_TOPIC, group=GROUP, auto_commit=False) as consumer:
        assert consumer.poll(10, max_records=7)
        consumer.commit({TopicPartition(CODECS_TOPIC, 0): 7})
    with log.producer(transactional_id="committer") as producer:
        for offset, commit in ((3, True), (5, False), (4, True)):
            producer.begin_transaction()
            producer.send_offsets_to_transaction(
                {TopicPartition(TIMES_TOPIC, 0): offset}, GroupMetadata(group_id=GROUP)
            )
            if commit:
                producer.commit_transaction()
            else:
                producer.abort_transaction()


def write_raw(root: Path) -> None:
    """With a clean stop that leaves transactions open, and with topics that we have compacted."""
    with LogDirectory.open(root, durability="os", threaded=False) as directory:
        for topic, seed in CLEANED_TOPICS.items():
            assert kind_of(seed) == KINDS[topic]
            cleaned = OurLog(directory, topic, kind_of(seed))
            for operation in sequence(seed, length=150):
                cleaned.run(operation)
        for topic in ("open", "sequences", "deleted"):
            directory.create_topic(topic, 1, SMALL_SEGMENTS)
        log = directory.partition("deleted", 0)
        for number in range(20):
            times = range(START + 1000 * number, START + 1000 * number + 5)
            log.append(encode_batch([None] * 5, [b"v" * 100] * 5, times), now_ms=START)
        directory.flusher.wait_durable()
        directory.delete_records({log.topic_partition: DELETED_TO})
        directory.housekeeper.step(directory.clock.now_ms() + HOUR_MS)
        log = directory.partition("open", 0)
        for number in range(30):
            for producer_id, transactional in ((70, True), (71, True), (72, False)):
                batch = encode_batch(
                    [b"%d" % producer_id] * 2,
                    [b"value %d" % number * 10] * 2,
                    [START + number, START],
                    codec=list(Codec)[number % 5],
                    producer_id=producer_id,
                    producer_epoch=3,
                    base_sequence=number * 2,
                    transactional=transactional,
                )
                log.append(batch, now_ms=START)
            if number in (4, 9):
                log.append_control(ControlType.COMMIT, 70, 3, 1, now_ms=START + number)
            if number in (7, 20):
                log.append_control(ControlType.ABORT, 71, 3, 2, now_ms=START + number)
        log = directory.partition("sequences", 0)
        first = MAX_SEQUENCE - 8
        for number in range(6):
            batch = encode_batch(
                [None] * 5, [b"%d" % number] * 5, [START] * 5,
                producer_id=1 << 40, producer_epoch=32_767, base_sequence=first,
            )  # fmt: skip
            log.append(batch, now_ms=START)
            first = (first + 5) % (1 << 31)


def partition_directories(root: Path) -> list[Path]:
    """Of every topic in a stopped log, the internal ones too, but not our metadata."""
    found = [path for path in sorted(root.iterdir()) if path.is_dir()]
    return [path for path in found if not path.name.startswith("__streamlog_metadata-")]


def our_rows(root: Path, topic: str, isolation: Isolation) -> list[Row]:
    """What a reader of ours sees of a topic, by partition and offset."""
    with streamlog.open(root, read_only=True) as log:
        return read_topic(log, topic, isolation)


def read_topic(log: Log, topic: str, isolation: Isolation) -> list[Row]:
    partitions = [TopicPartition(topic, each) for each in range(log.topic(topic).partitions)]
    ends = log.end_offsets(partitions, isolation=isolation)
    rows: list[Row] = []
    with log.consumer(isolation=isolation) as consumer:
        consumer.assign(partitions)
        while any(consumer.position(each) < ends[each] for each in partitions):
            for record in consumer.poll(10):
                headers = tuple(record.headers)
                rows.append(
                    Row(
                        record.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.value,
                        headers,
                    )
                )
    return sorted(rows)


def our_lookups(root: Path, topic: str) -> dict[int, list[int]]:
    """For every moment of `LOOKUPS`, the offset in each partition; its end where there is none."""
    with streamlog.open(root, read_only=True) as log:
        return lookups(log, topic)


def lookups(log: Log, topic: str) -> dict[int, list[int]]:
    partitions = [TopicPartition(topic, each) for each in range(log.topic(topic).partitions)]
    found: dict[int, list[int]] = {}
    with log.consumer(isolation="read_uncommitted") as consumer:
        consumer.assign(partitions)
        for moment in LOOKUPS:
            for partition in partitions:
                consumer.seek_to_time(partition, moment)
            found[moment] = [consumer.position(each) for each in partitions]
    return found


def our_bounds(root: Path, topic: str, isolation: Isolation) -> list[tuple[int, int]]:
    """Start and end of each partition; the end is the last stable offset for read_committed."""
    with streamlog.open(root, read_only=True) as log:
        return bounds(log, topic, isolation)


def bounds(log: Log, topic: str, isolation: Isolation) -> list[tuple[int, int]]:
    partitions = [TopicPartition(topic, each) for each in range(log.topic(topic).partitions)]
    starts = log.beginning_offsets(partitions)
    ends = log.end_offsets(partitions, isolation=isolation)
    return [(starts[each], ends[each]) for each in partitions]
