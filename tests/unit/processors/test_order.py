"""What runs next: the lowest timestamp at the head of any source, ties in the order of sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.block import Block, block_of_arrivals, next_block
from processors.runtime.order import split_tickets
from streamlog.client.contract import FetchedColumns


def fetched(timestamps: list[int], source: int = 0) -> FetchedColumns:
    values: list[bytes | None] = [b"%d-%d" % (source, row) for row in range(len(timestamps))]
    offsets = [10 * row for row in range(len(timestamps))]
    return FetchedColumns("t", source, [None] * len(values), values, timestamps, offsets, None, 0)


def block_of(columns: list[list[int]], heads: list[int] | None = None, limit: int = 100) -> Block:
    runs = [fetched(column, source) for source, column in enumerate(columns)]
    return next_block(runs, heads or [0] * len(columns), limit)


def sources_of(block: Block) -> list[int]:
    return [block.sources[place] for place in block.places]


def order_of(
    columns: list[list[int]], limit: int = 100, heads: list[int] | None = None
) -> list[int]:
    return sources_of(block_of(columns, heads, limit))


def test_the_lowest_head_comes_first() -> None:
    assert order_of([[1, 4], [2, 3, 9]]) == [0, 1, 1, 0]


def test_ties_go_by_the_order_of_the_sources() -> None:
    assert order_of([[5, 5, 7], [5, 5], [5]]) == [0, 0, 1, 1]


def test_only_heads_count_within_a_source_offsets_do() -> None:
    assert order_of([[9, 1, 9], [5, 6]]) == [1, 1]
    assert order_of([[3, 1, 9], [5, 6]]) == [0, 0, 1, 1]


def test_it_ends_where_a_source_runs_out() -> None:
    assert order_of([[1], [2, 3]]) == [0]


def test_it_ends_where_a_source_has_given_the_limit_and_goes_on_from_the_heads() -> None:
    columns = [[1, 3, 5, 7], [2, 4, 6, 8]]
    assert order_of(columns, 2) == [0, 1, 0]
    assert order_of(columns, heads=[2, 1]) == [1, 0, 1, 0]


def test_one_late_record_does_not_cut_the_backlog_before_it_short() -> None:
    backlog = list(range(1_000))
    assert order_of([backlog, [5_000]], 1_000) == [0] * 1_000
    assert order_of([backlog, [100, 5_000]], 600) == [0] * 101 + [1] + [0] * 499


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
    assert order_of(columns, limit) == record_by_record(columns, limit)


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=12), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_cutting_the_order_into_rounds_changes_nothing(
    columns: list[list[int]], limits: list[int]
) -> None:
    whole = order_of(columns, 1_000)
    heads = [0] * len(columns)
    pieces: list[int] = []
    for limit in limits:
        if any(head == len(column) for head, column in zip(heads, columns, strict=True)):
            break
        piece = order_of(columns, limit, heads)
        pieces += piece
        heads = [head + piece.count(source) for source, head in enumerate(heads)]
    assert pieces == whole[: len(pieces)]


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_block_knows_where_every_source_stands_behind_each_of_its_rows(
    columns: list[list[int]],
) -> None:
    heads = [0] * len(columns)
    block = block_of(columns)
    assert block.heads(0) == heads
    for end, source in enumerate(sources_of(block), 1):
        assert block.row(block.places[end - 1]) == (block.columns[source], heads[source])
        heads[source] += 1
        assert block.heads(end) == heads


def test_a_column_comes_in_the_order_of_the_block() -> None:
    runs = [fetched([1, 4, 6], 0), fetched([2, 3, 9], 1)]
    block = next_block(runs, [1, 0], 100)
    assert block.column("values") == [b"1-0", b"1-1", b"0-1", b"0-2"]
    assert block.column("timestamps") == [2, 3, 4, 6]
    assert block.column("offsets") == [0, 10, 10, 20]


def test_headers_are_filled_up_where_only_some_sources_have_any() -> None:
    runs = [fetched([1, 2], 0), fetched([1, 3], 1)]
    runs[1].headers = [[("a", b"1")], []]
    block = next_block(runs, [0, 0], 100)
    assert block.has_headers
    assert block.column("headers") == [[], [("a", b"1")], []]


def test_a_given_order_is_one_block() -> None:
    block = block_of_arrivals([fetched([5, 6], 0), fetched([1, 2], 1)], [0, 0], [0, 1, 1, 0])
    assert sources_of(block) == [0, 1, 1, 0]
    assert block.column("timestamps") == [5, 1, 2, 6]
    assert block.heads(len(block)) == [2, 2]


def test_every_source_gets_its_tickets() -> None:
    assert split_tickets([0, 2, 1, 3], [0, 0, 1, 3], 4, 10) == [[10, 12], [11], [], [13]]
