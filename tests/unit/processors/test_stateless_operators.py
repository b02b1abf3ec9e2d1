"""The stateless operators: which column each changes, and what becomes of a row that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors.operators.chunk import Chunk
from processors.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    ItemsOperator,
    MapKeyOperator,
    MapOperator,
    RecordsOperator,
)
from streamlog.client.contract import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import FailureKind, Operator

OPERATORS: dict[str, type[Any]] = {
    "map": MapOperator,
    "map_key": MapKeyOperator,
    "filter": FilterOperator,
    "flat_map": FlatMapOperator,
}


class Skipping:
    """Error policies that skip, and remember the tickets."""

    def __init__(self) -> None:
        self.tickets: list[int] = []

    def survives(self, kind: FailureKind) -> bool:
        return True

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        assert (kind, operator) == ("processing", "p")
        self.tickets.append(ticket)


def chunk_of(values: list[Any]) -> Chunk:
    count = len(values)
    return Chunk(
        [f"k{row}" for row in range(count)],
        values,
        [100 + row for row in range(count)],
        range(10, 10 + count),
        [[("row", str(row).encode())] for row in range(count)],
    )


def rows(chunk: Chunk) -> list[tuple[Any, ...]]:
    assert chunk.keys is not None
    assert chunk.values is not None
    assert chunk.headers is not None
    return list(
        zip(chunk.keys, chunk.values, chunk.timestamps, chunk.tickets, chunk.headers, strict=True)
    )


def make(kind: str, function: Callable[[Any], Any]) -> tuple[Operator, Skipping]:
    failures = Skipping()
    return OPERATORS[kind]("p", function, failures), failures


def test_map_changes_values() -> None:
    operator, _ = make("map", lambda value: value * 2)
    chunk = chunk_of([1, 2])
    made = operator.process(chunk)
    assert made.values == [2, 4]
    assert made.keys is chunk.keys
    assert made.timestamps is chunk.timestamps


def test_map_key_changes_keys_by_the_value() -> None:
    operator, _ = make("map_key", lambda value: value + 1)
    made = operator.process(chunk_of([1, 2]))
    assert (made.keys, made.values) == ([2, 3], [1, 2])


def test_filter_keeps_rows_whole() -> None:
    operator, _ = make("filter", lambda value: value > 1)
    assert rows(operator.process(chunk_of([1, 2, 3]))) == [
        ("k1", 2, 101, 11, [("row", b"1")]),
        ("k2", 3, 102, 12, [("row", b"2")]),
    ]


def test_a_filter_that_drops_everything_gives_an_empty_chunk() -> None:
    operator, _ = make("filter", lambda value: False)
    assert len(operator.process(chunk_of([1, 2, 3]))) == 0


def test_flat_map_repeats_the_other_columns() -> None:
    operator, _ = make("flat_map", lambda value: range(value))
    assert rows(operator.process(chunk_of([2, 0, 1]))) == [
        ("k0", 0, 100, 10, [("row", b"0")]),
        ("k0", 1, 100, 10, [("row", b"0")]),
        ("k2", 0, 102, 12, [("row", b"2")]),
    ]


def test_nulls_are_values_like_others() -> None:
    operator, failures = make("map", lambda value: value is None)
    assert operator.process(chunk_of([None, 1])).values == [True, False]
    assert not failures.tickets


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_row_that_fails_goes_with_all_its_columns_and_the_others_stay(
    kind: str, error: type[Exception], place: int
) -> None:
    results: dict[str, Callable[[int], Any]] = {
        "map": lambda value: -value,
        "map_key": lambda value: -value,
        "filter": lambda value: True,
        "flat_map": lambda value: [-value],
    }

    def function(value: int) -> Any:
        if value == place:
            raise error
        return results[kind](value)

    operator, failures = make(kind, function)
    whole, _ = make(kind, results[kind])
    chunk = chunk_of([0, 1, 2, 3, 4])
    expected = rows(whole.process(chunk))
    del expected[place]
    assert rows(operator.process(chunk)) == expected
    assert failures.tickets == [10 + place]


def test_items_pair_key_and_value() -> None:
    assert ItemsOperator("p").process(chunk_of([7])).values == [("k0", 7)]


def test_records_know_their_coordinates_and_headers() -> None:
    operator = RecordsOperator("p", lambda tickets: [("t", 3, ticket * 2) for ticket in tickets])
    assert operator.process(chunk_of([7])).values == [
        Record("t", 3, 20, 100, "k0", 7, [("row", b"0")])
    ]


def test_records_without_headers_have_none() -> None:
    operator = RecordsOperator("p", lambda tickets: [("t", 0, 0) for _ in tickets])
    chunk = Chunk(["k"], ["v"], [1], [0], None)
    assert operator.process(chunk).values == [Record("t", 0, 0, 1, "k", "v", [])]
