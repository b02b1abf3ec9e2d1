"""What a reader finds in a broker's topics, in the terms of `our_log`, and how they come there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from our_log import CODECS, LOOKUPS, START, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker import KafkaBroker

    from streamlog.topic import Isolation

WAIT_S = 240
NOT_YET = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)
ROLLING = {"segment.ms": "60000", "index.interval.bytes": "512"}
"""Rolls where timestamps move on by a minute."""
COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", **ROLLING}
THEIR_TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "java": (1, ROLLING),
    "java-transactions": (2, ROLLING),
    "librdkafka": (1, ROLLING),
    "librdkafka-transactions": (2, ROLLING),
    "their-append-time": (1, {"message.timestamp.type": "LogAppendTime"}),
    "trimmed": (1, ROLLING),
    "compacted": (1, COMPACTED),
    "compacted-away": (1, COMPACTED | {"delete.retention.ms": "0"}),
}
"""Partitions and configurations of the topics that a broker's own clients fill."""


def create_topics(broker: KafkaBroker, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    new = [NewTopic(name, count, 1, config=config) for name, (count, config) in topics.items()]
    for created in admin.create_topics(new).values():
        created.result(WAIT_S)


def broker_rows(
    broker: KafkaBroker, topic: str, partitions: int, isolation: Isolation
) -> list[Row]:
    """Every record that a consumer gets, by partition and offset."""
    rows: list[Row] = []
    consumer = reader(broker, isolation)
    try:
        consumer.assign(
            [
                TopicPartition(topic, each, bounds(consumer, topic, each)[0])
                for each in range(partitions)
            ]
        )
        ended: set[int] = set()
        while len(ended) < partitions:
            (message,) = consumer.consume(1, timeout=WAIT_S)
            if (error := message.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(message.partition())
                continue
            rows.append(
                Row(
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    tuple(message.headers() or ()),
                )
            )
    finally:
        consumer.close()
    return sorted(rows)


def broker_bounds(
    broker: KafkaBroker, topic: str, partitions: int, isolation: Isolation
) -> list[tuple[int, int]]:
    """Start and end of each partition; the end is the last stable offset for read_committed."""
    consumer = reader(broker, isolation)
    try:
        return [bounds(consumer, topic, each) for each in range(partitions)]
    finally:
        consumer.close()


def broker_lookups(broker: KafkaBroker, topic: str, partitions: int) -> dict[int, list[int]]:
    """For every moment of `LOOKUPS`, the offset in each partition; its end where there is none."""
    consumer = reader(broker, "read_uncommitted")
    try:
        ends = [end for _, end in broker_bounds(broker, topic, partitions, "read_uncommitted")]
        found: dict[int, list[int]] = {}
        for moment in LOOKUPS:
            asked = [TopicPartition(topic, each, moment) for each in range(partitions)]
            answers = consumer.offsets_for_times(asked, timeout=WAIT_S)
            offsets = [answer.offset for answer in answers]
            found[moment] = [
                end if offset < 0 else offset for offset, end in zip(offsets, ends, strict=True)
            ]
        return found
    finally:
        consumer.close()


def reader(broker: KafkaBroker, isolation: Isolation) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "check.crcs": True,
            "fetch.wait.max.ms": 10,
            "log_level": 0,  # it goes on without its broker until it is collected
        }
    )


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Start and end; a broker that has just started may not lead its partitions yet."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), WAIT_S)
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


# Filling


def producer(broker: KafkaBroker, **more: Any) -> Producer:
    settings = {name.replace("_", "."): value for name, value in more.items()}
    return Producer(
        {"bootstrap.servers": broker.bootstrap, "linger.ms": 1000, "log_level": 0, **settings}
    )


def fill_by_librdkafka(broker: KafkaBroker) -> None:
    for number, codec in enumerate(CODECS * 2):
        idempotent = number >= len(CODECS)
        each = producer(broker, compression_type=codec, enable_idempotence=idempotent)
        at = START + 20_000 * number
        for topic in ("librdkafka", "their-append-time", "trimmed"):
            each.produce(topic, b"value", b"key", partition=0, timestamp=at)
            headers = [("name", b"value"), ("name", None), ("ключ", b"")]
            each.produce(topic, b"x" * 5000, None, 0, timestamp=at + 3, headers=headers)
            each.produce(topic, None, b"gone", 0, timestamp=at + 1)
        assert each.flush(WAIT_S) == 0
    transactions = [
        producer(broker, transactional_id=f"librdkafka-{name}", transaction_timeout_ms=900_000)
        for name in "ab"
    ]
    for each in transactions:
        each.init_transactions(WAIT_S)
    for number in range(6):
        for each in transactions:
            each.begin_transaction()
            for partition in (0, 1):
                at = START + 20_000 * number
                each.produce(
                    "librdkafka-transactions", b"%d" % number, b"k", partition, timestamp=at
                )
            assert each.flush(WAIT_S) == 0
        for place, each in enumerate(transactions):
            if (number + place) % 3:
                each.commit_transaction(WAIT_S)
            else:
                each.abort_transaction(WAIT_S)


def fill_compacted(broker: KafkaBroker, topic: str) -> None:
    """Keys that are written again and again, tombstones, transactions over two segments each.

    Returns when the broker has cleaned it all, in several rounds.
    """
    plain = producer(broker, enable_idempotence=False)
    idempotent = producer(broker, enable_idempotence=True, compression_type="lz4")
    transactional = producer(broker, transactional_id=topic)
    transactional.init_transactions(WAIT_S)
    begin = int(time.time() * 1000)
    for number in range(12):
        # Each round rolls; a marker, whose time is now, does not.
        at = begin + 90_000 * number
        if number % 2 == 0:
            transactional.begin_transaction()
        for each in (plain, idempotent, transactional):
            for key in range(4):
                value = None if (number + key) % 5 == 0 else b"%d" % number
                each.produce(topic, value, b"key %d" % (key + number % 3), 0, timestamp=at)
            assert each.flush(WAIT_S) == 0
        if number % 4 == 1:
            transactional.commit_transaction(WAIT_S)
        elif number % 4 == 3:
            transactional.abort_transaction(WAIT_S)
        if number in (5, 11):
            plain.produce(topic, b"roll", b"roll", 0, timestamp=at + 70_000)
            assert plain.flush(WAIT_S) == 0
            wait_cleaned(broker, topic, int(broker.segments(topic)[-1].stem))


def wait_cleaned(broker: KafkaBroker, topic: str, offset: int) -> None:
    """Until the broker has cleaned the topic up to the offset."""
    checkpoint = broker.data_directory / "cleaner-offset-checkpoint"
    deadline = time.monotonic() + WAIT_S
    while f"{topic} 0 {offset}" not in checkpoint.read_text().splitlines():
        assert time.monotonic() < deadline, checkpoint.read_text()
        time.sleep(0.05)
