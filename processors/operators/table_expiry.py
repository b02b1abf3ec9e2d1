"""Tables whose entries are forgotten: a key that has not changed for a time is deleted.

Time is stream time, so a replay deletes what the first run did. What is due is found in a store in
order of time, where a key stands under the end of the step in which it is due; a key that has
changed since stands there once more, further on, and is passed over at its old place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.chunk import Chunk
from processors.operators.keyed_table import KeyedTableOperator
from processors.operators.table_kernel import put
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from processors.operators.kernel import KeyedStates, Updates
    from processors.operators.operator import Failures
    from processors.state.segmented import SegmentedState
    from processors.topology.reads import Reads

STREAM_TIME = "stream_time"
STEPS = 64


class ExpiryOperator(KeyedTableOperator):
    """The last row of each key, deleted when stream time is `after_ms` past its time.

    Deletions come with the ticket of the row that moved the time, before that row, in the order of
    their times and keys; their time is that of the step. A row that is due when it comes is a
    deletion itself.

    Args:
        due: Keys in the segments of the times at which they are due, and the stream time.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        due: SegmentedState,
        after_ms: int,
        failures: Failures,
        *,
        reads: Reads,
    ) -> None:
        super().__init__(path, states, "every", failures, reads=reads)
        self._due = due
        self._after = after_ms
        self._step = max(after_ms // STEPS, 1)

    def process(self, chunk: Chunk) -> Chunk:
        return super().process(self._with_deletions(*self.begin(chunk)))

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        put(self.states, chunk.keys, names, chunk.values, chunk.timestamps, updates)

    def next_due(self) -> int:
        starts = self._due.starts()
        return max(starts[0], self._due.scalar(STREAM_TIME) + 1) if starts else NEVER

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        """Entries that are due are deleted with time as they are with a row of that time."""
        if time <= self._due.scalar(STREAM_TIME):
            return None
        made = Chunk([], [], [], [])
        self._delete_due(time, {}, made, next_ticket)
        self._due.set_scalar(STREAM_TIME, time)
        if not len(made):
            return None
        made.tickets = range(next_ticket, next_ticket + len(made))
        rows = super().process(made)
        rows.tickets = range(next_ticket, next_ticket + len(rows))
        return rows

    def flush(self, next_ticket: int) -> Chunk | None:
        self._due.flush()
        return super().flush(next_ticket)

    def _with_deletions(self, chunk: Chunk, names: list[Any]) -> Chunk:
        """The rows and, before them, the deletions that they bring about."""
        assert chunk.keys is not None
        assert chunk.values is not None
        stream_time = self._due.scalar(STREAM_TIME)
        times: dict[Any, int] = {}  # what the rows so far have made of the times of their keys
        made = Chunk([], [], [], [], None if chunk.headers is None else [])
        columns = chunk.keys, names, chunk.values, chunk.timestamps, chunk.tickets
        rows = enumerate(zip(*columns, strict=True))
        for index, (key, name, value, timestamp, ticket) in rows:
            if key is None:
                continue
            if timestamp > stream_time:
                stream_time = timestamp
                self._delete_due(stream_time, times, made, ticket)
            due = self._due_at(timestamp)
            if value is None or due <= stream_time:
                if value is not None and self._time_of(key, name, times) < 0:
                    continue  # is due already, and there is nothing that it replaces
                times[name] = -1
                value = None
            else:
                times[name] = timestamp
                self._due.segment(due).put(key, 1, timestamp)
            _append(made, key, value, timestamp, ticket)
            if made.headers is not None and chunk.headers is not None:
                made.headers.append(chunk.headers[index])
        self._due.set_scalar(STREAM_TIME, stream_time)
        return made

    def _delete_due(
        self, stream_time: int, times: dict[Any, int], made: Chunk, ticket: int
    ) -> None:
        for due in [start for start in self._due.starts() if start <= stream_time]:
            for key, _, _ in self._due.segment(due).rows():
                name = self._name(key)
                timestamp = self._time_of(key, name, times)
                if timestamp >= 0 and self._due_at(timestamp) <= due:
                    times[name] = -1
                    _append(made, key, None, due, ticket)
                    if made.headers is not None:
                        made.headers.append([])
            self._due.drop(due)

    def _due_at(self, timestamp: int) -> int:
        """The end of the step in which what has this time is due."""
        return -(-(timestamp + self._after) // self._step) * self._step

    def _time_of(self, key: Any, name: Any, times: dict[Any, int]) -> int:
        """The time of the key's value; -1 where it has none."""
        found = times.get(name)
        if found is None:
            entry = self.states.states[0].entry(key)
            found = -1 if entry.value is None else entry.timestamp
        return found

    def _name(self, key: Any) -> Any:
        return key if self.states.exact_keys else self.states.key_serde.serialize(key)


def _append(made: Chunk, key: Any, value: Any, timestamp: int, ticket: int) -> None:
    assert made.keys is not None
    assert made.values is not None
    assert isinstance(made.tickets, list)
    made.keys.append(key)
    made.values.append(value)
    made.timestamps.append(timestamp)
    made.tickets.append(ticket)
