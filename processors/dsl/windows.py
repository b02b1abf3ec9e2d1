"""Windows as users write them.

    clicks.windowed_by(Tumbling("1m", grace="10s")).count()

Durations are milliseconds, texts like "10s" or "1h30m", or timedeltas. `grace` is how much later
than the newest record one may come and still be counted; it is 0 unless it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from processors.dsl.arguments import check_function, check_written_topic, chosen_serde
from processors.topology.duration import Duration, milliseconds
from processors.topology.windows import (
    CALENDAR_UNITS,
    CalendarUnit,
    CalendarWindows,
    CountWindows,
    FixedWindows,
    SessionWindows,
    SlidingWindows,
    TimeWindows,
    UnlimitedWindows,
    Windows,
)
from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from streamlog.serdes import Serde


class Tumbling(TimeWindows):
    """Windows of one size, one after the other; a record is in one of them.

    >>> from processors import Tumbling
    >>> Tumbling("1m", grace="10s").shape()
    'tumbling 60000 ms'

    Raises:
        TypeError, ValueError: no duration, or a size of zero.
    """

    def __init__(self, size: Duration, *, grace: Duration = 0) -> None:
        size_ms = _positive(size, "Tumbling: size")
        super().__init__(
            size_ms=size_ms, advance_ms=size_ms, grace_ms=milliseconds(grace, "Tumbling: grace")
        )


class Hopping(TimeWindows):
    """Windows of one size, of which a new one begins every `advance`: they overlap.

    >>> from processors import Hopping
    >>> Hopping("1m", advance="20s").pane(70_000).starts
    [20000, 40000, 60000]

    Raises:
        TypeError, ValueError: no duration, or not 0 < advance <= size.
    """

    def __init__(self, size: Duration, *, advance: Duration, grace: Duration = 0) -> None:
        size_ms = _positive(size, "Hopping: size")
        advance_ms = _positive(advance, "Hopping: advance")
        if advance_ms > size_ms:
            raise ValueError(
                f"Hopping: advance={advance!r} is longer than size={size!r}, so that records "
                "between two windows would be in none; give an advance of at most the size"
            )
        super().__init__(
            size_ms=size_ms, advance_ms=advance_ms, grace_ms=milliseconds(grace, "Hopping: grace")
        )


class Sliding(SlidingWindows):
    """Windows that slide with the records: two are in one where they are at most so far apart.

    There is one window for each set of records that fit into `difference`, both ends included.

    >>> from processors import Sliding
    >>> Sliding("10s", grace=500).shape()
    'sliding 10000 ms'
    """

    def __init__(self, difference: Duration, *, grace: Duration = 0) -> None:
        super().__init__(
            difference_ms=_positive(difference, "Sliding: difference"),
            grace_ms=milliseconds(grace, "Sliding: grace"),
        )


class Session(SessionWindows):
    """Activity of a key without a pause longer than `gap`; sessions that come to touch are one.

    >>> from processors import Session
    >>> Session("30m").shape()
    'session 1800000 ms'
    """

    def __init__(self, gap: Duration, *, grace: Duration = 0) -> None:
        super().__init__(
            gap_ms=_positive(gap, "Session: gap"), grace_ms=milliseconds(grace, "Session: grace")
        )


class CountWindow(CountWindows):
    """Windows of `size` records of a key, whenever they come; a new one every `advance` records.

    Without `advance` they follow one another. Starts and ends are numbers of records, from 0.

    >>> from processors import CountWindow
    >>> CountWindow(10, advance=5).shape()
    '10 records by 5'

    Raises:
        TypeError, ValueError: not 0 < advance <= size.
    """

    def __init__(self, size: int, *, advance: int | None = None) -> None:
        chosen = size if advance is None else advance
        for what, number in (("size", size), ("advance", chosen)):
            if type(number) is not int:
                raise TypeError(f"CountWindow: {what}={number!r}: give a number of records")
            if number < 1:
                raise ValueError(f"CountWindow: {what}={number}: must be at least 1")
        if chosen > size:
            raise ValueError(
                f"CountWindow: advance={advance} is more than size={size}, so that records between "
                "two windows would be in none; give an advance of at most the size"
            )
        super().__init__(size=size, advance=chosen)


class Unlimited(UnlimitedWindows):
    """One window that never closes, of all records from `start` on (milliseconds).

    >>> from processors import Unlimited
    >>> Unlimited(start=1_000).shape()
    'unlimited from 1000 ms'
    """

    def __init__(self, *, start: int = 0) -> None:
        super().__init__(start_ms=milliseconds(start, "Unlimited: start"))


class Calendar(CalendarWindows):
    """Hours, days, weeks (from Monday), months, quarters or years of a time zone.

    Where the clocks change, a day has 23 or 25 hours.

    >>> from processors import Calendar
    >>> Calendar("day", timezone="Europe/Zurich").shape()
    'calendar day Europe/Zurich'

    Raises:
        ValueError: an unknown unit or time zone.
    """

    def __init__(self, unit: CalendarUnit, *, timezone: str = "UTC", grace: Duration = 0) -> None:
        if unit not in CALENDAR_UNITS:
            raise ValueError(
                f"Calendar: unit={unit!r}{did_you_mean(str(unit), CALENDAR_UNITS)}; "
                f"units are {', '.join(CALENDAR_UNITS)}"
            )
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
            raise ValueError(
                f"Calendar: timezone={timezone!r}: {error}; give a name like 'Europe/Zurich'"
            ) from None
        super().__init__(
            unit=unit, timezone=timezone, grace_ms=milliseconds(grace, "Calendar: grace")
        )


def window_keys(key: Any, window: Windows) -> Serde[Any]:
    """The serde of the keys of a windowed table, to read its topic: Kafka Streams' formats.

    >>> from processors import Tumbling, Windowed, window_keys
    >>> window_keys(str, Tumbling("1s")).serialize(Windowed("ann", 5000, 6000)).hex()
    '616e6e0000000000001388'

    Args:
        key: The serde of the key itself.
    """
    return window.keys(chosen_serde("window_keys: key", key))


def check_window(
    path: str, window: object, late_to: object, advance: object = "stream_time"
) -> Windows:
    """Raises `TypeError` for what is no window, and for what can take no late records.

    And `ValueError` for an advance that is none, or that closes nothing.
    """
    if not isinstance(window, (FixedWindows, SessionWindows, SlidingWindows, CountWindows)):
        raise TypeError(
            f"windowed_by at {path!r}: {window!r} is no window; give Tumbling, Hopping, Sliding, "
            "Session, CountWindow, Unlimited or Calendar"
        )
    if late_to is not None and not isinstance(late_to, str) and not callable(late_to):
        raise TypeError(
            f"windowed_by at {path!r}: late_to={late_to!r}: give a topic, or a function of the "
            "stream of late records"
        )
    if isinstance(late_to, str):
        check_written_topic(f"windowed_by at {path!r}: late_to", late_to)
    elif late_to is not None:
        check_function(f"windowed_by at {path!r}: late_to", late_to, "late records")
    if advance not in ("stream_time", "wall_clock"):
        raise ValueError(
            f"windowed_by at {path!r}: advance={advance!r}: choose 'stream_time' or 'wall_clock' "
            "(how far apart windows begin is Hopping(..., advance=...))"
        )
    if advance == "wall_clock" and isinstance(window, (CountWindows, UnlimitedWindows)):
        raise ValueError(
            f"windowed_by at {path!r}: advance='wall_clock': {window.shape()}: no time closes such "
            "windows; leave it out"
        )
    return window


def _positive(value: Duration, what: str) -> int:
    found = milliseconds(value, what)
    if found == 0:
        raise ValueError(f"{what}={value!r}: must be longer than zero")
    return found
