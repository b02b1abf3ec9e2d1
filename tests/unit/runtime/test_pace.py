"""How many records run at once."""

from __future__ import annotations

from processors.runtime.pace import FIRST_ROUND, choose_round_size


def sizes(records_per_s: float, rounds: int, chunk_size: int = 1_000) -> list[int]:
    """The sizes of the rounds where there is always more to run."""
    size, found = FIRST_ROUND, list[int]()
    for _ in range(rounds):
        found.append(size)
        size = choose_round_size(size, ran=size, took_s=size / records_per_s, chunk_size=chunk_size)
    return found


def test_rounds_grow_to_the_chunk_size_where_functions_are_fast() -> None:
    assert sizes(1e6, 8) == [16, 32, 64, 128, 256, 512, 1_000, 1_000]


def test_rounds_of_slow_functions_are_bounded_in_time() -> None:
    assert sizes(100, 4) == [16, 25, 25, 25]
    assert sizes(1, 3) == [16, 1, 1]


def test_a_round_that_was_not_full_says_nothing_of_larger_ones() -> None:
    assert choose_round_size(64, ran=3, took_s=0.001, chunk_size=1_000) == 64
