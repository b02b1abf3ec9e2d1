"""The loops that run once a row (compiled): partitions, scatter, count, fold.

Plain typed Python that gives the same results uncompiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

    from processors.state.cached import Entry, KeyValueState

DROPPED = -1
"""The partition of a row that goes nowhere: its key is null or was refused."""

SINGLE_LOADS = 16
"""So many missing keys of a chunk are read one by one; the rest then at once."""


def choose_partitions(
    keys: list[Any], memo: dict[Any, int], choose: Callable[[int], int]
) -> list[int]:
    """The partition of every key, or `DROPPED`.

    Args:
        keys: Anything that `memo` may know safely: equal keys have equal bytes. None is null.
        memo: What was chosen before.
        choose: Decides for the key at an index that `memo` does not know. What it chooses is
            remembered, except `DROPPED`.
    """
    partitions: list[int] = []
    for index in range(len(keys)):
        key = keys[index]
        known = memo.get(key)
        if known is None:
            known = DROPPED if key is None else choose(index)
            if known != DROPPED:
                memo[key] = known
        partitions.append(known)
    return partitions


def scatter(partitions: list[int], column: list[Any], lanes: list[list[Any]]) -> None:
    """Appends every item to the lane of its partition; dropped rows to none."""
    for index in range(len(partitions)):
        partition = partitions[index]
        if partition >= 0:
            lanes[partition].append(column[index])


def has_null(column: list[Any]) -> bool:
    """Whether an item is None.

    Not `None in column`, which asks items whether they equal None: an array or a query expression
    may answer anything.
    """
    for item in column:  # noqa: SIM110 - a generator is not compiled to this loop
        if item is None:
            return True
    return False


class Loader:
    """Finds the entries of a chunk's keys: the first missing ones one by one, the rest at once."""

    __slots__ = ("keys", "misses", "state")

    def __init__(self, state: KeyValueState, keys: list[Any]) -> None:
        self.state: KeyValueState = state
        self.keys: list[Any] = keys
        self.misses: i64 = 0

    def load(self, index: i64) -> Entry:
        """The entry of the key at `index`, which the cache does not hold."""
        self.misses += 1
        if self.misses == SINGLE_LOADS:
            rest = [key for key in self.keys[index:] if key is not None]
            self.state.prefetch(rest)
        return self.state.entry(self.keys[index])


class Updates:
    """What an aggregate emits for every row: the row's index, the new value and its time."""

    __slots__ = ("indexes", "timestamps", "values")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.values: list[Any] = []
        self.timestamps: list[int] = []

    def append(self, index: i64, value: Any, timestamp: i64) -> None:
        self.indexes.append(index)
        self.values.append(value)
        self.timestamps.append(timestamp)


def count(
    state: KeyValueState,
    keys: list[Any],
    values: list[Any] | None,
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Adds one to the entry of every row's key; rows with a null key or value are skipped."""
    loader = Loader(state, keys)
    entries: dict[Any, Entry] = state.entries
    dirty = state.dirty
    exact = state.exact_keys
    for index in range(len(keys)):
        key = keys[index]
        if key is None or (values is not None and values[index] is None):
            continue
        entry = entries.get(key) if exact else None
        if entry is None:
            entry = loader.load(index)
        timestamp: i64 = timestamps[index]
        value = entry.value
        if value is None:
            entry.value = 1
            entry.timestamp = timestamp
        else:
            entry.value = value + 1
            if timestamp > entry.timestamp:
                entry.timestamp = timestamp
        if not entry.dirty:
            entry.dirty = True
            dirty.append(entry)
        if updates is not None:
            updates.append(index, entry.value, entry.timestamp)


def fold(
    state: KeyValueState,
    step: Callable[[Any, Any, int], Any],
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Runs `step(old value or None, value, index)` for every row and stores what it returns.

    `step` returns a pair: the value for the store and the value to emit, or None where the row
    failed and changes nothing. A new value of None deletes the entry.
    """
    loader = Loader(state, keys)
    entries: dict[Any, Entry] = state.entries
    exact = state.exact_keys
    for index in range(len(keys)):
        key = keys[index]
        if key is None or values[index] is None:
            continue
        entry = entries.get(key) if exact else None
        if entry is None:
            entry = loader.load(index)
        pair = step(entry.value, values[index], index)
        if pair is None:
            continue
        timestamp: i64 = timestamps[index]
        if entry.value is None or timestamp > entry.timestamp:
            entry.timestamp = timestamp
        entry.value = pair[0]
        state.mark(entry)
        if updates is not None:
            updates.append(index, pair[1], entry.timestamp)
