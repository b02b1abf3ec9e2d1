"""One round: the records that run together, and where each of them came from."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from processors.operators.chunk import EMPTY, Chunk
from processors.operators.columns import pick
from processors.operators.operator import Origin
from processors.runtime.order import split_tickets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from processors.runtime.block import Block, ColumnName


class Round:
    """The rows of a block from `start` to `end`. The first has the ticket `first`, and so on."""

    def __init__(self, first: int, block: Block, start: int, end: int) -> None:
        self.first = first
        self._block = block
        self._start = start
        self._end = end
        self._heads: tuple[list[int], list[int]] | None = None
        self._split: list[list[int]] | None = None

    def __len__(self) -> int:
        return self._end - self._start

    def chunk(self, sources: Collection[int], *, keys: bool, headers: bool) -> Chunk:
        """The raw rows of some of the sources, in order; empty if they have none.

        `keys` and `headers` False leave those columns out.
        """
        if not sources:
            return EMPTY
        has_headers = headers and self._block.has_headers
        if len(sources) == len(self._block.columns):
            start, end = self._start, self._end
            column = self._block.column
            return Chunk(
                column("keys")[start:end] if keys else None,
                column("values")[start:end],
                column("timestamps")[start:end],
                range(self.first, self.first + len(self)),
                column("headers")[start:end] if has_headers else None,
            )
        if len(sources) == 1:
            return self._slice(next(iter(sources)), keys=keys, headers=has_headers)
        tickets = sorted(chain.from_iterable(self._tickets()[source] for source in sources))
        shift = self._start - self.first
        rows = [ticket + shift for ticket in tickets]
        return Chunk(
            self._pick("keys", rows) if keys else None,
            self._pick("values", rows),
            self._pick("timestamps", rows),
            tickets,
            self._pick("headers", rows) if has_headers else None,
        )

    def locate(self, ticket: int) -> Origin:
        """The record that has a ticket."""
        place = self._block.places[self._start + ticket - self.first]
        columns, row = self._block.row(place)
        return Origin(
            columns.topic,
            columns.partition,
            columns.offsets[row],
            columns.timestamps[row],
            columns.keys[row],
            columns.values[row],
            columns.headers[row] if columns.headers else [],
        )

    def coordinates(self, tickets: Sequence[int]) -> list[tuple[str, int, int]]:
        """Topic, partition and offset of the records that have these tickets."""
        block = self._block
        origins = [(run.topic, run.partition) for run in block.columns]
        rows = [ticket - self.first + self._start for ticket in tickets]
        sources = pick(block.sources, pick(block.places, rows))
        offsets = self._pick("offsets", rows)
        return [(*origins[source], offset) for source, offset in zip(sources, offsets, strict=True)]

    def _slice(self, source: int, *, keys: bool, headers: bool) -> Chunk:
        """A source's rows, which follow each other in what was fetched."""
        block = self._block
        if self._heads is None:
            self._heads = block.heads(self._start), block.heads(self._end)
        start, end = self._heads[0][source], self._heads[1][source]
        run = block.columns[source]
        return Chunk(
            run.keys[start:end] if keys else None,
            run.values[start:end],
            run.timestamps[start:end],
            self._tickets()[source],
            run.headers[start:end] if headers and run.headers else None,
        )

    def _tickets(self) -> list[list[int]]:
        """Of each source."""
        if self._split is None:
            block = self._block
            places = block.places[self._start : self._end]
            self._split = split_tickets(places, block.sources, len(block.columns), self.first)
        return self._split

    def _pick(self, name: ColumnName, rows: list[int]) -> list[Any]:
        return pick(self._block.column(name), rows)
