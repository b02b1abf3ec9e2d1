"""What runs next: the lowest timestamp at the head of any source, ties in the order of sources."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.order import choose_order, gather, split_tickets


def order_of(columns: list[list[int]], limit: int = 100) -> list[int]:
    return choose_order(columns, [0] * len(columns), limit)


def test_the_lowest_head_comes_first() -> None:
    assert order_of([[1, 4], [2, 3, 9]]) == [0, 1, 1, 0]


def test_ties_go_by_the_order_of_the_sources() -> None:
    assert order_of([[5, 5, 7], [5, 5], [5]]) == [0, 0, 1, 1]


def test_only_heads_count_within_a_source_offsets_do() -> None:
    assert order_of([[9, 1, 9], [5, 6]]) == [1, 1]
    assert order_of([[3, 1, 9], [5, 6]]) == [0, 0, 1, 1]


def test_it_ends_where_a_source_runs_out() -> None:
    assert choose_order([[1], [2, 3]], [0, 0], 100) == [0]


def test_it_ends_where_a_source_has_given_the_limit_and_goes_on_from_the_heads() -> None:
    columns = [[1, 3, 5, 7], [2, 4, 6, 8]]
    assert choose_order(columns, [0, 0], 2) == [0, 1, 0]
    assert choose_order(columns, [2, 1], 100) == [1, 0, 1, 0]


def record_by_record(columns: list[list[int]], limit: int) -> list[int]:
    """The rule as it is written down."""
    heads = [0] * len(columns)
    order: list[int] = []
    while all(head < min(limit, len(column)) for head, column in zip(heads, columns, strict=True)):
        source = min(
            range(len(columns)), key=lambda number: (columns[number][heads[number]], number)
        )
        order.append(source)
        heads[source] += 1
    return order


@given(
    st.lists(st.lists(st.integers(-3, 12), min_size=1, max_size=12), min_size=1, max_size=6),
    st.integers(1, 40),
)
def test_equals_the_rule_record_by_record(columns: list[list[int]], limit: int) -> None:
    found = choose_order(columns, [0] * len(columns), limit)
    assert found == record_by_record(columns, limit)


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=12), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_cutting_the_order_into_rounds_changes_nothing(
    columns: list[list[int]], limits: list[int]
) -> None:
    whole = choose_order(columns, [0] * len(columns), 1_000)
    heads = [0] * len(columns)
    pieces: list[int] = []
    for limit in limits:
        if any(head == len(column) for head, column in zip(heads, columns, strict=True)):
            break
        piece = choose_order(columns, heads, limit)
        pieces += piece
        heads = [head + piece.count(source) for source, head in enumerate(heads)]
    assert pieces == whole[: len(pieces)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [([True, True], ["a1", "b0", "a2", "b1"]), ([False, True], ["b0", "b1"])],
)
def test_gather_takes_the_wanted_sources_in_order(wanted: list[bool], expected: list[str]) -> None:
    columns: list[list[Any]] = [["a0", "a1", "a2"], ["b0", "b1"]]
    assert gather([0, 1, 0, 1], wanted, columns, [1, 0]) == expected


def test_every_source_gets_its_tickets() -> None:
    assert split_tickets([0, 2, 0, 1], 4, 10) == [[10, 12], [13], [11], []]
