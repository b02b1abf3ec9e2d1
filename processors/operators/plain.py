"""Copies of plain JSON values (compiled).

A round trip through the text takes more than a microsecond even for two numbers in a list; most
values can be seen to come back as they are.
"""

from __future__ import annotations

from typing import Any, Final, cast

UNKNOWN: Final = object()
"""Only the round trip can tell what a value becomes, or that it is refused."""

MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 1 << 62


def copy_plain(value: Any, depth: int = 0) -> Any:
    """What a JSON text of the value would be read as; `UNKNOWN` where that is not plain to see.

    Plain are texts, finite numbers, truths and None, and lists and dictionaries of them with texts
    as keys, of exactly these types: a subclass, such as an enumeration, comes back as another.
    """
    kind = cast("type[object]", type(value))
    if kind is float:
        number: float = value
        # Neither infinite nor NaN, which is not even itself: those become null.
        return value if number - number == 0.0 else UNKNOWN
    if kind is int:
        whole: int = value
        return value if -MAX_INTEGER < whole < MAX_INTEGER else UNKNOWN
    if kind is str:
        text: str = value
        return value if text.isascii() else UNKNOWN  # a lone surrogate is refused
    if value is None or kind is bool:
        return value
    if depth == MAX_DEPTH:
        return UNKNOWN  # it may hold itself
    if kind is list:
        items: list[Any] = value
        copied: list[Any] = []
        for item in items:
            copy = copy_plain(item, depth + 1)
            if copy is UNKNOWN:
                return UNKNOWN
            copied.append(copy)
        return copied
    if kind is dict:
        fields: dict[Any, Any] = value
        result: dict[Any, Any] = {}
        for key, field in fields.items():
            if type(key) is not str:
                return UNKNOWN
            copy = copy_plain(field, depth + 1)
            if copy is UNKNOWN or copy_plain(key) is UNKNOWN:
                return UNKNOWN
            result[key] = copy
        return result
    return UNKNOWN
