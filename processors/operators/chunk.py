"""A chunk: parallel lists of equal length, the unit that operators take and give."""

from __future__ import annotations

from itertools import chain, compress, pairwise
from typing import TYPE_CHECKING, Any, Final

from processors.operators.columns import pick, repeat_rows
from processors.operators.deferred import Deferred
from processors.topology.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde


class Encoded:
    """What the serdes made of keys and values, where it is known already."""

    __slots__ = ("key_serde", "keys", "value_serde", "values")

    def __init__(
        self,
        key_serde: Serde[Any],
        value_serde: Serde[Any],
        keys: list[bytes],
        values: list[bytes | None],
    ) -> None:
        self.key_serde = key_serde
        self.value_serde = value_serde
        self.keys = keys
        self.values = values

    def read_keys(self) -> Deferred[Any]:
        """Keys that are shared with nobody."""
        return Deferred(lambda: self.key_serde.deserialize_column(self.keys))

    def read_values(self) -> Deferred[Any]:
        """Values that are shared with nobody."""
        return Deferred(lambda: self.value_serde.deserialize_column(self.values))


class Chunk:
    """Records as columns, in the order of their tickets.

    `keys` and `values` are None where nobody downstream reads the column; `headers` also where no
    record has any. `tickets` ascend; rows that one record became share its ticket, in their order.
    Rows of a table are changes: `values` has what a key became, None where it was deleted, and
    `olds` what it was, None where nobody asks or where no row had a value before.
    `encoded` is a shortcut for sinks and is lost with the first change.

    Columns are shared between chunks and never changed in place.
    """

    __slots__ = ("_keys", "_values", "encoded", "headers", "olds", "tickets", "timestamps")

    def __init__(
        self,
        keys: list[Any] | Deferred[Any] | None,
        values: list[Any] | Deferred[Any] | None,
        timestamps: list[int],
        tickets: Sequence[int],
        headers: list[Headers] | None = None,
        encoded: Encoded | None = None,
        olds: list[Any] | None = None,
    ) -> None:
        self._keys = keys
        self._values = values
        self.timestamps = timestamps
        self.tickets = tickets
        self.headers = headers
        self.encoded = encoded
        self.olds = olds

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def keys(self) -> list[Any] | None:
        keys = self._keys
        return keys.get() if type(keys) is Deferred else keys

    @property
    def values(self) -> list[Any] | None:
        values = self._values
        return values.get() if type(values) is Deferred else values

    def with_values(self, values: list[Any] | None) -> Chunk:
        """The rows with other values; what they were before is left out."""
        return Chunk(self._keys, values, self.timestamps, self.tickets, self.headers)

    def with_keys(self, keys: list[Any] | None) -> Chunk:
        columns = self.timestamps, self.tickets, self.headers
        return Chunk(keys, self._values, *columns, olds=self.olds)

    def with_headers(self, headers: list[Headers] | None) -> Chunk:
        columns = self._keys, self._values, self.timestamps, self.tickets
        return Chunk(*columns, headers, olds=self.olds)

    def with_timestamps(self, timestamps: list[int]) -> Chunk:
        columns = timestamps, self.tickets, self.headers
        return Chunk(self._keys, self._values, *columns, olds=self.olds)

    def with_olds(self, olds: list[Any] | None) -> Chunk:
        columns = self._keys, self._values, self.timestamps, self.tickets, self.headers
        return Chunk(*columns, olds=olds)

    def select(self, truth: list[Any]) -> Chunk:
        """The rows whose entry in `truth` is true."""
        return Chunk(
            self.keys and list(compress(self.keys, truth)),
            self.values and list(compress(self.values, truth)),
            list(compress(self.timestamps, truth)),
            Deferred(lambda: list(compress(self.tickets, truth))),
            self.headers and list(compress(self.headers, truth)),
            olds=self.olds and list(compress(self.olds, truth)),
        )

    def without(self, indexes: Iterable[int]) -> Chunk:
        """All rows but those."""
        truth = [True] * len(self)
        for index in indexes:
            truth[index] = False
        return self.select(truth)

    def take(self, indexes: list[int]) -> Chunk:
        """The rows at `indexes`, in that order."""
        return Chunk(
            self.keys and pick(self.keys, indexes),
            self.values and pick(self.values, indexes),
            pick(self.timestamps, indexes),
            pick(list(self.tickets), indexes),
            self.headers and pick(self.headers, indexes),
            olds=self.olds and pick(self.olds, indexes),
        )

    def repeat(self, counts: list[int], values: list[Any]) -> Chunk:
        """Each row `counts[row]` times, with these values: what a flat map makes."""
        return Chunk(
            self.keys and repeat_rows(self.keys, counts),
            values,
            repeat_rows(self.timestamps, counts),
            Deferred(lambda: repeat_rows(list(self.tickets), counts)),
            self.headers and repeat_rows(self.headers, counts),
        )


EMPTY: Final = Chunk([], [], [], [], None)


def rows_of(chunk: Chunk) -> list[Row]:
    """The rows of a chunk of which all columns are read; their headers are lists of their own."""
    assert chunk.keys is not None
    assert chunk.values is not None
    headers = list(map(list, chunk.headers)) if chunk.headers else _no_headers(chunk)
    columns = zip(chunk.keys, chunk.values, chunk.timestamps, headers, strict=True)
    return [Row(*row) for row in columns]


def merge_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of several, by ticket; equal tickets stay in the order of `chunks`.

    A column that is None in one of them, as nobody reads it, is None in the result; but headers are
    filled up with none, and old values with None.
    """
    filled = [chunk for chunk in chunks if chunk.timestamps]
    if not filled:
        return EMPTY
    if len(filled) == 1:
        return filled[0]
    joined = join_chunks(filled)
    if all(before.tickets[-1] <= chunk.tickets[0] for before, chunk in pairwise(filled)):
        return joined  # as what the tasks give at a commit
    return sort_by_ticket(joined)


def sort_by_ticket(chunk: Chunk) -> Chunk:
    """The rows in the order of their tickets, those of one ticket as they stand.

    The sort is stable and finds ascending runs, so it is a k-way merge.
    """
    tickets = list(chunk.tickets)
    return chunk.take(sorted(range(len(tickets)), key=tickets.__getitem__))


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """The rows of several chunks, one after the other."""
    headers = None
    if any(chunk.headers is not None for chunk in chunks):
        headers = list(chain.from_iterable(chunk.headers or _no_headers(chunk) for chunk in chunks))
    olds: list[Any] | None = None
    if any(chunk.olds is not None for chunk in chunks):
        olds = list(chain.from_iterable(chunk.olds or [None] * len(chunk) for chunk in chunks))
    return Chunk(
        _join([chunk.keys for chunk in chunks]),
        _join([chunk.values for chunk in chunks]),
        list(chain.from_iterable(chunk.timestamps for chunk in chunks)),
        list(chain.from_iterable(chunk.tickets for chunk in chunks)),
        headers,
        olds=olds,
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
