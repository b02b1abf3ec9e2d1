"""The whole word count, cut after every operation: files of lines to a table in a file.

A producer sends lines, an application counts their words exactly once, a file sink keeps the
latest counts; log and sink are on files in memory, all in one order that repeats. Then power is
lost after each operation, with every adversary for what was not synced, and RocksDB, which does
its own I/O, is found as it was at any earlier time, damaged, or not at all.

After each cut: no acknowledged line is lost, no transaction is half visible, outputs are those of
the committed offsets, the sink is not ahead of the log. After everything has run on: every key's
counts are 1, 2, 3 to its number of words in the log, none twice and none left out, and the sink's
file is the table. `pytest tests/crash/worker --all-cuts` runs every cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import streamlog
from connectors.api import SinkBatch, SinkContext
from connectors.sinks.file import FileSink
from connectors.sinks.file_config import FileSinkConfig
from processors import App
from processors.runtime import stores
from processors.runtime.worker import Worker
from streamlog.client.contract import TopicPartition
from streamlog.errors import StreamlogError
from streamlog.files import read_file
from streamlog.targets import RunContext
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock, choose_cuts

if TYPE_CHECKING:
    from collections.abc import Generator

    from streamlog.client.contract import Log

    from ..conftest import Sweep

CUTS_IN_CI = 2_000
SHARES = 10
"""The cuts are dealt out to so many tests, for runners in parallel."""
SYNC_FAILURES = 40

PARTITIONS = 2
PHASES = [
    ["the cat sat", "on the mat"],
    ["the dog sat on the log", "a cat", "a dog"],
    ["the cat the dog the mat", "on and on"],
    ["a log"],
]
OUTPUTS = [TopicPartition("counts", number) for number in range(PARTITIONS)]
SINK = "/out/counts.jsonl"
Damage = ("intact", "intact", "truncated", "flipped", "gone")


class Snapshot(NamedTuple):
    """The state folder as it was after so many operations."""

    operations: int
    path: Path


class Run:
    """One life of the machine: log, application, sink. Deterministic."""

    def __init__(self, files: FaultyFiles, state_dir: Path) -> None:
        self.files = files
        self.state_dir = state_dir
        self.clock = ManualClock()
        self.log: Log = streamlog.open("/log", files=files, clock=self.clock, threaded=False)

    def prepare(self) -> None:
        self.log.create_topic("lines", PARTITIONS, exist_ok=True)
        self.log.create_topic("counts", PARTITIONS, exist_ok=True)

    def send(self, lines: list[str]) -> None:
        with self.log.producer() as producer:
            for number, line in enumerate(lines):
                self.clock.advance(1)
                producer.send("lines", None, line, partition=number % PARTITIONS)
            producer.flush()
        self.files.note(lines)

    def count(self) -> None:
        """Runs the application until it is idle."""
        worker = Worker(make_app().plan())

        async def drive() -> None:
            context = RunContext(
                log=self.log,
                until_idle=True,
                clock=self.clock,
                stopping=asyncio.Event(),
                state_dir=self.state_dir,
            )
            running = asyncio.create_task(worker.run(context))
            while not running.done() and not self._is_idle(worker):
                await asyncio.sleep(0)
            worker.request_stop()
            await running

        asyncio.run(drive())

    def sink(self) -> dict[TopicPartition, int]:
        """Brings the sink up to the log, two records at a time; returns where it had been."""
        sink = FileSink(FileSinkConfig(path=SINK, mode="upsert"), files=self.files)
        topic_id = self.log.topic("counts").topic_id
        context = SinkContext(connector="c", topic_ids={"counts": topic_id}, clock=self.clock)
        held = dict.fromkeys(OUTPUTS, 0) | dict(sink.open(OUTPUTS, context))
        with self.log.consumer(key=str, value=int) as consumer:
            consumer.assign(OUTPUTS)
            for partition in OUTPUTS:
                consumer.seek(partition, held[partition])
            while records := consumer.poll(max_records=2):
                for record in records:
                    sink.put(_batch(record))
                sink.flush()
        sink.close()
        return held

    def lines(self, *, committed: bool = False) -> list[str]:
        """The lines in the log; or only those that the application has committed."""
        offsets = self.log.committed_offsets("sweep") if committed else {}
        partitions = [TopicPartition("lines", number) for number in range(PARTITIONS)]
        found: list[str] = []
        with self.log.consumer(value=str) as consumer:
            consumer.assign(partitions)
            while records := consumer.poll(max_records=1_000):
                found += [
                    record.value
                    for record in records
                    if not committed
                    or record.offset < offsets.get(TopicPartition("lines", record.partition), 0)
                ]
        return found

    def outputs(self) -> dict[str, list[int]]:
        """Every count that was ever put out, a list a word, in order."""
        found: dict[str, list[int]] = {}
        with self.log.consumer(key=str, value=int) as consumer:
            consumer.assign(OUTPUTS)
            while records := consumer.poll(max_records=1_000):
                for record in records:
                    found.setdefault(record.key, []).append(record.value)
        return found

    def _is_idle(self, worker: Worker) -> bool:
        status = worker.status()
        if status.state != "running" or status.pending:
            return False
        durable = self.log.end_offsets(status.committed, isolation="read_uncommitted")
        return status.committed == self.log.end_offsets(status.committed) == durable


def make_app() -> App:
    """Commits and checkpoints after every record, so that a cut finds each of their steps."""
    app = App("sweep", chunk_size=1, commit_interval_ms=0, checkpoint_interval_ms=0)
    words = app.stream("lines", value=str).flat_map(str.split)
    counts = words.group_by(lambda word: word, name="words").count(name="counts", emit="every")
    counts.to_stream().to("counts")
    return app


def _batch(record: Any) -> SinkBatch:
    partition = TopicPartition(record.topic, record.partition)
    key, value = record.key.encode(), record.value.to_bytes(8, "big")
    next_offset = record.offset + 1
    return SinkBatch(
        partition,
        [record.key],
        [record.value],
        [key],
        [value],
        [record.timestamp],
        [record.offset],
        None,
        next_offset,
    )


def numbered(lines: list[str]) -> dict[str, list[int]]:
    return {
        word: list(range(1, count + 1)) for word, count in Counter(" ".join(lines).split()).items()
    }


@pytest.fixture(autouse=True)
def _flush_at_every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FLUSH_PERIOD_MS", -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """For what RocksDB writes: in memory where there is such a place, as its syncs are for real."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("sweep")
        return
    with tempfile.TemporaryDirectory(prefix="sweep-", dir=memory) as made:
        yield Path(made)


class Recording(NamedTuple):
    files: FaultyFiles
    snapshots: list[Snapshot]


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    """The uninterrupted run, and the state folder after each of its phases."""
    run = Run(FaultyFiles(), folder / "state")
    run.prepare()
    snapshots: list[Snapshot] = []
    for number, lines in enumerate(PHASES):
        run.send(lines)
        run.count()
        shutil.copytree(run.state_dir, folder / str(number))
        snapshots.append(Snapshot(len(run.files.operations), folder / str(number)))
        run.sink()
    assert run.outputs() == numbered([line for lines in PHASES for line in lines])
    run.log.close()
    return Recording(run.files, snapshots)


def place_state(recording: Recording, cut: Cut, state_dir: Path) -> str:
    """Puts a state folder there as the cut may find it; says which."""
    choice = random.Random(f"{cut}")
    shutil.rmtree(state_dir, ignore_errors=True)
    found = [each for each in recording.snapshots if each.operations <= cut.after]
    number = choice.randrange(-1, len(found))
    if number < 0:
        return "no state"
    shutil.copytree(found[number].path, state_dir)
    damage = choice.choice(Damage)
    files = sorted(path for path in state_dir.glob("sweep/rocksdb/*") if path.stat().st_size)
    file = choice.choice(files)
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(data[: choice.randrange(len(data))])
    elif damage == "flipped":
        data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        file.write_bytes(data)
    return f"state {number}, {file.name} {damage}"


def check_cut(recording: Recording, survivors: FaultyFiles, cut: Cut, state_dir: Path) -> None:
    promised = [line for lines in recording.files.notes(cut) for line in lines]
    where = f"{cut} with {place_state(recording, cut, state_dir)}"
    run = Run(survivors, state_dir)
    try:
        run.prepare()
        lines = run.lines()
        assert Counter(promised) <= Counter(lines), f"an acknowledged line is lost: {where}"
        committed = numbered(run.lines(committed=True))
        assert run.outputs() == committed, f"outputs are not those of the offsets: {where}"
        if random.Random(f"again {cut}").randrange(8) == 0:
            run = cut_again(run, cut)
        run.count()
        ends = run.log.end_offsets(OUTPUTS)
        held = run.sink()
        assert all(held[at] <= ends[at] for at in OUTPUTS), f"the sink is ahead: {where}"
        check_end(run, lines, where)
    finally:
        run.log.close()


def cut_again(run: Run, cut: Cut) -> Run:
    """Loses power once more, while the application recovers; the state is what that left."""
    run.count()
    run.log.close()
    cuts = choose_cuts(len(run.files.operations), count=1, seed=str(cut))
    shutil.rmtree(run.state_dir, ignore_errors=True)
    return Run(run.files.cut(cuts[0]), run.state_dir)


def check_end(run: Run, lines: list[str], where: str) -> None:
    expected = numbered(lines)
    assert run.lines() == lines, f"the log has changed: {where}"
    assert run.outputs() == expected, f"the count is wrong: {where}"
    text = read_file(run.files, SINK).decode()
    rows = {row["key"]: row["value"] for row in map(json.loads, text.splitlines())}
    assert rows == {word: counts[-1] for word, counts in expected.items()}, f"the table: {where}"


@pytest.mark.parametrize("share", range(SHARES))
def test_after_every_cut_the_words_are_counted_exactly_once(
    recording: Recording, share: int, folder: Path, sweep: Sweep
) -> None:
    def check(survivors: FaultyFiles, cut: Cut) -> None:
        check_cut(recording, survivors, cut, folder / "cut")

    files = recording.files
    sweep.cut(files, check, in_ci=CUTS_IN_CI, seed="word count", share=share, shares=SHARES)


@pytest.mark.parametrize("adversary", [Adversary.NOTHING, Adversary.ALL])
def test_after_a_failed_sync_nothing_acknowledged_is_lost(
    folder: Path, adversary: Adversary
) -> None:
    choice = random.Random(1)
    for after in sorted(choice.sample(range(400), SYNC_FAILURES)):
        shutil.rmtree(folder / "cut", ignore_errors=True)
        files = FaultyFiles()
        run = Run(files, folder / "cut")
        files.fail("datasync", after=after)
        failed = False
        try:
            run.prepare()
            for lines in PHASES:
                run.send(lines)
                run.count()
                run.sink()
        except StreamlogError:
            failed = True
        try:
            run.log.close()
        except StreamlogError:
            failed = True
        survivors = files.cut(Cut(len(files.operations), adversary))
        again = Run(survivors, folder / "cut")
        again.prepare()
        promised = [line for lines in files.notes() for line in lines]
        lines = again.lines()
        assert Counter(promised) <= Counter(lines), f"lost after sync {after}"
        assert again.outputs() == numbered(again.lines(committed=True))
        again.count()
        again.sink()
        check_end(again, lines, f"sync {after} failed: {failed}")
        again.log.close()
