"""The offset index of a segment: a sparse map from offsets to positions in the file.

| at | field | type |
|---|---|---|
| 0 | relative_offset: last offset of a batch, from the segment's base offset | int32 |
| 4 | position where that batch starts | int32 |

Both strictly increasing, big endian, no header and no checksum: a damaged index is rebuilt.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from struct import Struct
from typing import Final

ENTRY: Final = Struct(">ii")
ENTRY_SIZE: Final = ENTRY.size


class OffsetIndex:
    """The entries in memory. The partition log's lock guards it."""

    __slots__ = ("_base_offset", "_offsets", "_positions")

    def __init__(self, base_offset: int) -> None:
        self._base_offset = base_offset
        self._offsets = array("i")
        self._positions = array("i")

    @classmethod
    def decode(cls, base_offset: int, data: bytes, *, end_offset: int) -> OffsetIndex | None:
        """The entries below `end_offset`; None where the file is damaged."""
        if len(data) % ENTRY_SIZE:
            return None
        fields = array("i")
        fields.frombytes(data)
        if sys.byteorder == "little":
            fields.byteswap()
        index = cls(base_offset)
        index._offsets = fields[0::2]
        index._positions = fields[1::2]
        index.truncate(end_offset)
        return index if index._is_increasing() else None

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def last_position(self) -> int:
        """The position of the last entry; 0 without one."""
        return self._positions[-1] if self._positions else 0

    @property
    def last_offset(self) -> int:
        """The offset of the last entry; the base offset without one."""
        return self._base_offset + (self._offsets[-1] if self._offsets else 0)

    def append(self, last_offset: int, position: int) -> None:
        # In this order: a reader without the lock looks an offset up and then its position.
        self._positions.append(position)
        self._offsets.append(last_offset - self._base_offset)

    def lookup(self, offset: int) -> int:
        """A position at or before the batch with this offset."""
        place = bisect_right(self._offsets, offset - self._base_offset)
        return self._positions[place - 1] if place else 0

    def boundary(self, end_offset: int, end_position: int) -> int:
        """The last position up to `end_position` where a batch begins that ends below `end_offset`.

        Of those that the index knows; 0 without one.
        """
        place = min(
            bisect_left(self._offsets, end_offset - self._base_offset),
            bisect_right(self._positions, end_position),
        )
        return self._positions[place - 1] if place else 0

    def truncate(self, end_offset: int) -> None:
        """Drops the entries at and above the offset."""
        place = bisect_left(self._offsets, end_offset - self._base_offset)
        del self._offsets[place:]
        del self._positions[place:]

    def encode(self, start: int = 0) -> bytes:
        """The entries from the `start`th on, as the file has them."""
        pairs = zip(self._offsets[start:], self._positions[start:], strict=True)
        return b"".join(ENTRY.pack(offset, position) for offset, position in pairs)

    def _is_increasing(self) -> bool:
        return all(
            column[0] >= 0 and all(a < b for a, b in pairwise(column))
            for column in (self._offsets, self._positions)
            if column
        )
