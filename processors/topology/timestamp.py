"""What a timestamp is: milliseconds since 1970, as an int, no later than sums of them allow.

Compiled.
"""

from __future__ import annotations

from typing import Any, Final

from processors.errors import InvalidTimestampError

MAX_TIMESTAMP: Final = (1 << 62) - 2
"""In 146 million years. A log takes twice that; the sums of times and windows are of 64 bits."""
NEVER: Final = (1 << 62) - 1
"""A time that does not come: the first one that no record can have."""


def is_timestamp(time: Any) -> bool:
    """Whether it is one; a truth is none."""
    return type(time) is int and 0 <= time <= MAX_TIMESTAMP


def no_timestamp(time: object) -> TypeError:
    """The error for what is no int."""
    return TypeError(f"{time!r} is no timestamp: give milliseconds since 1970 as an int")


def checked_time(time: Any) -> int:
    """The timestamp itself.

    Raises:
        TypeError: it is no int.
        InvalidTimestampError: it is before 1970, or too late for a record.
    """
    if type(time) is not int:
        raise no_timestamp(time)
    if not is_timestamp(time):
        raise InvalidTimestampError(time)
    return time
