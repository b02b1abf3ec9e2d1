"""The work of a sink between its opening and its closing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.config.document import Commit
    from connectors.runtime.conversion import RecordDecoder
    from connectors.runtime.dead_letters import DeadLetters
    from connectors.runtime.delivery import Delivery
    from connectors.runtime.latency import Commits
    from connectors.runtime.sink_input import SinkInput
    from connectors.runtime.stop import Stop
    from connectors.runtime.wakeup import Wakeup
    from streamlog.client.contract import FetchedColumns
    from streamlog.clock import Clock


@dataclass(slots=True)
class SinkProgress:
    """What a sink task has to show for itself."""

    commits: Commits
    records_in: int = 0
    records_out: int = 0


class SinkSession:
    """Owned by its task."""

    def __init__(
        self,
        *,
        feed: SinkInput,
        decoder: RecordDecoder,
        delivery: Delivery,
        letters: DeadLetters,
        commit: Commit,
        clock: Clock,
        progress: SinkProgress,
        stop: Stop,
        wakeup: Wakeup,
    ) -> None:
        self._feed = feed
        self._decoder = decoder
        self._delivery = delivery
        self._letters = letters
        self._policy = commit
        self._clock = clock
        self._progress = progress
        self._stop = stop
        self._wakeup = wakeup
        self._pending_since_ms = 0
        self._pending_bytes = 0

    async def work(self) -> None:
        """Until a stop is requested; what was taken until then is flushed."""
        self._feed.on_available(self._wakeup.set)
        while not self._stop.requested:
            self._wakeup.clear()
            fetched = self._feed.poll()
            for columns in fetched:
                await self._put(columns)
            remaining_ms = self._remaining_ms()
            if remaining_ms == 0:
                await self._flush()
            elif not fetched:
                await self._wakeup.wait(None if remaining_ms is None else remaining_ms / 1_000)
            await asyncio.sleep(0)  # a sink that never waits must not keep the loop
        await self._flush()

    async def _put(self, columns: FetchedColumns) -> None:
        if not self._feed.is_pending:
            self._pending_since_ms = self._clock.now_ms()
        batch, poison = self._decoder.decode(columns)
        for row in poison:
            self._letters.take(row)
        self._progress.records_in += len(columns.offsets)
        self._progress.records_out += await self._delivery.put(batch)
        self._feed.moved(columns)
        self._pending_bytes += sum(map(len, filter(None, columns.values)))

    def _remaining_ms(self) -> int | None:
        """How long until a flush is due, 0 if now; None where there is nothing to flush."""
        if not self._feed.is_pending:
            return None
        if self._pending_bytes >= self._policy.size_bytes:
            return 0
        return max(0, self._pending_since_ms + self._policy.age_ms - self._clock.now_ms())

    async def _flush(self) -> None:
        """The dead letters before the destination, the group's offsets behind it."""
        if not self._feed.is_pending:
            return
        began = time.perf_counter()
        await self._letters.write(self._feed.positions)
        durable = await self._delivery.flush()
        await self._feed.commit(durable)
        self._progress.commits.add(time.perf_counter() - began)
        self._pending_bytes = 0
