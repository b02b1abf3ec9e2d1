"""str, bytes, int and float in the formats of Kafka's own serializers.

| serde    | Kafka's        | bytes                                             |
|----------|----------------|---------------------------------------------------|
| `STRING` | String (UTF-8) | the text, strict UTF-8                            |
| `BYTES`  | ByteArray      | themselves                                        |
| `LONG`   | Long           | 8 bytes, signed, big endian                       |
| `DOUBLE` | Double         | 8 bytes, IEEE 754, big endian                     |
| `RAW`    |                | writes bytes, and str as UTF-8; reads bytes       |
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError
from streamlog.serdes.kernel import decode_texts, types_of
from streamlog.serdes.serde import convert_column, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES_OR_NULL: Final[set[type]] = {bytes, type(None)}
_LONG: Final = struct.Struct(">q")
_DOUBLE: Final = struct.Struct(">d")


class StringSerde:
    """Text as UTF-8."""

    name = "str"
    exact_keys = True
    immutable = True

    def serialize(self, value: str) -> bytes:
        try:
            return str.encode(value)
        except TypeError:
            raise refuse(self.name, value, "str") from None
        except UnicodeEncodeError as error:
            raise SerializationError(self.name, f"no valid text: {error}") from error

    def deserialize(self, data: bytes) -> str:
        try:
            return bytes.decode(data)
        except UnicodeDecodeError as error:
            raise SerializationError(self.name, f"not UTF-8: {error}") from error
        except TypeError:
            raise refuse(self.name, data, "bytes") from None

    def serialize_column(self, values: Sequence[str | None]) -> list[bytes | None]:
        try:
            return list(map(str.encode, values))  # type: ignore[arg-type] # None raises TypeError
        except (TypeError, UnicodeEncodeError):
            return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[str | None]:
        try:
            return decode_texts(list(column))
        except (TypeError, UnicodeDecodeError):
            return convert_column(self.deserialize, column)


class BytesSerde:
    """Bytes as they are; a bytearray or memoryview is copied, as the caller may change it."""

    name = "bytes"
    exact_keys = True
    immutable = True

    def serialize(self, value: bytes | bytearray | memoryview) -> bytes:
        return _copy(self.name, value, "bytes")

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize_column(
        self, values: Sequence[bytes | bytearray | memoryview | None]
    ) -> list[bytes | None]:
        column: list[Any] = list(values)
        if types_of(column) <= _BYTES_OR_NULL:
            return column
        return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[bytes | None]:
        return list(column)


class LongSerde:
    """Integers as Kafka's Long.

    A bool is refused: `True` would come back as 1. For the same reason keys are not exact: a
    dictionary of ints finds `True` and `1.0`, which this serde refuses.
    """

    name = "int"
    exact_keys = False
    immutable = True

    def serialize(self, value: int) -> bytes:
        if isinstance(value, bool):
            raise refuse(self.name, value, "int")
        try:
            return _LONG.pack(value)
        except struct.error:
            if isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance] # callers err
                reason = f"{value} does not fit 64 bits, signed"
                raise SerializationError(self.name, reason) from None
            raise refuse(self.name, value, "int") from None

    def deserialize(self, data: bytes) -> int:
        try:
            return _LONG.unpack(data)[0]
        except struct.error:
            raise _wrong_size(self.name, data) from None
        except TypeError:
            raise refuse(self.name, data, "bytes") from None

    def serialize_column(self, values: Sequence[int | None]) -> list[bytes | None]:
        column: list[Any] = list(values)
        if types_of(column) <= {int}:
            try:
                return list(map(_LONG.pack, column))
            except struct.error:
                pass  # one is over 64 bits: find it below
        return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[int | None]:
        unpacked = _unpack_column("q", column)
        return convert_column(self.deserialize, column) if unpacked is None else unpacked


class DoubleSerde:
    """Floats as Kafka's Double; ints are taken too.

    Keys are not exact: 0.0 and -0.0 are equal and have different bytes, NaN the other way round.
    """

    name = "float"
    exact_keys = False
    immutable = True

    def serialize(self, value: float) -> bytes:
        if isinstance(value, bool):
            raise refuse(self.name, value, "float")
        try:
            return _DOUBLE.pack(value)
        except OverflowError:
            raise SerializationError(self.name, f"{value} does not fit a double") from None
        except struct.error:
            raise refuse(self.name, value, "float") from None

    def deserialize(self, data: bytes) -> float:
        try:
            return _DOUBLE.unpack(data)[0]
        except struct.error:
            raise _wrong_size(self.name, data) from None
        except TypeError:
            raise refuse(self.name, data, "bytes") from None

    def serialize_column(self, values: Sequence[float | None]) -> list[bytes | None]:
        column: list[Any] = list(values)
        if types_of(column) <= {float}:
            return list(map(_DOUBLE.pack, column))
        return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[float | None]:
        unpacked = _unpack_column("d", column)
        return convert_column(self.deserialize, column) if unpacked is None else unpacked


class RawSerde:
    """What a producer or consumer without serdes uses: str is written as UTF-8, bytes come back."""

    name = "raw"
    exact_keys = False
    immutable = True

    def serialize(self, value: bytes | str | bytearray | memoryview) -> bytes:
        if type(value) is bytes:
            return value
        if isinstance(value, str):
            return STRING.serialize(value)
        return _copy(self.name, value, "bytes or str (or a serde, as key= or value=)")

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize_column(
        self, values: Sequence[bytes | str | bytearray | memoryview | None]
    ) -> list[bytes | None]:
        column: list[Any] = list(values)
        if types_of(column) <= _BYTES_OR_NULL:
            return column
        return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[bytes | None]:
        return list(column)


STRING: Final = StringSerde()
BYTES: Final = BytesSerde()
LONG: Final = LongSerde()
DOUBLE: Final = DoubleSerde()
RAW: Final = RawSerde()


def _copy(serde: str, value: object, wanted: str) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)  # type: ignore[arg-type] # a memoryview of any item type
    raise refuse(serde, value, wanted)


def _unpack_column(code: str, column: Sequence[bytes | None]) -> list[Any] | None:
    """All of a column of 8-byte items by one unpack; None where an item is not 8 bytes.

    Joining and unpacking once takes half the time of one unpack an item.
    """
    try:
        if not {8}.issuperset(map(len, column)):  # type: ignore[arg-type] # None raises TypeError
            return None
        joined = b"".join(column)  # type: ignore[arg-type] # no None, as above
    except TypeError:
        return None
    return list(struct.unpack(f">{len(column)}{code}", joined))


def _wrong_size(serde: str, data: bytes) -> SerializationError:
    return SerializationError(serde, f"8 bytes expected, not {len(data)}")
