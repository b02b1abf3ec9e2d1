"""What was asked of a running target."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Stopped(Exception):
    """Ends a wait within some work when that work is to end."""


class Stop:
    """A target's stop requests. Owned by the loop's thread; may be asked before the loop runs.

    `requested` ends the work, `draining` asks a source for what it held back first. `at_once`
    cancels the task that `begin` named.
    """

    def __init__(self) -> None:
        self.draining = False
        self._requested = asyncio.Event()
        self._at_once = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Called by the task that `at_once` is to cancel."""
        self._task = asyncio.current_task()
        if self._at_once and self._task is not None:
            self._task.cancel()

    def request(self, *, at_once: bool, drain: bool) -> None:
        if drain:
            self.draining = True
        else:
            self._requested.set()
        self._changed.set()
        if at_once and not self._at_once:
            self._at_once = True
            if self._task is not None:
                self._task.cancel()

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    @property
    def was_at_once(self) -> bool:
        return self._at_once

    async def wait(self, timeout_s: float | None = None) -> None:
        """Returns when the next thing is asked for, or after the time; at once when all was."""
        if self.requested:
            return
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def wait_requested(self) -> None:
        """Returns when the work is to end."""
        await self._requested.wait()

    async def wait_asked(self) -> None:
        """Returns when anything has been asked for, however long ago."""
        while not (self.requested or self.draining):
            await self.wait()
