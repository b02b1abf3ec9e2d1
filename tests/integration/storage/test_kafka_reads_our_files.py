"""Kafka's own tool reads every file of a partition, and finds nothing to complain about."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from broker import java, why_no_broker

from streamlog.record import Codec, ControlType, encode_batch
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000_000


@pytest.fixture(scope="module")
def partition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments with batches of every kind, an aborted and an open transaction."""
    if reason := why_no_broker():
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("log")
    with LogDirectory.open(root) as directory:
        directory.create_topic("t", 1, {"segment.bytes": "20000"})
        log = directory.partition("t", 0)
        sequence = 0
        for number in range(60):
            transactional = number >= 20
            batch = encode_batch(
                [b"key %d" % number] * 5,
                [b"value %d " % number * 20] * 5,
                range(START + 1000 * number, START + 1000 * number + 5),
                codec=list(Codec)[number % 5],
                producer_id=7,
                producer_epoch=0,
                base_sequence=sequence,
                transactional=transactional,
            )
            log.append(batch, now_ms=START)
            sequence += 5
            if transactional and number % 10 == 4:
                kind = ControlType.ABORT if number == 34 else ControlType.COMMIT
                log.append_control(kind, 7, 0, 0, now_ms=START + 1000 * number)
            log.append(encode_batch([None], [b"x" * 400], [START + 1000 * number]), now_ms=0)
    return root / "t-0"


@pytest.fixture(scope="module")
def dumped(partition: Path) -> dict[str, str]:
    """What Kafka's tool says of the files, by suffix; one start of Java for all."""
    suffixes = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
    files = [path for suffix in suffixes for path in sorted(partition.glob(f"*{suffix}"))]
    sections = re.split(r"^Dumping .*(\.\w+)$", dump(files, "--deep-iteration"), flags=re.M)
    said = dict.fromkeys(suffixes, "")
    for suffix, text in zip(sections[1::2], sections[2::2], strict=True):
        said[suffix] += text
    return said


def dump(files: list[Path], *options: str) -> str:
    command = java(
        *("kafka.tools.DumpLogSegments", "--print-data-log", *options),
        *("--files", ",".join(map(str, files))),
    )
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_kafka_reads_the_segments(partition: Path, dumped: dict[str, str]) -> None:
    output = dumped[".log"]
    assert len(list(partition.glob("*.log"))) == 3
    assert output.count("isvalid: true") == 60 + 60 + 4
    assert "isvalid: false" not in output
    offsets = [int(each) for each in re.findall(r"\| offset: (\d+)", output)]
    assert offsets == list(range(60 * 6 + 4))
    assert output.count("endTxnMarker: COMMIT") == 3
    assert output.count("endTxnMarker: ABORT") == 1
    assert len(re.findall(r"payload: value 59 ", output)) == 5


def test_kafka_finds_our_offset_and_time_indexes_right(
    partition: Path, dumped: dict[str, str]
) -> None:
    assert len(re.findall(r"offset: \d+ position: \d+", dumped[".index"])) > 5
    assert f"timestamp: {START + 59_004}" in dumped[".timeindex"]
    for output in dumped.values():
        assert "mismatch" not in output.lower()
        assert "out of order" not in output
    indexes = [*partition.glob("*.index"), *partition.glob("*.timeindex")]
    assert dump(indexes, "--index-sanity-check").count("passed sanity check") == 6


def test_kafka_reads_our_transaction_index(dumped: dict[str, str]) -> None:
    entry = r"version: 0 producerId: 7 firstOffset: 1\d\d lastOffset: 2\d\d lastStableOffset: 2\d\d"
    assert len(re.findall(entry, dumped[".txnindex"])) == 1


def test_kafka_reads_our_producer_snapshots(dumped: dict[str, str]) -> None:
    last = [line for line in dumped[".snapshot"].splitlines() if "producerId" in line][-1]
    assert "producerId: 7 producerEpoch: 0" in last
    assert "lastSequence: 299" in last
    assert "currentTxnFirstOffset: OptionalLong[" in last
