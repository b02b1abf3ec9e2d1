"""Records to the bytes of a file: lines to append, or a table with the latest value a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from connectors.api import Poison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connectors.api import SinkBatch

_ENCODER: Final = msgspec.json.Encoder()
# What msgspec raises for a value that has no JSON form.
_FAILURES: Final = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


class Row(msgspec.Struct, gc=False):
    """`{"key": ..., "value": ...}`"""

    key: Any
    value: Any


class _StoredRow(msgspec.Struct, gc=False):
    """A line of a table, as it is read again."""

    key: msgspec.Raw
    value: msgspec.Raw = msgspec.Raw(b"null")
    deleted: bool = False


class Rows(Protocol):
    """Lines for a batch. Stateless."""

    def encode(self, batch: SinkBatch) -> bytes:
        """Raises `Poison` with the first row that has no such form."""
        ...


class JsonRows:
    """One JSON object a record."""

    def encode(self, batch: SinkBatch) -> bytes:
        try:
            return _ENCODER.encode_lines(list(map(Row, batch.keys, batch.values)))
        except _FAILURES:
            for _ in encode_each(list(map(Row, batch.keys, batch.values))):
                pass
            raise  # the rows do have a JSON form one by one: a defect


class TextRows:
    """The value of each record: text as it is, bytes as they are, anything else as JSON."""

    def encode(self, batch: SinkBatch) -> bytes:
        if set(map(type, batch.values)) == {str}:
            text = "\n".join(batch.values)
            if text.count("\n") == len(batch.values) - 1:
                try:
                    return text.encode() + b"\n"
                except UnicodeEncodeError:
                    pass  # find the row below
        return b"".join(_text_line(i, value) for i, value in enumerate(batch.values))


def _text_line(index: int, value: Any) -> bytes:
    if value is None:
        raise Poison("a record without value has no line of text", index=index)
    line = _text(index, value)
    if b"\n" in line:
        raise Poison("the value holds a newline, so it is no line of text", index=index)
    return line + b"\n"


def _text(index: int, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        [line] = encode_each([value], first=index)
        return line
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise Poison(f"no text: {error}", index=index) from error


def encode_column(values: Sequence[Any]) -> list[bytes]:
    """Each value as JSON; raises `Poison` with the first that has no such form."""
    encode: Callable[[Any], bytes] = _ENCODER.encode
    try:
        return list(map(encode, values))
    except _FAILURES:
        return list(encode_each(values))


def encode_each(values: Sequence[Any], *, first: int = 0) -> Iterator[bytes]:
    for index, value in enumerate(values, first):
        try:
            yield _ENCODER.encode(value)
        except _FAILURES as error:
            raise Poison(f"no JSON form: {error}", index=index) from error


class Table:
    """The latest value of each key, in the JSON form of both. Owned by one thread.

    A change is a line, so that the table of a file of lines is the last one of each key; a
    deletion is `{"key":...,"deleted":true}`. `content` has one line a key.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._changes: dict[bytes, bytes | None] = {}
        self.size_bytes = 0

    @property
    def has_changes(self) -> bool:
        """Whether anything was put that `take_lines` has not returned."""
        return bool(self._changes)

    def load(self, content: bytes) -> None:
        """Reads the lines of a file, the last of each key counting."""
        rows = msgspec.json.Decoder(_StoredRow).decode_lines(content)
        changes = ((bytes(r.key), None if r.deleted else bytes(r.value)) for r in rows)
        self._changes = dict(changes)
        self.take_lines()

    def put(self, batch: SinkBatch) -> None:
        """Takes a batch, or nothing of it where it raises `Poison`."""
        if None in batch.keys:
            raise Poison("an upsert needs a key", index=batch.keys.index(None))
        keys = encode_column(batch.keys)
        values: list[bytes | None] = [*encode_column(batch.values)]
        if None in batch.raw_values:
            values = [
                None if raw is None else value
                for raw, value in zip(batch.raw_values, values, strict=True)
            ]
        self._changes.update(zip(keys, values, strict=True))

    def take_lines(self) -> bytes:
        """The lines of what changed since the last call, which now is part of the table."""
        lines: list[bytes] = []
        for key, value in self._changes.items():
            old = self._values.pop(key, None)
            if old is not None:
                self.size_bytes -= len(_line(key, old))
            if value is None:
                lines.append(b'{"key":%b,"deleted":true}\n' % key)
            else:
                self._values[key] = value
                line = _line(key, value)
                self.size_bytes += len(line)
                lines.append(line)
        self._changes.clear()
        return b"".join(lines)

    def content(self) -> bytes:
        """One line a key, in no order: sorting a large table would stop the process for long."""
        return b"".join(_line(key, value) for key, value in self._values.items())

    def sorted_content(self) -> bytes:
        """One line a key, sorted by key."""
        return b"".join(_line(key, self._values[key]) for key in sort_keys(list(self._values)))


def _line(key: bytes, value: bytes) -> bytes:
    return b'{"key":%b,"value":%b}\n' % (key, value)


def sort_keys(keys: list[bytes]) -> list[bytes]:
    """JSON texts in the order of their values if all are texts or all numbers, else as bytes."""
    decoded: list[Any] = msgspec.json.decode(b"[%b]" % b",".join(keys))
    kinds = set(map(type, decoded))
    if kinds == {str} or (kinds and kinds <= {int, float}):
        return sorted(keys, key=dict(zip(keys, decoded, strict=True)).__getitem__)
    return sorted(keys)
