"""What a source yields, awaited with a time limit and until a stop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connectors.api import Batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connectors.api import SourceEvent
    from connectors.runtime.stop import Stop

_BURST_S: Final = 0.003
"""How long a source may go on without letting others run.

An application in the same loop takes its turn for much longer than it takes to read a small file.
With one file a turn, a thousand small files would cost a thousand of its turns.
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """`read` has returned."""


class SourceEvents:
    """Takes events in bursts and gives them one by one. Owned by the source's task.

    An event that does not come in time goes on being awaited, and a later call gets it. Behind
    anything but a batch the generator is not resumed before the next call.
    """

    def __init__(self, events: AsyncGenerator[SourceEvent], stop: Stop) -> None:
        self._events = events
        self._stop = stop
        self._ready: deque[SourceEvent | Ended] = deque()
        self._has_some = asyncio.Event()
        self._burst: asyncio.Task[None] | None = None

    async def next(self, timeout_s: float | None) -> SourceEvent | Ended | None:
        """The next event, or None after the time or when a stop is requested."""
        if self._ready:
            return self._ready.popleft()
        if self._burst is None:
            self._has_some.clear()
            self._burst = asyncio.create_task(self._take())
        # Lets everything else in the loop run once; most sources have their events then.
        await asyncio.sleep(0)
        if not self._ready and not self._burst.done():
            await self._wait(self._burst, timeout_s)
        if self._burst.done():
            burst, self._burst = self._burst, None
            if not self._ready:
                burst.result()  # a failure counts behind the events before it
            elif burst.exception() is not None:
                self._burst = burst
        return self._ready.popleft() if self._ready else None

    async def _take(self) -> None:
        """Appends what the generator yields, until it has run long enough."""
        began = time.perf_counter()
        while True:
            event = await anext(self._events, Ended())
            self._ready.append(event)
            self._has_some.set()
            if not isinstance(event, Batch) or time.perf_counter() - began > _BURST_S:
                return

    async def _wait(self, burst: asyncio.Task[None], timeout_s: float | None) -> None:
        some = asyncio.create_task(self._has_some.wait())
        stopped = asyncio.create_task(self._stop.wait_requested())
        try:
            await asyncio.wait(
                {burst, some, stopped}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            some.cancel()
            stopped.cancel()

    async def close(self) -> None:
        """Gives up what is awaited and ends the generator."""
        if self._burst is not None:
            self._burst.cancel()
            # Its failure comes too late to matter: nothing of it was taken.
            with suppress(asyncio.CancelledError, Exception):
                await self._burst
        await self._events.aclose()
