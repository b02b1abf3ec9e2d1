"""Chunks: every column of a row goes where the row goes."""

from __future__ import annotations

from processors.operators.chunk import EMPTY, Chunk, merge_chunks
from processors.operators.deferred import Deferred

CHUNK = Chunk(
    ["a", "b", "c"], [1, 2, 3], [10, 20, 30], range(5, 8), [[("h", b"1")], [], [("h", b"3")]]
)


def columns(chunk: Chunk) -> tuple[object, ...]:
    return chunk.keys, chunk.values, chunk.timestamps, list(chunk.tickets), chunk.headers


def test_select_keeps_the_true_rows_of_every_column() -> None:
    assert columns(CHUNK.select([True, False, True])) == (
        ["a", "c"], [1, 3], [10, 30], [5, 7], [[("h", b"1")], [("h", b"3")]],
    )  # fmt: skip


def test_without_drops_rows() -> None:
    assert columns(CHUNK.without([0, 2])) == (["b"], [2], [20], [6], [[]])


def test_repeat_gives_every_row_its_count() -> None:
    repeated = CHUNK.repeat([2, 0, 1], ["x", "y", "z"])
    assert columns(repeated) == (
        ["a", "a", "c"],
        ["x", "y", "z"],
        [10, 10, 30],
        [5, 5, 7],
        [[("h", b"1")], [("h", b"1")], [("h", b"3")]],
    )


def test_a_deferred_column_is_made_once_and_at_the_first_look() -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([5, 6, 7])
        return made[-1]

    keys = Deferred(make)
    chunk = Chunk(keys, None, [1, 2, 3], range(3)).with_values([1, 2, 3])
    assert made == []
    assert chunk.keys == [5, 6, 7]
    assert (list(keys), keys[-1], keys[:2], len(keys)) == ([5, 6, 7], 7, [5, 6], 3)
    assert chunk.keys is made[0]
    assert len(made) == 1


def test_columns_that_nobody_reads_stay_away() -> None:
    bare = Chunk(None, [1, 2], [10, 20], [0, 1])
    assert columns(bare.select([False, True])) == (None, [2], [20], [1], None)
    assert columns(bare.repeat([1, 2], [7, 8, 9])) == (
        None,
        [7, 8, 9],
        [10, 20, 20],
        [0, 1, 1],
        None,
    )


def test_merge_goes_by_ticket() -> None:
    left = Chunk(["a", "c"], [1, 3], [10, 30], [0, 4])
    right = Chunk(["b", "d"], [2, 4], [20, 40], [2, 5])
    assert columns(merge_chunks([left, right])) == (
        ["a", "b", "c", "d"], [1, 2, 3, 4], [10, 20, 30, 40], [0, 2, 4, 5], None,
    )  # fmt: skip


def test_rows_of_one_ticket_keep_their_order_and_that_of_the_inputs() -> None:
    left = Chunk(["l1", "l2"], [1, 2], [0, 0], [3, 3])
    right = Chunk(["r1", "r2"], [1, 2], [0, 0], [3, 3])
    assert merge_chunks([left, right]).keys == ["l1", "l2", "r1", "r2"]
    assert merge_chunks([right, left]).keys == ["r1", "r2", "l1", "l2"]


def test_chunks_that_follow_each_other_are_joined() -> None:
    first = Chunk(["a", "b"], [1, 2], [5, 6], range(3, 5), None)
    second = Chunk(["c", "d"], [3, 4], [7, 8], [4, 9], None)
    merged = merge_chunks([first, EMPTY, second])
    assert (merged.keys, merged.values) == (["a", "b", "c", "d"], [1, 2, 3, 4])
    assert (merged.timestamps, list(merged.tickets)) == ([5, 6, 7, 8], [3, 4, 4, 9])


def test_merge_fills_up_headers() -> None:
    left = Chunk(["a"], [1], [10], [1], [[("h", b"1")]])
    right = Chunk(["b"], [2], [20], [0])
    assert merge_chunks([left, right]).headers == [[], [("h", b"1")]]


def test_merging_nothing_is_empty_and_one_input_is_itself() -> None:
    assert len(merge_chunks([])) == 0
    assert merge_chunks([EMPTY, CHUNK, EMPTY]) is CHUNK
