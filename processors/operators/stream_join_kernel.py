"""Joins of two streams: buffers, what waits for a match, and the walk (compiled).

    left rows ──┐ by ticket   ┌─ put into the own buffer
                ├─────────────┤
    right rows ─┘             └─ met in the other's: key, and ts - back <= theirs <= ts + look

A buffer is a `SegmentedState` of spans of time. In a span, a key's rows stand in pieces of a few
rows in the order of arrival; the segment `span * PIECES + n` has the n-th pieces of its keys. So a
key with many rows writes its last piece at a commit and not all of them, and what has expired is
dropped by the span.

What may be met is exact, and does not depend on what has been dropped: a row of a side, while its
timestamp is at least the highest that was put there, less the side's horizon. That is Kafka
Streams' rule, whose stores end at before + after + grace, but no row ends while its own window and
grace are open.

Where rows without a match are wanted, they also wait in a third store, by side and time. They leave
with the first row in order for which window and grace have closed, in the order of their
timestamps, then of their sides (the right one first), then of their key's bytes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Final

from processors.state.cached import NO_TIMESTAMP, Entry
from processors.topology.timed_rows import HEADER_BYTES, TimedRows

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.state.cached import KeyValueState
    from processors.state.segmented import SegmentedState

PIECE_ROWS: Final = 32
PIECES: Final = 4096
NEVER: Final = (1 << 62) - 1
TIME_BYTES: Final = 8
"""The segment's time, in front of every key in a `SegmentedState`."""


class JoinInput:
    """The rows of one side of a chunk, as columns.

    `names` are what caches know the keys by, None for a null key; `packed` is the values in rows
    for a buffer, None for a null value.
    """

    __slots__ = ("key_bytes", "keys", "names", "packed", "tickets", "timestamps", "values")

    def __init__(
        self,
        keys: list[Any],
        names: list[Any],
        key_bytes: list[Any],
        values: list[Any],
        packed: list[Any],
        timestamps: list[int],
        tickets: list[int],
    ) -> None:
        self.keys = keys
        self.names = names
        self.key_bytes = key_bytes
        self.values = values
        self.packed = packed
        self.timestamps = timestamps
        self.tickets = tickets


class Joined:
    """The rows that a join makes, before the joiner.

    Where `stored_lefts` and `stored_rights` point to, `lefts` and `rights` hold bytes. `origins`
    is the row of the input that each came of, `-1 - row` for the right input, and `NEVER` for rows
    that had waited.
    """

    __slots__ = (
        "keys",
        "lefts",
        "origins",
        "rights",
        "stored_lefts",
        "stored_rights",
        "tickets",
        "timestamps",
    )

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.lefts: list[Any] = []
        self.rights: list[Any] = []
        self.timestamps: list[int] = []
        self.tickets: list[int] = []
        self.origins: list[int] = []
        self.stored_lefts: list[int] = []
        self.stored_rights: list[int] = []


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

    def begin(self) -> None:
        """Before a chunk: the states may have forgotten segments."""
        self._known = {}
        self._absent = set()

    def put(self, name: Any, key: Any, key_bytes: bytes, timestamp: int, row: bytes) -> None:
        at: i64 = timestamp
        number = at // self.span * PIECES
        segment = self._made(number)
        entry = segment.entries.get(name)
        if entry is None:
            entry = make_entry(segment, key, key_bytes, name)
        rows: TimedRows | None = entry.value
        if rows is not None and len(rows.rows) >= PIECE_ROWS:
            segment = self._last_piece(rows, number, name, key, key_bytes)
            found = segment.entries.get(name)
            assert found is not None
            entry = found
            rows = entry.value
        if rows is None:
            rows = TimedRows()
            entry.value = rows
            entry.timestamp = at
        elif at > entry.timestamp:
            entry.timestamp = at
        rows.append(timestamp, row)
        if not entry.dirty:
            segment.mark(entry)
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
            piece: TimedRows = entry.value
            column = piece.timestamps
            if entry.timestamp >= low:
                latest: i64 = times[-1] if times else -1
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
            rows: TimedRows | None = entry.value
            if rows is None or len(rows.rows) < PIECE_ROWS or place == PIECES - 1:
                first.last = place
                return segment
            place += 1

    def _made(self, number: i64) -> KeyValueState:
        known = self._known.get(number)
        if known is not None:
            return known
        made = self.states.segment(number)
        self._known[number] = made
        self._absent.discard(number)
        return made

    def _found(self, number: i64) -> KeyValueState | None:
        known = self._known.get(number)
        if known is not None or number in self._absent:
            return known
        if self.states.has(number):
            return self._made(number)
        self._absent.add(number)
        return None


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
        rows: TimedRows | None = entry.value
        if rows is None:
            rows = TimedRows()
            entry.value = rows
            entry.timestamp = at
        rows.append(timestamp, row)
        if not entry.dirty:
            segment.mark(entry)
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
        rows: TimedRows = entry.value
        kept: TimedRows | None = None
        for index in range(len(rows.rows)):
            if rows.timestamps[index] == timestamp:
                taken.append(rows.rows[index])
            else:
                if kept is None:
                    kept = TimedRows()
                kept.append(rows.timestamps[index], rows.rows[index])
        if taken:
            entry.value = kept
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
                    rows: TimedRows = entry.value
                    key_bytes = entry.key_bytes[TIME_BYTES:]
                    for timestamp in rows.timestamps:
                        active.append((timestamp, key_bytes, name))
        else:
            for key, value, _ in segment.rows():
                stored: TimedRows = value
                key_bytes = self.states.key_serde.serialize(key)
                for timestamp in stored.timestamps:
                    active.append((timestamp, key_bytes, key if self._exact else key_bytes))
        active.sort()


class JoinSide:
    """What a row of one side does.

    It meets rows of the other side from `ts - back` to `ts + look`. Rows of this side are met
    while they are not below the buffer's time less `horizon`. `preserved` says whether they go on
    without a match, and `waiting` is None where they do not, or always have one.
    """

    def __init__(
        self,
        buffer: JoinBuffer,
        back: i64,
        look: i64,
        grace: i64,
        waiting: WaitingRows | None,
        *,
        is_left: bool,
        preserved: bool,
    ) -> None:
        self.buffer: JoinBuffer = buffer
        self.back: i64 = back
        self.look: i64 = look
        self.delay: i64 = look + grace
        self.horizon: i64 = max(back + look + grace - 1, look + grace, 0)
        self.waiting: WaitingRows | None = waiting
        self.is_left: bool = is_left
        self.preserved: bool = preserved


class StreamJoin:
    """The join of one task. Owned by one thread.

    Attributes:
        stream_time: The highest timestamp of both sides.
    """

    def __init__(self, left: JoinSide, right: JoinSide) -> None:
        self.left: JoinSide = left
        self.right: JoinSide = right
        self.is_self: bool = left.buffer is right.buffer
        self.stream_time: i64 = -1
        self._times: list[int] = []
        self._rows: list[bytes] = []

    def begin(self, stream_time: i64, left_time: i64, right_time: i64) -> None:
        """Before a chunk: the times as the state has them."""
        left, right = self.left.buffer, self.right.buffer
        as_left = stream_time == self.stream_time and left_time == left.time
        if not as_left or right_time != right.time or stream_time < 0:
            # The first chunk after a start or an abort: what is in memory may be wrong.
            for waiting in (self.left.waiting, self.right.waiting):
                if waiting is not None:
                    waiting.reset()
        self.stream_time = stream_time
        left.time = left_time
        right.time = right_time
        left.begin()
        right.begin()

    def prefetch(self, side: JoinSide, given: JoinInput) -> None:
        """Reads in advance what rows will ask of states that are not all in memory."""
        keys: list[Any] = []
        low: i64 = NEVER
        high: i64 = -1
        for key, packed, timestamp in zip(given.keys, given.packed, given.timestamps):  # noqa: B905
            if key is not None and packed is not None:
                keys.append(key)
                at: i64 = timestamp
                low = min(low, at)
                high = max(high, at)
        if keys:
            other = self.right if side.is_left else self.left
            side.buffer.prefetch(keys, low, high)
            other.buffer.prefetch(keys, low - side.back, high + side.look)

    def run(self, left: JoinInput, right: JoinInput, joined: Joined) -> None:
        """Takes both inputs by ticket, the left one first where tickets are equal."""
        left_index: i64 = 0
        right_index: i64 = 0
        left_end: i64 = len(left.tickets)
        right_end: i64 = len(right.tickets)
        while left_index < left_end or right_index < right_end:
            if right_index == right_end:
                is_left = True
            elif left_index == left_end:
                is_left = False
            else:
                left_ticket: i64 = left.tickets[left_index]
                right_ticket: i64 = right.tickets[right_index]
                is_left = left_ticket <= right_ticket
            if is_left:
                self._row(self.left, self.right, left, left_index, joined)
                left_index += 1
            else:
                self._row(self.right, self.left, right, right_index, joined)
                right_index += 1

    def run_self(self, rows: JoinInput, joined: Joined) -> None:
        """Each row is one of the left and then one of the right side, which it may meet."""
        for index in range(len(rows.tickets)):
            self._row(self.left, self.right, rows, index, joined)
            self._row(self.right, self.left, rows, index, joined)

    def end(self) -> None:
        """After a chunk: drops what no row can meet any more."""
        left, right = self.left, self.right
        if self.is_self:
            left.buffer.drop_before(left.buffer.time - max(left.horizon, right.horizon))
        else:
            left.buffer.drop_before(left.buffer.time - left.horizon)
            right.buffer.drop_before(right.buffer.time - right.horizon)
        for side in (left, right):
            if side.waiting is not None:
                side.waiting.drop_closed()

    def _row(
        self, side: JoinSide, other: JoinSide, given: JoinInput, index: i64, joined: Joined
    ) -> None:
        timestamp: int = given.timestamps[index]
        at: i64 = timestamp
        if at > self.stream_time:
            self.stream_time = at
        row: Any = given.packed[index]
        if row is None:
            return
        name: Any = given.names[index]
        if name is None:
            if side.preserved:
                self._emit(side, given, index, None, timestamp, joined)
            return
        if at == self.stream_time:
            self._emit_closed(given.tickets[index], joined)
        key: Any = given.keys[index]
        buffer = side.buffer
        found = self._find(side, other, name, key, at)
        if side.is_left or not self.is_self:
            buffer.put(name, key, given.key_bytes[index], timestamp, row)
        if found:
            self._emit_matches(side, other, given, index, joined)
        elif side.waiting is not None:
            if at + side.look < self.stream_time:
                self._emit(side, given, index, None, timestamp, joined)
            else:
                side.waiting.put(name, key, given.key_bytes[index], timestamp, row)

    def _find(self, side: JoinSide, other: JoinSide, name: Any, key: Any, at: i64) -> bool:
        if self._times:
            self._times = []
            self._rows = []
        low = max(at - side.back, other.buffer.time - other.horizon)
        other.buffer.find(name, key, low, at + side.look, self._times, self._rows)
        return len(self._times) > 0

    def _emit_matches(
        self, side: JoinSide, other: JoinSide, given: JoinInput, index: i64, joined: Joined
    ) -> None:
        at: i64 = given.timestamps[index]
        waiting = other.waiting
        last: int = NO_TIMESTAMP
        for theirs, row in zip(self._times, self._rows):  # noqa: B905 - the compiled zip knows no strict
            if waiting is not None and theirs != last:
                waiting.take(given.names[index], given.keys[index], theirs)
                last = theirs
            latest = theirs if theirs > at else given.timestamps[index]
            self._emit(side, given, index, row, latest, joined)

    def _emit(
        self,
        side: JoinSide,
        given: JoinInput,
        index: i64,
        row: bytes | None,
        timestamp: int,
        joined: Joined,
    ) -> None:
        """A row of the input with one of the other side, or with none."""
        value: Any = given.values[index]
        stored: Any = None if row is None else row[HEADER_BYTES:]
        if side.is_left:
            if row is not None:
                joined.stored_rights.append(len(joined.rights))
            joined.lefts.append(value)
            joined.rights.append(stored)
            joined.origins.append(index)
        else:
            if row is not None:
                joined.stored_lefts.append(len(joined.lefts))
            joined.lefts.append(stored)
            joined.rights.append(value)
            joined.origins.append(-1 - index)
        joined.keys.append(given.keys[index])
        joined.timestamps.append(timestamp)
        joined.tickets.append(given.tickets[index])

    def _emit_closed(self, ticket: int, joined: Joined) -> None:
        """Rows whose window and grace have closed leave without a match."""
        left, right = self.left, self.right
        now = self.stream_time
        closed: list[tuple[int, int, bytes, int, Any, bytes]] = []
        waiting = left.waiting
        if waiting is not None:
            waiting.close(now - left.delay, closed)
        waiting = right.waiting
        if waiting is not None:
            waiting.close(now - right.delay, closed)
        if not closed:
            return
        closed.sort(key=_closing_order)
        for row in closed:
            if row[1] == 1:
                joined.stored_lefts.append(len(joined.lefts))
                joined.lefts.append(row[5][HEADER_BYTES:])
                joined.rights.append(None)
            else:
                joined.stored_rights.append(len(joined.rights))
                joined.lefts.append(None)
                joined.rights.append(row[5][HEADER_BYTES:])
            joined.keys.append(row[4])
            joined.timestamps.append(row[0])
            joined.tickets.append(ticket)
            joined.origins.append(NEVER)


class GraceBuffer:
    """Rows that wait for the table that they look up to have seen their time.

    A row that is not older than `stream_time` less grace is put to wait, and lets go those that are
    no newer than that; stream time is the highest timestamp that was put. They leave in the order
    of their timestamps and then of their key's bytes. An older one goes on at once.
    """

    def __init__(self, waiting: WaitingRows, grace: i64, *, keep: bool) -> None:
        self.waiting: WaitingRows = waiting
        self.grace: i64 = grace
        self.keep: bool = keep
        self.stream_time: i64 = -1

    def begin(self, stream_time: i64) -> None:
        """Before a chunk: the time as the state has it."""
        if stream_time != self.stream_time or stream_time < 0:
            self.stream_time = stream_time
            self.waiting.reset()

    def run(self, given: JoinInput, joined: Joined) -> None:
        """Takes rows; those that go on are in `joined`, as the left side."""
        for index in range(len(given.tickets)):
            self._row(given, index, joined)
        self.waiting.drop_closed()

    def run_beside(
        self, given: JoinInput, tickets: list[int], timestamps: list[int], joined: Joined
    ) -> list[int]:
        """As `run`, where rows of the table with these tickets and times move time on as well.

        Returns the ticket as of which each row looks the table up. Rows that one of the table lets
        go have waited for what came before it, and it may have put an end to the history.
        """
        as_of: list[int] = []
        left: i64 = 0
        right: i64 = 0
        while left < len(given.tickets) or right < len(tickets):
            if right == len(tickets) or (
                left < len(given.tickets) and given.tickets[left] <= tickets[right]
            ):
                ticket = given.tickets[left]
                self._row(given, left, joined)
                left += 1
                while len(as_of) < len(joined.keys):
                    as_of.append(ticket)
            else:
                at: i64 = timestamps[right]
                ticket = tickets[right]
                if at > self.stream_time:
                    self.stream_time = at
                    self._let_go(ticket, joined)
                right += 1
                while len(as_of) < len(joined.keys):
                    as_of.append(ticket - 1)
        self.waiting.drop_closed()
        return as_of

    def _row(self, given: JoinInput, index: i64, joined: Joined) -> None:
        row: Any = given.packed[index]
        if row is None:
            return
        timestamp: int = given.timestamps[index]
        at: i64 = timestamp
        name: Any = given.names[index]
        if name is None:
            if self.keep:
                self._pass(given, index, joined)
        elif at < self.stream_time - self.grace:
            self._pass(given, index, joined)
        else:
            key: Any = given.keys[index]
            self.waiting.put(name, key, given.key_bytes[index], timestamp, row)
            if at > self.stream_time:
                self.stream_time = at
            self._let_go(given.tickets[index], joined)

    def _pass(self, given: JoinInput, index: i64, joined: Joined) -> None:
        joined.keys.append(given.keys[index])
        joined.lefts.append(given.values[index])
        joined.timestamps.append(given.timestamps[index])
        joined.tickets.append(given.tickets[index])
        joined.origins.append(index)

    def _let_go(self, ticket: int, joined: Joined) -> None:
        closed: list[tuple[int, int, bytes, int, Any, bytes]] = []
        self.waiting.close(self.stream_time - self.grace + 1, closed)
        closed.sort(key=_closing_order)
        for row in closed:
            joined.stored_lefts.append(len(joined.lefts))
            joined.lefts.append(row[5][HEADER_BYTES:])
            joined.keys.append(row[4])
            joined.timestamps.append(row[0])
            joined.tickets.append(ticket)
            joined.origins.append(NEVER)


def _closing_order(row: tuple[int, int, bytes, int, Any, bytes]) -> tuple[int, int, bytes, int]:
    return row[0], row[1], row[2], row[3]


def make_entry(segment: KeyValueState, key: Any, key_bytes: bytes, name: Any) -> Entry:
    """The entry of a key that the cache has not."""
    if not segment.complete:
        return segment.entry(key)
    entry = Entry(segment, key, segment.prefix + key_bytes, None, NO_TIMESTAMP)
    segment.entries[name] = entry
    return entry
