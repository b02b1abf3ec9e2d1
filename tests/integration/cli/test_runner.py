"""Targets that run together on a real log: idle, stages, stops and failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import streamlog
from streamlog.cli.running.runner import Outcome, Runner
from streamlog.client.contract import GroupMetadata, TopicPartition
from streamlog.clock import SystemClock
from streamlog.errors import StreamlogError
from streamlog.targets import RunContext, TargetKind, TargetState, TargetStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from streamlog.cli.view.snapshot import Snapshot
    from streamlog.client.contract import Log
    from streamlog.targets import Target


PATIENCE_S = 300


class SilentView:
    def __init__(self) -> None:
        self.seen: list[Snapshot] = []

    def show(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)

    def close(self) -> None: ...


class Part:
    """What the targets below share: states, stops and a log of what happened to all of them."""

    kind: TargetKind

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events
        self.state: TargetState = "starting"
        self.records = 0
        self.stop = asyncio.Event()
        self.at_once = self.drain = False
        self.committed: dict[TopicPartition, int] = {}
        self.exhausted = self.kind != "source"

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None:
        self.at_once |= at_once
        self.drain |= drain
        self.stop.set()

    def status(self) -> TargetStatus:
        return TargetStatus(
            kind=self.kind,
            state=self.state,
            records_in=self.records,
            committed=dict(self.committed),
            exhausted=self.exhausted,
        )

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        return None

    async def run(self, context: RunContext) -> None:
        self.state = "running"
        try:
            await self.work(context)
        finally:
            self.state = "stopped"
            self.events.append(f"{self.name} stopped")

    async def work(self, context: RunContext) -> None:
        await self.stop.wait()


class Writer(Part):
    """A source of ten records, one of which it holds back until it is drained."""

    kind = "source"

    async def work(self, context: RunContext) -> None:
        with context.log.producer() as producer:
            for number in range(9):
                producer.send("numbers", value=b"%d" % number)
                producer.flush()
                self.records += 1
                await asyncio.sleep(0)
            self.exhausted = True
            await self.stop.wait()
            if self.drain:
                producer.send("numbers", value=b"held back")


class Copier(Part):
    """Copies a topic to another, exactly once; `target` None makes it a sink."""

    def __init__(
        self, name: str, events: list[str], *, source: str, target: str | None = None
    ) -> None:
        self.kind = "app" if target else "sink"
        self.source = TopicPartition(source, 0)
        self.target = target
        self.taken: list[bytes | None] = []
        super().__init__(name, events)

    async def work(self, context: RunContext) -> None:
        self.committed = {self.source: 0}
        with (
            context.log.consumer(group=self.name, auto_commit=False) as consumer,
            context.log.producer(transactional_id=self.name) as producer,
        ):
            consumer.assign([self.source])
            while not self.stop.is_set():
                runs = consumer.poll_columns()
                if not runs:
                    await asyncio.sleep(0.001)
                    continue
                producer.begin_transaction()
                for run in runs:
                    self.taken += run.values
                    if self.target:
                        producer.send_columns(self.target, None, run.values)
                position = consumer.position(self.source)
                producer.send_offsets_to_transaction(
                    {self.source: position}, GroupMetadata(group_id=self.name)
                )
                await asyncio.wrap_future(producer.commit_transaction_async())
                self.records = len(self.taken)
                self.committed = {self.source: position}


class Failing(Part):
    kind = "app"

    async def work(self, context: RunContext) -> None:
        raise StreamlogError("it does not work")


class Stubborn(Part):
    """Hears only a stop at once."""

    kind = "app"

    async def work(self, context: RunContext) -> None:
        while not self.at_once:
            await asyncio.sleep(0)


def run(
    log: Log,
    targets: Sequence[Target],
    *,
    until_idle: bool = False,
    interrupt: int = 0,
    tmp_path: Path,
) -> Outcome:
    async def work() -> Outcome:
        context = RunContext(
            log=log,
            until_idle=until_idle,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=tmp_path / "state",
        )
        runner = Runner(targets, context, SilentView())
        running = asyncio.create_task(runner.run())
        while interrupt and any(target.status().state == "starting" for target in targets):
            await asyncio.sleep(0)
        for _ in range(interrupt):
            runner.interrupt()
        outcome = await running
        assert context.stopping.is_set() == bool(interrupt or outcome.failures)
        return outcome

    return asyncio.run(asyncio.wait_for(work(), PATIENCE_S))


def test_a_run_until_idle_drains_and_stops_in_stages(tmp_path: Path) -> None:
    events: list[str] = []
    with streamlog.open(tmp_path) as log:
        log.create_topic("numbers")
        log.create_topic("copies")
        sink = Copier("sink", events, source="copies")
        targets = [
            sink,
            Copier("app", events, source="numbers", target="copies"),
            Writer("source", events),
        ]
        outcome = run(log, targets, until_idle=True, tmp_path=tmp_path)
    assert outcome.describe() == "done"
    assert events == ["source stopped", "app stopped", "sink stopped"]
    assert sink.taken == [*(b"%d" % number for number in range(9)), b"held back"]


def test_a_failing_target_stops_the_others_and_is_named(tmp_path: Path) -> None:
    events: list[str] = []
    with streamlog.open(tmp_path) as log:
        log.create_topic("numbers")
        source, sink = Writer("source", events), Copier("sink", events, source="numbers")
        outcome = run(log, [sink, source, Failing("bad", events)], tmp_path=tmp_path)
    assert outcome.describe() == "failed"
    assert [(failure.target, str(failure.error)) for failure in outcome.failures] == [
        ("bad", "it does not work")
    ]
    assert events == ["bad stopped", "source stopped"]
    assert not source.drain
    assert sink.status().state == "starting", "what has not begun is not begun any more"


def test_a_failing_idle_check_ends_the_run_too(tmp_path: Path) -> None:
    class Confused(Part):
        kind = "app"

        async def work(self, context: RunContext) -> None:
            self.committed = {TopicPartition("nowhere", 0): 0}
            await self.stop.wait()

    with streamlog.open(tmp_path) as log:
        outcome = run(log, [Confused("confused", [])], until_idle=True, tmp_path=tmp_path)
    assert [failure.target for failure in outcome.failures] == ["the run"]
    assert "unknown topic 'nowhere'" in str(outcome.failures[0].error)


def test_one_interrupt_stops_and_a_second_stops_at_once(tmp_path: Path) -> None:
    with streamlog.open(tmp_path) as log:
        log.create_topic("numbers")
        writer = Writer("source", [])
        assert run(log, [writer], interrupt=1, tmp_path=tmp_path).describe() == "stopped"
        assert not writer.at_once
        stubborn = Stubborn("stubborn", [])
        outcome = run(log, [stubborn], interrupt=2, tmp_path=tmp_path)
    assert outcome.describe() == "stopped at once"
    assert stubborn.at_once


def test_a_target_that_does_not_stop_at_once_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(Part):
        kind = "app"

        async def work(self, context: RunContext) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("streamlog.cli.running.runner.AT_ONCE_PATIENCE_S", 0.0)
    with streamlog.open(tmp_path) as log:
        deaf = Deaf("deaf", [])
        assert run(log, [deaf], interrupt=2, tmp_path=tmp_path).at_once
    assert deaf.state == "stopped"
