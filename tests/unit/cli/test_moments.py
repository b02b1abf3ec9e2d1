"""Moments that people type."""

from __future__ import annotations

import pytest

from streamlog.cli.text.moments import format_moment, parse_moment

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000123", 1_700_000_000_123),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20.5+01:00", NOW + 500),
        ("15m", NOW - 900_000),
        ("1.5h", NOW - 5_400_000),
        ("250ms", NOW - 250),
    ],
)
def test_a_moment_is_milliseconds_iso_8601_or_a_while_ago(text: str, expected: int) -> None:
    assert parse_moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "5 m", "2023-13-01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no moment"):
        parse_moment(text, NOW)


def test_a_time_that_no_calendar_has_stays_a_number() -> None:
    assert format_moment(-(2**62)) == str(-(2**62))
    assert format_moment(0) == "1970-01-01T00:00:00.000Z"
