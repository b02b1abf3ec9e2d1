"""One round: the records that run together, and where each of them came from."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from processors.operators.chunk import EMPTY, Chunk
from processors.operators.operator import Origin
from processors.runtime.order import gather, split_tickets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from streamlog.client.contract import FetchedColumns, Headers


class Round:
    """Records of several source partitions in one order. Record i has the ticket `first + i`.

    Args:
        columns: The fetched columns of each source that takes part.
        starts: Where the round begins in them.
        order: The number of the source of each record.
    """

    def __init__(
        self,
        first: int,
        columns: list[FetchedColumns],
        starts: list[int],
        order: list[int],
    ) -> None:
        self.first = first
        self.columns = columns
        self.starts = starts
        self.order = order
        self._tickets: list[list[int]] | None = None

    def __len__(self) -> int:
        return len(self.order)

    def chunk(self, sources: Collection[int], *, keys: bool, headers: bool) -> Chunk:
        """The raw rows of some of the sources, in order; empty if they have none.

        `keys` and `headers` False leave those columns out.
        """
        if not sources:
            return EMPTY
        if len(sources) == 1:
            return self._slice(next(iter(sources)), keys=keys, headers=headers)
        wanted = [source in sources for source in range(len(self.columns))]
        return Chunk(
            self._gather(wanted, [each.keys for each in self.columns]) if keys else None,
            self._gather(wanted, [each.values for each in self.columns]),
            self._gather(wanted, [each.timestamps for each in self.columns]),
            self._tickets_of(sources),
            self._gather_headers(wanted) if headers else None,
        )

    def locate(self, ticket: int) -> Origin:
        """The record that has a ticket."""
        place = ticket - self.first
        source = self.order[place]
        row = self.starts[source] + self.order[:place].count(source)
        columns = self.columns[source]
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
        offsets = self._gather([True] * len(self.columns), [each.offsets for each in self.columns])
        places = [(each.topic, each.partition) for each in self.columns]
        found: list[tuple[str, int, int]] = []
        for ticket in tickets:
            place = ticket - self.first
            topic, partition = places[self.order[place]]
            found.append((topic, partition, offsets[place]))
        return found

    def _slice(self, source: int, *, keys: bool, headers: bool) -> Chunk:
        columns = self.columns[source]
        start = self.starts[source]
        tickets = self._tickets_of([source])
        end = start + len(tickets)
        return Chunk(
            columns.keys[start:end] if keys else None,
            columns.values[start:end],
            columns.timestamps[start:end],
            tickets,
            columns.headers[start:end] if headers and columns.headers else None,
        )

    def _gather(self, wanted: list[bool], columns: list[Any]) -> list[Any]:
        return gather(self.order, wanted, columns, self.starts)

    def _gather_headers(self, wanted: list[bool]) -> list[Headers] | None:
        if not any(each.headers for each in self.columns):
            return None
        filled: list[list[Headers]] = [
            each.headers or [[] for _ in each.offsets] for each in self.columns
        ]
        return self._gather(wanted, filled)

    def _tickets_of(self, sources: Collection[int]) -> Sequence[int]:
        if len(sources) == len(self.columns):
            return range(self.first, self.first + len(self.order))
        if self._tickets is None:
            self._tickets = split_tickets(self.order, len(self.columns), self.first)
        tickets = self._tickets
        if len(sources) == 1:
            return tickets[next(iter(sources))]
        return sorted(chain.from_iterable(tickets[source] for source in sources))
