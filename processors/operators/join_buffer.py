"""What a join remembers of one side (compiled).

A buffer is a `SegmentedState` of spans of time. In a span, a key's rows stand in pieces of a few
rows in the order of arrival; the segment `span * PIECES + n` has the n-th pieces of its keys. So a
key with many rows writes its last piece at a commit and not all of them, and what has expired is
dropped by the span.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from processors.state.cached import NO_TIMESTAMP, Entry
from processors.topology.timed_rows import TimedRows, with_row

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.state.cached import KeyValueState
    from processors.state.segmented import SegmentedState

PIECE_ROWS: Final = 32
PIECES: Final = 4096


class JoinBuffer:
    """The rows of one side, or of both where a stream meets itself.

    `time` is the highest timestamp that was put.
    """

    def __init__(self, states: SegmentedState, span: i64) -> None:
        self.states: SegmentedState = states
        self.span: i64 = span
        self.time: i64 = -1
        self._exact: bool = states.key_serde.exact_keys
        self._known: dict[int, KeyValueState] = {}
        self._absent: set[int] = set()
        self._near: i64 = -1
        self._near_segment: Any = None

    def begin(self) -> None:
        """Before a chunk: the states may have forgotten segments."""
        self._known = {}
        self._absent = set()
        self._near = -1

    def put(self, name: Any, key: Any, key_bytes: bytes, timestamp: int, row: bytes) -> None:
        at: i64 = timestamp
        number = at // self.span * PIECES
        segment = self._made(number)
        entry = segment.entries.get(name)
        if entry is None:
            entry = make_entry(segment, key, key_bytes, name)
        before = entry.value
        if isinstance(before, TimedRows) and len(before.rows) >= PIECE_ROWS:
            segment = self._last_piece(before, number, name, key, key_bytes)
            found = segment.entries.get(name)
            assert found is not None
            entry = found
        add_row(segment, entry, timestamp, row)
        if at > self.time:
            self.time = at

    def find(
        self, name: Any, key: Any, low: i64, high: i64, times: list[int], rows: list[bytes]
    ) -> None:
        """Appends the rows of a key from `low` to `high`, by time and then in order of arrival."""
        if high > self.time:
            high = self.time
        if low < 0:
            low = 0
        if low > high:
            return
        first = low // self.span
        last = high // self.span
        ordered = True
        while first <= last:
            segment = self._found(first * PIECES)
            if segment is not None:
                entry = segment.entries.get(name)
                if entry is None and not segment.complete:
                    entry = segment.find(key)
                if entry is not None and entry.value is not None:
                    base = first * PIECES
                    ordered &= self._take(entry, base, name, key, low, high, times, rows)
            first += 1
        if not ordered:
            order = sorted(range(len(times)), key=times.__getitem__)
            times[:] = [times[index] for index in order]
            rows[:] = [rows[index] for index in order]

    def drop_before(self, time: i64) -> None:
        """Drops the spans that end before `time`."""
        starts = self.states.starts()
        while starts:
            span = starts[0] // PIECES
            if (span + 1) * self.span > time:
                return
            self.states.drop(starts[0])

    def prefetch(self, keys: list[Any], low: i64, high: i64) -> None:
        """Reads what the cache has not of these keys from `low` to `high`, a span at a time."""
        last = min(high, self.time) // self.span * PIECES
        starts = self.states.starts()
        place: i64 = bisect_left(starts, max(low, 0) // self.span * PIECES)
        while place < len(starts) and starts[place] <= last:
            number: i64 = starts[place]
            if number % PIECES == 0:
                segment = self._made(number)
                if not segment.complete:
                    segment.prefetch(keys)
            place += 1

    def _take(
        self,
        entry: Entry,
        number: i64,
        name: Any,
        key: Any,
        low: i64,
        high: i64,
        times: list[int],
        rows: list[bytes],
    ) -> bool:
        """Appends those of a span; whether all that is found now ascends."""
        ordered = True
        while True:
            value = entry.value
            latest: i64 = times[-1] if times else -1
            if not isinstance(value, TimedRows):
                at: i64 = entry.timestamp
                if low <= at <= high:
                    times.append(at)
                    rows.append(value)
                    return ordered and latest <= at
                return ordered
            piece: TimedRows = value
            column = piece.timestamps
            if entry.timestamp >= low:
                for index in range(len(column)):
                    timestamp: i64 = column[index]
                    if low <= timestamp <= high:
                        times.append(column[index])
                        rows.append(piece.rows[index])
                        if timestamp < latest:
                            ordered = False
                        latest = timestamp
            if len(column) < PIECE_ROWS:
                return ordered
            number += 1
            segment = self._found(number)
            if segment is None:
                return ordered
            following = segment.entries.get(name)
            if following is None and not segment.complete:
                following = segment.find(key)
            if following is None or following.value is None:
                return ordered
            entry = following

    def _last_piece(
        self, first: TimedRows, number: i64, name: Any, key: Any, key_bytes: bytes
    ) -> KeyValueState:
        """The segment of the piece that takes the next row; `first` is full, and knows a hint."""
        place = max(first.last, 1)
        while True:
            segment = self._made(number + place)
            entry = segment.entries.get(name)
            if entry is None:
                entry = make_entry(segment, key, key_bytes, name)
            rows = entry.value
            full = isinstance(rows, TimedRows) and len(rows.rows) >= PIECE_ROWS
            if not full or place == PIECES - 1:
                first.last = place
                return segment
            place += 1

    def _made(self, number: i64) -> KeyValueState:
        if number == self._near:
            return self._near_segment
        known = self._known.get(number)
        if known is None:
            known = self.states.segment(number)
            self._known[number] = known
            self._absent.discard(number)
        self._near = number
        self._near_segment = known
        return known

    def _found(self, number: i64) -> KeyValueState | None:
        if number == self._near:
            return self._near_segment
        known = self._known.get(number)
        if known is not None or number in self._absent:
            return known
        if self.states.has(number):
            return self._made(number)
        self._absent.add(number)
        return None


def add_row(segment: KeyValueState, entry: Entry, timestamp: int, row: bytes) -> None:
    """One row more; the timestamp of an entry is the highest of its rows."""
    at: i64 = timestamp
    if entry.value is None:
        entry.value = row
        entry.timestamp = at
    else:
        entry.value = with_row(entry.value, timestamp, row)
        if at > entry.timestamp:
            entry.timestamp = at
    if not entry.dirty:
        segment.mark(entry)


def make_entry(segment: KeyValueState, key: Any, key_bytes: bytes, name: Any) -> Entry:
    """The entry of a key that the cache has not."""
    if not segment.complete:
        return segment.entry(key)
    entry = Entry(segment, key, segment.prefix + key_bytes, None, NO_TIMESTAMP)
    segment.entries[name] = entry
    return entry
