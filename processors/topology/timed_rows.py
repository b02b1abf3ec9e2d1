"""What the buffers of joins keep a key: rows with their times, in the order of arrival (compiled).

A row is 8 bytes of timestamp, 4 of length (both big endian), and its value as its serde wrote it.
In memory rows stay bytes: most of them are written again before they are ever looked at, and what
is looked at is made anew each time, so that nobody can change what another one gets. One row of a
key, which is the usual number, is those bytes, several are a `TimedRows`: what is not there need
not be made, nor looked at by the garbage collector.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_extensions import i64

HEADER_BYTES: Final = 12

_HEADER: Final = struct.Struct(">qi")


class TimedRows:
    """Several rows of one key. `rows` are with their headers.

    `last` is where the newest rows of the key are, as far as is known; it is not stored.
    """

    __slots__ = ("last", "rows", "timestamps")

    def __init__(self) -> None:
        self.timestamps: list[int] = []
        self.rows: list[bytes] = []
        self.last: i64 = 0

    def append(self, timestamp: int, row: bytes) -> None:
        self.timestamps.append(timestamp)
        self.rows.append(row)


def pack_rows(timestamps: list[int], values: list[Any]) -> list[Any]:
    """A column of rows; None where there is no value."""
    packed: list[Any] = []
    pack = _HEADER.pack
    for timestamp, value in zip(timestamps, values):  # noqa: B905 - the compiled zip knows no strict
        packed.append(None if value is None else pack(timestamp, len(value)) + value)
    return packed


def time_of(row: bytes) -> int:
    """The timestamp of a row."""
    header: tuple[int, int] = _HEADER.unpack_from(row, 0)
    return header[0]


def with_row(value: Any, timestamp: int, row: bytes) -> Any:
    """The rows of a key, None where there are none, and one more."""
    if value is None:
        return row
    if isinstance(value, TimedRows):
        value.append(timestamp, row)
        return value
    rows = TimedRows()
    rows.append(time_of(value), value)
    rows.append(timestamp, row)
    return rows


def _join(value: Any) -> bytes:
    if isinstance(value, TimedRows):
        return b"".join(value.rows)
    row: bytes = value
    return row


class TimedRowsSerde:
    """Lists of rows. As a key it is of no use.

    Args:
        values: The name of the serde of their values.
    """

    exact_keys = False
    immutable = False

    def __init__(self, values: str) -> None:
        self.name: str = f"rows of {values}"

    def serialize(self, value: Any) -> bytes:
        return _join(value)

    def deserialize(self, data: bytes) -> Any:
        start: i64 = 0
        end: i64 = len(data)
        if end >= HEADER_BYTES and HEADER_BYTES + _HEADER.unpack_from(data, 0)[1] == end:
            return data
        rows = TimedRows()
        while start < end:
            if end - start < HEADER_BYTES:
                raise SerializationError(self.name, "ends within a row")
            header: tuple[int, int] = _HEADER.unpack_from(data, start)
            size: i64 = header[1]
            following = start + HEADER_BYTES + size
            if size < 0 or following > end:
                raise SerializationError(self.name, "ends within a row")
            rows.append(header[0], data[start:following])
            start = following
        return rows

    def serialize_column(self, values: Sequence[Any]) -> list[bytes | None]:
        column: list[bytes | None] = []
        for value in values:
            column.append(None if value is None else _join(value))
        return column

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Any]:
        values: list[Any] = []
        for data in column:
            values.append(None if data is None else self.deserialize(data))
        return values
