"""count, reduce, aggregate: one entry a key, updated row by row.

Rows with a null key or value are skipped. A result's timestamp is the highest of the rows in it.
A function that returns None deletes the entry and a tombstone goes on.

`latest` holds results back until the commit and gives the last one per key, in the order in which
the keys were first changed. `every` gives one result a row, in the place of the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from processors.errors import StateError
from processors.operators.chunk import EMPTY, Chunk, Encoded
from processors.operators.handover import copier
from processors.operators.kernel import KeyedStates, Updates, columns_of, count, fold
from processors.operators.operator import Failures, Operator, Origin
from streamlog.errors import SerializationError
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.state.cached import Entry
    from streamlog.serdes import Serde

Emit = Literal["latest", "every"]


class AggregateOperator(Operator):
    """What count and fold share: emission."""

    def __init__(self, path: str, states: KeyedStates, emit: Emit) -> None:
        super().__init__(path)
        self.states = states
        self.emit: Emit = emit
        self.value_serde: Serde[Any] = states.states[0].value_serde

    def process(self, chunk: Chunk) -> Chunk:
        if self.emit == "latest":
            self._update(chunk, None)
            return EMPTY
        updates = Updates()
        self._update(chunk, updates)
        kept = chunk if len(updates.indexes) == len(chunk) else chunk.take(updates.indexes)
        return Chunk(kept.keys, updates.values, updates.timestamps, kept.tickets, kept.headers)

    def _update(self, chunk: Chunk, updates: Updates | None) -> None:
        try:
            self.update(chunk, updates)
        except SerializationError as error:
            # No row is at fault: keys were read or checked on the way here, results in the fold.
            raise StateError(
                f"store {self.path!r}: what it holds cannot be read as {self.value_serde.name} "
                f"under {self.states.key_serde.name} keys: {error}"
            ) from error

    def update(self, chunk: Chunk, updates: Updates | None) -> None:
        """Takes the rows into the state and notes what each made, where that is asked for."""
        raise NotImplementedError

    def flush(self, next_ticket: int) -> Chunk | None:
        """Flushes the states; the changed entries go on where emission is `latest`."""
        entries: list[Entry] = []
        encoded_keys: list[bytes] = []
        encoded_values: list[bytes | None] = []
        for state in self.states.states:
            flushed = state.flush()
            if flushed:
                entries += flushed
                keys, values, _ = state.committing_records()
                encoded_keys += keys[-len(flushed) :]
                encoded_values += values[-len(flushed) :]
        if self.emit == "every" or not entries:
            return None
        keys, values, timestamps = columns_of(entries)
        if not self.states.key_serde.immutable:
            keys = self.states.key_serde.deserialize_column(encoded_keys)
        if not self.value_serde.immutable:
            values = self.value_serde.deserialize_column(encoded_values)
        tickets = range(next_ticket, next_ticket + len(entries))
        encoded = Encoded(self.states.key_serde, self.value_serde, encoded_keys, encoded_values)
        return Chunk(keys, values, timestamps, tickets, encoded=encoded)

    def locate(self, rows: Chunk, index: int) -> Origin:
        """A store's row, as its changelog has it; its offset there is not known yet."""
        assert rows.keys is not None
        assert rows.values is not None
        return locate_stored(
            self.states, rows.keys[index], rows.values[index], rows.timestamps[index]
        )


def locate_stored(states: KeyedStates, key: Any, value: Any, timestamp: int) -> Origin:
    """The changelog record of an entry; its offset is not known yet."""
    encoded: bytes = states.key_serde.serialize(key)
    state = states.states[partition_for(encoded, len(states.states))]
    data = None if value is None else state.value_serde.serialize(value)
    at = state.changelog
    return Origin(at.topic, at.partition, None, timestamp, encoded, data, [])


class CountOperator(AggregateOperator):
    """The number of rows a key."""

    def update(self, chunk: Chunk, updates: Updates | None) -> None:
        assert chunk.keys is not None
        count(self.states, chunk.keys, chunk.values, chunk.timestamps, updates)


class FoldOperator(AggregateOperator):
    """reduce and aggregate: `function(result so far, value)`.

    Args:
        initial: Makes the first `result so far`; None for reduce, where the first value of a key
            is its first result.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        emit: Emit,
        function: Callable[[Any, Any], Any],
        initial: Callable[[], Any] | None,
        failures: Failures,
    ) -> None:
        super().__init__(path, states, emit)
        self.function = function
        self.initial = initial
        self.failures = failures
        self._copy = copier(self.value_serde)

    def update(self, chunk: Chunk, updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        step = self._step(chunk.tickets)
        fold(self.states, step, chunk.keys, chunk.values, chunk.timestamps, updates)

    def _step(self, tickets: Sequence[int]) -> Callable[[Any, Any, int], Any]:
        """One update under the error policy: (value to keep, value to emit), None if it failed.

        What the function returns is copied, as it may hold the row's value. Where a failure is
        survived, it works on a copy too: what it changed in place before it raised must not stay.
        """
        function, initial, copy = self.function, self.initial, self._copy
        immutable = self.value_serde.immutable
        shield = not immutable and self.failures.survives("processing")

        def step(old: Any, value: Any, index: int) -> Any:
            try:
                if old is None:
                    new = value if initial is None else function(initial(), value)
                else:
                    new = function(copy(old) if shield else old, value)
                return (None, None) if new is None else (copy(new), new)
            except SerializationError as error:
                self.failures.report("production", self.path, tickets[index], error)
            except Exception as error:
                self.failures.report("processing", self.path, tickets[index], error)
            return None

        return step
