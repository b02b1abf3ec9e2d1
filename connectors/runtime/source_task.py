"""Runs a source: its records and its offsets go into the log in one transaction.

    open the producer (which fences an older one) ──> read the source offsets ──> open the source
        ──> loop: read a batch, send it ... commit at a size, an age, a commit point or when the
            source has nothing more ──> tell the source what is durable

Die before a commit: the transaction aborts, and the source begins where it last committed. Die
after: it begins behind it. There is no third case. Only `Source.committed` may not be told of a
commit that a crash follows.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from connectors.api import Retry
from connectors.runtime.calls import Calls
from connectors.runtime.conversion import RecordEncoder
from connectors.runtime.latency import Commits
from connectors.runtime.offsets import (
    OFFSETS_CONFIG,
    OFFSETS_TOPIC,
    SourceOffsets,
    read_source_offsets,
)
from connectors.runtime.poison import PoisonPolicy
from connectors.runtime.retry import Retries
from connectors.runtime.source_events import SourceEvents
from connectors.runtime.source_session import SourceProgress, SourceSession
from connectors.runtime.source_transaction import MAX_AGE_MS, TIMEOUT_MS, SourceTransaction
from connectors.runtime.stop import Stop
from connectors.runtime.topics import ensure_topic
from streamlog.targets import TargetStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.api import AnySource, Plugin
    from connectors.config.document import SourceDocument
    from streamlog.client.contract import Log
    from streamlog.clock import Clock
    from streamlog.targets import RunContext, TargetState

WORKER_GROUP: Final = "connect"


class TaskContext:
    """What a source may ask of its task."""

    def __init__(self, connector: str, clock: Clock, stop: Stop, offsets: SourceOffsets) -> None:
        self.connector = connector
        self.clock = clock
        self._stop = stop
        self._offsets = offsets

    @property
    def draining(self) -> bool:
        return self._stop.draining

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._offsets.get(partition)

    def offsets(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return self._offsets.items()


class SourceTask:
    """A target of `streamlog run`. Owned by the loop's thread."""

    def __init__(self, document: SourceDocument, plugin: Plugin) -> None:
        self._document = document
        self._plugin = plugin
        self._stop = Stop()
        self._poison = PoisonPolicy(document.name, document.errors)
        self._retries = Retries(document.name, document.errors.retry)
        self._progress = SourceProgress(Commits(), self._poison)
        self._state: TargetState = "starting"
        self._transaction: SourceTransaction | None = None

    @property
    def name(self) -> str:
        return self._document.name

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None:
        self._stop.request(at_once=at_once, drain=drain)
        if self._state != "stopped":
            self._state = "stopping"
            # Not before it has emitted what it held back; otherwise the run would go on too soon.
            self._progress.exhausted = False

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        return None

    def status(self) -> TargetStatus:
        poison = self._poison.skipped + self._poison.dead_letters
        return TargetStatus(
            kind="source",
            state=self._state,
            records_in=self._progress.records + poison,
            records_out=self._progress.records,
            counters=self._poison.counters(),
            commits=self._progress.commits.count,
            commit_latency_ms=self._progress.commits.latency_ms,
            exhausted=self._progress.exhausted,
            pending=self._transaction is not None and self._transaction.is_open,
        )

    async def run(self, context: RunContext) -> None:
        try:
            self._stop.begin()
            while not self._stop.requested and not await self._attempt(context):
                pass
        except asyncio.CancelledError:
            if not self._stop.was_at_once:
                raise
        finally:
            self._progress.exhausted = True
            self._transaction = None
            self._state = "stopped"

    async def _attempt(self, context: RunContext) -> bool:
        """Whether the work is done; False, behind a pause, if it is to be tried again."""
        commits = self._progress.commits.count
        try:
            async with AsyncExitStack() as stack:
                session = await self._open(context, stack)
                await session.work()
        except Retry as retry:
            if self._progress.commits.count > commits:
                self._retries.succeeded()
            delay_ms = self._retries.failed(retry, context.clock.now_ms())
            await self._stop.wait(delay_ms / 1_000)
            return False
        return True

    async def _open(self, context: RunContext, stack: AsyncExitStack) -> SourceSession:
        """Opens everything; the stack closes it, the source before the producer."""
        log, document = context.log, self._document
        await asyncio.to_thread(self._ensure_topics, log)
        producer = await asyncio.to_thread(
            log.producer,
            transactional_id=f"{WORKER_GROUP}-{self.name}-0",
            transaction_timeout_ms=TIMEOUT_MS + min(document.commit.age_ms, MAX_AGE_MS),
        )
        stack.push_async_callback(asyncio.to_thread, producer.close)
        offsets = await read_source_offsets(log, self.name)
        source: AnySource = self._plugin.create(document.source.config)
        calls = Calls(source)
        stack.callback(calls.close)
        stack.push_async_callback(calls, source.close)
        await calls(source.open, TaskContext(self.name, context.clock, self._stop, offsets))
        events = SourceEvents(calls.events(source), self._stop)
        stack.push_async_callback(events.close)
        transaction = SourceTransaction(producer, self.name, document.commit, context.clock)
        self._transaction = transaction
        if self._state == "starting":
            self._state = "running"
        return SourceSession(
            topic=document.to.topic,
            source=source,
            calls=calls,
            events=events,
            encoder=RecordEncoder(document.to.key, document.to.value, context.clock),
            transaction=transaction,
            progress=self._progress,
            stop=self._stop,
        )

    def _ensure_topics(self, log: Log) -> None:
        ensure_topic(log, OFFSETS_TOPIC, config=OFFSETS_CONFIG)
        ensure_topic(log, self._document.to.topic, self._document.to.create)
        if self._document.errors.dead_letter is not None:
            ensure_topic(log, self._document.errors.dead_letter)
