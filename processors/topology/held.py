"""An update that is held back, and how it is stored.

{time, 8 bytes, big endian}{1}{value}    until then it waits
{time, 8 bytes, big endian}{0}           a deletion; in a segment of those that are held for a
                                         time, a key that waits since then (operators/suppress.py)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.serdes import Serde

_TIME: Final = struct.Struct(">q?")


class Held:
    """The last update of a key, and the time by which it is due."""

    __slots__ = ("size", "time", "value")

    def __init__(self, time: int, value: Any, size: int) -> None:
        self.time = time
        self.value = value
        self.size = size


class HeldSerde:
    """Updates whose values have a serde of their own; a value may be None."""

    exact_keys = False
    immutable = False

    def __init__(self, value: Serde[Any]) -> None:
        self.name = f"held({value.name})"
        self.value = value

    def serialize(self, value: Held) -> bytes:
        head = _TIME.pack(value.time, value.value is not None)
        return head if value.value is None else head + self.value.serialize(value.value)

    def deserialize(self, data: bytes) -> Held:
        if len(data) < _TIME.size:
            raise SerializationError(self.name, f"{len(data)} bytes are too few")
        time, has_value = _TIME.unpack_from(data)
        value = self.value.deserialize(data[_TIME.size :]) if has_value else None
        return Held(time, value, len(data))

    def serialize_column(self, values: Sequence[Held | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Held | None]:
        return [None if data is None else self.deserialize(data) for data in column]
