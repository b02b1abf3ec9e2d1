"""The user's function over a column, and what happens when it raises.

One C-level pass over a list loses count when a function raises, and worse: a `StopIteration` from
the function ends the pass quietly, as if the column were done. So the input is iterated behind a
probe at its end. A pass that ends without having reached the probe has failed, whatever it says,
and the number of inputs taken tells the record. The error policy runs for it and the pass goes on
behind it: nothing runs twice.
"""

from __future__ import annotations

from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class OnFailure(Protocol):
    """What is told of a row that failed. It raises where the policy is to fail."""

    def __call__(self, index: int, error: Exception, /) -> None: ...


class _EndProbe:
    """An empty iterator that knows whether it was asked."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = False

    def __iter__(self) -> _EndProbe:
        return self

    def __next__(self) -> NoReturn:
        self.reached = True
        raise StopIteration


def apply(
    function: Callable[..., Any],
    column: Sequence[Any],
    on_failure: OnFailure,
    *others: Sequence[Any],
) -> tuple[list[Any], list[int]]:
    """`function` of every item, and of the items beside it in the other columns.

    Returns:
        The results, and the indexes of the items that failed and have none: `on_failure` was
        called for each of them, in order and before the next item was tried.
    """
    results: list[Any] = []
    failed: list[int] = []
    items = iter(column)
    beside = [iter(other) for other in others]
    while True:
        probe = _EndProbe()
        try:
            results.extend(map(function, chain(items, probe), *beside))
        except Exception as error:
            failure: Exception = error
        else:
            if probe.reached:
                return results, failed
            failure = StopIteration("raised by the function")
        index = len(column) - length_hint(items) - 1
        assert len(results) + len(failed) == index, "a pass appends all that it has finished"
        on_failure(index, failure)
        failed.append(index)


def apply_truth(
    predicate: Callable[[Any], Any], column: Sequence[Any], on_failure: OnFailure
) -> list[bool]:
    """The truth of `predicate` for every item; False where it failed.

    The truth of what it returns is taken here, once, as that may raise too.
    """
    return _apply_then(predicate, bool, frozenset((bool,)), column, on_failure, absent=False)


def apply_lists(
    function: Callable[[Any], Any], column: Sequence[Any], on_failure: OnFailure
) -> list[Sequence[Any]]:
    """What `function` gives for every item, run to its end if it is lazy; empty where it failed."""
    return _apply_then(function, list, frozenset((list, tuple)), column, on_failure, absent=())


def _apply_then(
    function: Callable[[Any], Any],
    finish: Callable[[Any], Any],
    finished: frozenset[type],
    column: Sequence[Any],
    on_failure: OnFailure,
    *,
    absent: Any,
) -> list[Any]:
    """`function`, then `finish` where a result is not of the types in `finished`.

    The second pass is needed for few functions, and one set of types tells.
    """
    results, failed = apply(function, column, on_failure)
    for index in failed:  # ascending, so every insertion lands where the row stood
        results.insert(index, absent)
    if finished.issuperset(map(type, results)):
        return results
    results, failed = apply(finish, results, on_failure)
    for index in failed:
        results.insert(index, absent)
    return results
