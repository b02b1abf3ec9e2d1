"""Errors count from the input: a pass over a column says which record failed, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors.operators.guard import apply, apply_lists, apply_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMN = list(range(7))
PLACES = [0, 3, 6]


class Failures(list[tuple[int, str]]):
    def __call__(self, index: int, error: Exception) -> None:
        self.append((index, type(error).__name__))


def failing(
    bad: set[int], error: type[BaseException], result: Callable[[int], Any] = lambda item: item * 10
) -> tuple[Callable[[int], Any], list[int]]:
    """A function that raises for some items, and the list of all calls to it."""
    calls: list[int] = []

    def function(item: int) -> Any:
        calls.append(item)
        if item in bad:
            raise error("told to")
        return result(item)

    return function, calls


@pytest.mark.parametrize("error", [ValueError, StopIteration, RuntimeError, LookupError])
@pytest.mark.parametrize("place", PLACES)
def test_the_failing_index_is_told_and_everything_else_runs_once(
    place: int, error: type[Exception]
) -> None:
    function, calls = failing({place}, error)
    failures = Failures()
    results, failed = apply(function, COLUMN, failures)
    assert results == [item * 10 for item in COLUMN if item != place]
    assert failed == [place]
    assert failures == [(place, error.__name__)]
    assert calls == COLUMN


def test_stop_iteration_does_not_lose_the_rest_of_the_chunk() -> None:
    function, _ = failing({0, 3, 6}, StopIteration)
    results, failed = apply(function, COLUMN, Failures())
    assert results == [10, 20, 40, 50]
    assert failed == [0, 3, 6]


def test_all_may_fail() -> None:
    function, calls = failing(set(COLUMN), StopIteration)
    assert apply(function, COLUMN, Failures()) == ([], COLUMN)
    assert calls == COLUMN


def test_the_first_failure_ends_the_pass_where_the_policy_raises() -> None:
    function, calls = failing({3, 5}, ValueError)

    def fail(index: int, error: Exception) -> None:
        raise KeyError(index) from error

    with pytest.raises(KeyError, match="3"):
        apply(function, COLUMN, fail)
    assert calls == [0, 1, 2, 3]


def test_an_interrupt_is_no_failure_of_a_record() -> None:
    function, _ = failing({3}, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        apply(function, COLUMN, Failures())


def test_an_empty_column() -> None:
    assert apply(str, [], Failures()) == ([], [])
    assert apply_truth(bool, [], Failures()) == []
    assert apply_lists(list, [], Failures()) == []


class Undecided:
    """Has no truth, as an array of several items."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", PLACES)
def test_a_predicate_fills_a_column_of_truth(place: int, error: type[Exception]) -> None:
    function, calls = failing({place}, error, lambda item: item % 2 == 1)
    failures = Failures()
    truth = apply_truth(function, COLUMN, failures)
    assert truth == [item % 2 == 1 and item != place for item in COLUMN]
    assert failures == [(place, error.__name__)]
    assert calls == COLUMN


@pytest.mark.parametrize("place", PLACES)
def test_the_truth_of_what_a_predicate_returns_may_fail_too(place: int) -> None:
    failures = Failures()
    truth = apply_truth(lambda item: Undecided() if item == place else "yes", COLUMN, failures)
    assert truth == [item != place for item in COLUMN]
    assert failures == [(place, "ValueError")]


def test_truth_is_taken_once() -> None:
    taken: list[int] = []

    class Counted:
        def __init__(self, item: int) -> None:
            self.item = item

        def __bool__(self) -> bool:
            taken.append(self.item)
            return True

    assert apply_truth(Counted, COLUMN, Failures()) == [True] * 7
    assert taken == COLUMN


@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", PLACES)
def test_a_flat_map_fills_one_list_a_record(place: int, error: type[Exception]) -> None:
    function, calls = failing({place}, error, lambda item: [item] * (item % 3))
    failures = Failures()
    lists = apply_lists(function, COLUMN, failures)
    assert [list(rows) for rows in lists] == [
        [] if item == place else [item] * (item % 3) for item in COLUMN
    ]
    assert failures == [(place, error.__name__)]
    assert calls == COLUMN


@pytest.mark.parametrize("place", PLACES)
def test_a_generator_that_fails_half_way_gives_nothing(place: int) -> None:
    def rows(item: int) -> Iterator[int]:
        yield item
        if item == place:
            raise LookupError
        yield item

    failures = Failures()
    lists = apply_lists(rows, COLUMN, failures)
    assert [len(made) for made in lists] == [0 if item == place else 2 for item in COLUMN]
    assert failures == [(place, "LookupError")]


def test_what_is_no_iterable_fails_for_its_record() -> None:
    failures = Failures()
    lists = apply_lists(lambda item: None if item == 3 else (item,), COLUMN, failures)
    assert [list(rows) for rows in lists] == [[item] if item != 3 else [] for item in COLUMN]
    assert failures == [(3, "TypeError")]


def test_failures_of_both_passes_each_count_once() -> None:
    def rows(item: int) -> Any:
        if item == 1:
            raise ValueError
        return None if item == 4 else iter([item])

    failures = Failures()
    assert [list(made) for made in apply_lists(rows, COLUMN, failures)] == [
        [0], [], [2], [3], [], [5], [6],
    ]  # fmt: skip
    assert sorted(failures) == [(1, "ValueError"), (4, "TypeError")]
