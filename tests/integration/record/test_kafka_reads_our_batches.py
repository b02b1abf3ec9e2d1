"""Kafka's broker takes our batches, and Java and librdkafka read from it what we wrote."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from struct import pack, unpack
from typing import TYPE_CHECKING

import pytest
from broker import KafkaBroker, java, why_no_broker
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streamlog.record import (
    Codec,
    Columns,
    ControlType,
    Headers,
    encode_batch,
    encode_control_batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_TOPIC = Path(__file__).with_name("ReadTopic.java")
PRODUCE, PRODUCE_VERSION = 0, 7
UNANSWERED = -99
WAIT_S = 240
NOT_YET = (3, 6)  # UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER

COLUMNS = Columns(
    [b"key", None, b"", b"k" * 300, None, b"long"],
    [b"value", b"no key", b"", None, None, bytes(range(256)) * 600],
    [
        1_700_000_000_000,
        1_700_000_000_000,
        1_699_999_999_000,
        1_700_000_000_063,
        0,
        1_700_003_600_000,
    ],
    [0, 1, 2, 3, 4, 5],
    [[], [("name", b"value"), ("name", None), ("ключ", b"")], [], [], [], []],
)


@dataclass(frozen=True, order=True)
class Row:
    """A record as any of the readers gives it."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def topic_of(codec: Codec) -> str:
    return f"ours-{codec.name.lower()}"


def rows(codec: Codec) -> list[Row]:
    columns = COLUMNS
    headers: list[Headers] = columns.headers or []
    return [
        Row(topic_of(codec), offset, timestamp, key, value, tuple(each))
        for offset, timestamp, key, value, each in zip(
            columns.offsets,
            columns.timestamps,
            columns.keys,
            columns.values,
            headers,
            strict=True,
        )
    ]


@pytest.fixture(scope="module")
def topics(kafka: KafkaBroker) -> list[str]:
    """A topic a codec, with one batch that we encoded and the broker accepted."""
    names = [topic_of(codec) for codec in Codec]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for created in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        created.result(WAIT_S)
    for codec in Codec:
        batch = encode_batch(
            COLUMNS.keys, COLUMNS.values, COLUMNS.timestamps, COLUMNS.headers, codec=codec
        )
        produce(kafka, topic_of(codec), batch)
    return names


def produce(kafka: KafkaBroker, topic: str, batch: bytes) -> None:
    """One raw Produce request for partition 0, acks=all."""
    name, client = topic.encode(), b"streamlog"
    request = pack(f">hhih{len(client)}s", PRODUCE, PRODUCE_VERSION, 1, len(client), client)
    request += pack(">hhi", -1, -1, WAIT_S * 1000)  # no transactional id, acks, timeout
    request += pack(f">ih{len(name)}sii", 1, len(name), name, 1, 0)
    request += pack(">i", len(batch)) + batch
    deadline = time.monotonic() + WAIT_S
    error = base_offset = UNANSWERED
    # A topic is there before its partition has a leader, which refuses a request at once.
    while error == UNANSWERED or (error in NOT_YET and time.monotonic() < deadline):
        answer = exchange(kafka, request)
        # The only partition's error; base offset, append time, log start and throttle follow.
        error, base_offset, _, _, _ = unpack(">hqqqi", answer[-30:])
    assert (error, base_offset) == (0, 0)


def exchange(kafka: KafkaBroker, request: bytes) -> bytes:
    host, port = kafka.bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:
        connection.sendall(pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = unpack(">i", answers.read(4))
            return answers.read(size)


def consume(kafka: KafkaBroker, topic: str, count: int) -> Iterator[Row]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "check.crcs": True}
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        for message in consumer.consume(count, timeout=WAIT_S):
            assert message.error() is None
            headers = message.headers() or []
            yield Row(
                message.topic(),
                message.offset(),
                message.timestamp()[1],
                message.key(),
                message.value(),
                tuple((name, value) for name, value in headers),
            )
    finally:
        consumer.close()


def parse(line: str) -> Row:
    topic, offset, timestamp, key, value, *headers = line.split(" ")
    pairs = zip(headers[::2], headers[1::2], strict=True)
    return Row(
        topic,
        int(offset),
        int(timestamp),
        unhex(key),
        unhex(value),
        tuple(((unhex(name) or b"").decode(), unhex(content)) for name, content in pairs),
    )


def unhex(text: str) -> bytes | None:
    return None if text == "null" else bytes.fromhex(text[1:])


def test_librdkafka_reads_what_we_encoded(kafka: KafkaBroker, topics: list[str]) -> None:
    for codec in Codec:
        assert list(consume(kafka, topic_of(codec), len(COLUMNS))) == rows(codec)


def test_java_reads_what_we_encoded(kafka: KafkaBroker, topics: list[str]) -> None:
    output = subprocess.run(
        java(str(READ_TOPIC), kafka.bootstrap, *topics), stdout=subprocess.PIPE, check=True
    )
    lines = output.stdout.decode().splitlines()

    assert [parse(line) for line in lines] == [row for codec in Codec for row in rows(codec)]


def test_the_broker_keeps_our_uncompressed_bytes(kafka: KafkaBroker, topics: list[str]) -> None:
    (segment,) = kafka.segments(topic_of(Codec.NONE))

    assert segment.read_bytes() == encode_batch(
        COLUMNS.keys, COLUMNS.values, COLUMNS.timestamps, COLUMNS.headers
    )


def test_kafkas_dump_tool_reads_a_segment_of_ours(tmp_path: Path) -> None:
    if reason := why_no_broker():
        pytest.skip(reason)
    segment = tmp_path / f"{0:020}.log"
    transactional = encode_batch(
        [b"key"] * 3,
        [b"value"] * 3,
        [1_700_000_000_000] * 3,
        codec=Codec.ZSTD,
        producer_id=42,
        producer_epoch=7,
        base_sequence=5,
        transactional=True,
    )
    commit = encode_control_batch(ControlType.COMMIT, 42, 7, 11, 1_700_000_000_001, 3)
    abort = encode_control_batch(ControlType.ABORT, 43, 8, 12, 1_700_000_000_002, 4)
    segment.write_bytes(transactional + commit + abort)

    output = subprocess.run(
        java("kafka.tools.DumpLogSegments", "--print-data-log", "--files", str(segment)),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()

    batches = [line for line in output.splitlines() if line.startswith("baseOffset: ")]
    assert len(batches) == 3
    assert all("isvalid: true" in line for line in batches)
    assert "baseOffset: 0 lastOffset: 2 count: 3 baseSequence: 5 lastSequence: 7" in batches[0]
    assert "producerId: 42 producerEpoch: 7" in batches[0]
    assert "isTransactional: true isControl: false" in batches[0]
    assert "compresscodec: zstd" in batches[0]
    assert "isTransactional: true isControl: true" in batches[1]
    assert "endTxnMarker: COMMIT coordinatorEpoch: 11" in output
    assert "endTxnMarker: ABORT coordinatorEpoch: 12" in output
    assert output.count("payload: value") == 3
