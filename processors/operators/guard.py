"""The user's function over a column, and what happens when it raises (compiled).

The error policy runs for the record at which it raises, and the pass goes on behind it: nothing
runs twice. A `StopIteration` is an error like any other: no pass takes it for its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from processors.operators.columns import are_exactly, fill_gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class OnFailure(Protocol):
    """What is told of a row that failed. It raises where the policy is to fail."""

    def __call__(self, index: int, error: Exception, /) -> None: ...


def apply(
    function: Callable[..., Any],
    column: list[Any],
    on_failure: OnFailure,
    beside: list[Any] | None = None,
) -> tuple[list[Any], list[int]]:
    """`function` of every item, and of the item beside it where there is another column.

    Returns:
        The results, and the indexes of the items that failed and have none: `on_failure` was
        called for each of them, in order and before the next item was tried.
    """
    results: list[Any] = []
    failed: list[int] = []
    if beside is not None:
        for item, other in zip(column, beside):  # noqa: B905 - the compiled zip knows no strict
            try:
                results.append(function(item, other))
            except Exception as error:
                _fail(error, results, failed, on_failure)
        return results, failed
    for item in column:
        try:
            results.append(function(item))
        except Exception as error:
            _fail(error, results, failed, on_failure)
    return results, failed


def _fail(error: Exception, results: list[Any], failed: list[int], on_failure: OnFailure) -> None:
    index = len(results) + len(failed)
    on_failure(index, error)
    failed.append(index)


def apply_truth(
    predicate: Callable[[Any], Any], column: list[Any], on_failure: OnFailure
) -> list[bool]:
    """The truth of `predicate` for every item; False where it failed.

    The truth of what it returns is taken here, once, as that may raise too.
    """
    results = _apply_to_all(predicate, column, on_failure, False)
    if are_exactly(bool, results):
        return results
    return _apply_to_all(bool, results, on_failure, False)


def apply_lists(
    function: Callable[[Any], Any], column: list[Any], on_failure: OnFailure
) -> list[Sequence[Any]]:
    """What `function` gives for every item, run to its end if it is lazy; empty where it failed."""
    results = _apply_to_all(function, column, on_failure, ())
    for result in results:
        if type(result) is not list and type(result) is not tuple:
            return _apply_to_all(list, results, on_failure, ())
    return results


def _apply_to_all(
    function: Callable[[Any], Any], column: list[Any], on_failure: OnFailure, absent: Any
) -> list[Any]:
    results, failed = apply(function, column, on_failure)
    fill_gaps(results, failed, absent)
    return results
