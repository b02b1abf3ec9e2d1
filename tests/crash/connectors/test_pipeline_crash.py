"""Lines of files through the log into a table, the power cut anywhere: nothing twice, nothing lost.

Source, log and sink live on one file system that loses what was not synced.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import streamlog
from connectors.api import Plugin
from connectors.config.document import (
    Commit,
    CreateTopic,
    Errors,
    From,
    PluginConfig,
    SinkDocument,
    SourceDocument,
    To,
)
from connectors.runtime.offsets import OFFSETS_TOPIC, SourceOffsets
from connectors.runtime.sink_task import SinkTask
from connectors.runtime.source_task import SourceTask
from connectors.sinks.file import FileSink
from connectors.sinks.file_config import FileSinkConfig
from connectors.sources.file import FileSource
from connectors.sources.file_config import FileSourceConfig
from streamlog.client.contract import TopicPartition
from streamlog.clock import SystemClock
from streamlog.files import read_file
from streamlog.targets import RunContext
from streamlog.testing import FaultyFiles

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log, Record
    from streamlog.testing import Cut

    from ..conftest import Sweep

LOG = "/log"
OUT = "/out/lines.jsonl"
PARTITIONS = [TopicPartition("lines", number) for number in range(2)]
COMMIT = Commit(size_bytes=24, age_ms=0)
CUTS_IN_CI = 120
SHARES = 2


def write_corpus(folder: Path) -> Counter[bytes]:
    """Three files, of which one has no newline at its end."""
    lines = [b"line %d" % number for number in range(18)]
    for number in range(3):
        content = b"\n".join(lines[number * 6 : number * 6 + 6])
        (folder / f"{number}.txt").write_bytes(content + (b"" if number == 1 else b"\n"))
    return Counter(lines)


def source_task(folder: Path) -> SourceTask:
    """Reads in tiny blocks, so that a file takes several transactions."""
    document = SourceDocument(
        name="lines",
        source=PluginConfig(name="file", config=FileSourceConfig(paths=[f"{folder}/*.txt"])),
        to=To(topic="lines", create=CreateTopic(partitions=2)),
        errors=Errors(),
        commit=COMMIT,
    )
    plugin = Plugin(
        kind="source",
        name="file",
        config=FileSourceConfig,
        create=lambda config: FileSource(config, block_bytes=16),
        encoded=True,
    )
    return SourceTask(document, plugin)


def sink_task(files: FaultyFiles) -> SinkTask:
    document = SinkDocument(
        name="copy",
        sink=PluginConfig(name="file", config=FileSinkConfig(path=OUT)),
        from_=From(topics=["lines"], value="str"),
        errors=Errors(),
        commit=COMMIT,
    )
    plugin = Plugin(
        kind="sink",
        name="file",
        config=FileSinkConfig,
        create=lambda config: FileSink(config, files=files),
        delivery="transactional",
    )
    return SinkTask(document, plugin)


def context(log: Log, folder: Path) -> RunContext:
    return RunContext(
        log=log,
        until_idle=True,
        clock=SystemClock(),
        stopping=asyncio.Event(),
        state_dir=folder,
    )


async def run_together(log: Log, files: FaultyFiles, folder: Path) -> None:
    """Both at once; the sink is stopped when it has all that the source wrote."""
    source, sink = source_task(folder), sink_task(files)
    source.request_stop(drain=True)
    sinking = asyncio.create_task(sink.run(context(log, folder)))
    await source.run(context(log, folder))
    while not sinking.done() and sink.status().committed != log.end_offsets(PARTITIONS):
        await asyncio.sleep(0)
    sink.request_stop()
    await sinking


def run(files: FaultyFiles, folder: Path) -> None:
    with streamlog.open(LOG, files=files, threaded=False) as log:
        asyncio.run(run_together(log, files, folder))


def committed(log: Log, topic: str) -> list[Record]:
    """What read_committed sees of a topic."""
    if topic not in log.topics(internal=True):
        return []
    found: list[Record] = []
    with log.consumer(auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, n) for n in range(log.topic(topic).partitions)]
        ends = log.end_offsets(partitions)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        while any(consumer.position(p) < end for p, end in ends.items()):
            found += consumer.poll(0.0)
    return found


def check_crashed(files: FaultyFiles, folder: Path) -> None:
    """Before anything runs again: records and source offsets agree, the sink is not ahead."""
    with streamlog.open(LOG, files=files, threaded=False) as log:
        lines = Counter(record.value for record in committed(log, "lines"))
        offsets = SourceOffsets("lines")
        stored = committed(log, OFFSETS_TOPIC)
        offsets.apply([record.key for record in stored], [record.value for record in stored])
        taken: Counter[bytes] = Counter()
        for path in sorted(folder.glob("*.txt")):
            offset = offsets.get({"filename": str(path)})
            content = path.read_bytes()[: offset["position"] if offset else 0]
            taken.update(content.splitlines())
        assert lines == taken
        if "lines" in log.topics():
            ends = log.end_offsets(PARTITIONS, isolation="read_uncommitted")
            for partition, offset in log.committed_offsets("connect-copy").items():
                assert offset <= ends[partition]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "corpus"
    made.mkdir()
    return made


@pytest.mark.parametrize("share", range(SHARES))
def test_a_cut_anywhere_ends_with_every_line_once(folder: Path, sweep: Sweep, share: int) -> None:
    wanted = write_corpus(folder)
    files = FaultyFiles()
    run(files, folder)

    def check(survivors: FaultyFiles, cut: Cut) -> None:
        check_crashed(files.cut(cut), folder)
        run(survivors, folder)
        rows = [json.loads(line) for line in read_file(survivors, OUT).splitlines()]
        assert Counter(row["value"].encode() for row in rows) == wanted
        with streamlog.open(LOG, files=survivors, threaded=False) as log:
            assert Counter(record.value for record in committed(log, "lines")) == wanted

    sweep.cut(files, check, in_ci=CUTS_IN_CI, seed="pipeline", share=share, shares=SHARES)
