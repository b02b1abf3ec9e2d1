"""One bound for the caches of several states: one that needs little leaves room to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from processors.state.state import State


class CacheBudget:
    """What the states may take together: the sum of their own bounds. Owned by their thread."""

    def __init__(self, states: Collection[State]) -> None:
        self._states = states
        self._bytes = sum(state.cache_bytes for state in states)

    def is_full(self) -> bool:
        """Whether only a commit can make room: what is dirty fills half of the bound."""
        return sum(state.dirty_bytes() for state in self._states) * 2 > self._bytes

    def trim(self) -> None:
        """Between rounds: where they are over the bound, those over their own evict."""
        if sum(state.cached_bytes() for state in self._states) > self._bytes:
            for state in self._states:
                state.trim()
