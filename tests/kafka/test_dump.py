"""Kafka's own dump tool reads every kind of file that we write, and finds nothing wrong."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from broker import java
from our_log import (
    CLEANED_TOPICS,
    CODECS_TOPIC,
    DELETED_TO,
    GROUP,
    PUBLIC_TOPICS,
    RAW_TOPICS,
    our_rows,
    partition_directories,
    write_public,
    write_raw,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Once

COMPLAINTS = re.compile(
    r"isvalid: false|mismatch|out of order|non-consecutive|could not|corrupt|exception", re.I
)


@pytest.fixture(scope="module")
def logs(once: Once) -> Path:
    """The folder of the two logs, `public` and `raw`."""

    def make(folder: Path) -> None:
        write_public(folder / "public")
        write_raw(folder / "raw")

    return once("our-logs", make)


@pytest.fixture(scope="module")
def dumped(logs: Path, once: Once) -> dict[str, str]:
    """What the tool says of every file, by its path below the folder."""

    def make(folder: Path) -> None:
        (folder / "output").write_text(dump(files(logs), "--print-data-log", "--deep-iteration"))

    return by_file(logs, (once("dumped", make) / "output").read_text())


def files(logs: Path, *suffixes: str) -> list[Path]:
    wanted = suffixes or (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
    directories = [*partition_directories(logs / "public"), *partition_directories(logs / "raw")]
    directories += [*logs.glob("*/__streamlog_metadata-0")]
    return [
        path for each in directories for path in sorted(each.iterdir()) if path.suffix in wanted
    ]


def dump(paths: list[Path], *options: str) -> str:
    command = java("kafka.tools.DumpLogSegments", *options, "--files", ",".join(map(str, paths)))
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def by_file(logs: Path, output: str) -> dict[str, str]:
    sections = re.split(r"^Dumping (.*)$", output, flags=re.M)
    names = [name.removeprefix(f"{logs}/") for name in sections[1::2]]
    return dict(zip(names, sections[2::2], strict=True))


def test_the_tool_reads_every_file_and_complains_of_none(
    logs: Path, dumped: dict[str, str]
) -> None:
    assert set(dumped) == {str(path.relative_to(logs)) for path in files(logs)}
    for suffix in ("log", "index", "timeindex", "txnindex", "snapshot"):
        assert sum(name.endswith(f".{suffix}") for name in dumped) > 5
    complaints = {name: said for name, said in dumped.items() if COMPLAINTS.search(said)}
    assert complaints == {}


def test_the_tool_reads_what_we_have_compacted(logs: Path, dumped: dict[str, str]) -> None:
    """Gaps, batches without records, and delete horizons among them."""
    said = "".join(said_of(dumped, topic) for topic in CLEANED_TOPICS)
    assert "count: 0 " in said
    assert re.search(r"deleteHorizonMs: OptionalLong\[\d+\]", said)


@pytest.mark.parametrize("topic", [*PUBLIC_TOPICS, *RAW_TOPICS])
def test_the_tool_sees_the_records_that_we_see(
    logs: Path, dumped: dict[str, str], topic: str
) -> None:
    said = said_of(dumped, topic)
    seen = re.findall(
        r"\| offset: (\d+) \w+: (-?\d+) keySize: (-?\d+) valueSize: (-?\d+)"
        r"(?! .*endTxnMarker)",
        said,
    )
    rows = our_rows(logs / ("raw" if topic in RAW_TOPICS else "public"), topic, "read_uncommitted")
    ours = [(row.offset, row.timestamp, size(row.key), size(row.value)) for row in rows]
    start = DELETED_TO if topic == "deleted" else 0
    assert [each for each in (tuple(map(int, each)) for each in seen) if each[0] >= start] == ours


def test_every_codec_and_kind_of_batch_is_among_them(dumped: dict[str, str]) -> None:
    said = "".join(dumped.values())
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        assert f"compresscodec: {codec}" in said
    assert "endTxnMarker: COMMIT" in said
    assert "endTxnMarker: ABORT" in said
    assert "headerKeys: [name,name," in said
    assert sum(name.startswith(f"public/{CODECS_TOPIC}-0/") for name in dumped) >= 8
    assert "currentTxnFirstOffset: OptionalLong[" in dumped["raw/open-0/" + snapshot_at(90 * 2 + 4)]


@pytest.mark.parametrize("option", ["--index-sanity-check", "--verify-index-only"])
def test_the_tool_checks_our_indexes(logs: Path, option: str) -> None:
    indexes = files(logs, ".index", ".timeindex")
    said = dump(indexes, option)
    assert not COMPLAINTS.search(said)
    if option == "--index-sanity-check":
        empty = said.count("index is empty")  # of a small segment, as Kafka's own would be
        assert said.count("passed sanity check") + empty == len(indexes)
        assert empty < 40


def test_the_decoder_of_offsets_reads_ours(logs: Path) -> None:
    paths = [path for path in files(logs, ".log") if "__consumer_offsets-" in str(path)]
    said = dump(paths, "--offsets-decoder")
    assert not COMPLAINTS.search(said)
    committed = re.findall(
        rf'"group":"{GROUP}","topic":"([\w-]+)","partition":0.*?"offset":(\d+)', said
    )
    assert committed == [("codecs", "7"), ("times", "3"), ("times", "5"), ("times", "4")]


def test_the_decoder_of_transactions_reads_ours(logs: Path) -> None:
    paths = [path for path in files(logs, ".log") if "__transaction_state-" in str(path)]
    said = dump(paths, "--transaction-log-decoder")
    assert not COMPLAINTS.search(said)
    for name in ("writer-a", "writer-b", "writer-c", "committer"):
        assert f'"transactionalId":"{name}"' in said
    assert said.count('"transactionStatus":2') > 12


def said_of(dumped: dict[str, str], topic: str) -> str:
    """Of all files of a topic, in the order of their names."""
    ours = [name for name in sorted(dumped) if re.search(rf"/{topic}-\d+/", name)]
    return "".join(dumped[name] for name in ours)


def snapshot_at(offset: int) -> str:
    return f"{offset:020d}.snapshot"


def size(content: bytes | None) -> int:
    return -1 if content is None else len(content)
