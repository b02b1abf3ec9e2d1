"""Foreign-key joins: each entry of the left table with the entry of the right one it refers to.

The left table subscribes, for each of its entries, to the foreign key; the right table's task
keeps the subscriptions and answers, at once and whenever its entry changes; the left table joins
the answer with what it has by then. Between the two everything else may have happened, as the
messages may go through topics. Kafka Streams (KIP-213) sends a hash of the left value along and
drops answers to another value, so a deletion that overtakes a subscription is lost where the value
changed and its foreign key did not. Here an answer holds as long as the entry still refers to its
foreign key: what it says of the right table is then as true for the new value, and answers of one
foreign key arrive in order. The one gap, a subscription that ended and began again, is closed by
answering to the end as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.chunk import EMPTY, Chunk, merge_chunks
from processors.operators.columns import fill_gaps, has_null
from processors.operators.foreign_key_kernel import answer_rows, resolve, subscribe
from processors.operators.guard import apply
from processors.operators.handover import serialize_rows
from processors.operators.operator import Failures, Operator, reporter
from processors.operators.table_kernel import of_pairs
from processors.topology.nodes.foreign_key import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.guard import OnFailure
    from processors.operators.table_view import TableView
    from processors.state.cached import KeyValueState
    from processors.topology.nodes.foreign_key import ForeignKey
    from streamlog.client.contract import Headers


class ForeignKeys:
    """The foreign keys of values, in bytes.

    Where the function fails, or the key cannot be written, and the policy is to go on, the value
    refers to nothing. What failed for a value is told once, when it is new.
    """

    def __init__(self, path: str, foreign_key: ForeignKey, failures: Failures) -> None:
        self._path = path
        self._foreign_key = foreign_key
        self._failures = failures

    def of(self, values: list[Any], tickets: Sequence[int], *, is_new: bool) -> list[Any]:
        """A column of bytes, None for values that are None or refer to nothing."""
        if not has_null(values):
            return self._extract(values, tickets, is_new=is_new)
        indexes = [index for index, value in enumerate(values) if value is not None]
        present = [values[index] for index in indexes]
        keys = self._extract(present, [tickets[index] for index in indexes], is_new=is_new)
        column: list[Any] = [None] * len(values)
        for index, key in zip(indexes, keys, strict=True):
            column[index] = key
        return column

    def _extract(self, values: list[Any], tickets: Sequence[int], *, is_new: bool) -> list[Any]:
        function = self._foreign_key.function
        keys, failed = apply(function, values, self._report("processing", tickets, is_new=is_new))
        fill_gaps(keys, failed, None)
        report = self._report("production", tickets, is_new=is_new)
        encoded: list[Any]
        encoded, failed = serialize_rows(self._foreign_key.right, keys, report)
        fill_gaps(encoded, failed, None)
        return encoded

    def _report(self, kind: Any, tickets: Sequence[int], *, is_new: bool) -> OnFailure:
        if not is_new and self._failures.survives(kind):
            return _forget
        hint = f"foreign keys are written as {self._foreign_key.right.name}"
        return reporter(self._failures, kind, self._path, tickets, hint)


class SubscribeOperator(Operator):
    """Changes of the left table to subscriptions; what it can answer itself goes to a side."""

    def __init__(self, path: str, foreign_key: ForeignKey, failures: Failures) -> None:
        super().__init__(path)
        self._foreign_key = foreign_key
        self._keys = ForeignKeys(path, foreign_key, failures)

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        values = chunk.values
        tickets = list(chunk.tickets)
        olds = chunk.olds or [None] * len(chunk)
        # First, as an old value that fails was new in this chunk or before it.
        after = self._keys.of(values, tickets, is_new=True)
        before = self._keys.of(olds, tickets, is_new=False)
        subscribers: list[Any] = self._foreign_key.left.serialize_column(chunk.keys)
        inner = self._foreign_key.inner
        messages = subscribe(subscribers, olds, values, before, after, inner=inner)
        if messages.at_once and AT_ONCE in self.sides:
            rows = chunk.take(messages.at_once).with_values(messages.at_once_values)
            self.sides[AT_ONCE].append(rows)
        kept = chunk.take(messages.indexes)
        timestamps = kept.timestamps
        return Chunk(messages.foreign_keys, messages.asks, timestamps, kept.tickets, kept.headers)


class AnswerOperator(Operator):
    """Keeps who subscribes to which key of the right table, and answers.

    Args:
        view: The right table.
    """

    def __init__(
        self, path: str, state: KeyValueState, view: TableView, foreign_key: ForeignKey
    ) -> None:
        super().__init__(path)
        self._state = state
        self._view = view
        self._serde = foreign_key.right

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        right, asks = inputs
        foreign_keys = asks.keys or []
        found: tuple[list[Any], list[int]] = ([], [])
        if foreign_keys:
            keys = self._serde.deserialize_column(foreign_keys)
            found = self._view.read_emitted(keys, asks.tickets)
        answers = answer_rows(
            self._state,
            (
                self._serde.serialize_column(right.keys or []),  # type: ignore[arg-type] # no nulls
                right.values or [],
                right.timestamps,
                right.tickets,
            ),
            (foreign_keys, asks.values or [], asks.timestamps, asks.tickets),
            found,
        )
        headers: list[Headers] | None = None
        if right.headers is not None or asks.headers is not None:
            given = [*_headers(right), *_headers(asks)]
            headers = [given[cause] for cause in answers.causes]
        timestamps, tickets = answers.timestamps, answers.tickets
        return Chunk(list(answers.keys), list(answers.values), timestamps, tickets, headers)

    def flush(self, next_ticket: int) -> None:
        self._state.flush()


class ResolveOperator(Operator):
    """Joins the answers that still hold with what the left table has.

    Where the joiner fails and the policy is to go on, the key has no value.

    Args:
        view: The left table.
    """

    def __init__(
        self,
        path: str,
        view: TableView,
        foreign_key: ForeignKey,
        joiner: Callable[[Any, Any], Any],
        failures: Failures,
    ) -> None:
        super().__init__(path)
        self._view = view
        self._foreign_key = foreign_key
        self._keys = ForeignKeys(path, foreign_key, failures)
        self._joiner = joiner
        self._failures = failures

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        _, at_once, answers = inputs
        parts: list[Chunk] = []
        if len(at_once):
            alone = [None if value is None else (value, None) for value in at_once.values or []]
            parts.append(at_once.with_values(alone))
        if len(answers):
            parts.append(self._resolve(answers))
        rows = merge_chunks(parts)
        if not len(rows):
            return EMPTY
        assert rows.values is not None
        report = reporter(self._failures, "processing", self.path, rows.tickets)
        results, failed = apply(of_pairs(self._joiner), rows.values, report)
        fill_gaps(results, failed, None)
        return rows.with_values(results)

    def _resolve(self, answers: Chunk) -> Chunk:
        assert answers.values is not None
        keys = self._foreign_key.left.deserialize_column(answers.keys or [])
        values, _ = self._view.read_emitted(keys, answers.tickets)
        foreign_keys = self._keys.of(values, answers.tickets, is_new=False)
        inner = self._foreign_key.inner
        indexes, pairs = resolve(answers.values, values, foreign_keys, inner=inner)
        rows = answers.with_keys(keys)
        kept = rows if len(indexes) == len(rows) else rows.take(indexes)
        return kept.with_values(pairs)


def _headers(rows: Chunk) -> list[Headers]:
    return rows.headers or [[] for _ in range(len(rows))]


def _forget(index: int, error: Exception) -> None:
    """Nothing is told of it."""
