"""A machine for one application: a log on files in memory, state on the real disk, power cuts."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App
from processors.runtime.worker import Worker
from streamlog.targets import RunContext
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streamlog.client.contract import Log, Record


class Machine:
    """What an application runs on. A power cut takes the process with it.

    Attributes:
        state_dir: On the real disk, since RocksDB does its own I/O.
    """

    def __init__(self, folder: Path, *, durability: Any = "fsync") -> None:
        self.clock = ManualClock()
        self.files = FaultyFiles()
        self.durability = durability
        self.state_dir = folder / "state"
        self._folder = folder
        self._cuts = 0
        self.log: Log = self._open()

    def _open(self) -> Log:
        return streamlog.open(
            "/log", files=self.files, clock=self.clock, threaded=False, durability=self.durability
        )

    def context(self) -> RunContext:
        return RunContext(
            log=self.log,
            until_idle=True,
            clock=self.clock,
            stopping=asyncio.Event(),
            state_dir=self.state_dir,
        )

    def run(self, *apps: App, until: Callable[[Worker], bool] | None = None) -> list[Worker]:
        """Runs the applications together until they are idle (or `until`), and stops them."""
        workers = [Worker(app.plan()) for app in apps]

        async def drive(worker: Worker, context: RunContext) -> None:
            running = asyncio.create_task(worker.run(context))
            done = until or self.is_idle
            while not running.done() and not done(worker):
                await asyncio.sleep(0)
            worker.request_stop()
            await running

        async def drive_all() -> None:
            context = self.context()
            await asyncio.gather(*(drive(worker, context) for worker in workers))

        asyncio.run(drive_all())
        return workers

    def run_and_cut(self, app: App, adversary: Adversary = Adversary.NOTHING) -> None:
        """Runs until idle; then power is lost before anything can be closed in order."""
        snapshot = self._folder / "snapshot"

        def look(worker: Worker) -> bool:
            if not self.is_idle(worker):
                return False
            # Nothing writes now: what lies in the folder is what a killed process leaves there.
            shutil.rmtree(snapshot, ignore_errors=True)
            shutil.copytree(self.state_dir, snapshot)
            self._cuts = len(self.files.operations)
            return True

        self.run(app, until=look)
        self.cut(self._cuts, adversary)
        shutil.rmtree(self.state_dir)
        snapshot.rename(self.state_dir)

    def cut(self, after: int, adversary: Adversary = Adversary.NOTHING) -> None:
        """Power is lost after so many operations; the machine comes up again."""
        self.log.close()
        self.files = self.files.cut(Cut(after, adversary))
        self.log = self._open()

    def send(self, topic: str, *values: str, partition: int | None = None) -> None:
        with self.log.producer() as producer:
            for number, value in enumerate(values):
                self.clock.advance(1)
                producer.send(topic, f"k{number}", value, partition=partition)

    def records(self, topic: str, value: Any = int, **options: Any) -> list[Record]:
        with self.log.consumer(topic, key=str, value=value, **options) as consumer:
            found: list[Record] = []
            while records := consumer.poll(max_records=10_000):
                found += records
            return found

    def table(self, topic: str) -> dict[str, int]:
        """The last value of every key."""
        return {record.key: record.value for record in self.records(topic)}

    def is_idle(self, worker: Worker) -> bool:
        status = worker.status()
        if status.state != "running" or status.pending:
            return False
        durable = self.log.end_offsets(status.committed, isolation="read_uncommitted")
        return status.committed == self.log.end_offsets(status.committed) == durable


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def word_count() -> Callable[..., App]:
    """Makes the word count: `lines` to `word-counts` by way of the store `counts`."""

    def make(name: str = "word-count", **options: Any) -> App:
        app = App(name, **options)
        words = app.stream("lines", value=str).flat_map(str.split)
        counts = words.group_by(lambda word: word, name="words").count(name="counts")
        counts.to_stream().to(f"{name}s")
        return app

    return make


@pytest.fixture
def expected() -> Callable[[Sequence[str]], dict[str, int]]:
    return lambda lines: dict(Counter(" ".join(lines).split()))
