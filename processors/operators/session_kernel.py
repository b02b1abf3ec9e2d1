"""Aggregates over sessions: the loops that run once a record (compiled).

One entry a key holds all of its sessions that are not over, mostly one. So a record costs one look
at a dictionary and a walk over a short list from its end. When sessions end is in an index, a heap
with one item a key: it says no more than when to look at the key again, so a session that goes on
costs nothing there.

With `closed` for `stream time - grace - gap`, a session is final when `end < closed`. A record in
no session that reaches `closed` is late. A session leaves the store when `end < closed - gap`: no
record that is not late by itself touches it then. Between the two a record that is later than the
grace may still go into it; what comes of that is a longer session, and final in its turn.
"""

from __future__ import annotations

import struct
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from processors.operators.key_names import names_of
from processors.operators.window_kernel import WindowRows
from processors.topology.sessions import Session, Sessions
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.steps import Step
    from processors.state.cached import Entry, KeyValueState
    from processors.state.segmented import SegmentedState

LONG_AGO: Final = -(1 << 62)
SINGLE_LOADS: Final = 16

_TIME_BYTES: Final = 8
_START: Final = struct.Struct(">q")
_SESSION: Final = struct.Struct(">qq")


class SessionStates:
    """The sessions of one task, or its sliding windows, and its stream time.

    Args:
        lateness: How far `closed` is behind stream time.
        lasting: How long a closed one is kept: it goes when `end < closed - lasting`.
        difference: Of sliding windows, what lies between start and end; -1 for sessions.
        final: Whether results leave when a session is closed.
        track: Whether what has changed is noted, for `latest`.

    Attributes:
        closed: Sessions that end before it are closed. It never goes back.
        late: The indexes of rows of this chunk that were late.
        changed: The entries that have changed since the last flush.
    """

    def __init__(
        self,
        state: SegmentedState,
        *,
        lateness: i64,
        lasting: i64,
        final: bool,
        track: bool,
        difference: i64 = -1,
    ) -> None:
        self.state: SegmentedState = state
        self.lateness: i64 = lateness
        self.lasting: i64 = lasting
        self.difference: i64 = difference
        self.key_serde: Any = state.key_serde
        self.final: bool = final
        self.track: bool = track
        self.stream_time: i64 = -1
        self.closed: i64 = LONG_AGO
        self.next_due: i64 = NEVER
        self.late: list[int] = []
        self.changed: list[Entry] = []
        self.segment: KeyValueState = state.scalars  # the first chunk sets it
        self._swept: i64 = LONG_AGO
        self._index: list[tuple[int, int, Any]] = []
        self._numbers: i64 = 0
        self._loads: i64 = 0
        self._forgotten: i64 = -1
        self._keys: list[Any] = []

    # A chunk.

    def begin(self, keys: list[Any]) -> list[Any]:
        """Before a chunk: what the cache knows its keys by.

        Raises for a key that cannot be written, and nothing has changed then.
        """
        self.refresh()
        self.late = []
        self._keys = keys
        self._loads = 0
        return names_of(self.key_serde, keys)

    def refresh(self) -> None:
        """Takes times and the index from the store at the start and after an abort."""
        self.segment = self.state.segment(0)
        forgotten: i64 = self.state.scalars.forgotten
        if forgotten == self._forgotten:
            return
        self._forgotten = forgotten
        self.changed = []
        self.stream_time = self.state.scalar("stream_time")
        self.closed = self.state.scalar("closed", LONG_AGO)
        self._swept = self.closed
        self._index = []
        for key, sessions, _ in self.segment.rows():
            self._numbers += 1
            self._index.append((self._due(sessions), self._numbers, key))
        heapify(self._index)
        self._advance()
        self._choose_next_due()

    def end(self, stream_time: i64) -> None:
        """Behind a chunk: keeps the times."""
        self.stream_time = stream_time
        self.state.set_scalar("stream_time", stream_time)
        self._advance()
        if self.closed >= 0:
            self.state.set_scalar("closed", self.closed)

    def _advance(self) -> None:
        if self.stream_time >= 0 and self.stream_time - self.lateness > self.closed:
            self.closed = self.stream_time - self.lateness

    def load(self, index: i64) -> Entry:
        """The entry of the key of a row, which the cache does not have."""
        if not self.segment.complete:
            self._loads += 1
            if self._loads == SINGLE_LOADS:
                self.segment.prefetch([key for key in self._keys[index:] if key is not None])
        return self.segment.entry(self._keys[index])

    def mark(self, entry: Entry) -> None:
        """Notes that an entry was changed; its `dirty` is not set yet."""
        self.segment.mark(entry)
        if self.track:
            self.changed.append(entry)

    def end_of(self, item: Session) -> i64:
        """The end of a window: of a session it is its timestamp."""
        return item.end if self.difference < 0 else item.start + self.difference

    def place(self, sessions: Sessions, first: i64, last: i64, merged: Session | None) -> None:
        """Puts a session in the place of those that it has taken in; and what is over goes."""
        items = sessions.items
        if merged is None:
            del items[first:last]
        else:
            items[first:last] = [merged]
        self.leave(sessions)

    def leave(self, sessions: Sessions) -> None:
        """What is over goes."""
        items = sessions.items
        over: i64 = 0
        while over < len(items) and self.end_of(items[over]) < self.closed - self.lasting:
            if self.track and items[over].fresh:
                sessions.note_expired(items[over])
            over += 1
        if over > 0:
            del items[:over]

    def register(self, sessions: Sessions, key: Any) -> None:
        """Sees to it that the index looks at the key in time."""
        if not sessions.items:
            return
        due = self._due(sessions)
        if sessions.due >= 0 and sessions.due <= due:
            return
        sessions.due = due
        self._numbers += 1
        heappush(self._index, (due, self._numbers, key))
        if self.final and due < self.next_due:
            self.next_due = due

    def _due(self, sessions: Sessions) -> i64:
        """When something becomes of the first of the sessions: it is closed, or it goes."""
        over = self.end_of(sessions.items[0]) + self.lasting
        if self.final:
            for item in sessions.items:
                end = self.end_of(item)
                if end >= over:
                    break
                if end >= self._swept:
                    return end
        return over

    def _choose_next_due(self) -> None:
        self.next_due = NEVER
        if self.final and self._index:
            self.next_due = self._index[0][0]

    # Closing.

    def close(self, index: i64, rows: WindowRows) -> None:
        """Final results of what is closed, by end, start and key; what is over goes.

        `index` is the row that closed them.
        """
        swept = self._swept
        closed = self.closed
        found: list[tuple[int, int, bytes, int]] = []
        made: list[tuple[Any, Session]] = []
        due = self._take_due()
        self._swept = closed
        for key, time in due:
            entry = self.segment.entry(key)
            sessions: Sessions | None = entry.value
            if sessions is None or (sessions.due >= 0 and sessions.due != time):
                continue
            sessions.due = -1
            for item in sessions.items:
                end = self.end_of(item)
                if end >= swept and end < closed:
                    found.append((end, item.start, entry.key_bytes, len(made)))
                    made.append((entry.key, item))
            self._leave(entry, sessions)
        found.sort()
        for place in found:
            key, item = made[place[3]]
            rows.append(index, key, item.start, place[0], item.value, item.end, None)
        self._choose_next_due()

    def next_due_time(self) -> int:
        """The stream time at which a session with a final result closes."""
        self.refresh()
        if not self.final or self.next_due >= NEVER - self.lateness - 1:
            return NEVER
        return max(self.next_due + self.lateness, self.stream_time) + 1

    def advance(self, time: i64, rows: WindowRows) -> None:
        """Stream time is `time` at least, though no record says it; final results go to `rows`."""
        self.refresh()
        if time <= self.stream_time:
            return
        if time - self.lateness > self.closed:
            self.closed = time - self.lateness
        if self.final and self.closed > self.next_due:
            self.close(0, rows)
        self.end(time)

    def drop_closed(self) -> None:
        """Cleans up where results are not final: no record can enter what goes."""
        self._swept = self.closed
        for key, time in self._take_due():
            entry = self.segment.entry(key)
            sessions: Sessions | None = entry.value
            if sessions is None or (sessions.due >= 0 and sessions.due != time):
                continue
            sessions.due = -1
            self._leave(entry, sessions)

    def _take_due(self) -> list[tuple[Any, int]]:
        due: list[tuple[Any, int]] = []
        index = self._index
        while index and index[0][0] < self.closed:
            item = heappop(index)
            due.append((item[2], item[0]))
        if due and not self.segment.complete:
            self.segment.prefetch([key for key, _ in due])
        return due

    def _leave(self, entry: Entry, sessions: Sessions) -> None:
        before = len(sessions.items)
        self.leave(sessions)
        if len(sessions.items) != before and not entry.dirty:
            self.segment.mark(entry)
        self.register(sessions, entry.key)

    def flush(self) -> None:
        """Flushes the store; keys without sessions leave it."""
        for entry in self.segment.dirty:
            sessions: Sessions | None = entry.value
            if sessions is not None and not sessions.items:
                entry.value = None
        self.state.flush()


def count_sessions(
    states: SessionStates,
    keys: list[Any],
    values: list[Any] | None,
    timestamps: list[int],
    updates: WindowRows | None,
    closing: WindowRows,
) -> None:
    """Adds one to the session of every row; rows with a null key or value are skipped.

    Args:
        updates: Where every change goes, if it is asked for.
        closing: Where final results go.
    """
    names = states.begin(keys)
    entries = states.segment.entries
    stream_time: i64 = states.stream_time
    closed: i64 = states.closed
    lateness: i64 = states.lateness
    gap: i64 = states.lasting
    track = states.track
    index: i64 = -1
    for name, timestamp in zip(names, timestamps):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or (values is not None and values[index] is None):
            continue
        now: i64 = timestamp
        if now > stream_time:
            stream_time = now
            if now - lateness > closed:
                closed = now - lateness
                states.closed = closed
                if closed > states.next_due:
                    states.close(index, closing)
        entry = entries.get(name)
        if entry is None:
            entry = states.load(index)
        sessions: Sessions | None = entry.value
        if sessions is None:
            sessions = Sessions()
        items = sessions.items
        last: i64 = len(items)
        while last > 0 and items[last - 1].start > now + gap:
            last -= 1
        first = last
        reach = now if now > closed else closed
        reach -= gap
        while first > 0 and items[first - 1].end >= reach:
            first -= 1
        if first == last:
            if now < closed:
                states.late.append(index)
                continue
            states.place(sessions, first, last, Session(now, now, 1))
            if updates is not None:
                updates.append(index, keys[index], now, now, 1, now, None)
        elif first + 1 == last and updates is None:
            item = items[first]
            if (item.end if item.end > now else now) < closed:
                states.late.append(index)
                continue
            extend(sessions, item, now, track)
            item.value += 1
        else:
            start: i64 = items[first].start
            end: i64 = items[last - 1].end
            if now < start:
                start = now
            if now > end:
                end = now
            if end < closed:
                states.late.append(index)
                continue
            total = 1
            for place in range(first, last):
                total += items[place].value
            merge_sessions(
                states, sessions, first, last, Session(start, end, total), index, keys, updates,
                now,
            )  # fmt: skip
        entry.value = sessions
        if stream_time > entry.timestamp:
            entry.timestamp = stream_time
        if not entry.dirty:
            states.mark(entry)
        states.register(sessions, entry.key)
    states.end(stream_time)


def fold_sessions(
    states: SessionStates,
    step: Step,
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: WindowRows | None,
    closing: WindowRows,
) -> None:
    """Runs the step for every row, over the values of the sessions that become one.

    A row that failed changes nothing. A new value of None deletes the session.
    """
    names = states.begin(keys)
    entries = states.segment.entries
    stream_time: i64 = states.stream_time
    closed: i64 = states.closed
    lateness: i64 = states.lateness
    gap: i64 = states.lasting
    index: i64 = -1
    for name, value in zip(names, values):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or value is None:
            continue
        now: i64 = timestamps[index]
        if now > stream_time:
            stream_time = now
            if now - lateness > closed:
                closed = now - lateness
                states.closed = closed
                if closed > states.next_due:
                    states.close(index, closing)
        entry = entries.get(name)
        if entry is None:
            entry = states.load(index)
        sessions: Sessions | None = entry.value
        if sessions is None:
            sessions = Sessions()
        items = sessions.items
        last: i64 = len(items)
        while last > 0 and items[last - 1].start > now + gap:
            last -= 1
        first = last
        reach = now if now > closed else closed
        reach -= gap
        while first > 0 and items[first - 1].end >= reach:
            first -= 1
        start = now
        end = now
        if first < last:
            if items[first].start < start:
                start = items[first].start
            if items[last - 1].end > end:
                end = items[last - 1].end
        if end < closed:
            states.late.append(index)
            continue
        pair = step.run([item.value for item in items[first:last]], value, index)
        if pair is None:
            continue
        merged = Session(start, end, pair[0])
        merge_sessions(states, sessions, first, last, merged, index, keys, updates, now, pair[1])
        entry.value = sessions
        if stream_time > entry.timestamp:
            entry.timestamp = stream_time
        if not entry.dirty:
            states.mark(entry)
        states.register(sessions, entry.key)
    states.end(stream_time)


def extend(sessions: Sessions, item: Session, now: i64, track: bool) -> None:
    """Takes a moment into a session; its value is still to be changed."""
    start: i64 = item.start
    end: i64 = item.end
    if now < start:
        start = now
    if now > end:
        end = now
    if track and item.known:
        if start != item.start or end != item.end:
            gone = Session(item.start, item.end, None)
            gone.old = item.old if item.fresh else item.value
            sessions.note_gone(gone)
            item.known = False
            item.old = None
        elif not item.fresh:
            item.old = item.value
    item.start = start
    item.end = end
    item.fresh = True


def merge_sessions(
    states: SessionStates,
    sessions: Sessions,
    first: i64,
    last: i64,
    merged: Session,
    index: i64,
    keys: list[Any],
    updates: WindowRows | None,
    now: i64,
    emitted: Any = None,
) -> None:
    """Puts `merged` in the place of sessions `first` to before `last`, and notes what became of it.

    `emitted` is the value that goes on, where it is not the stored one.
    """
    items = sessions.items
    if updates is not None:
        if merged.start != now or merged.end != now:
            for place in range(first, last):
                item = items[place]
                updates.append(index, keys[index], item.start, item.end, None, item.end, item.value)
        old = None
        if first < last and merged.start == now and merged.end == now:
            old = items[first].value
        value = merged.value if emitted is None else emitted
        updates.append(index, keys[index], merged.start, merged.end, value, merged.end, old)
    if states.track:
        for place in range(first, last):
            item = items[place]
            if not item.known:
                continue
            old = item.old if item.fresh else item.value
            if item.start == merged.start and item.end == merged.end and merged.value is not None:
                merged.known = True
                merged.old = old
            else:
                gone = Session(item.start, item.end, None)
                gone.old = old
                sessions.note_gone(gone)
    states.place(sessions, first, last, None if merged.value is None else merged)


def changed_sessions(states: SessionStates) -> WindowRows:
    """What has changed since the last flush, key by key in the order of first changes; forgets it.

    A key's sessions that have become part of others come first, with no value.
    """
    rows = WindowRows()
    changed = states.changed
    states.changed = []
    for entry in changed:
        sessions: Sessions | None = entry.value
        if sessions is None:
            continue
        made: list[Session] = []
        if sessions.expired is not None:
            for item in sessions.expired:
                if item.fresh:
                    made.append(item)
            sessions.expired = None
        for item in sessions.items:
            if item.fresh:
                made.append(item)
        if sessions.gone is not None:
            bounds: dict[tuple[int, int], Session] = {}
            for item in sessions.gone:
                bounds[item.start, states.end_of(item)] = item
            for item in made:
                again = (item.start, states.end_of(item))
                if again in bounds:
                    item.old = bounds[again].old
                    del bounds[again]
            for pair in sorted(bounds):
                item = bounds[pair]
                _append(rows, states, entry, pair[0], pair[1], None, item.end, item.old)
            sessions.gone = None
        for item in made:
            end = states.end_of(item)
            _append(rows, states, entry, item.start, end, item.value, item.end, item.old)
            item.fresh = False
            item.known = True
            item.old = None
    return rows


def _append(
    rows: WindowRows,
    states: SessionStates,
    entry: Entry,
    start: i64,
    end: i64,
    value: Any,
    timestamp: i64,
    old: Any,
) -> None:
    rows.keys.append(entry.key)
    tail = _SESSION.pack(end, start) if states.difference < 0 else _START.pack(start)
    rows.key_bytes.append(entry.key_bytes[_TIME_BYTES:] + tail)
    rows.starts.append(start)
    rows.ends.append(end)
    rows.values.append(value)
    rows.timestamps.append(timestamp)
    rows.olds.append(old)
