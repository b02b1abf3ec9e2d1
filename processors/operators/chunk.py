"""A chunk: parallel lists of equal length, the unit that operators take and give."""

from __future__ import annotations

from itertools import chain, compress, repeat
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamlog.client.contract import Headers

T = TypeVar("T")


class Chunk:
    """Records as columns, in the order of their tickets.

    `keys` and `values` are None where nobody downstream reads the column; `headers` also where no
    record has any. `tickets` ascend; rows that one record became share its ticket, in their order.

    Columns are shared between chunks and never changed in place.
    """

    __slots__ = ("headers", "keys", "tickets", "timestamps", "values")

    def __init__(
        self,
        keys: list[Any] | None,
        values: list[Any] | None,
        timestamps: list[int],
        tickets: Sequence[int],
        headers: list[Headers] | None = None,
    ) -> None:
        self.keys = keys
        self.values = values
        self.timestamps = timestamps
        self.tickets = tickets
        self.headers = headers

    def __len__(self) -> int:
        return len(self.timestamps)

    def with_values(self, values: list[Any] | None) -> Chunk:
        return Chunk(self.keys, values, self.timestamps, self.tickets, self.headers)

    def with_keys(self, keys: list[Any] | None) -> Chunk:
        return Chunk(keys, self.values, self.timestamps, self.tickets, self.headers)

    def select(self, truth: list[Any]) -> Chunk:
        """The rows whose entry in `truth` is true."""
        return Chunk(
            self.keys and list(compress(self.keys, truth)),
            self.values and list(compress(self.values, truth)),
            list(compress(self.timestamps, truth)),
            list(compress(self.tickets, truth)),
            self.headers and list(compress(self.headers, truth)),
        )

    def without(self, indexes: Iterable[int]) -> Chunk:
        """All rows but those."""
        truth = [True] * len(self)
        for index in indexes:
            truth[index] = False
        return self.select(truth)

    def take(self, indexes: Sequence[int]) -> Chunk:
        """The rows at `indexes`, in that order."""
        return Chunk(
            self.keys and pick(self.keys, indexes),
            self.values and pick(self.values, indexes),
            pick(self.timestamps, indexes),
            pick(self.tickets, indexes),
            self.headers and pick(self.headers, indexes),
        )

    def repeat(self, counts: list[int], values: list[Any]) -> Chunk:
        """Each row `counts[row]` times, with these values: what a flat map makes."""
        return Chunk(
            self.keys and repeat_rows(self.keys, counts),
            values,
            repeat_rows(self.timestamps, counts),
            repeat_rows(self.tickets, counts),
            self.headers and repeat_rows(self.headers, counts),
        )


EMPTY: Final = Chunk([], [], [], [], None)


def pick(column: Sequence[T], indexes: Sequence[int]) -> list[T]:
    return list(map(column.__getitem__, indexes))


def repeat_rows(column: Sequence[T], counts: list[int]) -> list[T]:
    return list(chain.from_iterable(map(repeat, column, counts)))


def merge_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of several, by ticket; equal tickets stay in the order of `chunks`.

    A column that is None in one of them, as nobody reads it, is None in the result; but headers are
    filled up with none.
    """
    filled = [chunk for chunk in chunks if chunk.timestamps]
    if not filled:
        return EMPTY
    if len(filled) == 1:
        return filled[0]
    joined = join_chunks(filled)
    tickets = joined.tickets
    assert len(tickets) == len(joined), "who has several inputs carries tickets"
    # The sort is stable and finds the ascending runs of the inputs: it is the k-way merge.
    return joined.take(sorted(range(len(tickets)), key=tickets.__getitem__))


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """The rows of several chunks, one after the other."""
    headers = None
    if any(chunk.headers is not None for chunk in chunks):
        headers = list(chain.from_iterable(chunk.headers or _no_headers(chunk) for chunk in chunks))
    return Chunk(
        _join([chunk.keys for chunk in chunks]),
        _join([chunk.values for chunk in chunks]),
        list(chain.from_iterable(chunk.timestamps for chunk in chunks)),
        list(chain.from_iterable(chunk.tickets for chunk in chunks)),
        headers,
    )


def _join(columns: list[list[Any] | None]) -> list[Any] | None:
    joined: list[Any] = []
    for column in columns:
        if column is None:
            return None
        joined += column
    return joined


def _no_headers(chunk: Chunk) -> list[Headers]:
    return [[] for _ in range(len(chunk))]
