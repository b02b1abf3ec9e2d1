"""The primitive fields of Kafka's message format, as the coordinators' records use them.

Integers are big endian. In a *classic* message a string has an int16 length, bytes and arrays an
int32 length (-1: null), and there are no tags. In a *flexible* one (KIP-482) lengths are unsigned
varints of length + 1 (0: null), and every structure ends with tagged fields.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

INT8: Final = Struct(">b")
INT16: Final = Struct(">h")
INT32: Final = Struct(">i")
INT64: Final = Struct(">q")
MAX_UVARINT_BYTES: Final = 5
MAX_STRING_BYTES: Final = 32767


class FieldReader:
    """Takes fields off one key or value, front to back.

    Every method raises `CorruptRecordError` where the bytes end too early or make no sense.
    """

    __slots__ = ("buffer", "flexible", "position")

    def __init__(self, buffer: bytes, *, flexible: bool = False) -> None:
        self.buffer = buffer
        self.flexible = flexible
        self.position = 0

    def int8(self) -> int:
        return self._number(INT8)

    def int16(self) -> int:
        return self._number(INT16)

    def int32(self) -> int:
        return self._number(INT32)

    def int64(self) -> int:
        return self._number(INT64)

    def string(self) -> str:
        text = self.nullable_string()
        if text is None:
            raise self._corrupt("null where a string is needed")
        return text

    def nullable_string(self) -> str | None:
        length = self._compact_length() if self.flexible else self._classic_length(INT16)
        if length is None:
            return None
        try:
            return str(self._take(length), "utf-8")
        except UnicodeDecodeError:
            raise self._corrupt("a string that is not UTF-8") from None

    def bytes(self) -> bytes:
        data = self.nullable_bytes()
        if data is None:
            raise self._corrupt("null where bytes are needed")
        return data

    def nullable_bytes(self) -> bytes | None:
        length = self._compact_length() if self.flexible else self._classic_length(INT32)
        return None if length is None else self._take(length)

    def array_length(self) -> int:
        length = self.nullable_array_length()
        if length is None:
            raise self._corrupt("null where an array is needed")
        return length

    def nullable_array_length(self) -> int | None:
        """The number of elements, each at least a byte long, or None."""
        length = self._compact_length() if self.flexible else self._classic_length(INT32)
        if length is not None and length > len(self.buffer) - self.position:
            raise self._corrupt(f"an array of {length} elements is longer than the rest")
        return length

    def tags(self) -> dict[int, bytes]:
        """The tagged fields by number; empty in a classic message."""
        tags: dict[int, bytes] = {}
        if self.flexible:
            for _ in range(self._uvarint()):
                tag = self._uvarint()
                tags[tag] = self._take(self._uvarint())
        return tags

    def _number(self, form: Struct) -> int:
        return form.unpack(self._take(form.size))[0]

    def _take(self, length: int) -> bytes:
        start, end = self.position, self.position + length
        if end > len(self.buffer):
            raise self._corrupt(f"{length} bytes are wanted, {len(self.buffer) - start} are left")
        self.position = end
        return self.buffer[start:end]

    def _classic_length(self, form: Struct) -> int | None:
        length = self._number(form)
        if length < -1:
            raise self._corrupt(f"length {length}")
        return None if length < 0 else length

    def _compact_length(self) -> int | None:
        length = self._uvarint()
        return None if length == 0 else length - 1

    def _uvarint(self) -> int:
        value = 0
        for shift in range(0, 7 * MAX_UVARINT_BYTES, 7):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise self._corrupt("a varint of more than 5 bytes")

    def _corrupt(self, reason: str) -> CorruptRecordError:
        return CorruptRecordError(reason, position=self.position)


class FieldWriter:
    """Appends fields to one key or value; `result` is what was written."""

    __slots__ = ("_buffer", "flexible")

    def __init__(self, *, flexible: bool = False) -> None:
        self._buffer = bytearray()
        self.flexible = flexible

    def result(self) -> bytes:
        return bytes(self._buffer)

    def int8(self, value: int) -> None:
        self._buffer += INT8.pack(value)

    def int16(self, value: int) -> None:
        self._buffer += INT16.pack(value)

    def int32(self, value: int) -> None:
        self._buffer += INT32.pack(value)

    def int64(self, value: int) -> None:
        self._buffer += INT64.pack(value)

    def string(self, text: str | None) -> None:
        """Raises `ValueError` for one that is too long for the format."""
        data = None if text is None else text.encode()
        if data is not None and len(data) > MAX_STRING_BYTES:
            raise ValueError(
                f"{len(data)} bytes of text are over {MAX_STRING_BYTES}: {text:.20}..."
            )
        self._length(data, INT16)
        self._buffer += data or b""

    def bytes(self, data: bytes | None) -> None:
        self._length(data, INT32)
        self._buffer += data or b""

    def array_length(self, length: int | None) -> None:
        if self.flexible:
            self._uvarint(0 if length is None else length + 1)
        else:
            self.int32(-1 if length is None else length)

    def tags(self, tags: Mapping[int, bytes] | None = None) -> None:
        """Tagged fields in ascending order; writes nothing in a classic message."""
        if not self.flexible:
            return
        self._uvarint(len(tags or {}))
        for tag, data in sorted((tags or {}).items()):
            self._uvarint(tag)
            self._uvarint(len(data))
            self._buffer += data

    def _length(self, data: bytes | None, form: Struct) -> None:
        if self.flexible:
            self._uvarint(0 if data is None else len(data) + 1)
        else:
            self._buffer += form.pack(-1 if data is None else len(data))

    def _uvarint(self, value: int) -> None:
        while value > 0x7F:
            self._buffer.append(value & 0x7F | 0x80)
            value >>= 7
        self._buffer.append(value)
