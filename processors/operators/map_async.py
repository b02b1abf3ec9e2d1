"""Rows that wait for the answer of a coroutine function: look-ups in external systems.

    rows ── process ──> waiting ── ask ──> whoever calls the function
                           │                      │ answered
    rows <── answers ──────┴──────────────────────┘

A row waits in memory, and from the next commit on in the store too, with the record that it came
from. So no commit waits for a slow call, and positions are committed behind rows in flight; after a
crash or a restart the store says what is to be asked again, in the order of the rows. A row that
came and was answered between two commits was never in the store, nor in the changelog.

Answers are rows with tickets of their own. They are given when the engine asks for them, in the
order of the rows or as they came.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

from processors.operators.chunk import EMPTY, Chunk
from processors.operators.handover import serialize_rows
from processors.operators.operator import Operator, Origin, reporter
from processors.topology.waiting_row import StoredRow, pack_row, unpack_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.mark import Mark
    from processors.operators.operator import LocatingFailures
    from processors.state.segmented import SegmentedState
    from streamlog.serdes import Serde

LEAST_BOUND: Final = 1_024
"""So many rows may wait at least, however few are asked at once."""

BOUND_A_CALL: Final = 4


class WaitingRow:
    """A row and, in time, its answer: `result`, or the `error` that ended the last attempt."""

    __slots__ = ("asker", "error", "is_answered", "is_stored", "key", "number", "result", "row")

    def __init__(self, asker: MapAsyncOperator, number: int, key: Any, row: StoredRow) -> None:
        self.asker = asker
        self.number = number
        self.key = key
        self.row = row
        self.is_stored = False
        self.is_answered = False
        self.result: Any = None
        self.error: Exception | None = None

    def value(self) -> Any:
        """The value, read anew: what a call does to it, the next attempt does not see."""
        data = self.row.value
        return None if data is None else self.asker.value_serde.deserialize(data)

    def answer(self, result: Any, error: Exception | None) -> None:
        self.result = result
        self.error = error
        self.is_answered = True
        self.asker.answered(self)


class Caller(Protocol):
    """Calls the function of one operator, for all of its tasks."""

    def ask(self, row: WaitingRow) -> None:
        """Takes a row, which is answered once, now or later."""
        ...

    def forget(self, asker: MapAsyncOperator) -> None:
        """Ends what this task has asked; none of it will be answered."""
        ...


class MapAsyncOperator(Operator):
    """The rows of one task that wait.

    Args:
        state: Of what waits: numbers in the order of arrival.
        coordinates: Topic, partition and offset of the records with these tickets; raises
            `LookupError` where rows are results.
        concurrency: How many are asked at once; the bound of what waits goes by it.
        with_headers: Whether somebody reads them.
    """

    def __init__(
        self,
        path: str,
        state: SegmentedState,
        key: Serde[Any],
        value: Serde[Any],
        caller: Caller,
        failures: LocatingFailures,
        coordinates: Callable[[Sequence[int]], list[tuple[str, int, int]]],
        *,
        ordered: bool,
        concurrency: int,
        with_headers: bool,
    ) -> None:
        super().__init__(path)
        self.state = state
        self.key_serde = key
        self.value_serde = value
        self.caller = caller
        self.failures = failures
        self.coordinates = coordinates
        self.ordered = ordered
        self.with_headers = with_headers
        self.bound = max(BOUND_A_CALL * concurrency, LEAST_BOUND)
        self._rows: OrderedDict[int, WaitingRow] = OrderedDict()
        self._came: list[WaitingRow] = []
        self._fresh: dict[int, WaitingRow] = {}
        self._gone: list[int] = []
        self._given: list[WaitingRow] = []
        self._next = 0
        self._forgotten = -1

    # What the engine asks.

    @property
    def rows_waiting(self) -> int:
        self._refresh()
        return len(self._rows)

    @property
    def is_congested(self) -> bool:
        return self.rows_waiting >= self.bound

    @property
    def has_answers(self) -> bool:
        self._refresh()
        if not self.ordered:
            return bool(self._came)
        return bool(self._rows) and next(iter(self._rows.values())).is_answered

    def process(self, chunk: Chunk) -> Chunk:
        self._refresh()
        assert chunk.keys is not None
        assert chunk.values is not None
        report = reporter(self.failures, "production", self.path, chunk.tickets)
        values, failed = serialize_rows(self.value_serde, chunk.values, report)
        if failed:
            chunk = chunk.without(failed)
        assert chunk.keys is not None
        report = reporter(self.failures, "production", self.path, chunk.tickets)
        key_bytes, failed = serialize_rows(self.key_serde, chunk.keys, report)
        if failed:
            chunk = chunk.without(failed)
            lost = set(failed)
            values = [value for index, value in enumerate(values) if index not in lost]
        keys = self.key_serde.deserialize_column(key_bytes)
        headers = chunk.headers or [[] for _ in range(len(chunk))]
        places = self._places(chunk.tickets)
        columns = zip(keys, key_bytes, values, chunk.timestamps, headers, places, strict=True)
        for key, key_data, data, timestamp, row_headers, place in columns:
            row = StoredRow(timestamp, key_data, data, row_headers, *place)
            waiting = WaitingRow(self, self._next, key, row)
            self._fresh[self._next] = waiting
            self._add(waiting)
        return EMPTY

    def answers(self, next_ticket: int) -> Chunk | None:
        """The rows that are answered and may go on; those whose last attempt failed do not."""
        self._refresh()
        given: list[WaitingRow] = []
        for waiting in self._take():
            del self._rows[waiting.number]
            if waiting.is_stored:
                self._gone.append(waiting.number)
            else:
                del self._fresh[waiting.number]
            if waiting.error is None:
                given.append(waiting)
            else:
                ticket = next_ticket + len(given)
                origin = origin_of(waiting.row)
                self.failures.report_from("processing", self.path, origin, ticket, waiting.error)
        self._given = given
        if not given:
            return None
        return Chunk(
            [each.key for each in given],
            [each.result for each in given],
            [each.row.timestamp for each in given],
            range(next_ticket, next_ticket + len(given)),
            [list(each.row.headers) for each in given] if self.with_headers else None,
        )

    def locate(self, rows: Chunk, index: int) -> Origin:
        return origin_of(self._given[index].row)

    def flush(self, next_ticket: int) -> Chunk | None:
        """What still waits goes to the store, and what is answered leaves it."""
        self._refresh()
        segment = self.state.segment(0)
        segment.prefetch([*self._fresh, *self._gone])
        for number, waiting in self._fresh.items():
            segment.put(number, pack_row(waiting.row), waiting.row.timestamp)
            waiting.is_stored = True
        self._fresh = {}
        for number in self._gone:
            segment.delete(number, 0)
        self._gone = []
        self.state.flush()
        return None

    def pass_on(self, mark: Mark) -> Mark:
        """Time behind it has not passed the rows that wait."""
        self._refresh()
        if not self._rows:
            return mark
        return mark.held(min(waiting.row.timestamp for waiting in self._rows.values()))

    # What the caller tells.

    def answered(self, waiting: WaitingRow) -> None:
        if not self.ordered:
            self._came.append(waiting)

    # Inside.

    def _refresh(self) -> None:
        """At the start and after an abort: what the store has is what waits."""
        forgotten = self.state.scalars.forgotten
        if forgotten == self._forgotten:
            return
        if self._forgotten >= 0:
            self.caller.forget(self)
        self._forgotten = forgotten
        self._rows = OrderedDict()
        self._came = []
        self._fresh = {}
        self._gone = []
        self._next = 0
        for number, data, _ in self.state.segment(0).rows():
            row = unpack_row(data)
            key = None if row.key is None else self.key_serde.deserialize(row.key)
            waiting = WaitingRow(self, number, key, row)
            waiting.is_stored = True
            self._next = number
            self._add(waiting)

    def _add(self, waiting: WaitingRow) -> None:
        self._next += 1
        self._rows[waiting.number] = waiting
        self.caller.ask(waiting)

    def _take(self) -> list[WaitingRow]:
        if not self.ordered:
            came, self._came = self._came, []
            return came
        taken: list[WaitingRow] = []
        for waiting in self._rows.values():
            if not waiting.is_answered:
                break
            taken.append(waiting)
        return taken

    def _places(self, tickets: Sequence[int]) -> list[tuple[str, int, int]]:
        try:
            return self.coordinates(tickets)
        except LookupError:
            origins = map(self.failures.locate, tickets)
            return [
                (each.topic, each.partition, -1 if each.offset is None else each.offset)
                for each in origins
            ]


def origin_of(row: StoredRow) -> Origin:
    """Where a row that waited came from; key and value are what waited."""
    offset = None if row.offset < 0 else row.offset
    return Origin(
        row.topic, row.partition, offset, row.timestamp, row.key, row.value, list(row.headers)
    )
