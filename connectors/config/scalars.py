"""Durations and sizes as people write them.

A field says what it takes with `Annotated`: its value is a plain int, its text has a unit.

    retry_for_ms: DurationMs = 300_000       # written `retry_for: 5m`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ScalarType:
    """How a scalar's text becomes a value.

    Attributes:
        expected: What a message says was expected, with an example.
        parse: Raises ValueError where the text is none.
    """

    expected: str
    parse: Callable[[str], Any]


_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_BYTES: Final = {
    "": 1,
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([KMG]?I?B|)", re.IGNORECASE)


def parse_duration_ms(text: str) -> int:
    """`500ms`, `5s`, `1m30s`, `1.5h`, `2d` to milliseconds; `0` needs no unit."""
    if text == "0":
        return 0
    total, position = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            raise ValueError(text)
        total += float(match[1]) * _UNITS_MS[match[2]]
        position = match.end()
    if not text or position != len(text):
        raise ValueError(text)
    return round(total)


def parse_size_bytes(text: str) -> int:
    """`4096`, `64KB` (thousands), `1MiB` (1,024s) to bytes."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].upper() not in _UNITS_BYTES:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS_BYTES[match[2].upper()])


def _parse_positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


DurationMs = Annotated[int, ScalarType("a duration such as 500ms, 5s or 10m", parse_duration_ms)]
SizeBytes = Annotated[int, ScalarType("a size such as 64KB or 1MB", parse_size_bytes)]
PositiveInt = Annotated[int, ScalarType("a whole number from 1 up", _parse_positive)]
