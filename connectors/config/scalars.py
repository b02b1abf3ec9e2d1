"""Durations and sizes as people write them.

A field says what it takes with `Annotated`: its value is a plain int, its text has a unit.

    retry_for_ms: DurationMs = 300_000       # written `retry_for_ms: 5m`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Refused(ValueError):
    """A text that has the right form and still cannot be; its message says why."""


@dataclass(frozen=True, slots=True)
class ScalarType:
    """How a scalar's text becomes a value.

    Attributes:
        expected: What a message says was expected, with an example.
        parse: Raises ValueError where the text is none, or `Refused` with a message of its own.
        takes_quoted: Whether quoted text is meant; a number in quotes is none.
    """

    expected: str
    parse: Callable[[str], Any]
    takes_quoted: bool = False


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
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_MAX_TOPIC_NAME: Final = 249
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


def parse_name(text: str) -> str:
    """Letters, digits, `.`, `_` and `-`: what Kafka allows in the names made from it."""
    if not _NAME.fullmatch(text):
        raise Refused(f"{text!r} is no name: use letters, digits, '.', '_' and '-'")
    return text


def parse_topic_name(text: str) -> str:
    """What Kafka allows as a topic's name."""
    if not _NAME.fullmatch(text) or text in {".", ".."} or len(text) > _MAX_TOPIC_NAME:
        raise Refused(
            f"{text!r} is no topic's name: use up to {_MAX_TOPIC_NAME} letters, digits, '.', '_' "
            "and '-'"
        )
    return text


DurationMs = Annotated[int, ScalarType("a duration such as 500ms, 5s or 10m", parse_duration_ms)]
SizeBytes = Annotated[int, ScalarType("a size such as 64KB or 1MB", parse_size_bytes)]
PositiveInt = Annotated[int, ScalarType("a whole number from 1 up", _parse_positive)]
Name = Annotated[str, ScalarType("a name", parse_name, takes_quoted=True)]
TopicName = Annotated[str, ScalarType("a topic's name", parse_topic_name, takes_quoted=True)]
