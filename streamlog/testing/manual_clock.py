"""A clock that only moves when told to."""

from __future__ import annotations


class ManualClock:
    """A `Clock` for tests. Not for two threads at a time."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> int:
        """Moves on by `ms` and returns the new time."""
        self._now_ms += ms
        return self._now_ms

    def set(self, now_ms: int) -> None:
        """Sets the time, backwards too, as an operator may."""
        self._now_ms = now_ms
