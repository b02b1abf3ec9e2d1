"""Runs targets together on one log, in one asyncio loop, until they are done or told to stop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streamlog.cli.running.idle import IdleDetector, Look, is_quiet
from streamlog.cli.view.rates import Rates
from streamlog.cli.view.snapshot import Snapshot, totals

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from streamlog.cli.view.snapshot import View
    from streamlog.targets import RunContext, Target, TargetKind, TargetStatus

START_PERIOD_S = 0.002
LOOK_PERIOD_S = 0.02
SHOW_PERIOD_S = 0.25
TOP_PERIOD_S = 1.0
TOP_REST = 30
"""So many times as long as finding the top took, the next one waits: a view costs a run little."""

AT_ONCE_PATIENCE_S = 5.0
"""How long a target may take to stop at once before its task is cancelled."""

STAGES: tuple[TargetKind, ...] = ("source", "app", "sink")
TOP_ENTRIES = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """A target and what ended it."""

    target: str
    error: BaseException


@dataclass(slots=True)
class Outcome:
    """How a run ended: by itself, by a signal, or by failures."""

    failures: list[Failure] = field(default_factory=list[Failure])
    interrupted: bool = False
    at_once: bool = False

    def describe(self) -> str:
        """For the summary's first line."""
        if self.failures:
            return "failed"
        if self.interrupted:
            return "stopped at once" if self.at_once else "stopped"
        return "done"


class Runner:
    """One run. Everything happens in the loop's thread, `interrupt` included."""

    def __init__(self, targets: Sequence[Target], context: RunContext, view: View) -> None:
        self._targets = list(targets)
        self._context = context
        self._view = view
        self._rates = Rates()
        self._began_s = time.monotonic()
        self._top: tuple[str, Sequence[tuple[str, Any]]] | None = None
        self._top_due_s = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started = asyncio.Event()
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Runs all targets to their end. A target that fails stops the others; none is lost."""
        work = [self._start(), self._show_forever()]
        if self._context.until_idle:
            work.append(self._stop_when_idle())
        started, *watching = [asyncio.create_task(self._guard("the run", one)) for one in work]
        try:
            await started
            await asyncio.gather(*self._tasks.values())
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
        return self.outcome

    def interrupt(self) -> None:
        """A stop signal: the first asks all targets to finish, every further one to give up."""
        self.outcome.at_once = self.outcome.interrupted
        self.outcome.interrupted = True
        self._stop(at_once=self.outcome.at_once)
        if self.outcome.at_once:
            asyncio.get_running_loop().call_later(AT_ONCE_PATIENCE_S, self._cancel_all)

    def snapshot(self) -> Snapshot:
        """This moment, for a view."""
        now_s = time.monotonic()
        statuses = self._statuses()
        self._rates.observe(now_s, totals(statuses))
        if now_s >= self._top_due_s:
            self._top = self._find_top()
            took_s = time.monotonic() - now_s
            self._top_due_s = now_s + max(TOP_PERIOD_S, took_s * TOP_REST)
        return Snapshot(
            elapsed_s=now_s - self._began_s,
            doing=self._doing(),
            statuses=statuses,
            rates=self._rates,
            top=self._top,
        )

    def final_snapshot(self) -> Snapshot:
        """The last moment, after `run`, named by how it ended."""
        self._top_due_s = 0.0
        last = self.snapshot()
        return Snapshot(
            elapsed_s=last.elapsed_s,
            doing=self.outcome.describe(),
            statuses=last.statuses,
            rates=last.rates,
            top=last.top,
        )

    async def _start(self) -> None:
        """Sources, then applications, then sinks, each once the one before has its topics.

        So an application finds the topic that a source creates, and the output topic of one that
        the command line names before it.
        """
        for target in self._in_stages():
            if self._context.stopping.is_set():
                break
            task = asyncio.create_task(self._guard(target.name, target.run(self._context)))
            self._tasks[target.name] = task
            while target.status().state == "starting" and not task.done():
                await asyncio.sleep(START_PERIOD_S)
        self._started.set()

    def _in_stages(self) -> list[Target]:
        return sorted(self._targets, key=lambda target: STAGES.index(target.status().kind))

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self.outcome.at_once:
                raise
        # Whatever it is, the other targets are to stop in order before it is reported.
        except Exception as error:
            self.outcome.failures.append(Failure(name, error))
            self._stop(at_once=False)

    def _stop(self, *, at_once: bool) -> None:
        self._context.stopping.set()
        for target in self._targets:
            target.request_stop(at_once=at_once)

    def _cancel_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _stop_when_idle(self) -> None:
        await self._started.wait()
        for kind in STAGES:
            stage = [target for target in self._targets if target.status().kind == kind]
            if stage:
                await self._wait_idle()
            for target in stage:
                target.request_stop(drain=kind == "source")
            names = {target.name for target in stage} & self._tasks.keys()
            await asyncio.gather(*(self._tasks[name] for name in names))

    async def _wait_idle(self) -> None:
        detector = IdleDetector()
        while True:
            statuses = self._statuses_of_running()
            if is_quiet(statuses) and detector.is_idle(self._look(statuses)):
                return
            await asyncio.sleep(LOOK_PERIOD_S)

    def _look(self, statuses: dict[str, TargetStatus]) -> Look:
        partitions = {part for status in statuses.values() for part in status.committed}
        stable = self._context.log.end_offsets(partitions)
        durable = self._context.log.end_offsets(partitions, isolation="read_uncommitted")
        return Look(statuses, {part: (stable[part], durable[part]) for part in partitions})

    def _statuses(self) -> dict[str, TargetStatus]:
        return {target.name: target.status() for target in self._targets}

    def _statuses_of_running(self) -> dict[str, TargetStatus]:
        return {
            name: status
            for name, status in self._statuses().items()
            if name in self._tasks and not self._tasks[name].done()
        }

    def _find_top(self) -> tuple[str, Sequence[tuple[str, Any]]] | None:
        for target in self._targets:
            entries = target.top(TOP_ENTRIES)
            if entries is not None:
                return target.name, entries
        return None

    def _doing(self) -> str:
        if self.outcome.at_once:
            return "stopping at once"
        if self.outcome.failures:
            return "stopping: a target failed"
        if self.outcome.interrupted:
            return "stopping (once more stops at once)"
        return "running until idle" if self._context.until_idle else "running"

    async def _show_forever(self) -> None:
        while True:
            self._view.show(self.snapshot())
            await asyncio.sleep(SHOW_PERIOD_S)
