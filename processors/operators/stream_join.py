"""A join of two streams, and of a stream with itself (its walk is in `stream_join_kernel`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from processors.errors import StateError
from processors.operators.chunk import EMPTY, Chunk
from processors.operators.guard import apply
from processors.operators.handover import serialize_rows
from processors.operators.key_names import writable_rows
from processors.operators.operator import (
    Failures,
    LocatingFailures,
    Operator,
    Origin,
    reporter,
)
from processors.operators.stream_join_kernel import Joined, JoinInput, JoinSide, StreamJoin
from processors.topology.timed_rows import pack_rows
from processors.topology.timestamp import NEVER
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.mark import Mark
    from processors.state.segmented import SegmentedState
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde

STREAM_TIME = "stream time"
LEFT_TIME = "left time"
RIGHT_TIME = "right time"


class JoinValues:
    """How the values of one side become bytes for its buffer, and come back.

    Args:
        is_read: Whether the values are as the serde reads them. Else they are read back at once: a
            row must look the same to the joiner whether it comes first or second.
    """

    def __init__(self, serde: Serde[Any], *, is_read: bool) -> None:
        self.serde = serde
        self.is_read = is_read

    def take(
        self, chunk: Chunk, key_serde: Serde[Any], failures: Failures, path: str
    ) -> tuple[Chunk, JoinInput]:
        """The rows that can be kept, and as what the kernel takes; the others are reported."""
        if not len(chunk):
            return chunk, JoinInput([], [], [], [], [], [], [])
        write = key_serde.serialize_column
        chunk, encoded = writable_rows(chunk, write, key_serde, failures, path)
        assert chunk.values is not None
        report = reporter(failures, "production", path, chunk.tickets)
        data, failed = serialize_rows(self.serde, chunk.values, report)
        if failed:
            chunk = chunk.without(failed)
            assert chunk.keys is not None
            encoded = write(chunk.keys)
        read = chunk.values if self.is_read else self.serde.deserialize_column(data)
        assert chunk.keys is not None
        assert read is not None
        return chunk, JoinInput(
            chunk.keys,
            chunk.keys if key_serde.exact_keys else encoded,
            encoded,
            read,
            pack_rows(chunk.timestamps, data),
            chunk.timestamps,
            list(chunk.tickets),
        )

    def read_back(self, column: list[Any], indexes: list[int]) -> None:
        """Replaces the bytes at these indexes by what they say."""
        if indexes:
            values = self.serde.deserialize_column([column[index] for index in indexes])
            for index, value in zip(indexes, values, strict=True):
                column[index] = value


class StreamJoinOperator(Operator):
    """Walks both inputs by ticket, then calls the joiner for all that was found.

    Args:
        states: All stores; the scalars are in the first one.
        with_headers: Whether somebody reads them. A result has those of the row that caused it;
            one that waited for a match has none.
    """

    def __init__(
        self,
        path: str,
        join: StreamJoin,
        states: Sequence[SegmentedState],
        left: JoinValues,
        right: JoinValues,
        joiner: Callable[[Any, Any], Any],
        failures: LocatingFailures,
        *,
        with_headers: bool,
    ) -> None:
        super().__init__(path)
        self.join = join
        self.states = states
        self.left = left
        self.right = right
        self.joiner = joiner
        self.failures = failures
        self.with_headers = with_headers
        self._given: list[Origin] = []

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        try:
            return self._process(inputs[0], inputs[1])
        except SerializationError as error:
            # Keys and values were read or checked before they went into a store.
            raise self._unreadable(error) from error

    def next_due(self) -> int:
        self._begin()
        return self.join.next_due_time()

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        """Rows without a match leave with time as they do with a row of that time."""
        join, times = self.join, self.states[0]
        self._begin()
        joined = Joined()
        try:
            join.advance(time, next_ticket, joined)
            join.end()
            times.set_scalar(STREAM_TIME, join.stream_time)
            if not joined.keys:
                return None
            made = len(joined.keys)
            joined.tickets = list(range(next_ticket, next_ticket + made))
            self.left.read_back(joined.lefts, joined.stored_lefts)
            self.right.read_back(joined.rights, joined.stored_rights)
        except SerializationError as error:
            raise self._unreadable(error) from error
        rows = Chunk(joined.keys, None, joined.timestamps, joined.tickets)
        report = partial(self._report_waited, joined)
        values, failed = apply(self.joiner, joined.lefts, report, joined.rights)
        kept = (rows.without(failed) if failed else rows).with_values(values)
        kept.tickets = range(next_ticket, next_ticket + len(kept))
        gone = set(failed)
        self._given = [self._origin(joined, at) for at in range(made) if at not in gone]
        return kept

    def pass_on(self, mark: Mark) -> Mark:
        sides = (self.join.left, self.join.right)
        waits = [side.delay for side in sides if side.waiting is not None]
        return mark.later(max(0, *waits)) if waits else mark

    def locate(self, rows: Chunk, index: int) -> Origin:
        return self._given[index]

    def flush(self, next_ticket: int) -> Chunk | None:
        for state in self.states:
            state.flush()
        return None

    def _begin(self) -> None:
        times = self.states[0]
        self.join.begin(
            times.scalar(STREAM_TIME), times.scalar(LEFT_TIME), times.scalar(RIGHT_TIME)
        )

    def _origin(self, joined: Joined, index: int) -> Origin:
        """A row that has waited: where it came from is not kept, so it is said where it waited."""
        key_serde, at = self.states[-1].key_serde, self.states[-1].changelog
        left, right = joined.lefts[index], joined.rights[index]
        value = (
            self.right.serde.serialize(right) if left is None else self.left.serde.serialize(left)
        )
        key = key_serde.serialize(joined.keys[index])
        return Origin(at.topic, at.partition, None, joined.timestamps[index], key, value, [])

    def _report_waited(self, joined: Joined, index: int, error: Exception) -> None:
        origin = self._origin(joined, index)
        self.failures.report_from("processing", self.path, origin, joined.tickets[index], error)

    def _unreadable(self, error: SerializationError) -> StateError:
        return StateError(f"store {self.path!r}: what it holds cannot be read: {error}")

    def _process(self, left: Chunk, right: Chunk) -> Chunk:
        join, times = self.join, self.states[0]
        self._begin()
        joined = Joined()
        is_same = right is left  # a stream with itself, be it in two stores
        left, left_input = self._input(left, join.left, self.left)
        if join.is_self:
            right = left
            join.run_self(left_input, joined)
        else:
            # What the left side could not keep has failed, and is reported once.
            right, right_input = self._input(left if is_same else right, join.right, self.right)
            join.run(left_input, right_input, joined)
        join.end()
        times.set_scalar(STREAM_TIME, join.stream_time)
        times.set_scalar(LEFT_TIME, join.left.buffer.time)
        times.set_scalar(RIGHT_TIME, join.right.buffer.time)
        return self._results(joined, left, right) if joined.keys else EMPTY

    def _input(self, chunk: Chunk, side: JoinSide, values: JoinValues) -> tuple[Chunk, JoinInput]:
        key_serde = side.buffer.states.key_serde
        chunk, given = values.take(chunk, key_serde, self.failures, self.path)
        self.join.prefetch(side, given)
        return chunk, given

    def _results(self, joined: Joined, left: Chunk, right: Chunk) -> Chunk:
        self.left.read_back(joined.lefts, joined.stored_lefts)
        self.right.read_back(joined.rights, joined.stored_rights)
        headers = self._headers(joined, left, right) if self.with_headers else None
        rows = Chunk(joined.keys, None, joined.timestamps, joined.tickets, headers)
        report_row = reporter(self.failures, "processing", self.path, joined.tickets)

        def report(index: int, error: Exception) -> None:
            has_waited = joined.origins[index] == NEVER
            self._report_waited(joined, index, error) if has_waited else report_row(index, error)

        values, failed = apply(self.joiner, joined.lefts, report, joined.rights)
        return (rows.without(failed) if failed else rows).with_values(values)

    def _headers(self, joined: Joined, left: Chunk, right: Chunk) -> list[Headers] | None:
        if left.headers is None and right.headers is None:
            return None
        headers: list[Headers] = []
        for origin in joined.origins:
            chunk, row = (left, origin) if origin >= 0 else (right, -1 - origin)
            has_some = origin != NEVER and chunk.headers is not None
            headers.append(chunk.headers[row] if has_some and chunk.headers else [])
        return headers
