"""Applications on a real log in a directory."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App
from processors.runtime.worker import Worker
from streamlog.client.contract import TopicPartition
from streamlog.clock import SystemClock
from streamlog.targets import RunContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from streamlog.client.contract import Log, Record


class Bench:
    """A log, and workers to run on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_dir = path / "state"
        self.log: Log = streamlog.open(path / "log")

    def context(self) -> RunContext:
        return RunContext(
            log=self.log,
            until_idle=True,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=self.state_dir,
        )

    def run(self, app: App) -> Worker:
        """Runs the application until it is idle."""
        return self.drive(app, self.wait_idle)

    def drive(self, app: App, script: Callable[[Worker], Awaitable[None]]) -> Worker:
        """Runs the application beside a script, and stops it when that has ended."""
        return self.drive_worker(Worker(app.plan()), script)

    def run_worker(self, worker: Worker) -> Worker:
        return self.drive_worker(worker, self.wait_idle)

    def drive_worker(self, worker: Worker, script: Callable[[Worker], Awaitable[None]]) -> Worker:

        async def work() -> None:
            running = asyncio.create_task(worker.run(self.context()))
            scripted = asyncio.ensure_future(script(worker))
            await asyncio.wait([running, scripted], return_when=asyncio.FIRST_COMPLETED)
            worker.request_stop()
            await running
            await scripted

        asyncio.run(work())
        return worker

    async def wait_idle(self, worker: Worker) -> None:
        await self.wait(worker, lambda: self._is_idle(worker))

    async def wait(self, worker: Worker, condition: Callable[[], bool]) -> None:
        while not condition() and worker.status().state != "stopped":
            await asyncio.sleep(0.002)

    def send(self, topic: str, *values: str) -> None:
        with self.log.producer() as producer:
            for number, value in enumerate(values):
                producer.send(topic, f"k{number}", value)

    def records(self, topic: str, value: Any = int) -> list[Record]:
        """All committed records; waits for the markers of what has been acknowledged."""
        partitions = [
            TopicPartition(topic, number) for number in range(self.log.topic(topic).partitions)
        ]
        while self.log.end_offsets(partitions) != self.log.end_offsets(
            partitions, isolation="read_uncommitted"
        ):
            time.sleep(0.001)
        with self.log.consumer(topic, key=str, value=value) as consumer:
            found: list[Record] = []
            while records := consumer.poll(max_records=10_000):
                found += records
            return found

    def table(self, topic: str) -> dict[str, int]:
        return {record.key: record.value for record in self.records(topic)}

    def _is_idle(self, worker: Worker) -> bool:
        status = worker.status()
        if status.state != "running" or status.pending:
            return False
        durable = self.log.end_offsets(status.committed, isolation="read_uncommitted")
        return status.committed == self.log.end_offsets(status.committed) == durable


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def word_count() -> Callable[..., App]:
    def make(name: str = "word-count", **options: Any) -> App:
        app = App(name, **options)
        words = app.stream("lines", value=str).flat_map(str.split)
        counts = words.group_by(lambda word: word, name="words").count(name="counts")
        counts.to_stream().to("word-counts")
        return app

    return make
