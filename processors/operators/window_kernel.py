"""Aggregates over time windows: the loops that run once a record and window (compiled).

A window is a segment of the store, by its start. Which windows a record is in does not change for
a stretch of time (a *pane*), and records mostly come in runs of one pane: so segments are looked
up once a run, and a record costs one look at a dictionary a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from processors.operators.key_names import names_of
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.steps import Step
    from processors.state.cached import Entry, KeyValueState
    from processors.state.segmented import SegmentedState

_TIME_BYTES: Final = 8
SINGLE_LOADS: Final = 16
"""So many missing keys of a segment and chunk are read one by one; the rest of the run at once."""


class WindowRows:
    """Results: the index of the row that caused each, the window's key and the value.

    `key_bytes` are the windowed keys as topics hold them: of a flush only.
    """

    __slots__ = ("ends", "indexes", "key_bytes", "keys", "olds", "starts", "timestamps", "values")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.keys: list[Any] = []
        self.key_bytes: list[bytes] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.values: list[Any] = []
        self.timestamps: list[int] = []
        self.olds: list[Any] = []

    def append(
        self, index: i64, key: Any, start: int, end: int, value: Any, timestamp: i64, old: Any
    ) -> None:
        self.indexes.append(index)
        self.keys.append(key)
        self.starts.append(start)
        self.ends.append(end)
        self.values.append(value)
        self.timestamps.append(timestamp)
        self.olds.append(old)


class OpenPane:
    """The windows of a stretch of time, with their segments; None for those that are closed."""

    __slots__ = ("columns", "ends", "high", "loads", "low", "segments", "starts")

    def __init__(self, low: i64, high: i64, starts: list[int], ends: list[int]) -> None:
        self.low: i64 = low
        self.high: i64 = high
        self.starts: list[int] = starts
        self.ends: list[int] = ends
        self.segments: list[KeyValueState | None] = []
        self.columns: list[dict[Any, Entry]] = []
        self.loads: i64 = 0


class WindowStates:
    """The windows of one task, and its stream time.

    Args:
        windows: Their arithmetic (`FixedWindows`).
        final: Whether results leave when a window closes; it goes from the store then. Otherwise
            `drop_closed` does that.
        track: Whether what has changed is noted, for `latest`.
        olds: Whether values are noted as they were before.

    Attributes:
        closed: Windows that end at or before it are closed. It never goes back.
        late: The indexes of rows of this chunk all of whose windows were closed.
        changed: What has changed since the last flush; `changed_olds` what it was.
    """

    def __init__(
        self, state: SegmentedState, windows: Any, *, final: bool, track: bool, olds: bool
    ) -> None:
        self.state: SegmentedState = state
        self.windows: Any = windows
        self.grace: i64 = windows.grace_ms
        self.key_serde: Any = state.key_serde
        self.final: bool = final
        self.track: bool = track
        self.olds: bool = olds
        self.stream_time: i64 = -1
        self.closed: i64 = -1
        self.next_close: i64 = NEVER
        self.late: list[int] = []
        self.changed: list[Entry] = []
        self.changed_olds: list[Any] = []
        self._forgotten: i64 = -1
        self._panes: dict[int, OpenPane] = {}
        self._names: list[Any] = []
        self._keys: list[Any] = []
        self._timestamps: list[int] = []

    # A chunk.

    def begin(self, keys: list[Any], timestamps: list[int]) -> list[Any]:
        """Before a chunk: what the cache knows its keys by.

        Raises for a key that cannot be written, and nothing has changed then.
        """
        self.refresh()
        self._panes = {}
        self.late = []
        names = names_of(self.key_serde, keys)
        self._keys = keys
        self._timestamps = timestamps
        self._names = names
        if self.final:
            self._choose_next_close()
        return names

    def refresh(self) -> None:
        """Takes stream time from the store at the start and after an abort."""
        forgotten: i64 = self.state.scalars.forgotten
        if forgotten != self._forgotten:
            self._forgotten = forgotten
            self.changed = []
            self.changed_olds = []
            self.stream_time = self.state.scalar("stream_time")
            self.closed = self.state.scalar("closed")
            self._advance()

    def end(self, stream_time: i64) -> None:
        """Behind a chunk: keeps the times."""
        self.stream_time = stream_time
        self.state.set_scalar("stream_time", stream_time)
        self._advance()
        if self.closed >= 0:
            self.state.set_scalar("closed", self.closed)
        self._panes = {}

    def _advance(self) -> None:
        if self.stream_time - self.grace > self.closed:
            self.closed = self.stream_time - self.grace

    def pane(self, time: i64) -> OpenPane:
        """The windows of a moment; closed ones are not made."""
        lookup = self.windows.pane(time)
        low: i64 = lookup[0]
        found = self._panes.get(low)
        if found is not None and time < found.high:
            found.loads = 0
            return found
        made = OpenPane(low, lookup[1], lookup[2], lookup[3])
        none: dict[Any, Entry] = {}
        for place in range(len(made.starts)):
            end: i64 = made.ends[place]
            if end <= self.closed:
                made.segments.append(None)
                made.columns.append(none)
                continue
            segment = self.state.segment(made.starts[place])
            made.segments.append(segment)
            made.columns.append(segment.entries)
            if self.final and end < self.next_close:
                self.next_close = end
        self._panes[low] = made
        return made

    def load(self, pane: OpenPane, place: i64, index: i64) -> Entry:
        """The entry of the key of a row, which the cache does not have."""
        segment = pane.segments[place]
        assert segment is not None
        if not segment.complete:
            pane.loads += 1
            if pane.loads == SINGLE_LOADS:
                self._prefetch(pane, segment, index)
        return segment.entry(self._keys[index])

    def _prefetch(self, pane: OpenPane, segment: KeyValueState, index: i64) -> None:
        """The keys of the rows that follow in this pane, with one read."""
        keys: list[Any] = []
        for row in range(index, len(self._keys)):
            time: i64 = self._timestamps[row]
            if time < pane.low or time >= pane.high:
                break
            if self._keys[row] is not None:
                keys.append(self._keys[row])
        segment.prefetch(keys)

    def mark(self, entry: Entry, old: Any) -> None:
        """Notes that an entry was changed; its `dirty` is not set yet."""
        entry.state.mark(entry)
        if self.track:
            self.changed.append(entry)
            if self.olds:
                self.changed_olds.append(old)

    # Closing.

    def close(self, index: i64, rows: WindowRows) -> None:
        """Final results of what is closed, by start and key; they go from the store.

        `index` is the row that closed them.
        """
        while True:
            start = self._first_closed()
            if start < 0:
                break
            end: int = self.windows.end(start)
            segment = self.state.segment(start)
            if segment.complete:
                by_bytes: dict[bytes, Entry] = {}
                for entry in segment.entries.values():
                    if entry.value is not None:
                        by_bytes[entry.key_bytes] = entry
                for key_bytes in sorted(by_bytes):
                    entry = by_bytes[key_bytes]
                    rows.append(index, entry.key, start, end, entry.value, entry.timestamp, None)
            else:
                for key, value, timestamp in segment.rows():
                    rows.append(index, key, start, end, value, timestamp, None)
            self.state.drop(start)
        self._choose_next_close()

    def next_due_time(self) -> int:
        """The stream time at which a window with a final result closes."""
        self.refresh()
        if not self.final:
            return NEVER
        self._choose_next_close()
        if self.next_close > NEVER - self.grace:
            return NEVER
        return max(self.next_close + self.grace, self.stream_time + 1)

    def advance(self, time: i64, rows: WindowRows) -> None:
        """Stream time is `time` at least, though no record says it; final results go to `rows`."""
        self.refresh()
        if time <= self.stream_time:
            return
        if time - self.grace > self.closed:
            self.closed = time - self.grace
        if self.final:
            self.close(0, rows)
        self.end(time)

    def drop_closed(self) -> None:
        """Cleans up: no record can enter these windows, and no result is made of them again."""
        while True:
            start = self._first_closed()
            if start < 0:
                break
            self.state.drop(start)

    def flush(self) -> None:
        """Flushes the store."""
        self.state.flush()

    def _first_closed(self) -> i64:
        """The first window, where that is closed; -1 where there is none. Ends go with starts."""
        starts = self.state.starts()
        if not starts:
            return -1
        end: i64 = self.windows.end(starts[0])
        if end > self.closed:
            return -1
        first: i64 = starts[0]
        return first

    def _choose_next_close(self) -> None:
        starts = self.state.starts()
        self.next_close = NEVER
        if starts:
            self.next_close = self.windows.end(starts[0])


def count_windows(
    states: WindowStates,
    keys: list[Any],
    values: list[Any] | None,
    timestamps: list[int],
    updates: WindowRows | None,
    closing: WindowRows,
) -> None:
    """Adds one to every open window of every row; rows with a null key or value are skipped.

    Args:
        updates: Where every new value goes, if it is asked for.
        closing: Where final results go.
    """
    names = states.begin(keys, timestamps)
    stream_time: i64 = states.stream_time
    closed: i64 = states.closed
    grace: i64 = states.grace
    low: i64 = 0
    high: i64 = -1
    pane = OpenPane(0, -1, [], [])
    ends = pane.ends
    columns = pane.columns
    windows: i64 = 0
    index: i64 = -1
    for name, timestamp in zip(names, timestamps):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or (values is not None and values[index] is None):
            continue
        now: i64 = timestamp
        if now > stream_time:
            stream_time = now
            if now - grace > closed:
                closed = now - grace
                states.closed = closed
                if closed >= states.next_close:
                    states.close(index, closing)
        if now < low or now >= high:
            pane = states.pane(now)
            low = pane.low
            high = pane.high
            ends = pane.ends
            columns = pane.columns
            windows = len(ends)
        place: i64 = 0
        while place < windows and ends[place] <= closed:
            place += 1
        if place == windows:
            if windows > 0:
                states.late.append(index)
            continue
        while place < windows:
            entry = columns[place].get(name)
            if entry is None:
                entry = states.load(pane, place, index)
            old = entry.value
            if old is None:
                entry.value = 1
                entry.timestamp = now
            else:
                entry.value = old + 1
                if now > entry.timestamp:
                    entry.timestamp = now
            if not entry.dirty:
                states.mark(entry, old)
            if updates is not None:
                updates.append(
                    index, keys[index], pane.starts[place], ends[place], entry.value,
                    entry.timestamp, old,
                )  # fmt: skip
            place += 1
    states.end(stream_time)


def fold_windows(
    states: WindowStates,
    step: Step,
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: WindowRows | None,
    closing: WindowRows,
) -> None:
    """Runs the step for every open window of every row; a new value of None deletes the entry.

    A row that failed changes none of its windows.
    """
    names = states.begin(keys, timestamps)
    stream_time: i64 = states.stream_time
    closed: i64 = states.closed
    grace: i64 = states.grace
    low: i64 = 0
    high: i64 = -1
    pane = OpenPane(0, -1, [], [])
    ends = pane.ends
    columns = pane.columns
    windows: i64 = 0
    index: i64 = -1
    entries: list[Entry] = []
    pairs: list[Any] = []
    for name, value in zip(names, values):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or value is None:
            continue
        now: i64 = timestamps[index]
        if now > stream_time:
            stream_time = now
            if now - grace > closed:
                closed = now - grace
                states.closed = closed
                if closed >= states.next_close:
                    states.close(index, closing)
        if now < low or now >= high:
            pane = states.pane(now)
            low = pane.low
            high = pane.high
            ends = pane.ends
            columns = pane.columns
            windows = len(ends)
        first: i64 = 0
        while first < windows and ends[first] <= closed:
            first += 1
        if first == windows:
            if windows > 0:
                states.late.append(index)
            continue
        entries.clear()
        pairs.clear()
        place = first
        while place < windows:
            entry = columns[place].get(name)
            if entry is None:
                entry = states.load(pane, place, index)
            pair = step.run(entry.value, value, index)
            if pair is None:
                break
            entries.append(entry)
            pairs.append(pair)
            place += 1
        if place < windows:
            continue
        for number in range(len(entries)):
            entry = entries[number]
            pair = pairs[number]
            old = entry.value
            if old is None or now > entry.timestamp:
                entry.timestamp = now
            entry.value = pair[0]
            if not entry.dirty:
                states.mark(entry, old)
            if updates is not None:
                updates.append(
                    index, keys[index], pane.starts[first + number], ends[first + number],
                    pair[1], entry.timestamp, old,
                )  # fmt: skip
    states.end(stream_time)


def changed_rows(states: WindowStates) -> WindowRows:
    """What has changed since the last flush, in the order of first changes; forgets it."""
    rows = WindowRows()
    changed = states.changed
    olds = states.changed_olds
    states.changed = []
    states.changed_olds = []
    bounds: dict[bytes, tuple[int, int]] = {}
    for entry in changed:
        prefix = entry.state.prefix
        window = bounds.get(prefix)
        if window is None:
            start = int.from_bytes(prefix, "big")
            window = (start, states.windows.end(start))
            bounds[prefix] = window
        rows.keys.append(entry.key)
        rows.key_bytes.append(entry.key_bytes[_TIME_BYTES:] + entry.key_bytes[:_TIME_BYTES])
        rows.starts.append(window[0])
        rows.ends.append(window[1])
        rows.values.append(entry.value)
        rows.timestamps.append(entry.timestamp)
    rows.olds = olds
    return rows
