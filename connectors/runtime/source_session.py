"""The work of a source between its opening and its closing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.api import Batch, CommitPoint, Exhausted, Idle, SourceColumns
from connectors.runtime.poison import PoisonRow
from connectors.runtime.source_events import Ended

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connectors.api import AnySource, SourceEvent
    from connectors.runtime.calls import Calls
    from connectors.runtime.conversion import RecordEncoder
    from connectors.runtime.latency import Commits
    from connectors.runtime.poison import PoisonPolicy
    from connectors.runtime.source_events import SourceEvents
    from connectors.runtime.source_transaction import SourceTransaction
    from connectors.runtime.stop import Stop


@dataclass(slots=True)
class SourceProgress:
    """What a source task has to show for itself, over all its sessions."""

    commits: Commits
    poison: PoisonPolicy
    records: int = 0
    exhausted: bool = False


class SourceSession:
    """Owned by its task.

    While draining, the generator is resumed without a pause until it ends or twice has nothing
    more: the first time it may not have seen yet that it is draining.
    """

    def __init__(
        self,
        *,
        topic: str,
        source: AnySource,
        calls: Calls,
        events: SourceEvents,
        encoder: RecordEncoder,
        transaction: SourceTransaction,
        progress: SourceProgress,
        stop: Stop,
    ) -> None:
        self._topic = topic
        self._source = source
        self._calls = calls
        self._events = events
        self._encoder = encoder
        self._transaction = transaction
        self._progress = progress
        self._stop = stop
        self._emptied = False

    async def work(self) -> None:
        """Until a stop is requested, or the source is drained."""
        goes_on = True
        while goes_on and not self._stop.requested:
            remaining_ms = self._transaction.remaining_ms()
            if remaining_ms == 0:
                await self._commit()
                continue
            event = await self._events.next(None if remaining_ms is None else remaining_ms / 1_000)
            goes_on = await self._handle(event)
        await self._commit()

    async def _handle(self, event: SourceEvent | Ended | None) -> bool:
        """Whether to go on."""
        match event:
            case Batch():
                self._take(event)
            case CommitPoint():
                await self._commit()
            case Idle(seconds):
                return await self._pause(seconds, exhausted=False)
            case Exhausted(seconds):
                return await self._pause(seconds, exhausted=True)
            case Ended():
                await self._end()
                return False
            case None:
                pass  # it is time to commit, or to stop
        return True

    async def _pause(self, seconds: float | None, *, exhausted: bool) -> bool:
        await self._commit()
        self._progress.exhausted = exhausted
        if self._stop.draining:
            self._progress.exhausted = True
            done, self._emptied = self._emptied, True
            return not done
        await self._stop.wait(seconds)
        return True

    async def _end(self) -> None:
        await self._commit()
        self._progress.exhausted = True
        await self._stop.wait_asked()

    async def _commit(self) -> None:
        if not self._transaction.is_open:
            return
        began = time.perf_counter()
        offsets = await self._transaction.commit()
        self._progress.commits.add(time.perf_counter() - began)
        await self._calls(self._source.committed, offsets)

    def _take(self, batch: Batch) -> None:
        self._progress.exhausted = False
        poison = [
            PoisonRow(origin=row.origin, stage="TASK_POLL", reason=row.reason, value=row.value)
            for row in batch.poison
        ]
        columns = batch.records
        if not isinstance(columns, SourceColumns):
            columns, more = self._encoder.encode(columns, f"of {dict(batch.partition)}")
            poison += more
        self._transaction.send(self._topic, columns)
        self._send_dead_letters(poison)
        self._transaction.move(batch.partition, batch.offset)
        self._progress.records += len(columns.values)

    def _send_dead_letters(self, rows: Iterable[PoisonRow]) -> None:
        policy = self._progress.poison
        letters = [row for row in rows if policy.judge(row)]
        if letters and policy.dead_letter_topic is not None:
            columns = SourceColumns(
                [row.value for row in letters],
                [row.key for row in letters],
                headers=[policy.headers_of(row) for row in letters],
            )
            self._transaction.send(policy.dead_letter_topic, columns)
