"""A block: fetched rows of several sources in one order, from which many rounds are cut."""

from __future__ import annotations

from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Literal

from processors.operators.columns import pick
from processors.runtime.order import count_due, due_times, merge_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.client.contract import FetchedColumns

ColumnName = Literal["keys", "values", "timestamps", "offsets", "headers"]


class Block:
    """The next rows of each source, in one order. Columns are brought into it when asked for.

    Args:
        columns: The fetched run of each source that takes part.
        starts: Where the block begins in them.
        dues: When the rows are due that each source gives to the block.
        places: The rows in order, counted over the sources' rows, one source after the other.
    """

    def __init__(
        self,
        columns: Sequence[FetchedColumns],
        starts: Sequence[int],
        dues: Sequence[list[int]],
        places: list[int],
    ) -> None:
        self.columns = columns
        self.starts = starts
        self.places = places
        self._dues = dues
        self._bases = list(accumulate(map(len, dues), initial=0))
        self._sources: list[int] | None = None
        self._merged: dict[ColumnName, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.places)

    @property
    def sources(self) -> list[int]:
        """Of each place, the number of its source."""
        if self._sources is None:
            counts = enumerate(self._dues)
            self._sources = list(chain.from_iterable([source] * len(due) for source, due in counts))
        return self._sources

    def heads(self, end: int) -> list[int]:
        """Where each source stands behind the first `end` rows of the block."""
        if end == 0:
            return list(self.starts)
        if end == len(self):
            taken = list(map(len, self._dues))
        else:
            last = self.places[end - 1]
            source = self.sources[last]
            time = self._dues[source][last - self._bases[source]]
            taken = [count_due(due, time, other < source) for other, due in enumerate(self._dues)]
            taken[source] = last - self._bases[source] + 1
        return [start + count for start, count in zip(self.starts, taken, strict=True)]

    def column(self, name: ColumnName) -> list[Any]:
        """All rows of a column, in order."""
        merged = self._merged.get(name)
        if merged is None:
            merged = self._joined(name)
            if len(self.columns) > 1:  # those of one source are in order
                merged = pick(merged, self.places)
            self._merged[name] = merged
        return merged

    @property
    def has_headers(self) -> bool:
        return any(run.headers for run in self.columns)

    def row(self, place: int) -> tuple[FetchedColumns, int]:
        """The run that a place is of, and the row there."""
        source = self.sources[place]
        return self.columns[source], self.starts[source] + place - self._bases[source]

    def _joined(self, name: ColumnName) -> list[Any]:
        """All rows of a column, one source after the other."""
        joined: list[Any] = []
        for run, start, due in zip(self.columns, self.starts, self._dues, strict=True):
            column: list[Any] | None = getattr(run, name)
            end = start + len(due)
            joined += [[] for _ in due] if column is None else column[start:end]
        return joined


def next_block(columns: Sequence[FetchedColumns], starts: Sequence[int], limit: int) -> Block:
    """The rows of which the order is known, at most `limit` of a source."""
    dues = due_times([run.timestamps for run in columns], list(starts), limit)
    return Block(columns, starts, dues, merge_sources(dues))


def block_of_arrivals(
    columns: Sequence[FetchedColumns], starts: Sequence[int], order: Sequence[int]
) -> Block:
    """The next rows in a given order of their sources, as a whole: it is one round."""
    counts = [order.count(source) for source in range(len(columns))]
    nexts = list(accumulate(counts, initial=0))
    places: list[int] = []
    for source in order:
        places.append(nexts[source])
        nexts[source] += 1
    return Block(columns, starts, [[0] * count for count in counts], places)
