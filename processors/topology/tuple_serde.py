"""Several values as one, each with a serde of its own: what joins of many give to one another."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.serdes import Serde

_LENGTH: Final = struct.Struct(">i")
_NULL: Final = -1


class TupleSerde:
    """Each part is 4 bytes of length (big endian, -1 for None) and what its serde writes."""

    exact_keys = False
    immutable = False

    def __init__(self, parts: Sequence[Serde[Any]]) -> None:
        self.parts = tuple(parts)
        self.name = f"({', '.join(part.name for part in parts)})"

    def serialize(self, value: tuple[Any, ...]) -> bytes:
        data: list[bytes] = []
        for serde, part in zip(self.parts, value, strict=True):
            if part is None:
                data.append(_LENGTH.pack(_NULL))
            else:
                encoded = serde.serialize(part)
                data += (_LENGTH.pack(len(encoded)), encoded)
        return b"".join(data)

    def deserialize(self, data: bytes) -> tuple[Any, ...]:
        parts: list[Any] = []
        start = 0
        for serde in self.parts:
            if len(data) < start + _LENGTH.size:
                raise SerializationError(self.name, "ends within a part")
            (length,) = _LENGTH.unpack_from(data, start)
            start += _LENGTH.size
            if length == _NULL:
                parts.append(None)
                continue
            if not 0 <= length <= len(data) - start:
                raise SerializationError(self.name, "ends within a part")
            parts.append(serde.deserialize(data[start : start + length]))
            start += length
        if start != len(data):
            raise SerializationError(self.name, "goes on behind its last part")
        return tuple(parts)

    def serialize_column(self, values: Sequence[Any]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Any]:
        return [None if data is None else self.deserialize(data) for data in column]
