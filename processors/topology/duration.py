"""Durations as users write them: `10_000`, `"10s"`, `"1h30m"` or a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

Duration = int | str | timedelta

_UNITS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_LONGEST: Final = 1 << 62
_REMEDY: Final = "give milliseconds, a text like '10s' or '1h30m', or a timedelta"


def milliseconds(value: Duration, what: str) -> int:
    """A duration in milliseconds, zero or more.

    Args:
        value: Milliseconds; a text such as "250ms", "10s", "1h30m", "2d", "1w"; or a timedelta.
        what: What it is for, as errors say it (`Tumbling: grace`).

    Raises:
        TypeError, ValueError: it is none, is negative, or is no whole number of milliseconds.
    """
    given: Any = value  # whatever the caller's types say
    if isinstance(given, bool) or not isinstance(given, (int, str, timedelta)):
        raise TypeError(f"{what}={value!r}: {_REMEDY}")
    if isinstance(value, str):
        found = _parse(value, what)
    elif isinstance(value, timedelta):
        if value % timedelta(milliseconds=1):
            raise ValueError(f"{what}={value!r}: give whole milliseconds")
        found = value // timedelta(milliseconds=1)
    else:
        found = value
    if found < 0:
        raise ValueError(f"{what}={value!r}: must not be negative; give 0 or more")
    if found > _LONGEST:
        raise ValueError(f"{what}={value!r}: is longer than times go")
    return found


def _parse(text: str, what: str) -> int:
    negative = text.strip().startswith("-")
    rest = text.strip().removeprefix("-")
    total = 0.0
    place = 0
    while place < len(rest):
        part = _PART.match(rest, place)
        if part is None:
            raise ValueError(f"{what}={text!r}: {_REMEDY}")
        unit = part[2].lower()
        if unit not in _UNITS:
            known = ", ".join(_UNITS)
            named = f"unknown unit {part[2]!r}" if unit else "a number without unit"
            raise ValueError(f"{what}={text!r}: {named}; units are {known}")
        total += float(part[1]) * _UNITS[unit]
        place = part.end()
    if not rest or total != int(total):
        raise ValueError(f"{what}={text!r}: {_REMEDY if not rest else 'give whole milliseconds'}")
    return -int(total) if negative else int(total)
