"""The time index of a segment: what the highest timestamp was up to an offset.

| at | field | type |
|---|---|---|
| 0 | timestamp: the highest so far, ms | int64 |
| 8 | relative_offset: last offset of the batch that has it, from the base offset | int32 |

Timestamps strictly increasing, big endian, no header and no checksum: a damaged index is rebuilt.
When a segment is closed its highest timestamp is appended, so the last entry is always exact.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from struct import Struct
from typing import Final, NamedTuple

ENTRY: Final = Struct(">qi")
ENTRY_SIZE: Final = ENTRY.size
NO_TIMESTAMP: Final = -1


class TimestampOffset(NamedTuple):
    timestamp: int
    offset: int


class TimeIndex:
    """The entries in memory. The partition log's lock guards it."""

    __slots__ = ("_base_offset", "_offsets", "_timestamps")

    def __init__(self, base_offset: int) -> None:
        self._base_offset = base_offset
        self._timestamps = array("q")
        self._offsets = array("i")

    @classmethod
    def decode(cls, base_offset: int, data: bytes, *, end_offset: int) -> TimeIndex | None:
        """The entries below `end_offset`; None where the file is damaged."""
        if len(data) % ENTRY_SIZE:
            return None
        index = cls(base_offset)
        for timestamp, offset in ENTRY.iter_unpack(data):
            if index._timestamps and (
                timestamp <= index._timestamps[-1] or offset < index._offsets[-1]
            ):
                return None
            index._timestamps.append(timestamp)
            index._offsets.append(offset)
        index.truncate(end_offset)
        return index

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def last_entry(self) -> TimestampOffset:
        """The highest timestamp; (-1, base offset) without an entry."""
        if not self._timestamps:
            return TimestampOffset(NO_TIMESTAMP, self._base_offset)
        return TimestampOffset(self._timestamps[-1], self._offsets[-1] + self._base_offset)

    def maybe_append(self, timestamp: int, offset: int) -> None:
        """Appends unless the timestamp is no higher than the last entry's."""
        if timestamp > self.last_entry.timestamp:
            # In this order: a reader without the lock looks a timestamp up and then its offset.
            self._offsets.append(offset - self._base_offset)
            self._timestamps.append(timestamp)

    def lookup(self, timestamp: int) -> int:
        """An offset that is not behind the first record with this timestamp or a later one."""
        place = bisect_left(self._timestamps, timestamp)
        return (self._offsets[place - 1] if place else 0) + self._base_offset

    def truncate(self, end_offset: int) -> None:
        """Drops the entries at and above the offset."""
        place = bisect_left(self._offsets, end_offset - self._base_offset)
        del self._timestamps[place:]
        del self._offsets[place:]

    def encode(self, start: int = 0) -> bytes:
        """The entries from the `start`th on, as the file has them."""
        pairs = zip(self._timestamps[start:], self._offsets[start:], strict=True)
        return b"".join(ENTRY.pack(timestamp, offset) for timestamp, offset in pairs)
