"""Moments as people type and read them: ISO 8601, milliseconds, or a while ago. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_ISO_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_moment(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch.

    Takes milliseconds since the epoch, ISO 8601 (without an offset: local time), or a while ago
    such as `90s`, `15m`, `2h`, `1d`.

    Raises:
        ValueError: none of these.
    """
    if text.isdecimal():
        return int(text)
    if ago := _AGO.fullmatch(text):
        return now_ms - round(float(ago[1]) * _UNIT_MS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"no moment: {text!r}; write 2024-05-01T12:00:00, milliseconds since 1970, or a while "
            "ago such as 15m"
        ) from None
    return round(moment.timestamp() * 1000)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as `90s`, `15m`, `2h`, `1d`, or ISO 8601's `P1DT2H30M`.

    Raises:
        ValueError: neither.
    """
    if short := _AGO.fullmatch(text):
        return round(float(short[1]) * _UNIT_MS[short[2]])
    iso = _ISO_DURATION.fullmatch(text)
    if iso is None or text.endswith(("P", "T")):
        raise ValueError(f"no duration: {text!r}; write 90s, 15m, 2h, 1d or P1DT2H30M")
    units = ("d", "h", "m", "s")
    return round(sum(float(n or 0) * _UNIT_MS[u] for n, u in zip(iso.groups(), units, strict=True)))


def format_moment(timestamp_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds; the number itself where no calendar has it."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
