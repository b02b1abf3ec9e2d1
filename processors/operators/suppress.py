"""suppress: updates of a table are held back, and only the last one of a key goes on.

An update waits by a time: that of the end of its window, or of the first update of its key since
the last that went on. What is due leaves with the row that makes it so, by time and key. The values
are in the store; which keys wait since when is an index in memory, made from the store at start.

Stream time is the highest timestamp of the updates that come here.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from processors.errors import SuppressFullError
from processors.operators.chunk import Chunk
from processors.operators.copier import Copier
from processors.operators.operator import Operator
from processors.topology.held import Held
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from processors.operators.operator import Failures
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.suppress import SuppressNode

KEY_OVERHEAD_BYTES = 8


class SuppressOperator(Operator):
    """Holds back the updates of one task's part of a table."""

    def __init__(self, node: SuppressNode, state: SegmentedState, failures: Failures) -> None:
        super().__init__(node.path)
        self.node = node
        self.state = state
        self.failures = failures
        self._copy = Copier(node.value).copy
        self._serialize = node.value.serialize
        self._stream_time = -1
        self._waiting: list[tuple[int, bytes, Any]] = []
        self._records = 0
        self._bytes = 0
        self._forgotten = -1

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        self._refresh()
        self._segment.prefetch([key for key in chunk.keys if key is not None])
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
        self.state.set_scalar("stream_time", self._stream_time)
        return emitted

    def flush(self, next_ticket: int) -> Chunk | None:
        self.state.flush()
        return None

    @property
    def _segment(self) -> Any:
        return self.state.segment(0)

    def _refresh(self) -> None:
        """Makes the index and the sums from the store, at the start and after an abort."""
        if self.state.scalars.forgotten == self._forgotten:
            return
        self._forgotten = self.state.scalars.forgotten
        self._stream_time = self.state.scalar("stream_time")
        self._waiting = []
        self._records = self._bytes = 0
        for key, held, _ in self._segment.rows():
            key_bytes = self.node.key.serialize(key)
            self._waiting.append((held.time, key_bytes, key))
            self._records += 1
            self._bytes += held.size + len(key_bytes) + KEY_OVERHEAD_BYTES
        heapify(self._waiting)

    def _hold(self, key: Any, value: Any, timestamp: int) -> None:
        size = 9 if value is None else 9 + len(self._serialize(value))
        if value is not None:
            value = self._copy(value)
        entry = self._segment.entry(key)
        held: Held | None = entry.value
        windowed = self.node.windowed
        if held is None:
            if windowed and value is None:
                return
            time = key.end if windowed else timestamp
            key_bytes = entry.key_bytes[8:]
            heappush(self._waiting, (time, key_bytes, key))
            self._records += 1
            self._bytes += size + len(key_bytes) + KEY_OVERHEAD_BYTES
            entry.value = Held(time, value, size)
        else:
            self._bytes += size - held.size
            entry.value = Held(held.time, value, size)
        entry.timestamp = timestamp
        self._segment.mark(entry)

    def _emit_due(self, emitted: Chunk, ticket: int) -> None:
        node, waiting = self.node, self._waiting
        due = self._stream_time - node.wait_ms
        while waiting and waiting[0][0] <= due:
            self._emit_first(emitted, ticket)
        while waiting and self._is_over():
            if node.full == "fail":
                raise SuppressFullError(
                    self.path, self._records, self._bytes, node.max_records, node.max_bytes
                )
            self._emit_first(emitted, ticket)

    def _is_over(self) -> bool:
        records, size = self.node.max_records, self.node.max_bytes
        return (records is not None and self._records > records) or (
            size is not None and self._bytes > size
        )

    def _emit_first(self, emitted: Chunk, ticket: int) -> None:
        _, key_bytes, key = heappop(self._waiting)
        entry = self._segment.entry(key)
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
        self._segment.mark(entry)
