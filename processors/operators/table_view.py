"""A table as others look it up: as of a row, not as of the end of the round (compiled).

A whole chunk of the round has run through a table before a join looks up its first row, so the
store alone would show the future, and the size of chunks would change results. So a table notes
what changed in the round, and a look-up says which row it is for.

    ticket   table            a join's row     sees
    3        ann -> 1
    4                         ann              1
    5        ann -> 2
    6                         ann              2, while the store says 2 all along

There are two answers to "what is the value": what the table has (`read`), and what it has given on
(`read_emitted`). They differ where `latest` holds updates back until the commit. Joins of streams
ask the first. Joins of tables ask the second: what they give follows from what they were given, and
a value that was looked up early and deleted before anybody was told of it could not be retracted.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_extensions import i64

    from processors.operators.kernel import KeyedStates, Updates
    from processors.state.cached import Entry

NO_TIMESTAMP = -1


class TableView(Protocol):
    """What an operator is whose node is a table and of which `Reads.view` or `.emitted` is asked.

    Both give the value (None where absent) and its timestamp (-1) of each key as of the row with
    that ticket, changes of the same ticket included. A key that is None is absent.
    """

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        """What the table has; needs `Reads.view`."""
        ...

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        """What the table has given on to those below; needs `Reads.emitted`."""
        ...


class VersionedView(TableView, Protocol):
    """What the operator of a table node with a `history` is as well."""

    def read_at(
        self, keys: list[Any], tickets: Sequence[int], times: list[int]
    ) -> tuple[list[Any], list[int]]:
        """As `read`, what each key had at a time: the newest of its versions up to then.

        Times before the history give the newest version if it is no later than they are, else None.
        """
        ...


class KeyChange:
    """What became of one key by one row; `last` is what was noted of the key before it."""

    __slots__ = ("before", "before_timestamp", "last", "ticket", "timestamp", "value")

    def __init__(
        self,
        last: KeyChange | None,
        before: Any,
        before_timestamp: i64,
        ticket: i64,
        value: Any,
        timestamp: i64,
    ) -> None:
        self.last: KeyChange | None = last
        self.before: Any = before
        self.before_timestamp: i64 = before_timestamp
        self.ticket: i64 = ticket
        self.value: Any = value
        self.timestamp: i64 = timestamp


class KeyHistory:
    """All changes of one key in the round; made of a chain when somebody looks."""

    __slots__ = ("changes", "tickets")

    def __init__(self, newest: KeyChange) -> None:
        self.changes: list[KeyChange] = []
        at: KeyChange | None = newest
        while at is not None:
            self.changes.append(at)
            at = at.last
        self.changes.reverse()
        self.tickets: list[int] = [each.ticket for each in self.changes]


class RoundChanges:
    """The changes of a table with one entry a key, since the round began. Owned by its operator.

    Keys are known by what `KeyedStates.begin` makes of them. Values are kept as they are given: one
    that is changed in place later must be given as a copy.
    """

    def __init__(self) -> None:
        self.changes: dict[Any, KeyChange] = {}
        self._histories: dict[Any, KeyHistory] = {}

    def note(
        self, name: Any, ticket: i64, old: Any, old_timestamp: i64, value: Any, timestamp: i64
    ) -> None:
        """One change; tickets ascend."""
        last = self.changes.get(name)
        self.changes[name] = KeyChange(last, old, old_timestamp, ticket, value, timestamp)
        if last is not None and self._histories:
            self._histories.pop(name, None)

    def note_rows(
        self,
        names: list[Any],
        first_ticket: i64,
        olds: list[Any],
        old_timestamps: list[int],
        values: list[Any],
        timestamps: list[int],
    ) -> None:
        """Changes whose tickets follow each other."""
        index: i64 = 0
        for name in names:
            self.note(
                name,
                first_ticket + index,
                olds[index],
                old_timestamps[index],
                values[index],
                timestamps[index],
            )
            index += 1  # noqa: SIM113 - this is the loop that mypyc makes fast

    def note_updates(self, names: list[Any], tickets: Sequence[int], updates: Updates) -> None:
        """What a chunk made of the keys with these names: `Updates` that have old values."""
        place: i64 = 0
        olds, old_timestamps = updates.olds, updates.old_timestamps
        for index in updates.indexes:
            self.note(
                names[index],
                tickets[index],
                olds[place],
                old_timestamps[place],
                updates.values[place],
                updates.timestamps[place],
            )
            place += 1  # noqa: SIM113 - this is the loop that mypyc makes fast

    def read(
        self, states: KeyedStates, keys: list[Any], tickets: Sequence[int]
    ) -> tuple[list[Any], list[int]]:
        """What each key had as of its row; keys that did not change are taken from the states."""
        return self._read(states, keys, tickets, None)

    def read_flushed(
        self, states: KeyedStates, keys: list[Any], tickets: Sequence[int]
    ) -> tuple[list[Any], list[int]]:
        """As `read`, where changes are noted at flushes: what was not flushed yet is not seen."""
        return self._read(states, keys, tickets, [])

    def end_round(self) -> None:
        if self.changes:
            self.changes = {}
            self._histories = {}

    def _as_of(self, name: Any, newest: KeyChange, ticket: i64) -> KeyChange:
        """The last change up to a ticket, or the first one where all are later."""
        history = self._histories.get(name)
        if history is None:
            history = KeyHistory(newest)
            self._histories[name] = history
        place: i64 = bisect_right(history.tickets, ticket) - 1
        return history.changes[place if place > 0 else 0]

    def _read(
        self,
        states: KeyedStates,
        keys: list[Any],
        tickets: Sequence[int],
        dirty: list[int] | None,
    ) -> tuple[list[Any], list[int]]:
        changes = self.changes
        values: list[Any] = []
        timestamps: list[int] = []
        names = states.begin(keys)
        entries = states.entries
        held: list[Entry] = []
        index: i64 = -1
        for name in names:
            index += 1
            if name is None:
                values.append(None)
                timestamps.append(NO_TIMESTAMP)
                continue
            change = changes.get(name)
            if change is not None:
                ticket: i64 = tickets[index]
                if ticket < change.ticket and change.last is not None:
                    change = self._as_of(name, change, ticket)
                if ticket < change.ticket:
                    values.append(change.before)
                    timestamps.append(change.before_timestamp)
                else:
                    values.append(change.value)
                    timestamps.append(change.timestamp)
                continue
            entry = entries.get(name)
            if entry is None:
                entry = states.load(keys, names, index)
            if dirty is not None and entry.dirty:
                dirty.append(index)
                held.append(entry)
            values.append(entry.value)
            timestamps.append(NO_TIMESTAMP if entry.value is None else entry.timestamp)
        if held:
            below = states.read_below(held)
            assert dirty is not None
            for at, old, old_timestamp in zip(dirty, below[0], below[1]):  # noqa: B905 - the compiled zip knows no strict
                values[at] = old
                timestamps[at] = old_timestamp
        return values, timestamps
