"""Rows of a stream that look up a table: at their key, by a key of their value, or at their time.

A look-up is as of its row: it sees the changes that came before it and none that came later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from processors.errors import StateError
from processors.operators.chunk import EMPTY, Chunk
from processors.operators.columns import has_null
from processors.operators.guard import apply
from processors.operators.handover import is_sound, serialize_rows
from processors.operators.key_names import without_refused
from processors.operators.operator import LocatingFailures, Operator, Origin, reporter
from processors.operators.stream_join_kernel import Joined, JoinInput
from processors.topology.timestamp import NEVER
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.grace_kernel import GraceBuffer
    from processors.operators.guard import OnFailure
    from processors.operators.mark import Mark
    from processors.operators.stream_join import JoinValues
    from processors.operators.table_view import TableView, VersionedView
    from processors.state.segmented import SegmentedState
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde

STREAM_TIME = "stream time"


class TableLookupOperator(Operator):
    """Joins each row with what the table has for its key. The result has the row's timestamp.

    Rows with a null value are left out.

    Args:
        find_table: Gives the table; asked when the first rows come, as it may be built later.
        key_serde: The table's. A row whose key it refuses has failed.
        keep: Whether rows go on for which the table has nothing, those with a null key among them.
        versioned: Whether rows find what the table had at their time.
    """

    def __init__(
        self,
        path: str,
        find_table: Callable[[], TableView],
        joiner: Callable[[Any, Any], Any],
        failures: LocatingFailures,
        *,
        key_serde: Serde[Any],
        keep: bool,
        versioned: bool,
    ) -> None:
        super().__init__(path)
        self.key_serde = key_serde
        self.find_table = find_table
        self.joiner = joiner
        self.failures = failures
        self.keep = keep
        self.versioned = versioned

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        rows = inputs[0]
        if not len(rows):
            return EMPTY
        assert rows.values is not None
        if has_null(rows.values):
            rows = rows.select([value is not None for value in rows.values])
        return self.look_up(rows)

    def look_up(self, rows: Chunk) -> Chunk:
        """Joins rows that have a value."""
        assert rows.keys is not None
        try:
            return self.join(rows, rows.keys)
        except SerializationError as error:
            kept = without_refused(rows, self.key_serde, self.failures, self.path)
            if len(kept) == len(rows):
                raise self.unreadable(error) from error
            return self.look_up(kept) if len(kept) else EMPTY

    def unreadable(self, error: SerializationError) -> StateError:
        """Where no row is at fault."""
        return StateError(f"{self.path}: what the table holds cannot be read: {error}")

    def join(
        self,
        rows: Chunk,
        keys: list[Any],
        as_of: Sequence[int] | None = None,
        report_to: Callable[[Chunk], OnFailure] | None = None,
    ) -> Chunk:
        """Joins rows with what the table has for these keys; as of other tickets, where given.

        `report_to` makes what is told of failures, where the rows are of no round.
        """
        table = self.find_table()
        tickets = rows.tickets if as_of is None else as_of
        if self.versioned:
            found, _ = cast("VersionedView", table).read_at(keys, tickets, rows.timestamps)
        else:
            found, _ = table.read(keys, tickets)
        if not self.keep and has_null(found):
            truth = [value is not None for value in found]
            rows = rows.select(truth)
            found = [value for value in found if value is not None]
        if not len(rows):
            return EMPTY
        assert rows.values is not None
        if report_to is not None:
            report = report_to(rows)
        else:
            report = reporter(self.failures, "processing", self.path, rows.tickets)
        values, failed = apply(self.joiner, rows.values, report, found)
        return (rows.without(failed) if failed else rows).with_values(values)


class KeyedLookupOperator(TableLookupOperator):
    """Looks up a key that a function makes of the value; None finds nothing.

    Args:
        mapper: None where the row's own key is looked up.
    """

    def __init__(
        self,
        path: str,
        find_table: Callable[[], TableView],
        joiner: Callable[[Any, Any], Any],
        failures: LocatingFailures,
        *,
        keep: bool,
        mapper: Callable[[Any], Any] | None,
        key_serde: Serde[Any],
    ) -> None:
        super().__init__(
            path, find_table, joiner, failures, key_serde=key_serde, keep=keep, versioned=False
        )
        self.mapper = mapper

    def look_up(self, rows: Chunk) -> Chunk:
        if self.mapper is None:
            return super().look_up(rows)
        assert rows.values is not None
        report = reporter(self.failures, "processing", self.path, rows.tickets)
        keys, failed = apply(self.mapper, rows.values, report)
        if failed:
            rows = rows.without(failed)
        if not is_sound(self.key_serde, keys):
            hint = f"keys of the table are {self.key_serde.name}"
            report = reporter(self.failures, "processing", self.path, rows.tickets, hint)
            _, failed = serialize_rows(self.key_serde, keys, report)
            if failed:
                rows = rows.without(failed)
                keys = [key for index, key in enumerate(keys) if index not in set(failed)]
        return self.join(rows, keys)


class GraceLookupOperator(TableLookupOperator):
    """Rows wait for their grace before they look up what the table had at their time."""

    def __init__(
        self,
        path: str,
        find_table: Callable[[], TableView],
        joiner: Callable[[Any, Any], Any],
        failures: LocatingFailures,
        *,
        key_serde: Serde[Any],
        keep: bool,
        buffer: GraceBuffer,
        values: JoinValues,
        with_headers: bool,
    ) -> None:
        super().__init__(
            path, find_table, joiner, failures, key_serde=key_serde, keep=keep, versioned=True
        )
        self.buffer = buffer
        self.values = values
        self.with_headers = with_headers

    @property
    def states(self) -> SegmentedState:
        return self.buffer.waiting.states

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        if not self.reads_beside(inputs):
            return EMPTY
        try:
            return self._process(inputs[0], inputs[1])
        except SerializationError as error:
            raise self.unreadable(error) from error

    def next_due(self) -> int:
        self.buffer.begin(self.states.scalar(STREAM_TIME))
        return self.buffer.next_due_time()

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        """Rows go on with time as they do with a row of that time; they see the table as it is."""
        buffer, states = self.buffer, self.states
        buffer.begin(states.scalar(STREAM_TIME))
        joined = Joined()
        try:
            buffer.advance(time, next_ticket, joined)
            states.set_scalar(STREAM_TIME, buffer.stream_time)
            self.values.read_back(joined.lefts, joined.stored_lefts)
        except SerializationError as error:
            raise self.unreadable(error) from error
        if not joined.keys:
            return None
        tickets = range(next_ticket, next_ticket + len(joined.keys))
        rows = Chunk(joined.keys, joined.lefts, joined.timestamps, tickets)
        # A table changes with rows, which have lower tickets.
        rows = self.join(rows, joined.keys, None, self._report_of)
        rows.tickets = range(next_ticket, next_ticket + len(rows))
        return rows

    def pass_on(self, mark: Mark) -> Mark:
        return mark.later(self.buffer.grace)

    def locate(self, rows: Chunk, index: int) -> Origin:
        """A row that has waited: where it came from is not kept, so it is said where it waited."""
        assert rows.keys is not None
        at, key = self.states.changelog, self.states.key_serde.serialize(rows.keys[index])
        return Origin(at.topic, at.partition, None, rows.timestamps[index], key, None, [])

    def _report_of(self, rows: Chunk) -> OnFailure:
        """Tells of rows that have waited; where there are `olds`, they say which have not."""

        def report(index: int, error: Exception) -> None:
            ticket = rows.tickets[index]
            if rows.olds is not None and not rows.olds[index]:
                self.failures.report("processing", self.path, ticket, error)
                return
            assert rows.values is not None
            value = self.values.serde.serialize(rows.values[index])
            origin = self.locate(rows, index)._replace(value=value)
            self.failures.report_from("processing", self.path, origin, ticket, error)

        return report

    def unreadable(self, error: SerializationError) -> StateError:
        return StateError(f"store {self.states.name!r}: what it holds cannot be read: {error}")

    def flush(self, next_ticket: int) -> Chunk | None:
        self.states.flush()
        return None

    def reads_beside(self, inputs: Sequence[Chunk]) -> bool:
        """Whether there is something to be done."""
        return len(inputs[0]) > 0

    def run(self, given: JoinInput, changes: Chunk, joined: Joined) -> Sequence[int]:
        """Walks the rows; the tickets as of which those that go on look the table up."""
        self.buffer.run(given, joined)
        return joined.tickets

    def _process(self, rows: Chunk, changes: Chunk) -> Chunk:
        states, buffer = self.states, self.buffer
        rows, given = self.values.take(rows, states.key_serde, self.failures, self.path)
        joined = Joined()
        buffer.begin(states.scalar(STREAM_TIME))
        as_of = self.run(given, changes, joined)
        states.set_scalar(STREAM_TIME, buffer.stream_time)
        if not joined.keys:
            return EMPTY
        self.values.read_back(joined.lefts, joined.stored_lefts)
        headers = self._headers(joined, rows)
        rows = Chunk(joined.keys, joined.lefts, joined.timestamps, joined.tickets, headers)
        waited = [origin == NEVER for origin in joined.origins]
        rows = self.join(rows.with_olds(waited), joined.keys, as_of, self._report_of)
        return rows.with_olds(None)

    def _headers(self, joined: Joined, rows: Chunk) -> list[Headers] | None:
        headers = rows.headers
        if headers is None or not self.with_headers:
            return None
        return [[] if origin == NEVER else headers[origin] for origin in joined.origins]


class AsOfOperator(GraceLookupOperator):
    """As above, where the rows of the table move time on as well, though nothing else follows."""

    def reads_beside(self, inputs: Sequence[Chunk]) -> bool:
        return len(inputs[0]) > 0 or len(inputs[1]) > 0

    def run(self, given: JoinInput, changes: Chunk, joined: Joined) -> Sequence[int]:
        tickets = list(changes.tickets)
        return self.buffer.run_beside(given, tickets, changes.timestamps, joined)
