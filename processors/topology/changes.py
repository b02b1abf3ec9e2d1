"""What a key of a table had before and has now, and its bytes between tasks (KIP-904).

| change      | bytes                                        |
|-------------|----------------------------------------------|
| old alone   | old, 0                                       |
| new alone   | new, 1                                       |
| both        | length of new (varint), new, old, 2          |

The varint is Kafka's unsigned one: 7 bits a byte, the lowest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.serdes import Serde


class Change(NamedTuple):
    """What a key of a table had and has; None where that is nothing. See `Table.changes`.

    >>> from processors import Change
    >>> Change(old=3, new=None)
    Change(old=3, new=None)
    """

    old: Any
    new: Any


class ChangeSerde:
    """Changes of values of the serde `values`. As a key it is of no use."""

    exact_keys = False

    def __init__(self, values: Serde[Any]) -> None:
        self.values = values
        self.name = f"change of {values.name}"
        self.immutable = values.immutable

    def serialize(self, value: Change) -> bytes:
        old, new = value
        if new is None:
            return self.values.serialize(old) + b"\0"
        encoded = self.values.serialize(new)
        if old is None:
            return encoded + b"\1"
        return b"".join((_varint(len(encoded)), encoded, self.values.serialize(old), b"\2"))

    def deserialize(self, data: bytes) -> Change:
        match data[-1:]:
            case b"\0":
                return Change(self.values.deserialize(data[:-1]), None)
            case b"\1":
                return Change(None, self.values.deserialize(data[:-1]))
            case b"\2":
                size, start = self._read_varint(data)
                end = start + size
                if end < len(data):
                    old, new = data[end:-1], data[start:end]
                    return Change(self.values.deserialize(old), self.values.deserialize(new))
            case _:
                pass
        raise SerializationError(self.name, "cut off, or of another kind")

    def serialize_column(self, values: Sequence[Change | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Change | None]:
        return [None if data is None else self.deserialize(data) for data in column]

    def parts(self, column: Sequence[Change]) -> tuple[Serde[Any], list[Any]]:
        """All values in a column of changes, whose soundness is that of the changes."""
        olds = [change.old for change in column if change.old is not None]
        olds += [change.new for change in column if change.new is not None]
        return self.values, olds

    def _read_varint(self, data: bytes) -> tuple[int, int]:
        value = shift = 0
        for place, byte in enumerate(data):
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, place + 1
        raise SerializationError(self.name, "cut off")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
