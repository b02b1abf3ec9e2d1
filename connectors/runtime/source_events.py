"""What a source yields, awaited with a time limit and until a stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connectors.api import SourceEvent
    from connectors.runtime.stop import Stop


@dataclass(frozen=True, slots=True)
class Ended:
    """`read` has returned."""


class SourceEvents:
    """Takes one event after the other. Owned by the source's task.

    An event that does not come in time goes on being awaited, and the next call gets it.
    """

    def __init__(self, events: AsyncGenerator[SourceEvent], stop: Stop) -> None:
        self._events = events
        self._stop = stop
        self._next: asyncio.Task[SourceEvent | Ended] | None = None

    async def next(self, timeout_s: float | None) -> SourceEvent | Ended | None:
        """The next event, or None after the time or when a stop is requested."""
        if self._next is None:
            self._next = asyncio.create_task(self._take())
        # Lets everything else in the loop run once; most sources have their event then.
        await asyncio.sleep(0)
        if not self._next.done():
            await self._wait(self._next, timeout_s)
        if not self._next.done():
            return None
        taken, self._next = self._next, None
        return taken.result()

    async def _wait(
        self, event: asyncio.Task[SourceEvent | Ended], timeout_s: float | None
    ) -> None:
        stopped = asyncio.create_task(self._stop.wait_requested())
        try:
            await asyncio.wait(
                {event, stopped}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()

    async def _take(self) -> SourceEvent | Ended:
        return await anext(self._events, Ended())

    async def close(self) -> None:
        """Gives up what is awaited and ends the generator."""
        if self._next is not None:
            self._next.cancel()
            # Its failure comes too late to matter: nothing of it was taken.
            with suppress(asyncio.CancelledError, Exception):
                await self._next
        await self._events.aclose()
