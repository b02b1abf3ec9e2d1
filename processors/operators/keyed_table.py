"""What tables with one entry a key share, whatever makes them: look-ups, old values and emission.

`latest` holds results back until the commit and gives the last one per key, in the order in which
the keys were first changed; what it then calls old is what it gave the last time. `every` gives
one result a row, in the place of the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from processors.errors import StateError
from processors.operators.chunk import EMPTY, Chunk, Encoded
from processors.operators.kernel import Updates, columns_of
from processors.operators.key_names import writable_rows
from processors.operators.operator import Failures, Operator, Origin
from processors.operators.table_view import RoundChanges
from processors.topology.reads import NOTHING, Reads
from streamlog.errors import SerializationError
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.kernel import KeyedStates
    from processors.state.cached import Entry
    from streamlog.serdes import Serde

Emit = Literal["latest", "every"]


class KeyedTableOperator(Operator):
    """A table over `KeyedStates`; it meets `TableView`.

    Args:
        reads: What is read of its rows.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        emit: Emit,
        failures: Failures,
        *,
        reads: Reads = NOTHING,
    ) -> None:
        super().__init__(path)
        self.states = states
        self.failures = failures
        self.emit: Emit = emit
        self.reads = reads
        self.value_serde: Serde[Any] = states.states[0].value_serde
        self._changed = RoundChanges()
        self._flushed = RoundChanges() if emit == "latest" else self._changed
        every = emit == "every"
        self._notes = reads.view or (every and reads.emitted)
        self.needs_olds = self._notes or (every and reads.olds)
        """Whether the values that rows replace are asked for, row by row; they must not change."""

    def process(self, chunk: Chunk) -> Chunk:
        chunk, names = self.begin(chunk)
        if self.emit == "latest" and not self._notes:
            self._update(chunk, names, None)
            return EMPTY
        updates = Updates(has_olds=self.needs_olds)
        self._update(chunk, names, updates)
        if self._notes:
            self._changed.note_updates(names, list(chunk.tickets), updates)
        if self.emit == "latest":
            return EMPTY
        kept = chunk if len(updates.indexes) == len(chunk) else chunk.take(updates.indexes)
        olds = updates.olds if self.reads.olds else None
        values, timestamps = updates.values, updates.timestamps
        return Chunk(kept.keys, values, timestamps, kept.tickets, kept.headers, olds=olds)

    def begin(self, chunk: Chunk) -> tuple[Chunk, list[Any]]:
        """The rows whose keys can be written, and what the states know those by."""
        states = self.states
        return writable_rows(chunk, states.begin, states.key_serde, self.failures, self.path)

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        """Takes the rows into the state and notes what each made, where that is asked for."""
        raise NotImplementedError

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self._changed.read(self.states, keys, tickets)

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        if self.emit == "every":
            return self._changed.read(self.states, keys, tickets)
        return self._flushed.read_flushed(self.states, keys, tickets)

    def flush(self, next_ticket: int) -> Chunk | None:
        """Flushes the states; the changed entries go on where emission is `latest`."""
        latest, reads = self.emit == "latest", self.reads
        with_olds = latest and (reads.olds or reads.emitted)
        entries: list[Entry] = []
        encoded_keys: list[bytes] = []
        encoded_values: list[bytes | None] = []
        olds: list[Any] = []
        old_timestamps: list[int] = []
        for state in self.states.states:
            if with_olds and state.dirty:
                before = state.read_below(state.dirty)
                olds += before[0]
                old_timestamps += before[1]
            flushed = state.flush()
            if flushed:
                entries += flushed
                keys, values, _ = state.committing_records()
                encoded_keys += keys[-len(flushed) :]
                encoded_values += values[-len(flushed) :]
        if not latest or not entries:
            return None
        keys, values, timestamps = columns_of(entries)
        encoded = Encoded(self.states.key_serde, self.value_serde, encoded_keys, encoded_values)
        made = Chunk(
            keys if encoded.key_serde.immutable else encoded.read_keys(),
            values if encoded.value_serde.immutable else encoded.read_values(),
            timestamps,
            range(next_ticket, next_ticket + len(entries)),
            encoded=encoded,
            olds=olds if reads.olds else None,
        )
        if reads.emitted:
            assert made.values is not None
            names = keys if self.states.exact_keys else encoded_keys
            self._flushed.note_rows(
                names, next_ticket, olds, old_timestamps, made.values, timestamps
            )
        return made

    def end_round(self) -> None:
        self._changed.end_round()
        self._flushed.end_round()

    def locate(self, rows: Chunk, index: int) -> Origin:
        """A store's row, as its changelog has it; its offset there is not known yet."""
        assert rows.keys is not None
        assert rows.values is not None
        return locate_stored(
            self.states, rows.keys[index], rows.values[index], rows.timestamps[index]
        )

    def _update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        try:
            self.update(chunk, names, updates)
        except SerializationError as error:
            # No row is at fault: keys have been written before, results checked in the fold.
            raise StateError(
                f"store {self.path!r}: what it holds cannot be read as {self.value_serde.name} "
                f"under {self.states.key_serde.name} keys: {error}"
            ) from error


def locate_stored(states: KeyedStates, key: Any, value: Any, timestamp: int) -> Origin:
    """The changelog record of an entry; its offset is not known yet."""
    encoded: bytes = states.key_serde.serialize(key)
    state = states.states[partition_for(encoded, len(states.states))]
    data = None if value is None else state.value_serde.serialize(value)
    at = state.changelog
    return Origin(at.topic, at.partition, None, timestamp, encoded, data, [])
