"""Keys of windowed tables, and how topics hold them.

    time windows   {key}{start, 8 bytes}                 as Kafka Streams' TimeWindowedSerde
    sessions       {key}{end, 8 bytes}{start, 8 bytes}   as its SessionWindowedSerde

Numbers are big endian. The end of a time window is not in the bytes: who reads them knows it.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamlog.serdes import Serde

_START: Final = struct.Struct(">q")
_SESSION: Final = struct.Struct(">qq")


class Windowed(NamedTuple):
    """The key of a windowed table.

    >>> from processors import Windowed
    >>> Windowed("ann", 0, 60_000).start
    0

    Attributes:
        start: The first millisecond of the window; of a count window its first record's number.
        end: Behind the last one; of sessions and sliding windows the last one itself.
    """

    key: Any
    start: int
    end: int


def windowed_keys(keys: list[Any], starts: list[int], ends: list[int]) -> list[Any]:
    """The columns as one column of `Windowed`; in C, as it is done for every result."""
    rows = zip(keys, starts, ends, strict=True)
    return list(map(tuple.__new__, repeat(Windowed), rows))  # type: ignore # it is generic


class _WindowedSerde:
    """What both formats share: the key, and behind it a tail of fixed size."""

    def __init__(self, name: str, key: Serde[Any], tail_bytes: int) -> None:
        self.name = f"{name}({key.name})"
        self.key = key
        self.exact_keys = key.exact_keys
        self.immutable = key.immutable
        self._tail_bytes = tail_bytes

    def serialize(self, value: Windowed) -> bytes:
        if type(value) is not Windowed:
            raise SerializationError(
                self.name, f"a Windowed key expected, not {type(value).__name__} {value!r:.60}"
            )
        try:
            return self.key.serialize(value.key) + self.tail(value.start, value.end)
        except struct.error as error:
            raise SerializationError(self.name, f"no window: {value!r:.60}: {error}") from None

    def deserialize(self, data: bytes) -> Windowed:
        if len(data) < self._tail_bytes:
            raise SerializationError(
                self.name, f"{len(data)} bytes, and a window alone has {self._tail_bytes}"
            )
        cut = len(data) - self._tail_bytes
        start, end = self.window(data[cut:])
        return Windowed(self.key.deserialize(data[:cut]), start, end)

    def serialize_column(self, values: Sequence[Windowed | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Windowed | None]:
        return [None if data is None else self.deserialize(data) for data in column]

    def tail(self, start: int, end: int) -> bytes:
        raise NotImplementedError

    def window(self, tail: bytes) -> tuple[int, int]:
        raise NotImplementedError


def bare_keys(serde: Serde[Any]) -> Serde[Any]:
    """The serde of the keys in windowed keys; of others, itself."""
    return serde.key if isinstance(serde, _WindowedSerde) else serde


class TimeWindowedSerde(_WindowedSerde):
    """Keys of windows whose start says which one it is.

    Args:
        end_of: The end of the window with a start.
    """

    def __init__(self, key: Serde[Any], end_of: Callable[[int], int]) -> None:
        super().__init__("time_windowed", key, 8)
        self._end_of = end_of

    def tail(self, start: int, end: int) -> bytes:
        return _START.pack(start)

    def window(self, tail: bytes) -> tuple[int, int]:
        start = _START.unpack(tail)[0]
        return start, self._end_of(start)


class SessionWindowedSerde(_WindowedSerde):
    """Keys of sessions."""

    def __init__(self, key: Serde[Any]) -> None:
        super().__init__("session_windowed", key, 16)

    def tail(self, start: int, end: int) -> bytes:
        return _SESSION.pack(end, start)

    def window(self, tail: bytes) -> tuple[int, int]:
        end, start = _SESSION.unpack(tail)
        return start, end
