"""Stores with one entry a key: the loops that run once a row (compiled).

Plain typed Python that gives the same results uncompiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.key_names import names_of
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.steps import Step
    from processors.state.cached import Entry, KeyValueState

SINGLE_LOADS = 16
"""So many missing keys of a chunk are read one by one; the rest then at once."""


class KeyedStates:
    """The states of one store, a task each, with one index of what they have cached.

    Tasks whose rows come by one partitioner can be run as one: the key alone says whose entry it
    is. Then there is one look at a dictionary a row, and neither lanes nor a merge. Otherwise
    there is one state.
    """

    def __init__(self, states: list[KeyValueState]) -> None:
        self.states: list[KeyValueState] = states
        self.key_serde: Any = states[0].key_serde
        self.exact_keys: bool = states[0].exact_keys
        self.entries: dict[Any, Entry] = {}
        self.forgotten: i64 = 0
        self.loads: i64 = 0

    def begin(self, keys: list[Any]) -> list[Any]:
        """Before a chunk: what the index knows its keys by.

        Raises for a key that cannot be written, and nothing has changed then.
        """
        forgotten: i64 = 0
        for state in self.states:
            forgotten += state.forgotten
        if forgotten != self.forgotten:
            self.entries = {}
            self.forgotten = forgotten
        self.loads = 0
        return names_of(self.key_serde, keys)

    def load(self, keys: list[Any], names: list[Any], index: i64) -> Entry:
        """The entry of the key at `index`, which is not in the index; `names` is from `begin`.

        The first ones of a chunk are loaded one by one, then all that are left at once.
        """
        self.loads += 1
        if self.loads == SINGLE_LOADS:
            self._prefetch(keys[index:], names[index:])
        key = keys[index]
        if len(self.states) == 1:
            entry = self.states[0].entry(key)
        else:
            entry = self._state(self.key_serde.serialize(key)).entry(key)
        self.entries[names[index]] = entry
        return entry

    def mark(self, entry: Entry) -> None:
        """Notes that an entry was changed; its `dirty` is not set yet."""
        entry.state.mark(entry)

    def read_below(self, entries: list[Entry]) -> tuple[list[Any], list[int]]:
        """Values and timestamps as the last flush left them, one read of each byte store."""
        if len(self.states) == 1:
            return self.states[0].read_below(entries)
        values: list[Any] = [None] * len(entries)
        timestamps: list[int] = [-1] * len(entries)
        for state in self.states:
            places = [place for place, entry in enumerate(entries) if entry.state is state]
            if places:
                below = state.read_below([entries[place] for place in places])
                for place, value, timestamp in zip(places, below[0], below[1]):  # noqa: B905 - as above
                    values[place] = value
                    timestamps[place] = timestamp
        return values, timestamps

    def _state(self, key_bytes: bytes) -> KeyValueState:
        count = len(self.states)
        return self.states[partition_for(key_bytes, count) if count > 1 else 0]

    def _prefetch(self, keys: list[Any], names: list[Any]) -> None:
        missing: dict[Any, Any] = {}
        for key, name in zip(keys, names):  # noqa: B905 - the compiled zip knows no strict
            if key is not None and name not in self.entries:
                missing[name] = key
        wanted: list[list[Any]] = [[] for _ in self.states]
        for key in missing.values():
            count = len(self.states)
            partition = 0
            if count > 1:
                partition = partition_for(self.key_serde.serialize(key), count)
            wanted[partition].append(key)
        for state, column in zip(self.states, wanted):  # noqa: B905 - as above
            if column:
                state.prefetch(column)


class Updates:
    """What an aggregate emits for every row: the row's index, the new value and its time.

    And, where `has_olds`, the value and time that its key had before.
    """

    __slots__ = ("has_olds", "indexes", "old_timestamps", "olds", "timestamps", "values")

    def __init__(self, *, has_olds: bool = False) -> None:
        self.has_olds: bool = has_olds
        self.indexes: list[int] = []
        self.values: list[Any] = []
        self.timestamps: list[int] = []
        self.olds: list[Any] = []
        self.old_timestamps: list[int] = []

    def append(self, index: i64, value: Any, timestamp: i64) -> None:
        self.indexes.append(index)
        self.values.append(value)
        self.timestamps.append(timestamp)

    def append_old(self, value: Any, timestamp: i64) -> None:
        self.olds.append(value)
        self.old_timestamps.append(-1 if value is None else timestamp)


def count(
    states: KeyedStates,
    keys: list[Any],
    names: list[Any],
    values: list[Any] | None,
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Adds one to the entry of every row's key; rows with a null key or value are skipped.

    `names` are from `states.begin`.
    """
    entries = states.entries
    index: i64 = -1
    for name, timestamp in zip(names, timestamps):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or (values is not None and values[index] is None):
            continue
        entry = entries.get(name)
        if entry is None:
            entry = states.load(keys, names, index)
        value = entry.value
        now: i64 = timestamp
        if updates is not None and updates.has_olds:
            updates.append_old(value, entry.timestamp)
        if value is None:
            entry.value = 1
            entry.timestamp = now
        else:
            entry.value = value + 1
            if now > entry.timestamp:
                entry.timestamp = now
        if not entry.dirty:
            states.mark(entry)
        if updates is not None:
            updates.append(index, entry.value, entry.timestamp)


def fold(
    states: KeyedStates,
    step: Step,
    keys: list[Any],
    names: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Runs the step for every row and stores what it makes; a new value of None deletes the entry.

    A row that failed changes nothing. `names` are from `states.begin`.
    """
    entries = states.entries
    index: i64 = -1
    for name, value in zip(names, values):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or value is None:
            continue
        entry = entries.get(name)
        if entry is None:
            entry = states.load(keys, names, index)
        pair = step.run(entry.value, value, index)
        if pair is None:
            continue
        timestamp: i64 = timestamps[index]
        if updates is not None and updates.has_olds:
            updates.append_old(entry.value, entry.timestamp)
        if entry.value is None or timestamp > entry.timestamp:
            entry.timestamp = timestamp
        entry.value = pair[0]
        if not entry.dirty:
            states.mark(entry)
        if updates is not None:
            updates.append(index, pair[1], entry.timestamp)


def columns_of(entries: list[Entry]) -> tuple[list[Any], list[Any], list[int]]:
    """Keys, values and timestamps."""
    keys: list[Any] = []
    values: list[Any] = []
    timestamps: list[int] = []
    for entry in entries:
        keys.append(entry.key)
        values.append(entry.value)
        timestamps.append(entry.timestamp)
    return keys, values, timestamps
