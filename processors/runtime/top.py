"""The largest entries of a table, for a person who watches."""

from __future__ import annotations

import time
from functools import partial
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from processors.state.cached import KeyValueState, stored_row
from processors.topology.nodes.endpoint import OF_SOURCES
from processors.topology.nodes.processor import PROCESSOR_TIME
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processors.runtime.application import Application
    from processors.runtime.stores import Stores
    from processors.state.byte_store import ByteStore

LOOK_S: Final = 0.05
"""So long a look may read what is not cached; the next one goes on from there."""

STEP_ROWS: Final = 1_000
KEPT: Final = 100
REMEMBERED: Final = 10_000
NUMBERS: Final = ("int", "float")

Rank = tuple[float, str, int, Any]
"""Negated value, key as text, number of the state, key in its cache: the least comes first."""


def find_last_table(application: Application, stores: Stores) -> list[KeyValueState]:
    """The partitions of the last store that counts or sums; empty where there is none."""
    subs = application.topology.subtopologies
    names = [
        store.name
        for sub in subs
        for stores in sub.stores.values()
        for store in stores
        if store.kind not in UNRANKED
    ]
    names += [store.name for store in application.stores]
    for name in reversed(names):
        named = [state for (store, _), state in stores.states.items() if store == name]
        states = [state for state in named if isinstance(state, KeyValueState)]
        if states and states[0].value_serde.name in NUMBERS:
            return states
    return []


UNRANKED: Final = (*OF_SOURCES, PROCESSOR_TIME)
"""Stores of numbers that nobody ranks."""


class TopTable:
    """Ranks all entries by the values that they have now. Owned by the loop's thread.

    From the first look on, every change is seen: an entry that changes is cached, and one that
    leaves the cache says so. What is not cached is read once, a part with every look, and what it
    is worth does not change behind the reader's back. Remembered are the entries that rank up to
    the floor, the last of the best that were known at any time; once too many of them have fallen
    below it, what was forgotten is read again.
    """

    def __init__(self, states: Sequence[KeyValueState]) -> None:
        self._states = states
        self._best: list[dict[Any, Any]] = [{} for _ in states]
        self._floor: Rank | None = None
        self._kept = KEPT
        self._reading: Iterator[None] | None = None
        self._watches = False

    def top(self, count: int) -> list[tuple[str, Any]] | None:
        """The largest entries, or None while there is more to be read than one look may take."""
        until_s = time.monotonic() + LOOK_S
        self._kept = max(self._kept, count)
        if not self._watches:
            self._watch()
        while True:
            if self._reading is not None and not self._read_on(until_s):
                return None
            self._take_cached()
            ranked = self._keep_best()
            if self._floor is None or len(ranked) >= count:
                return [(shown, -value) for value, shown, _, _ in ranked[:count]]
            self._floor = None
            self._reading = self._read()

    # What changes.

    def _watch(self) -> None:
        for number, state in enumerate(self._states):
            state.on_leave = partial(self._take_leaving, number)
        self._watches = True
        self._reading = self._read()

    def _take_leaving(self, number: int, keys: Sequence[Any]) -> None:
        entries, best = self._states[number].entries, self._best[number]
        for key in keys:
            self._take(best, key, entries[key].value)
        self._forget()

    def _take_cached(self) -> None:
        for state, best in zip(self._states, self._best, strict=True):
            entries, floor = state.entries, self._least()
            last = "" if self._floor is None else self._floor[1]
            for key in [key for key in best if key in entries]:
                del best[key]
            for key, entry in entries.items():
                value = entry.value
                # Of very many that tie with the floor, none but those before it are worth ranking.
                if value is not None and (
                    value > floor or (value == floor and _show(state, key) <= last)
                ):
                    best[key] = value

    def _take(self, best: dict[Any, Any], key: Any, value: Any) -> None:
        if value is not None and value >= self._least():
            best[key] = value
        else:
            best.pop(key, None)

    # What is not cached.

    def _read_on(self, until_s: float) -> bool:
        """Whether all has been read."""
        assert self._reading is not None
        try:
            for _ in self._reading:
                if time.monotonic() >= until_s:
                    return False
        except StreamlogError:
            self._reading = self._read()  # what has raised would pass for read to its end
            raise
        self._reading = None
        return True

    def _read(self) -> Iterator[None]:
        """Some rows a step. No cursor of the byte store outlives its step: it would see no writes.

        A checkpoint between two steps moves rows that are not read yet down to where they will be.
        """
        for number, state in enumerate(self._states):
            above = iter([*state.committing, *state.committed])
            while keys := list(islice(above, STEP_ROWS)):
                self._take_rows(number, [(key, None) for key in keys])
                yield
            start = b""
            while rows := _read_page(state.store, start):
                self._take_rows(number, rows)
                start = rows[-1][0] + b"\0"
                yield

    def _take_rows(self, number: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Rows of the byte store, or None where a key is in no more than the layers above it."""
        state, best = self._states[number], self._best[number]
        above = [state.committing.get(key) or state.committed.get(key) for key, _ in rows]
        encoded = [(row or stored_row(data))[0] for row, (_, data) in zip(above, rows, strict=True)]
        floor = self._least()
        values = state.value_serde.deserialize_column(encoded)
        for (key_bytes, _), value in zip(rows, values, strict=True):
            if value is not None and value >= floor:
                key = state.key_serde.deserialize(key_bytes) if state.exact_keys else key_bytes
                if key not in state.entries:
                    best[key] = value
        self._forget()

    # What is remembered.

    def _least(self) -> float:
        return float("-inf") if self._floor is None else -self._floor[0]

    def _forget(self) -> None:
        if sum(map(len, self._best)) > REMEMBERED:
            self._keep_best()

    def _keep_best(self) -> list[Rank]:
        """Ranks what is remembered up to the floor and forgets the rest."""
        ranked = nsmallest(self._kept, self._ranks())
        if len(ranked) == self._kept:
            self._floor = ranked[-1]
        self._best = [{} for _ in self._states]
        for value, _, number, key in ranked:
            self._best[number][key] = -value
        return ranked

    def _ranks(self) -> Iterator[Rank]:
        floor = self._floor
        for number, (state, best) in enumerate(zip(self._states, self._best, strict=True)):
            for key, value in best.items():
                if floor is not None and value < -floor[0]:
                    continue
                rank = (-value, _show(state, key), number, key)
                if floor is None or rank <= floor:
                    yield rank


def _read_page(store: ByteStore, start: bytes) -> list[tuple[bytes, bytes]]:
    return list(islice(store.range(start), STEP_ROWS))


def _show(state: KeyValueState, cache_key: Any) -> str:
    """A key as text; the cache knows keys by their bytes where equal keys may differ there."""
    return str(cache_key if state.exact_keys else state.key_serde.deserialize(cache_key))
