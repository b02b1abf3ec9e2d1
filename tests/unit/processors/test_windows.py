"""Durations, windows and their keys: pure arithmetic, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import (
    App,
    Calendar,
    CountWindow,
    Hopping,
    Session,
    Sliding,
    Tumbling,
    Unlimited,
    Windowed,
    window_keys,
)
from processors.errors import TopologyError
from processors.topology.duration import milliseconds
from processors.topology.windows import FOREVER, Pane, TimeWindows
from streamlog.errors import SerializationError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1_500, 1_500),
        ("250ms", 250),
        ("10s", 10_000),
        ("1h30m", 5_400_000),
        (" 2 d ", 172_800_000),
        ("1.5s", 1_500),
        ("1w", 604_800_000),
        (timedelta(minutes=2), 120_000),
    ],
)
def test_a_duration_is_milliseconds_a_text_or_a_timedelta(value: Any, expected: int) -> None:
    assert milliseconds(value, "Tumbling: size") == expected


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (-1, ValueError, "size=-1: must not be negative"),
        ("-10s", ValueError, "must not be negative"),
        (timedelta(seconds=-1), ValueError, "must not be negative"),
        ("10", ValueError, "a number without unit; units are ms, s, m"),
        ("10 parsecs", ValueError, "unknown unit 'parsecs'"),
        ("", ValueError, "give milliseconds, a text like '10s'"),
        ("soon", ValueError, "give milliseconds, a text like '10s'"),
        ("1.5ms", ValueError, "give whole milliseconds"),
        (timedelta(microseconds=1), ValueError, "give whole milliseconds"),
        (1.5, TypeError, "give milliseconds, a text like '10s'"),
        (True, TypeError, "give milliseconds"),
        (None, TypeError, "give milliseconds"),
        (1 << 63, ValueError, "longer than times go"),
    ],
)
def test_what_is_no_duration_is_refused_by_name(
    value: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=r"size=") as caught:
        milliseconds(value, "size")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Tumbling(0), "Tumbling: size=0: must be longer than zero"),
        (lambda: Tumbling("1m", grace=-1), "Tumbling: grace=-1: must not be negative"),
        (lambda: Hopping("1m", advance="2m"), "Hopping: advance='2m' is longer than size='1m'"),
        (lambda: Hopping("1m", advance=0), "Hopping: advance=0: must be longer than zero"),
        (lambda: Session(0), "Session: gap=0: must be longer than zero"),
        (lambda: Sliding(0), "Sliding: difference=0: must be longer than zero"),
        (lambda: CountWindow(0), "CountWindow: size=0: must be at least 1"),
        (lambda: CountWindow(2, advance=3), "CountWindow: advance=3 is more than size=2"),
        (lambda: Unlimited(start=-1), "Unlimited: start=-1: must not be negative"),
        (lambda: Calendar("days"), "did you mean 'day'"),  # type: ignore[arg-type]
        (lambda: Calendar("day", timezone="Zurich"), "give a name like 'Europe/Zurich'"),
    ],
)
def test_windows_that_cannot_be_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"must|longer|more|give|did you mean") as caught:
        make()
    assert said in str(caught.value)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 500))
def test_a_pane_has_the_windows_of_each_of_its_moments(size: int, advance: int, time: int) -> None:
    advance = min(advance, size)
    windows = TimeWindows(size_ms=size, advance_ms=advance)

    def defined(moment: int) -> list[int]:
        return [start for start in range(0, moment + 1, advance) if moment < start + size]

    pane = windows.pane(time)
    assert pane.low <= time < pane.high
    assert pane.starts == defined(time)
    assert pane.ends == [start + size for start in pane.starts]
    for moment in range(pane.low, pane.high):
        assert windows.pane(moment) == pane
    assert windows.pane(pane.high).starts != pane.starts


def test_unlimited_windows_have_one_window_and_none_before_their_start() -> None:
    windows = Unlimited(start=10)
    assert windows.pane(9) == Pane(0, 10, [], [])
    assert windows.pane(10) == windows.pane(1 << 60) == Pane(10, FOREVER, [10], [FOREVER])


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month", "quarter", "year"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata"])
@given(time=st.integers(0, 4_000_000_000_000))
def test_a_calendar_window_begins_and_ends_with_its_unit(unit: Any, zone: str, time: int) -> None:
    windows = Calendar(unit, timezone=zone)
    low, high, starts, ends = windows.pane(time)
    assert low <= time < high
    assert (starts, ends) == ([low], [high])
    assert windows.end(low) == high
    assert windows.pane(high - 1).starts == [low]
    assert windows.pane(high).starts == [high]
    end = datetime.fromtimestamp(high / 1000, ZoneInfo(zone))
    assert (end.minute, end.second, end.microsecond) == (0 if unit != "hour" else end.minute, 0, 0)
    if unit != "hour":
        assert end.hour == 0
    if unit == "week":
        assert end.weekday() == 0
    if unit in ("month", "quarter", "year"):
        assert end.day == 1
    if unit == "quarter":
        assert end.month in (1, 4, 7, 10)
    if unit == "year":
        assert end.month == 1


def test_a_day_on_which_the_clocks_change_has_another_length() -> None:
    windows = Calendar("day", timezone="Europe/Zurich")

    def hours(year: int, month: int, day: int) -> float:
        noon = datetime(year, month, day, 12, tzinfo=ZoneInfo("Europe/Zurich"))
        low, high, *_ = windows.pane(int(noon.timestamp() * 1000))
        return (high - low) / 3_600_000

    assert [hours(2024, 3, 31), hours(2024, 10, 27), hours(2024, 6, 1)] == [23, 25, 24]


def test_windowed_keys_are_those_of_kafka_streams() -> None:
    time = window_keys(str, Tumbling(10))
    session = window_keys(str, Session(10))
    key = Windowed("k", 20, 30)
    assert time.serialize(key) == b"k" + (20).to_bytes(8, "big")
    assert session.serialize(key) == b"k" + (30).to_bytes(8, "big") + (20).to_bytes(8, "big")
    for serde in (time, session, window_keys(str, Sliding(10)), window_keys(str, CountWindow(10))):
        assert serde.deserialize(serde.serialize(key)) == key
        assert serde.deserialize_column(serde.serialize_column([key, None])) == [key, None]


@pytest.mark.parametrize("value", ["k", ("k", 1, 2), Windowed("k", 1 << 70, 0), Windowed(1, 0, 0)])
def test_what_is_no_windowed_key_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError):
        window_keys(str, Tumbling(10)).serialize(value)


def test_bytes_that_hold_no_window_are_refused() -> None:
    with pytest.raises(SerializationError, match="7 bytes, and a window alone has 8"):
        window_keys(str, Tumbling(10)).deserialize(b"1234567")


def group() -> Any:
    return App("a").stream("in", value=str).group_by_key()


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (
            lambda: group().count(emit="final"),
            ValueError,
            "count at 'in.group_by_key.count': emit='final' needs windows",
        ),
        (lambda: group().count(emit="often"), ValueError, "choose 'latest' or 'every'"),
        (
            lambda: group().windowed_by(Tumbling(1)).count(emit="often"),
            ValueError,
            "choose 'latest', 'every' or 'final'",
        ),
        (
            lambda: group().windowed_by(Unlimited()).count(emit="final"),
            ValueError,
            "an unlimited window never closes",
        ),
        (
            lambda: group().windowed_by(Session(1)).aggregate(str, str.__add__),
            TopologyError,
            "aggregate at 'in.group_by_key.windowed_by.aggregate': sessions that come to touch",
        ),
        (lambda: group().windowed_by("1m"), TypeError, "windowed_by at 'in.group_by_key.windo"),
        (
            lambda: group().windowed_by(Tumbling(1), late_to=3),
            TypeError,
            "late_to=3: give a topic, or a function",
        ),
        (
            lambda: group().windowed_by(Tumbling(1)).reduce("max"),
            TypeError,
            "reduce at 'in.group_by_key.windowed_by.reduce': function='max' is no function",
        ),
        (
            lambda: group().windowed_by(Session(1)).aggregate("", str.__add__, merge=3),
            TypeError,
            "merge=3 is no function",
        ),
    ],
)
def test_misuse_is_refused_when_the_graph_is_built(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build()
    assert said in str(caught.value)
