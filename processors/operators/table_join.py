"""Joins of two tables by key.

A change of either side is joined with what the other side has given on as of that row. With old
and new the values of the side that changed, and other that of the other side:

    goes on   where other has a value, or the side is preserved and had or has one
    value     none where what is missing is on a side that is not preserved, or all is missing;
              else joiner(left, right), None for what is missing
    time      the later of the two, where other has a value

So a result may come twice, and a deletion of what was not there: Kafka Streams gives the same.
Where one record changes both sides (a table joined with what was made of it), Kafka Streams lets
each side see the other's change, gives results twice, and may keep one that is there no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.chunk import Chunk, merge_chunks
from processors.operators.columns import fill_gaps
from processors.operators.guard import apply
from processors.operators.operator import Failures, Operator, reporter
from processors.operators.table_kernel import join_rows, of_pairs, pair_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.guard import OnFailure
    from processors.operators.table_view import TableView


class TableJoinOperator(Operator):
    """Rows of the left and the right table; where both changed in one ticket, the left one first.

    Where the joiner fails and the policy is to go on, the key has no value.

    Args:
        preserved: Of the left and the right side: whether what has no partner is kept.
    """

    def __init__(
        self,
        path: str,
        views: tuple[TableView, TableView],
        joiner: Callable[[Any, Any], Any],
        preserved: tuple[bool, bool],
        failures: Failures,
    ) -> None:
        super().__init__(path)
        self._views = views
        self._joiner = joiner
        self._preserved = preserved
        self._failures = failures

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        left, right = inputs
        sides: list[Chunk] = []
        if len(left):
            tickets = left.tickets
            if len(right):
                # Where one row changed both sides, the left change comes first, so it does not see
                # the right one: were it to, and were both deletions, neither would find a partner
                # whose result to delete.
                tickets = [ticket - 1 for ticket in tickets]
            sides.append(self._match(0, left, tickets))
        if len(right):
            sides.append(self._match(1, right, right.tickets))
        rows = merge_chunks(sides)
        assert rows.values is not None
        report = reporter(self._failures, "processing", self.path, rows.tickets)
        return rows.with_values(self._join(rows.values, report))

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        left, right = (view.read(keys, tickets) for view in self._views)
        return self._combine(left, right, tickets)

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        left, right = (view.read_emitted(keys, tickets) for view in self._views)
        return self._combine(left, right, tickets)

    def _match(self, side: int, rows: Chunk, tickets: Sequence[int]) -> Chunk:
        """The rows of a side that go on, their values as pairs.

        Args:
            tickets: The rows as of which the other side is looked at.
        """
        assert rows.keys is not None
        assert rows.values is not None
        others, other_times = self._views[1 - side].read_emitted(rows.keys, tickets)
        matched = join_rows(
            rows.values,
            rows.olds,
            rows.timestamps,
            others,
            other_times,
            is_left=side == 0,
            preserved=self._preserved[side],
            other_preserved=self._preserved[1 - side],
        )
        indexes, pairs, timestamps = matched
        kept = rows if len(indexes) == len(rows) else rows.take(indexes)
        return Chunk(kept.keys, pairs, timestamps, kept.tickets, kept.headers)

    def _combine(
        self,
        left: tuple[list[Any], list[int]],
        right: tuple[list[Any], list[int]],
        tickets: Sequence[int],
    ) -> tuple[list[Any], list[int]]:
        pairs, timestamps = pair_up(*left, *right, *self._preserved)
        report = reporter(self._failures, "processing", self.path, tickets)
        if self._failures.survives("processing"):
            report = _forget  # it was reported when the values were new
        return self._join(pairs, report), timestamps

    def _join(self, pairs: list[Any], on_failure: OnFailure) -> list[Any]:
        """The results of the pairs, None for pairs that are None and where the joiner failed."""
        results, failed = apply(of_pairs(self._joiner), pairs, on_failure)
        fill_gaps(results, failed, None)
        return results


def _forget(index: int, error: Exception) -> None:
    """Nothing is told of it."""
