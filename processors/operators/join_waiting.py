"""Rows that wait: for a match, or for a table to have seen their time (compiled).

They wait by time, and leave in the order of their timestamps, then of their sides (the right one
first), then of their key's bytes, then of their arrival.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Final

from processors.operators.join_buffer import add_row, make_entry
from processors.topology.timed_rows import TimedRows, time_of, with_row
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.state.cached import KeyValueState
    from processors.state.segmented import SegmentedState

TIME_BYTES: Final = 8
"""The segment's time, in front of every key in a `SegmentedState`."""


class WaitingRows:
    """The rows of one side that have no match yet, in segments of short spans of time.

    `active` has, in order, the rows of the segments up to `end` as (timestamp, key bytes, name):
    what waits is what the state has, so some of them may be gone. `first` is not above the lowest
    timestamp of all that wait. What was before `closed` has left.
    """

    def __init__(self, states: SegmentedState, unit: i64, side: i64) -> None:
        self.states: SegmentedState = states
        self.unit: i64 = unit
        self.side: i64 = side
        self.first: i64 = NEVER
        self.closed: i64 = 0
        self.end: i64 = 0
        self.active: list[tuple[int, bytes, Any]] = []
        self.head: i64 = 0
        self._exact: bool = states.key_serde.exact_keys

    def reset(self) -> None:
        """Begins anew with what the state has."""
        self.active = []
        self.head = 0
        self.end = 0
        self.closed = 0
        self.first = self._next_start()

    def put(self, name: Any, key: Any, key_bytes: bytes, timestamp: int, row: bytes) -> None:
        at: i64 = timestamp
        place = at // self.unit
        segment = self.states.segment(place * 2 + self.side)
        entry = segment.entries.get(name)
        if entry is None:
            entry = make_entry(segment, key, key_bytes, name)
        add_row(segment, entry, timestamp, row)
        if place < self.end:
            insort(self.active, (timestamp, key_bytes, name), self.head)
        if at < self.first:
            self.first = at

    def take(self, name: Any, key: Any, timestamp: int) -> list[bytes]:
        """Removes the rows of a key and timestamp and gives them, in order of arrival."""
        at: i64 = timestamp
        taken: list[bytes] = []
        number = at // self.unit * 2 + self.side
        segment = self.states.segments.get(number)
        if segment is None:
            if not self.states.has(number):
                return taken
            segment = self.states.segment(number)
        entry = segment.entries.get(name)
        if entry is None and not segment.complete:
            entry = segment.find(key)
        if entry is None or entry.value is None:
            return taken
        value = entry.value
        kept: Any = None
        if isinstance(value, TimedRows):
            for index in range(len(value.rows)):
                if value.timestamps[index] == timestamp:
                    taken.append(value.rows[index])
                else:
                    kept = with_row(kept, value.timestamps[index], value.rows[index])
        elif entry.timestamp == at:
            taken.append(value)
        if taken:
            entry.value = kept
            if kept is not None and not isinstance(kept, TimedRows):
                entry.timestamp = time_of(kept)
            if not entry.dirty:
                segment.mark(entry)
        return taken

    def close(self, limit: i64, closed: list[tuple[int, int, bytes, int, Any, bytes]]) -> None:
        """Removes the rows before `limit` and appends them, to be sorted."""
        self.closed = limit
        if self.first >= limit:
            return
        while True:
            if self.head == len(self.active) and not self._load(limit):
                break
            row = self.active[self.head]
            at: i64 = row[0]
            if at >= limit:
                break
            self.head += 1
            key = row[2] if self._exact else self.states.key_serde.deserialize(row[1])
            for data in self.take(row[2], key, row[0]):
                closed.append((row[0], self.side, row[1], len(closed), key, data))
        self.first = self._next_start()

    def drop_closed(self) -> None:
        """Drops the segments all of whose rows have left."""
        for number in list(self.states.starts()):
            place = number // 2
            if (place + 1) * self.unit > self.closed:
                return
            if number % 2 == self.side:
                self.states.drop(number)

    def _next_start(self) -> i64:
        if self.head < len(self.active):
            at: i64 = self.active[self.head][0]
            return at
        number = self._next_segment()
        return NEVER if number < 0 else number // 2 * self.unit

    def _load(self, limit: i64) -> bool:
        """Makes the next segment that begins before `limit` and has rows the active one."""
        self.active = []
        self.head = 0
        while True:
            number = self._next_segment()
            place = number // 2
            if number < 0 or place * self.unit >= limit:
                return False
            self.end = place + 1
            self._load_segment(self.states.segment(number))
            if self.active:
                return True

    def _next_segment(self) -> i64:
        """The first one of this side that is not active; -1 if there is none."""
        starts = self.states.starts()
        place: i64 = bisect_left(starts, self.end * 2)
        while place < len(starts):
            number: i64 = starts[place]
            if number % 2 == self.side:
                return number
            place += 1
        return -1

    def _load_segment(self, segment: KeyValueState) -> None:
        active = self.active
        if segment.complete:
            for name, entry in segment.entries.items():
                if entry.value is not None:
                    key_bytes = entry.key_bytes[TIME_BYTES:]
                    for timestamp in times_of(entry.value):
                        active.append((timestamp, key_bytes, name))
        else:
            for key, value, _ in segment.rows():
                key_bytes = self.states.key_serde.serialize(key)
                for timestamp in times_of(value):
                    active.append((timestamp, key_bytes, key if self._exact else key_bytes))
        active.sort()


def closing_order(row: tuple[int, int, bytes, int, Any, bytes]) -> tuple[int, int, bytes, int]:
    """In which order rows leave."""
    return row[0], row[1], row[2], row[3]


def times_of(value: Any) -> list[int]:
    """The timestamps of a key's rows."""
    return value.timestamps if isinstance(value, TimedRows) else [time_of(value)]
