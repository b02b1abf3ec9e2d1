"""Windows: which ones a moment is in, and when they are closed (pure).

Times are milliseconds since the epoch. A window is closed exactly when no record can enter it any
more: of time windows when `end <= stream time - grace`, as their end is exclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from processors.topology.windowed import SessionWindowedSerde, TimeWindowedSerde

if TYPE_CHECKING:
    from streamlog.serdes import Serde

FOREVER: Final = (1 << 63) - 1

CalendarUnit = Literal["hour", "day", "week", "month", "quarter", "year"]
_LONGEST_DAYS: Final = {"hour": 1, "day": 2, "week": 8, "month": 32, "quarter": 94, "year": 367}
"""In each, a change of the clocks has room."""

CALENDAR_UNITS: Final = ("hour", "day", "week", "month", "quarter", "year")


class Pane(NamedTuple):
    """A stretch of time through which a record is in the same windows.

    Attributes:
        low, high: The stretch; `high` is behind it.
        starts, ends: The windows, both ascending.
    """

    low: int
    high: int
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True, kw_only=True)
class FixedWindows:
    """Windows that are there whether or not a record is in them: a start says which one."""

    kind: ClassVar[str]
    grace_ms: int = 0

    def pane(self, time: int) -> Pane:
        """The windows of a moment, and how long they stay the same; no windows before all."""
        raise NotImplementedError

    def end(self, start: int) -> int:
        """The end of the window that begins there."""
        raise NotImplementedError

    @property
    def longest_ms(self) -> int:
        """How long a window may be; 0 where no time closes it."""
        raise NotImplementedError

    @property
    def lag_ms(self) -> int:
        """How far behind stream time the timestamps of results may be."""
        return self.longest_ms + self.grace_ms

    def shape(self) -> str:
        """What the windows are, for drawings and for what a restart compares."""
        raise NotImplementedError

    def keys(self, key: Serde[Any]) -> Serde[Any]:
        """The serde of the keys of such windows."""
        return TimeWindowedSerde(key, self.end)


@dataclass(frozen=True, kw_only=True)
class TimeWindows(FixedWindows):
    """Windows of one size, a new one every `advance_ms`, aligned to the epoch."""

    kind = "time"
    size_ms: int
    advance_ms: int

    def pane(self, time: int) -> Pane:
        size, advance = self.size_ms, self.advance_ms
        first = max(0, time - size + advance) // advance * advance
        starts = list(range(first, time + 1, advance))
        low = starts[-1]
        if first >= advance:
            low = max(low, first - advance + size)
        high = min(starts[-1] + advance, first + size)
        return Pane(low, high, starts, [start + size for start in starts])

    def end(self, start: int) -> int:
        return start + self.size_ms

    @property
    def longest_ms(self) -> int:
        return self.size_ms

    def shape(self) -> str:
        if self.advance_ms == self.size_ms:
            return f"tumbling {self.size_ms} ms"
        return f"hopping {self.size_ms} ms by {self.advance_ms} ms"


@dataclass(frozen=True, kw_only=True)
class UnlimitedWindows(FixedWindows):
    """One window that never closes; records from before its start are in none."""

    kind = "unlimited"
    start_ms: int = 0

    def pane(self, time: int) -> Pane:
        if time < self.start_ms:
            return Pane(0, self.start_ms, [], [])
        return Pane(self.start_ms, FOREVER, [self.start_ms], [FOREVER])

    def end(self, start: int) -> int:
        return FOREVER

    @property
    def longest_ms(self) -> int:
        return 0

    def shape(self) -> str:
        return f"unlimited from {self.start_ms} ms"


@dataclass(frozen=True, kw_only=True)
class CalendarWindows(FixedWindows):
    """Hours, days, weeks (from Monday), months, quarters or years of a time zone.

    A day has 23 or 25 hours where the clocks change.
    """

    kind = "calendar"
    unit: CalendarUnit
    timezone: str

    def pane(self, time: int) -> Pane:
        start, end = _calendar(self.unit, self.timezone, time)
        return Pane(start, end, [start], [end])

    def end(self, start: int) -> int:
        return _calendar(self.unit, self.timezone, start)[1]

    @property
    def longest_ms(self) -> int:
        return _LONGEST_DAYS[self.unit] * 86_400_000

    def shape(self) -> str:
        return f"calendar {self.unit} {self.timezone}"


@dataclass(frozen=True, kw_only=True)
class SessionWindows:
    """What lies within `gap_ms` of each other, key by key. Both ends are inclusive.

    A session is closed when `end < stream time - grace - gap`.
    """

    kind: ClassVar[str] = "session"
    gap_ms: int
    grace_ms: int = 0

    @property
    def lag_ms(self) -> int:
        """How far behind stream time the timestamps of results may be: they are the ends."""
        return self.gap_ms + self.grace_ms

    def shape(self) -> str:
        return f"session {self.gap_ms} ms"

    def keys(self, key: Serde[Any]) -> Serde[Any]:
        """The serde of the keys of such windows."""
        return SessionWindowedSerde(key)


@dataclass(frozen=True, kw_only=True)
class SlidingWindows:
    """Every set of records that lie within `difference_ms` of each other. Ends are inclusive.

    A window is closed when `end < stream time - grace`.
    """

    kind: ClassVar[str] = "sliding"
    difference_ms: int
    grace_ms: int = 0

    @property
    def lag_ms(self) -> int:
        """How far behind stream time the timestamps of results may be."""
        return self.difference_ms + self.grace_ms

    def end(self, start: int) -> int:
        return start + self.difference_ms

    def shape(self) -> str:
        return f"sliding {self.difference_ms} ms"

    def keys(self, key: Serde[Any]) -> Serde[Any]:
        """The serde of the keys of such windows."""
        return TimeWindowedSerde(key, self.end)


@dataclass(frozen=True, kw_only=True)
class CountWindows:
    """`size` records of a key, a new window every `advance` records. Numbers instead of times."""

    kind: ClassVar[str] = "count"
    size: int
    advance: int

    def end(self, start: int) -> int:
        return start + self.size

    def shape(self) -> str:
        return f"{self.size} records by {self.advance}"

    def keys(self, key: Serde[Any]) -> Serde[Any]:
        """The serde of the keys of such windows."""
        return TimeWindowedSerde(key, self.end)


Windows = FixedWindows | SessionWindows | SlidingWindows | CountWindows


@lru_cache(maxsize=4_096)
def _bounds(unit: CalendarUnit, zone: str, year: int) -> list[int]:
    """The starts of the units of a local year, as times, and the start of the next year."""
    day = datetime(year, 1, 1, tzinfo=ZoneInfo(zone))
    bounds: list[int] = []
    while day.year == year:
        bounds.append(_millis(day))
        day = _next(unit, day)
    return [*bounds, _millis(datetime(year + 1, 1, 1, tzinfo=ZoneInfo(zone)))]


def _next(unit: CalendarUnit, day: datetime) -> datetime:
    """The next start of a unit, by the clock on the wall."""
    match unit:
        case "day" | "hour" | "week":
            return day + timedelta(days=1)
        case "month" | "quarter":
            month = day.month - 1 + (1 if unit == "month" else 3)
            return day.replace(year=day.year + month // 12, month=month % 12 + 1)
        case "year":
            return day.replace(year=day.year + 1)


_LAST_YEAR: Final = 253_370_000_000_000
"""In the last days of the year 9998: what lies behind has no calendar here."""


def _calendar(unit: CalendarUnit, zone: str, time: int) -> tuple[int, int]:
    """Start and end of the unit in which a time lies."""
    if time >= _LAST_YEAR:
        return _LAST_YEAR, FOREVER
    local = datetime.fromtimestamp(time / 1000, ZoneInfo(zone))
    if unit == "week":
        monday = local.date() - timedelta(days=local.weekday())
        first = datetime(monday.year, monday.month, monday.day, tzinfo=ZoneInfo(zone))
        return max(_millis(first), 0), _millis(first + timedelta(days=7))
    if unit == "hour":
        # By the offset that holds then: an hour is an hour, also where the clocks change.
        offset = local.utcoffset() or timedelta()
        shift = offset // timedelta(milliseconds=1) % 3_600_000
        start = (time + shift) // 3_600_000 * 3_600_000 - shift
        return max(start, 0), start + 3_600_000
    bounds = _bounds(unit, zone, local.year)
    place = bisect_right(bounds, time)
    return max(bounds[place - 1], 0), bounds[place]


def _millis(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
