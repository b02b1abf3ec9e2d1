"""Aggregates over time windows: tumbling, hopping, calendar, unlimited.

Rows with a null key or value are skipped: they do not move stream time either. A result's
timestamp is the highest of the rows in it. A row enters the windows that are open, one by one, so
one that is late for its older windows may enter the newer ones; it is late where all are closed.

`latest` gives the last result of a window and key at a commit, in the order of first changes;
`every` one a row and window; `final` one a window and key, in the place of the row that closed it,
ordered by start and key. A closed window goes from the store, which changes no result: nothing can
enter it, as both its end and stream time are state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from processors.errors import StateError
from processors.operators.chunk import EMPTY, Chunk, Encoded
from processors.operators.columns import pick
from processors.operators.deferred import Deferred
from processors.operators.key_names import without_refused
from processors.operators.mark import UNKNOWN, Mark
from processors.operators.operator import Failures, Operator, Origin
from processors.operators.window_kernel import (
    WindowRows,
    WindowStates,
    changed_rows,
    count_windows,
    fold_windows,
)
from processors.topology.windowed import windowed_keys
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from processors.operators.folding import Folding
    from processors.operators.session_kernel import SessionStates
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.windows import WindowEmit
    from processors.topology.reads import Reads
    from processors.topology.windows import FixedWindows
    from streamlog.serdes import Serde

LATE = "late"

S = TypeVar("S", "WindowStates", "SessionStates")


class WindowedTableOperator(Operator):
    """What all aggregates over windows share: chunks of results and late rows.

    Args:
        key, value: The serdes of windowed keys and of results.
        folding: Makes results of values; None counts rows.
        failures: Where a row is reported whose key cannot be written.

    Attributes:
        late_records: How many rows were late since the start of the process.
    """

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        emit: WindowEmit,
        folding: Folding | None,
        failures: Failures,
        reads: Reads,
    ) -> None:
        super().__init__(path)
        self.failures = failures
        self.state = state
        self.emit: WindowEmit = emit
        self.key_serde = key
        self.value_serde = value
        self.folding = folding
        self.reads = reads
        self.late_records = 0

    def process(self, chunk: Chunk) -> Chunk:
        try:
            rows, late = self.update(chunk)
        except SerializationError as error:
            kept = without_refused(chunk, self.state.key_serde, self.failures, self.path)
            if len(kept) == len(chunk):  # no row is at fault: results are checked in the fold
                raise self._unreadable(error) from error
            return self.process(kept) if len(kept) else EMPTY  # keys come first: nothing was done
        if late:
            self.late_records += len(late)
            if LATE in self.sides:
                self.sides[LATE].append(chunk.take(late))
        return self._results(chunk, rows) if rows.indexes else EMPTY

    def _unreadable(self, error: SerializationError) -> StateError:
        return StateError(
            f"store {self.path!r}: what it holds cannot be read as {self.value_serde.name} "
            f"under {self.state.key_serde.name} keys: {error}"
        )

    def update(self, chunk: Chunk) -> tuple[WindowRows, list[int]]:
        """Takes the rows into the state; returns results, and the indexes of late rows.

        Raises for a key that cannot be written before anything is changed.
        """
        raise NotImplementedError

    def _results(self, chunk: Chunk, rows: WindowRows) -> Chunk:
        headers = chunk.headers if self.emit == "every" else None
        return Chunk(
            windowed_keys(rows.keys, rows.starts, rows.ends),
            rows.values,
            rows.timestamps,
            pick(list(chunk.tickets), rows.indexes),
            headers and pick(headers, rows.indexes),
            olds=rows.olds if self.reads.olds else None,
        )

    def changes(self, rows: WindowRows, next_ticket: int) -> Chunk:
        """What a flush gives on: values that the store keeps are copied."""
        keys = Deferred(lambda: windowed_keys(rows.keys, rows.starts, rows.ends))
        encoded_keys: list[Any] = rows.key_bytes or self.key_serde.serialize_column(keys.get())
        encoded_values = serialize_sparse(self.value_serde, rows.values)
        encoded = Encoded(self.key_serde, self.value_serde, encoded_keys, encoded_values)
        return Chunk(
            keys if self.key_serde.immutable else encoded.read_keys(),
            rows.values if self.value_serde.immutable else encoded.read_values(),
            rows.timestamps,
            range(next_ticket, next_ticket + len(rows.timestamps)),
            encoded=encoded,
            olds=rows.olds if self.reads.olds else None,
        )

    def locate(self, rows: Chunk, index: int) -> Origin:
        """The store's row; its offset in the changelog is not known yet."""
        assert rows.keys is not None
        assert rows.values is not None
        value = rows.values[index]
        at = self.state.changelog
        return Origin(
            at.topic,
            at.partition,
            None,
            rows.timestamps[index],
            self.key_serde.serialize(rows.keys[index]),
            None if value is None else self.value_serde.serialize(value),
            [],
        )


class ClosingOperator(WindowedTableOperator, Generic[S]):
    """What aggregates over windows that stream time closes share, around the compiled loops.

    Attributes:
        states: What the loops keep.
        lag_ms: How far behind stream time the timestamps of results may be.
        by_clock: Whether the wall clock moves stream time as well.
    """

    states: S
    lag_ms = 0
    by_clock = False

    def told(self, mark: Mark) -> int:
        return max(mark.told, mark.behind(mark.clock)) if self.by_clock else mark.told

    def next_due(self) -> int:
        return self.states.next_due_time()

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        closing = WindowRows()
        try:
            self.states.advance(time, closing)
        except SerializationError as error:
            raise self._unreadable(error) from error
        if not closing.keys:
            return None
        return Chunk(
            windowed_keys(closing.keys, closing.starts, closing.ends),
            closing.values,
            closing.timestamps,
            range(next_ticket, next_ticket + len(closing.keys)),
            olds=closing.olds if self.reads.olds else None,
        )

    def pass_on(self, mark: Mark) -> Mark:
        if self.by_clock:
            mark = Mark(max(mark.time, mark.clock), UNKNOWN, mark.clock, mark.lag)
        return mark.later(self.lag_ms)

    def fold(self, chunk: Chunk, updates: WindowRows | None, closing: WindowRows) -> None:
        """Takes the rows in; `updates` gets what each made, `closing` what stream time closed."""
        raise NotImplementedError

    def take_changed(self) -> WindowRows:
        """What has changed since the last flush."""
        raise NotImplementedError

    def update(self, chunk: Chunk) -> tuple[WindowRows, list[int]]:
        updates = WindowRows() if self.emit == "every" else None
        closing = WindowRows()
        self.fold(chunk, updates, closing)
        return (closing if updates is None else updates), self.states.late

    def flush(self, next_ticket: int) -> Chunk | None:
        """Flushes the store; what has changed goes on where emission is `latest`."""
        states = self.states
        states.refresh()
        made = self.changes(self.take_changed(), next_ticket) if states.changed else None
        if self.emit != "final":
            states.drop_closed()
        states.flush()
        return made


class FixedWindowedOperator(ClosingOperator[WindowStates]):
    """Counts rows a window and key, or folds their values."""

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        windows: FixedWindows,
        emit: WindowEmit,
        folding: Folding | None,
        failures: Failures,
        reads: Reads,
    ) -> None:
        super().__init__(path, key, value, state, emit, folding, failures, reads)
        self.states = WindowStates(
            state, windows, final=emit == "final", track=emit == "latest", olds=reads.olds
        )

    def fold(self, chunk: Chunk, updates: WindowRows | None, closing: WindowRows) -> None:
        assert chunk.keys is not None
        states, keys, values = self.states, chunk.keys, chunk.values
        if self.folding is None:
            count_windows(states, keys, values, chunk.timestamps, updates, closing)
        else:
            assert values is not None
            step = self.folding.step.begin(chunk.tickets)
            fold_windows(states, step, keys, values, chunk.timestamps, updates, closing)

    def take_changed(self) -> WindowRows:
        return changed_rows(self.states)


def serialize_sparse(serde: Serde[Any], values: list[Any]) -> list[Any]:
    """The column as bytes; None stays None, and costs the others nothing."""
    present = [value for value in values if value is not None]
    encoded = serde.serialize_column(present)
    if len(present) == len(values):
        return encoded
    rest = iter(encoded)
    return [None if value is None else next(rest) for value in values]
