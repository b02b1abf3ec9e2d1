"""From the batches that a Kafka broker has written we make the same files, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streamlog.record import Batch, read_control, scan
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from broker import KafkaBroker

TOPIC = "byte-for-byte"
CONFIG = {"segment.bytes": str(1 << 20), "index.interval.bytes": "4096"}


@pytest.fixture(scope="module")
def written(kafka: KafkaBroker) -> list[Path]:
    """Segments of one partition: plain, idempotent and transactional batches, some aborted."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1, config=CONFIG)])[TOPIC].result(30)
    settings = {"bootstrap.servers": kafka.bootstrap, "linger.ms": 1, "batch.size": 20_000}
    plain = Producer(settings)
    idempotent = Producer(settings | {"enable.idempotence": True})
    transactional = Producer(settings | {"transactional.id": "byte-for-byte"})
    transactional.init_transactions(30)
    for round_number in range(12):
        transactional.begin_transaction()
        for producer, size in ((plain, 300), (idempotent, 40), (transactional, 900)):
            for number in range(100):
                time = 1_700_000_000_000 + 1000 * round_number + (number * 37) % 100
                producer.produce(TOPIC, bytes(size), b"%d" % number, timestamp=time, partition=0)
            producer.flush(30)
        if round_number % 3:
            transactional.commit_transaction(30)
        else:
            transactional.abort_transaction(30)
    segments = kafka.segments(TOPIC)
    assert len(segments) >= 2
    return segments


@pytest.fixture(scope="module")
def ours(written: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of our partition with the same batches appended one by one."""
    root = tmp_path_factory.mktemp("ours")
    with LogDirectory.open(root, durability="os") as directory:
        directory.create_topic(TOPIC, 1, CONFIG)
        log = directory.partition(TOPIC, 0)
        for segment in written:
            for event in scan(segment.read_bytes()):
                if not isinstance(event, Batch):
                    continue
                header = event.header
                if header.is_control:
                    marker = read_control(event.data)
                    result = log.append_control(
                        marker.type,
                        marker.producer_id,
                        marker.producer_epoch,
                        marker.coordinator_epoch,
                        now_ms=marker.timestamp,
                    )
                else:
                    result = log.append(bytearray(event.data), now_ms=header.max_timestamp)
                assert result == (header.base_offset, header.last_offset, False)
    return root / f"{TOPIC}-0"


@pytest.mark.parametrize("suffix", [".log", ".index", ".timeindex", ".txnindex"])
def test_sealed_segments_are_the_same(written: list[Path], ours: Path, suffix: str) -> None:
    """But that a transaction index of ours is there where it has nothing to say, too."""
    assert any(segment.with_suffix(suffix).exists() for segment in written[:-1])
    for segment in written[:-1]:
        theirs = segment.with_suffix(suffix)
        mine = ours / theirs.name
        assert mine.read_bytes() == (theirs.read_bytes() if theirs.exists() else b"")


def test_segments_roll_at_the_same_offsets(written: list[Path], ours: Path) -> None:
    assert [path.name for path in sorted(ours.glob("*.log"))] == [path.name for path in written]


def test_snapshots_of_the_producers_are_the_same(written: list[Path], ours: Path) -> None:
    for segment in written[1:]:
        theirs = segment.with_suffix(".snapshot")
        entries = split_snapshot(theirs.read_bytes())
        assert split_snapshot((ours / theirs.name).read_bytes()) == entries
        assert len(entries) == 2


def split_snapshot(content: bytes) -> set[bytes]:
    """The producers in no order: Kafka writes them in that of a hash table."""
    return {content[at : at + 46] for at in range(10, len(content), 46)}
