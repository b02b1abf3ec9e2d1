"""Loops over whole columns (compiled).

Plain typed Python that gives the same results uncompiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_extensions import i64


def spread(partitions: list[int], count: i64) -> list[list[int]]:
    """The indexes of the rows of each partition."""
    rows: list[list[int]] = [[] for _ in range(count)]
    index: i64 = 0
    for partition in partitions:
        rows[partition].append(index)
        index += 1  # noqa: SIM113 - this is the loop that mypyc makes fast
    return rows


def pick(column: list[Any], indexes: list[int]) -> list[Any]:
    """The items at these places, in their order."""
    return [column[index] for index in indexes]


def repeat_rows(column: list[Any], counts: list[int]) -> list[Any]:
    """Each item as often as its count says."""
    repeated: list[Any] = []
    for item, count in zip(column, counts):  # noqa: B905 - the compiled zip knows no strict
        repeated += [item] * count
    return repeated


def fill_gaps(column: list[Any], places: list[int], absent: Any) -> None:
    """Puts `absent` at these places of what the column is to be, from which it has what is left.

    Places ascend, so every insertion lands where the row stood.
    """
    for place in places:
        column.insert(place, absent)


def has_null(column: list[Any]) -> bool:
    """Whether an item is None.

    Not `None in column`, which asks items whether they equal None: an array or a query expression
    may answer anything.
    """
    for item in column:  # noqa: SIM110 - a generator is not compiled to this loop
        if item is None:
            return True
    return False


def byte_size(column: list[Any]) -> int:
    """The bytes of all that are not None."""
    size: i64 = 0
    for item in column:
        if item is not None:
            data: bytes = item
            size += len(data)
    return size


def longest(column: list[Any]) -> int:
    """The bytes of the longest one."""
    most: i64 = 0
    for item in column:
        if item is not None:
            data: bytes = item
            size: i64 = len(data)
            if size > most:
                most = size
    return most


def are_within(column: list[Any], highest: i64) -> bool:
    """Whether all numbers of 64 bits are from zero to the highest."""
    for item in column:
        number: i64 = item
        if number < 0 or number > highest:
            return False
    return True


def are_exactly(kind: type, column: list[Any]) -> bool:
    """Whether every item is of this type; a subclass is not."""
    for item in column:  # noqa: SIM110 - as above
        if type(item) is not kind:
            return False
    return True
