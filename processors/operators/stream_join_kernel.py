"""Joins of two streams: buffers, what waits for a match, and the walk (compiled).

    left rows ──┐ by ticket   ┌─ put into the own buffer
                ├─────────────┤
    right rows ─┘             └─ met in the other's: key, and ts - back <= theirs <= ts + look

What may be met is exact, and does not depend on what has been dropped: a row of a side, while its
timestamp is at least the highest that was put there, less the side's horizon. That is Kafka
Streams' rule, whose stores end at before + after + grace, but no row ends while its own window and
grace are open.

Where rows without a match are wanted, they also wait in a third store, by side and time. They leave
with the first row in order for which window and grace have closed, in the order of their
timestamps, then of their sides (the right one first), then of their key's bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.join_waiting import closing_order
from processors.state.cached import NO_TIMESTAMP
from processors.topology.timed_rows import HEADER_BYTES
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.join_buffer import JoinBuffer
    from processors.operators.join_waiting import WaitingRows


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

    Args:
        in_turn: Whether both sides are the same rows: each is taken from the left and then from the
            right, also where one record has become several.

    Attributes:
        stream_time: The highest timestamp of both sides.
    """

    def __init__(self, left: JoinSide, right: JoinSide, *, in_turn: bool) -> None:
        self.left: JoinSide = left
        self.right: JoinSide = right
        self.in_turn: bool = in_turn
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
        owed: i64 = -1  # the ticket of a row of which the right one comes next
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
                is_left = left_ticket <= right_ticket and right_ticket != owed
            if is_left:
                self._row(self.left, self.right, left, left_index, joined)
                if self.in_turn:
                    owed = left.tickets[left_index]
                left_index += 1
            else:
                self._row(self.right, self.left, right, right_index, joined)
                owed = -1
                right_index += 1

    def run_self(self, rows: JoinInput, joined: Joined) -> None:
        """Each row is one of the left and then one of the right side, which it may meet."""
        for index in range(len(rows.tickets)):
            self._row(self.left, self.right, rows, index, joined)
            self._row(self.right, self.left, rows, index, joined)

    def next_due_time(self) -> i64:
        """The stream time from which a row may leave without a match."""
        due: i64 = NEVER
        for side in (self.left, self.right):
            if side.waiting is not None and side.waiting.first < NEVER - side.delay - 1:
                due = min(due, max(side.waiting.first + side.delay, self.stream_time) + 1)
        return due

    def advance(self, time: i64, ticket: int, joined: Joined) -> None:
        """Stream time is `time` at least, though no row says it."""
        if time > self.stream_time:
            self.stream_time = time
            self._emit_closed(ticket, joined)

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
        closed.sort(key=closing_order)
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
