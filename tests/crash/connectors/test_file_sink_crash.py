"""The file sink, cut off after every operation: nothing doubled, nothing lost."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from connectors.api import SinkBatch, SinkContext
from connectors.sinks import file as file_sink
from connectors.sinks.file import FileSink
from connectors.sinks.file_config import FileSinkConfig
from streamlog.clock import SystemClock
from streamlog.files import read_file
from streamlog.testing import Cut, FaultyFiles, choose_cuts
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conftest import Sweep

PATH = "/out/table.jsonl"
CONTEXT = SinkContext(connector="c", topic_ids={"t": UUID(int=7)}, clock=SystemClock())
PARTITIONS = [TopicPartition("t", 0), TopicPartition("t", 1)]
RECORDS = 40
Rows = list[tuple[str, int | None]]


def make_log(seed: int) -> dict[TopicPartition, Rows]:
    """Two partitions of changes to a dozen keys, with tombstones; offset n is row n."""
    rng = random.Random(seed)
    return {
        p: [
            (f"k{rng.randrange(6)}-{p.partition}", rng.choice([*range(9), None]))
            for _ in range(RECORDS)
        ]
        for p in PARTITIONS
    }


LOG = make_log(1)


def batch_of(partition: TopicPartition, start: int, end: int) -> SinkBatch:
    rows = LOG[partition][start:end]
    values = [value for _, value in rows]
    return SinkBatch(
        partition,
        [key for key, _ in rows],
        values,
        [key.encode() for key, _ in rows],
        [None if value is None else b"%d" % value for value in values],
        [0] * len(rows),
        list(range(start, end)),
        None,
        end,
    )


def run(files: FaultyFiles, mode: str, *, upto: int, chunk: int) -> None:
    """What the runtime does: begin at the offsets that are held, put and flush in turn."""
    sink = FileSink(FileSinkConfig(path=PATH, mode=mode, compact_ratio=1.5), files=files)  # type: ignore[arg-type] # a literal
    positions = dict.fromkeys(PARTITIONS, 0) | dict(sink.open(PARTITIONS, CONTEXT))
    while any(position < upto for position in positions.values()):
        for partition, position in positions.items():
            positions[partition] = min(upto, position + chunk)
            sink.put(batch_of(partition, position, positions[partition]))
        files.note(("put", dict(positions)))
        assert sink.flush() == positions
        files.note(("durable", dict(positions)))
    sink.close()


def held(files: FaultyFiles, mode: str) -> Mapping[TopicPartition, int]:
    sink = FileSink(FileSinkConfig(path=PATH, mode=mode), files=files)  # type: ignore[arg-type] # a literal
    try:
        return sink.open(PARTITIONS, CONTEXT)
    finally:
        sink.close()


@pytest.fixture(autouse=True)
def _compact_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sink, "_SMALL_BYTES", 200)


def expected(mode: str, chunk: int) -> bytes:
    files = FaultyFiles()
    run(files, mode, upto=RECORDS, chunk=chunk)
    return read_file(files, PATH)


def test_a_finished_table_is_the_latest_value_of_each_key_in_order() -> None:
    table: dict[str, int | None] = {}
    for rows in LOG.values():
        table.update(rows)
    rows = [{"key": k, "value": v} for k, v in sorted(table.items()) if v is not None]
    lines = expected("upsert", 7).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert expected("upsert", 1) == expected("upsert", 7)


def promised(files: FaultyFiles, cut: Cut, kind: str) -> dict[TopicPartition, int]:
    offsets = [value for name, value in files.notes(cut) if name == kind]
    return offsets[-1] if offsets else dict.fromkeys(PARTITIONS, 0)


@pytest.mark.parametrize("chunk", [2, 7])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_cut_after_every_operation_ends_with_the_uninterrupted_file(
    mode: str, chunk: int, sweep: Sweep
) -> None:
    """Of the larger chunk every flush replaces the table's file, of the smaller some append."""
    wanted = expected(mode, chunk)
    files = FaultyFiles()
    run(files, mode, upto=RECORDS, chunk=chunk)

    def check(survivors: FaultyFiles, cut: Cut) -> None:
        found = held(files.cut(cut), mode)
        durable, put = promised(files, cut, "durable"), promised(files, cut, "put")
        for partition in PARTITIONS:
            assert durable[partition] <= found.get(partition, 0) <= put[partition]
        run(survivors, mode, upto=RECORDS, chunk=chunk)
        assert read_file(survivors, PATH) == wanted

    sweep.make(files, choose_cuts(len(files.operations)), check)


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_second_cut_during_recovery_changes_nothing(mode: str, sweep: Sweep) -> None:
    wanted = expected(mode, 4)
    files = FaultyFiles()
    run(files, mode, upto=RECORDS, chunk=4)

    def finish(survivors: FaultyFiles) -> None:
        run(survivors, mode, upto=RECORDS, chunk=4)

    def check(survivors: FaultyFiles, cut: Cut) -> None:
        finish(survivors)
        assert read_file(survivors, PATH) == wanted

    sweep.cut_twice(files, finish, check, in_ci=30, seed=mode, again=30)
