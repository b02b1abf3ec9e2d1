"""What a versioned table keeps of a key: its values with the times from which on they held.

In bytes a version is 8 bytes of timestamp, 4 of length (both big endian, a length of -1 says that
the key was deleted then), and its value as its serde wrote it; versions ascend by time.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.serdes import Serde

_HEADER: Final = struct.Struct(">qi")
NO_TIMESTAMP: Final = -1


class Versions:
    """Values of one key, ascending by time. Never changed: `put` makes another one."""

    __slots__ = ("timestamps", "values")

    def __init__(self, timestamps: list[int], values: list[Any]) -> None:
        self.timestamps = timestamps
        self.values = values

    def put(self, timestamp: int, value: Any, keep_from: int) -> Versions:
        """With one more; one of the same time is replaced.

        Dropped is what nobody can ask for: all before the last version up to `keep_from`.
        """
        place = bisect_left(self.timestamps, timestamp)
        behind = place
        if place < len(self.timestamps) and self.timestamps[place] == timestamp:
            behind += 1
        timestamps = [*self.timestamps[:place], timestamp, *self.timestamps[behind:]]
        values = [*self.values[:place], value, *self.values[behind:]]
        first = max(bisect_right(timestamps, keep_from) - 1, 0)
        return Versions(timestamps[first:], values[first:])

    def newest(self) -> tuple[Any, int]:
        """The last value and its time; None and -1 where the key is deleted."""
        value = self.values[-1]
        return (None, NO_TIMESTAMP) if value is None else (value, self.timestamps[-1])

    def at(self, time: int) -> tuple[Any, int]:
        """The value that held at a time, and since when."""
        place = bisect_right(self.timestamps, time) - 1
        if place < 0 or self.values[place] is None:
            return None, NO_TIMESTAMP
        return self.values[place], self.timestamps[place]


class VersionsSerde:
    """Versions whose values are of the serde `versions`. As a key it is of no use."""

    exact_keys = False
    immutable = True  # nobody changes one in place

    def __init__(self, versions: Serde[Any]) -> None:
        self.versions = versions
        self.name = f"versions of {versions.name}"

    def serialize(self, value: Versions) -> bytes:
        encoded = self.versions.serialize_column(value.values)
        parts: list[bytes] = []
        for timestamp, data in zip(value.timestamps, encoded, strict=True):
            if data is None:
                parts.append(_HEADER.pack(timestamp, -1))
            else:
                parts += (_HEADER.pack(timestamp, len(data)), data)
        return b"".join(parts)

    def deserialize(self, data: bytes) -> Versions:
        timestamps: list[int] = []
        encoded: list[bytes | None] = []
        place = 0
        try:
            while place < len(data):
                timestamp, size = _HEADER.unpack_from(data, place)
                place += _HEADER.size
                timestamps.append(timestamp)
                encoded.append(None if size < 0 else data[place : place + size])
                place += max(size, 0)
        except struct.error as error:
            raise SerializationError(self.name, str(error)) from error
        if place != len(data) or not timestamps:
            raise SerializationError(self.name, "cut off")
        return Versions(timestamps, self.versions.deserialize_column(encoded))

    def serialize_column(self, values: Sequence[Versions | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Versions | None]:
        return [None if data is None else self.deserialize(data) for data in column]
