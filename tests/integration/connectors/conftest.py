"""Connectors on a real log."""

from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from connectors.cli.target import load
from streamlog.cli.running.runner import Runner
from streamlog.client.contract import TopicPartition
from streamlog.clock import SystemClock
from streamlog.targets import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamlog.cli.view.snapshot import Snapshot
    from streamlog.client.contract import Log, Record
    from streamlog.targets import Target, TargetStatus


class NoView:
    def show(self, snapshot: Snapshot) -> None: ...

    def close(self) -> None: ...


class Bench:
    """A log in a directory, and connectors from YAML to run on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log: Log = streamlog.open(path / "log")

    def reopen(self) -> None:
        self.log.close()
        self.log = streamlog.open(self.path / "log")

    def target(self, text: str) -> Target:
        """The connector of a file; `{here}` in its text is the test's directory."""
        file = self.path / "connector.yaml"
        file.write_text(dedent(text).replace("{here}", str(self.path)))
        [target] = load(str(file)) or []
        return target

    def run(self, *texts: str) -> dict[str, TargetStatus]:
        """Runs connectors until idle, as `streamlog run --until-idle` does."""
        return self.run_targets(*(self.target(text) for text in texts))

    def run_targets(self, *targets: Target) -> dict[str, TargetStatus]:
        async def work() -> None:
            runner = Runner(targets, self.context(), NoView())
            outcome = await runner.run()
            for failure in outcome.failures:
                raise failure.error

        asyncio.run(work())
        return {target.name: target.status() for target in targets}

    def context(self, *, until_idle: bool = True) -> RunContext:
        return RunContext(
            log=self.log,
            until_idle=until_idle,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=self.path / "state",
        )

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition, as soon as the last commit shows."""
        count = self.log.topic(topic).partitions
        partitions = [TopicPartition(topic, number) for number in range(count)]
        durable = self.log.end_offsets(partitions, isolation="read_uncommitted")
        while self.log.end_offsets(partitions) != durable:
            durable = self.log.end_offsets(partitions, isolation="read_uncommitted")
        found: list[Record] = []
        for partition, end in self.log.end_offsets(partitions).items():
            with self.log.consumer(auto_commit=False) as consumer:
                consumer.assign([partition])
                consumer.seek(partition, 0)
                while consumer.position(partition) < end:
                    found += consumer.poll(0.01)
        return found

    def values(self, topic: str) -> list[Any]:
        return [record.value for record in self.records(topic)]

    def write(self, name: str, content: bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.log.close()
