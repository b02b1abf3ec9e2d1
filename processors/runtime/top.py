"""The largest entries of a table, for a person who watches."""

from __future__ import annotations

import time
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.runtime.application import Application
    from processors.runtime.stores import Stores
    from processors.state.cached import KeyValueState

SCAN_S: Final = 0.25
"""So long the first look at what is not cached may take; of a larger table the rest is left out."""

KEPT: Final = 100
NUMBERS: Final = ("int", "float")


def find_last_table(application: Application, stores: Stores) -> list[KeyValueState]:
    """The partitions of the last store that counts or sums; empty where there is none."""
    names = [node.path for sub in application.topology.subtopologies for node in sub.stores]
    names += [store.name for store in application.stores]
    for name in reversed(names):
        states = [state for (store, _), state in stores.states.items() if store == name]
        if states and states[0].value_serde.name in NUMBERS:
            return states
    return []


class TopTable:
    """Ranks what is cached, over what one scan has found at the first look.

    Whatever changes is cached when it does, so that only entries that leave the cache between two
    looks can be shown with an old value.
    """

    def __init__(self, states: Sequence[KeyValueState]) -> None:
        self._states = states
        self._best: dict[str, Any] | None = None

    def top(self, count: int) -> list[tuple[str, Any]]:
        best = self._scan() if self._best is None else self._best
        floor = min(best.values()) if len(best) >= KEPT else float("-inf")
        for state in self._states:
            for entry in state.entries.values():
                value = entry.value
                if (value is not None and value > floor) or str(entry.key) in best:
                    best[str(entry.key)] = value
        ranked = nsmallest(
            max(KEPT, count), [(-value, key) for key, value in best.items() if value is not None]
        )
        self._best = {key: -value for value, key in ranked}
        return [(key, -value) for value, key in ranked[:count]]

    def _scan(self) -> dict[str, Any]:
        until_s = time.monotonic() + SCAN_S
        best: dict[str, Any] = {}
        for state in self._states:
            for number, (key, value) in enumerate(state.items()):
                best[str(key)] = value
                if number % 1_000 == 999 and time.monotonic() > until_s:
                    break
        return best
