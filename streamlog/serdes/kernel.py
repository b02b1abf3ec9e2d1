"""Passes over columns (compiled, see compiled.py). Uncompiled, the same source does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def types_of(column: list[object]) -> set[type]:
    """The types of the items; most columns have one."""
    types: set[type] = set()
    last: object = None
    for item in column:
        kind = type(item)
        if kind is not last:
            types.add(kind)
            last = kind
    return types


def apply_all(function: Callable[[Any], Any], column: list[Any]) -> list[Any]:
    """`function` of every item; raises what it raises."""
    return [function(item) for item in column]


def decode_texts(column: list[Any]) -> list[Any]:
    """UTF-8 to texts; raises `TypeError` for None, and for what else is not bytes."""
    texts: list[Any] = []
    for item in column:
        if type(item) is not bytes:
            raise TypeError("no bytes")
        data: bytes = item
        texts.append(data.decode())
    return texts
