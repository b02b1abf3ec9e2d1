"""Whole lines of a file to columns, in C wherever nothing is wrong with them.

A block ends behind a `\n`, so no character and no line crosses its end. The fast path converts
the block as one; only when that fails is it looked at line by line to find which lines are to
blame, and where in the file they stand.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from connectors.api import PoisonRecord, SourceColumns
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EncodingErrors = Literal["strict", "replace"]
_ASCII: Final = bytes(range(128))
# A text that is no UTF-8 is a ValueError to msgspec, deep nesting a RecursionError.
_FAILURES: Final = (msgspec.DecodeError, ValueError, RecursionError, SerializationError)


@dataclass(slots=True)
class Lines:
    """What a block held."""

    columns: SourceColumns
    poison: list[PoisonRecord] = field(default_factory=list[PoisonRecord])


class LineFormat(Protocol):
    """Turns a block of whole lines into columns. Stateless, usable from any thread."""

    def convert(self, block: bytes, path: str, position: int) -> Lines:
        """`block` stands at byte `position` of the file `path`."""
        ...


def check_encoding(name: str) -> str | None:
    """Why lines in this encoding cannot be split at the byte `\\n`, or None if they can."""
    try:
        if _ASCII.decode(name) == _ASCII.decode("ascii"):
            return None
    except (LookupError, UnicodeError):
        try:
            codecs.lookup(name)
        except LookupError:
            return f"unknown encoding {name!r}"
    return f"{name!r} does not hold ASCII as it is, so its lines cannot be told apart"


def to_utf8(encoding: str, errors: EncodingErrors) -> Callable[[bytes], bytes]:
    """A function from text in an encoding to UTF-8, which raises `UnicodeError`."""
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        return lambda data: data.decode(encoding, errors).encode()

    def checked(data: bytes) -> bytes:
        try:
            data.decode()
        except UnicodeDecodeError:
            if errors == "strict":
                raise
            return data.decode(errors=errors).encode()
        return data

    return checked


class TextLines:
    """Every line is a value: UTF-8, without its newline, of at most `max_line_bytes`."""

    def __init__(self, encoding: str, errors: EncodingErrors, max_line_bytes: int) -> None:
        self._encoding = encoding
        self._to_utf8 = to_utf8(encoding, errors)
        self._max_line_bytes = max_line_bytes
        self._has_mark = codecs.lookup(encoding).name == "utf-8-sig"

    def convert(self, block: bytes, path: str, position: int) -> Lines:
        if self._has_mark and position == 0 and block.startswith(codecs.BOM_UTF8):
            return self.convert(block[3:], path, 3)
        try:
            values = split(self._to_utf8(block))
        except UnicodeError:
            return self._convert_each(block, path, position)
        if len(block) > self._max_line_bytes < max(map(len, values), default=0):
            return self._convert_each(block, path, position)
        return Lines(SourceColumns(values))

    def _convert_each(self, block: bytes, path: str, position: int) -> Lines:
        values: list[bytes] = []
        poison: list[PoisonRecord] = []
        for start, raw in starts(block, position):
            try:
                [value] = split(self._to_utf8(raw))
            except UnicodeError as error:
                poison.append(self._no_text(path, start, raw, error))
                continue
            if len(value) > self._max_line_bytes:
                poison.append(line_too_long(path, start, self._max_line_bytes))
            else:
                values.append(value)
        return Lines(SourceColumns(values), poison)

    def _no_text(self, path: str, start: int, raw: bytes, error: UnicodeError) -> PoisonRecord:
        byte = start + error.start if isinstance(error, UnicodeDecodeError) else start
        reason = f"byte {byte} of the file is no {self._encoding}: {error}"
        return PoisonRecord(_origin(path, start), reason, without_end(raw))


class JsonLines:
    """Every line that is not blank is a value: JSON as it stands in the file, once checked.

    With `key_field`, that field of each object is its key, written by the serde `key_type`.
    """

    def __init__(
        self, text: TextLines, key_field: str | None = None, key_type: str = "str"
    ) -> None:
        self._text = text
        self._key_field = key_field
        self._key_serde = serde_for(key_type)
        self._decode = msgspec.json.Decoder[Any](Any).decode

    def convert(self, block: bytes, path: str, position: int) -> Lines:
        lines = self._text.convert(block, path, position)
        if not lines.poison:
            try:
                return Lines(self._columns(lines.columns.values))
            except _FAILURES:
                pass  # find the lines below
        return self._convert_each(block, path, position)

    def _columns(self, lines: Sequence[bytes | None]) -> SourceColumns:
        """Raises one of `_FAILURES`."""
        values = [line for line in lines if line and not line.isspace()]
        decoded = list(map(self._decode, values))
        return SourceColumns(values, None if self._key_field is None else self._keys(decoded))

    def _keys(self, values: list[Any]) -> list[bytes | None]:
        try:
            keys = [value[self._key_field] for value in values]
        except (LookupError, TypeError):
            reason = f"no object with a field {self._key_field!r}, its key"
            raise SerializationError("json", reason) from None
        return self._key_serde.serialize_column(keys)

    def _convert_each(self, block: bytes, path: str, position: int) -> Lines:
        values: list[bytes | None] = []
        keys: list[bytes | None] = []
        poison: list[PoisonRecord] = []
        for start, raw in starts(block, position):
            line = self._text.convert(raw, path, start)
            poison += line.poison
            try:
                columns = self._columns(line.columns.values)
            except _FAILURES as error:
                no_json = not isinstance(error, SerializationError)
                reason = f"no JSON: {error}" if no_json else str(error)
                poison.append(PoisonRecord(_origin(path, start), reason, without_end(raw)))
            else:
                values += columns.values
                keys += columns.keys or ()
        return Lines(SourceColumns(values, None if self._key_field is None else keys), poison)


def line_too_long(path: str, start: int, max_line_bytes: int) -> PoisonRecord:
    """Without its value, as no topic would take it."""
    return PoisonRecord(_origin(path, start), f"longer than max_line = {max_line_bytes} bytes")


def _origin(path: str, start: int) -> str:
    return f"{path}, line at byte {start}"


def split(block: bytes) -> list[bytes]:
    """The lines without their ends; the block ends with a newline."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    lines = block.split(b"\n")
    lines.pop()
    return lines


def starts(block: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Each line with its end, and the byte of the file where it begins."""
    begin = 0
    while begin < len(block):
        end = block.index(b"\n", begin) + 1
        yield position + begin, block[begin:end]
        begin = end


def without_end(line: bytes) -> bytes:
    """The line without `\\n` or `\\r\\n`."""
    return line.removesuffix(b"\n").removesuffix(b"\r")
