"""suppress: updates of a table are held back, and only the last one of a key goes on.

An update waits by a time: that of the end of its window, or of the first update of its key since
the last that went on. What is due leaves with the row that makes it so, by time and key.

    segment 0                  held for a time: the update of each key
    segment 1 + time // unit   until the window closes: the update of each key of such windows;
                               held for a time: the keys that wait since then

So what waits is in the store, in the order in which it is due, and memory is bounded by its cache
(operators/due_keys.py).

Stream time is the highest timestamp of the updates that come here. It is a number of the store, as
is how many updates wait and how many bytes they have.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from processors.errors import SuppressFullError
from processors.operators.chunk import Chunk
from processors.operators.copier import Copier
from processors.operators.due_keys import DueKeys
from processors.operators.operator import Operator, Origin
from processors.topology.held import Held
from processors.topology.timestamp import NEVER
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from processors.operators.mark import Mark
    from processors.operators.operator import Failures
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.suppress import SuppressNode

KEY_OVERHEAD_BYTES: Final = 8
TIME_BYTES: Final = 8
"""So much stands in front of a key's bytes in a segment."""


class SuppressOperator(Operator):
    """Holds back the updates of one task's part of a table."""

    def __init__(self, node: SuppressNode, state: SegmentedState, failures: Failures) -> None:
        super().__init__(node.path)
        self.node = node
        self.state = state
        self.failures = failures
        self._copy = Copier(node.value).copy
        self._serialize = node.value.serialize
        self._due = DueKeys(state, node.key, node.unit, own_entries=not node.windowed)
        self._stream_time = -1
        self._records = 0
        self._bytes = 0
        self._forgotten = -1

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        self._refresh()
        self._prefetch(chunk)
        emitted = Chunk([], [], [], [])
        rows = zip(chunk.keys, chunk.values, chunk.timestamps, chunk.tickets, strict=True)
        for key, value, timestamp, ticket in rows:
            if key is None:
                continue
            self._stream_time = max(self._stream_time, timestamp)
            try:
                self._hold(key, value, timestamp)
            except SerializationError as error:
                self.failures.report("production", self.path, ticket, error)
            self._emit_due(emitted, ticket)
        return emitted

    def told(self, mark: Mark) -> int:
        # Windows close by the time that their aggregate is told, however old their results are.
        return mark.time if self.node.windowed else mark.told

    def next_due(self) -> int:
        self._refresh()
        first = self._due.first() if self._records else None
        if first is None:
            return NEVER
        return max(first[0] + self.node.wait_ms, self._stream_time + 1)

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        self._refresh()
        if time <= self._stream_time:
            return None
        self._stream_time = time
        emitted = Chunk([], [], [], [])
        self._emit_due(emitted, next_ticket)
        tickets = range(next_ticket, next_ticket + len(emitted))
        return Chunk(emitted.keys, emitted.values, emitted.timestamps, tickets)

    def pass_on(self, mark: Mark) -> Mark:
        return mark if self.node.windowed else mark.later(self.node.wait_ms)

    def locate(self, rows: Chunk, index: int) -> Origin:
        """A row that time let go; where it will lie in the changelog is not known yet."""
        assert rows.keys is not None
        assert rows.values is not None
        key, value, at = rows.keys[index], rows.values[index], self.state.changelog
        return Origin(
            at.topic,
            at.partition,
            None,
            rows.timestamps[index],
            self.node.key.serialize(key),
            None if value is None else self._serialize(value),
            [],
        )

    def flush(self, next_ticket: int) -> Chunk | None:
        self._refresh()
        if self._stream_time >= 0:
            self.state.set_scalar("stream_time", self._stream_time)
            self.state.set_scalar("records", self._records)
            self.state.set_scalar("bytes", self._bytes)
        self._due.flush()
        self.state.flush()
        return None

    def _refresh(self) -> None:
        """Takes the numbers from the store, at the start and after an abort."""
        if self.state.scalars.forgotten == self._forgotten:
            return
        self._forgotten = self.state.scalars.forgotten
        self._stream_time = self.state.scalar("stream_time")
        self._records = self.state.scalar("records", 0)
        self._bytes = self.state.scalar("bytes", 0)
        self._due.reset()

    def _prefetch(self, chunk: Chunk) -> None:
        """Loads the updates that wait for the keys of a chunk, in one read a segment.

        A key that its serde refuses is reported with its row, which then reads for itself.
        """
        assert chunk.keys is not None
        wanted: dict[int, list[Any]] = {}
        for key in chunk.keys:
            if key is not None:
                wanted.setdefault(self._home(key), []).append(key)
        for start, keys in wanted.items():
            if self.state.has(start):
                with suppress(SerializationError):
                    self.state.segment(start).prefetch(keys)

    # What waits.

    def _home(self, key: Any) -> int:
        """The segment that has the update of a key."""
        return self._due.segment_of(key.end) if self.node.windowed else 0

    def _hold(self, key: Any, value: Any, timestamp: int) -> None:
        size = 9 if value is None else 9 + len(self._serialize(value))
        if value is not None:
            value = self._copy(value)
        windowed = self.node.windowed
        home = self._home(key)
        if windowed and value is None and not self.state.has(home):
            return
        segment = self.state.segment(home)
        entry = segment.entry(key)
        held: Held | None = entry.value
        if held is None:
            if windowed and value is None:
                return
            time = key.end if windowed else timestamp
            self._due.add(time, entry.key_bytes[TIME_BYTES:], key)
            self._records += 1
            self._bytes += size + len(entry.key_bytes) - TIME_BYTES + KEY_OVERHEAD_BYTES
            entry.value = Held(time, value, size)
        else:
            self._bytes += size - held.size
            entry.value = Held(held.time, value, size)
        entry.timestamp = timestamp
        segment.mark(entry)

    # What goes on.

    def _emit_due(self, emitted: Chunk, ticket: int) -> None:
        node = self.node
        due = self._stream_time - node.wait_ms
        while self._due.low <= due:
            first = self._due.first()
            if first is None:
                self._due.low = due + 1  # nothing waits, and whatever comes lowers it
            elif first[0] <= due:
                self._emit_first(emitted, ticket)
        while self._is_over():
            if node.full == "fail":
                raise SuppressFullError(
                    self.path, self._records, self._bytes, node.max_records, node.max_bytes
                )
            self._due.first()
            self._emit_first(emitted, ticket)

    def _is_over(self) -> bool:
        records, size = self.node.max_records, self.node.max_bytes
        return (records is not None and self._records > records) or (
            size is not None and self._bytes > size
        )

    def _emit_first(self, emitted: Chunk, ticket: int) -> None:
        _, key_bytes, key = self._due.pop()
        segment = self.state.segment(self._home(key))
        entry = segment.entry(key)
        held: Held = entry.value
        self._records -= 1
        self._bytes -= held.size + len(key_bytes) + KEY_OVERHEAD_BYTES
        if held.value is not None or not self.node.windowed:
            assert emitted.keys is not None
            assert emitted.values is not None
            assert isinstance(emitted.tickets, list)
            emitted.keys.append(key)
            emitted.values.append(held.value)
            emitted.timestamps.append(entry.timestamp)
            emitted.tickets.append(ticket)
        entry.value = None
        segment.mark(entry)
