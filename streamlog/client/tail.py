"""Where a tail of a topic begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from streamlog.client.contract import Consumer, Log, TailStart
    from streamlog.topic import Isolation

NAMES: Final = ("end", "latest", "earliest")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def seek_to_start(
    log: Log, consumer: Consumer, start: TailStart, isolation: Isolation, *, now_ms: int
) -> None:
    """Sets the positions of a consumer without a group, which begins at the earliest records.

    Raises:
        ValueError: a name that is none of those known.
        TypeError: something else.
    """
    partitions = consumer.assignment()
    match start:
        case "earliest":
            pass
        case "end" | "latest":
            for partition, end in log.end_offsets(partitions, isolation=isolation).items():
                consumer.seek(partition, end)
        case datetime() | timedelta():
            milliseconds = _milliseconds(start, now_ms)
            for partition in partitions:
                consumer.seek_to_time(partition, milliseconds)
        case int():
            first = log.beginning_offsets(partitions)
            ends = log.end_offsets(partitions, isolation=isolation)
            for partition in partitions:
                consumer.seek(partition, min(max(start, first[partition]), ends[partition]))
        case _:  # pyright: ignore[reportUnnecessaryComparison]  # not everybody checks types
            raise _refusal(start)


def _refusal(start: object) -> Exception:
    if not isinstance(start, str):
        return TypeError(f"start is {start!r}: a name, an offset, a time or how long ago")
    known = ", ".join(map(repr, NAMES))
    return ValueError(f"start is {start!r}{did_you_mean(start, NAMES)}; one of {known}")


def _milliseconds(start: datetime | timedelta, now_ms: int) -> int:
    """The first millisecond at or after the time; a naive one is the machine's local time."""
    if isinstance(start, datetime):
        return max(-((EPOCH - start.astimezone()) // MILLISECOND), 0)
    return max(now_ms - start // MILLISECOND, 0)
