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
        self._floor = float("-inf")
        self._best: list[dict[Any, Any]] | None = None

    def top(self, count: int) -> list[tuple[str, Any]]:
        if self._best is None:
            self._best = self._scan()
        for state, best in zip(self._states, self._best, strict=True):
            self._refresh(state, best)
        ranked = nsmallest(
            max(KEPT, count),
            (
                (-value, _show(state, key), number, key)
                for number, state in enumerate(self._states)
                for key, value in self._best[number].items()
            ),
        )
        self._best = [{} for _ in self._states]
        for value, _, number, key in ranked:
            self._best[number][key] = -value
        self._floor = -ranked[-1][0] if len(ranked) >= KEPT else float("-inf")
        return [(shown, -value) for value, shown, _, _ in ranked[:count]]

    def _refresh(self, state: KeyValueState, best: dict[Any, Any]) -> None:
        """Takes over what is cached: all that is high, and what has fallen or gone."""
        floor = self._floor
        entries = state.entries
        for key in list(best):
            if key in entries:
                del best[key]
        for key, entry in entries.items():
            value = entry.value
            if value is not None and value >= floor:
                best[key] = value

    def _scan(self) -> list[dict[Any, Any]]:
        until_s = time.monotonic() + SCAN_S
        found: list[dict[Any, Any]] = []
        for state in self._states:
            values: dict[Any, Any] = {}
            for number, (key, value) in enumerate(state.items()):
                values[key if state.exact_keys else state.key_serde.serialize(key)] = value
                if number % 1_000 == 999 and time.monotonic() > until_s:
                    break
            found.append(values)
        return found


def _show(state: KeyValueState, cache_key: Any) -> str:
    """A key as text; the cache knows keys by their bytes where equal keys may differ there."""
    return str(cache_key if state.exact_keys else state.key_serde.deserialize(cache_key))
