"""Tables that remember: the values of each key with their times, as far back as their history.

A record that is older than what its key has goes into the history and no further: what a key has
now did not change. One that is older than the history is ignored.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from processors.operators.kernel import KeyedStates
from processors.operators.key_names import writable_rows
from processors.operators.operator import Failures, Operator
from processors.operators.table_view import RoundChanges
from processors.topology.versions import NO_TIMESTAMP, Versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.chunk import Chunk
    from processors.state.segmented import SegmentedState
    from processors.topology.reads import Reads

STREAM_TIME = "stream_time"


class VersionedTableOperator(Operator):
    """The versions of each key, in the one segment of a state that also keeps the stream time.

    Args:
        history_ms: What is older than stream time less this cannot be told apart any more.
        deletes: Whether a null value deletes its key; else it is left out.
    """

    def __init__(
        self,
        path: str,
        state: SegmentedState,
        history_ms: int,
        failures: Failures,
        reads: Reads,
        *,
        deletes: bool,
    ) -> None:
        super().__init__(path)
        self._failures = failures
        self._deletes = deletes
        self._state = state
        self._history = history_ms
        self._reads = reads
        self._notes = reads.view or reads.emitted
        self._changed = RoundChanges()
        self._times: tuple[list[int], list[int]] = ([], [])

    def process(self, chunk: Chunk) -> Chunk:
        states = self._states()
        begin, key_serde = states.begin, states.key_serde
        chunk, names = writable_rows(chunk, begin, key_serde, self._failures, self.path)
        assert chunk.keys is not None
        assert chunk.values is not None
        stream_time = self._state.scalar(STREAM_TIME)
        self._begin_times(stream_time)
        kept: list[int] = []
        olds: list[Any] = []
        rows = zip(names, chunk.values, chunk.timestamps, chunk.tickets, strict=True)
        for index, (name, value, timestamp, ticket) in enumerate(rows):
            if name is None or (value is None and not self._deletes):
                continue
            if timestamp > stream_time:
                stream_time = timestamp
                self._note_time(ticket, stream_time)
            keep_from = stream_time - self._history
            if timestamp < keep_from:
                continue
            entry = states.entries.get(name) or states.load(chunk.keys, names, index)
            before: Versions | None = entry.value
            old, old_time = (None, NO_TIMESTAMP) if before is None else before.newest()
            if before is None or timestamp >= before.timestamps[-1]:
                kept.append(index)
                olds.append(old)
            after = (before or Versions([], [])).put(timestamp, value, keep_from)
            entry.value = after
            entry.timestamp = after.timestamps[-1]
            states.mark(entry)
            if self._notes:
                self._changed.note(name, ticket, before, old_time, after, entry.timestamp)
        self._state.set_scalar(STREAM_TIME, stream_time)
        made = chunk if len(kept) == len(chunk) else chunk.take(kept)
        return made.with_olds(olds) if self._reads.olds else made

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        found, _ = self._changed.read(self._states(), keys, tickets)
        return _columns([each.newest() if each else (None, NO_TIMESTAMP) for each in found])

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self.read(keys, tickets)

    def read_at(
        self, keys: list[Any], tickets: Sequence[int], times: list[int]
    ) -> tuple[list[Any], list[int]]:
        found, _ = self._changed.read(self._states(), keys, tickets)
        rows: list[tuple[Any, int]] = []
        for versions, ticket, time in zip(found, tickets, times, strict=True):
            row: tuple[Any, int] = (None, NO_TIMESTAMP)
            if versions is not None:
                if time >= self._stream_time_at(ticket) - self._history:
                    row = versions.at(time)
                elif versions.timestamps[-1] <= time:
                    row = versions.newest()
            rows.append(row)
        return _columns(rows)

    def flush(self, next_ticket: int) -> None:
        self._state.flush()

    def end_round(self) -> None:
        self._changed.end_round()
        self._times = ([], [])

    def _states(self) -> KeyedStates:
        return KeyedStates([self._state.segment(0)])

    # Stream time as of a row.

    def _begin_times(self, stream_time: int) -> None:
        if not self._times[0]:
            self._times = ([-1], [stream_time])

    def _note_time(self, ticket: int, stream_time: int) -> None:
        self._times[0].append(ticket)
        self._times[1].append(stream_time)

    def _stream_time_at(self, ticket: int) -> int:
        tickets, times = self._times
        if not tickets:
            return self._state.scalar(STREAM_TIME)
        return times[bisect_right(tickets, ticket) - 1]


def _columns(rows: list[tuple[Any, int]]) -> tuple[list[Any], list[int]]:
    return [value for value, _ in rows], [time for _, time in rows]
