"""A wish to wake a task, from any thread."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wakeup:
    """An `asyncio.Event` that any thread may set. Made within the loop that waits for it.

    The order that loses nothing: `clear`, look for work, `wait` if there was none.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_set = False

    def set(self) -> None:
        # One call into the loop is enough however many threads ask; a race makes two, not none.
        if not self._is_set:
            self._is_set = True
            with suppress(RuntimeError):  # the loop has ended, so nobody waits
                self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._is_set = False
        self._event.clear()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Returns when set, or after the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
