"""The sessions of a key, and how they are stored: one entry a key (compiled).

    {start, 8 bytes}{end, 8 bytes}{length, 4 bytes}{value}   for each session, ascending

Sliding and count windows are kept in the same way; their ends follow from their starts, and in
place of the end is the timestamp of the latest record. Of count windows the number of records, 8
bytes, stands before all.

Numbers are big endian. Both ends are inclusive; a session's end is its timestamp.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_extensions import i64

    from streamlog.serdes import Serde

_HEAD: Final = struct.Struct(">qqi")
_HEAD_BYTES: Final = 20
_NUMBER: Final = struct.Struct(">q")
_NUMBER_BYTES: Final = 8


class Session:
    """One session.

    Attributes:
        known: Whether it has been given on, with these bounds.
        fresh: Whether it has changed since the last flush.
        old: Its value at the last flush, where it was known then.
    """

    __slots__ = ("end", "fresh", "known", "old", "start", "value")

    def __init__(self, start: i64, end: i64, value: Any) -> None:
        self.start: i64 = start
        self.end: i64 = end
        self.value: Any = value
        self.known: bool = False
        self.fresh: bool = True
        self.old: Any = None


class Sessions:
    """The sessions of one key, ascending; more than the gap lies between two of them.

    Attributes:
        gone: Known sessions that have become part of others since the last flush, if any.
        expired: Those that have changed and ended for good since then, if any.
        due: When the index looks at this key again; -1 where that is not known. Of count windows,
            how many records the key has had.
    """

    __slots__ = ("due", "expired", "gone", "items")

    def __init__(self) -> None:
        self.items: list[Session] = []
        self.gone: list[Session] | None = None
        self.expired: list[Session] | None = None
        self.due: i64 = -1

    def note_gone(self, item: Session) -> None:
        if self.gone is None:
            self.gone = []
        self.gone.append(item)

    def note_expired(self, item: Session) -> None:
        if self.expired is None:
            self.expired = []
        self.expired.append(item)


class SessionsSerde:
    """Sessions whose values have a serde of their own."""

    def __init__(self, value: Serde[Any], *, numbered: bool = False) -> None:
        self.name: str = f"sessions({value.name})"
        self.numbered: bool = numbered
        self.exact_keys: bool = False
        self.immutable: bool = False
        self.value: Any = value

    def serialize(self, value: Sessions) -> bytes:
        (data,) = self.serialize_column([value])
        found: bytes = data
        return found

    def deserialize(self, data: bytes) -> Sessions:
        sessions = Sessions()
        place: i64 = 0
        if self.numbered:
            if len(data) < _NUMBER_BYTES:
                raise SerializationError(self.name, "the bytes end within the number of records")
            sessions.due = _NUMBER.unpack_from(data)[0]
            place = _NUMBER_BYTES
        while place < len(data):
            if place + _HEAD_BYTES > len(data):
                raise SerializationError(self.name, "the bytes end within a session")
            head = _HEAD.unpack_from(data, place)
            place += _HEAD_BYTES
            size: i64 = head[2]
            if size < 0 or place + size > len(data):
                raise SerializationError(self.name, "the bytes end within a session's value")
            item = Session(head[0], head[1], self.value.deserialize(data[place : place + size]))
            item.known = True
            item.fresh = False
            sessions.items.append(item)
            place += size
        return sessions

    def serialize_column(self, values: Sequence[Any]) -> list[Any]:
        flat: list[Any] = []
        for sessions in values:
            if sessions is not None:
                for item in _items(sessions):
                    flat.append(item.value)
        encoded: list[bytes] = self.value.serialize_column(flat)
        column: list[Any] = []
        place = 0
        for sessions in values:
            if sessions is None:
                column.append(None)
                continue
            items = _items(sessions)
            row = _NUMBER.pack(sessions.due) if self.numbered else b""
            for item in items:
                data = encoded[place]
                row += _HEAD.pack(item.start, item.end, len(data)) + data
                place += 1
            column.append(row)
        return column

    def deserialize_column(self, column: Sequence[Any]) -> list[Any]:
        values: list[Any] = []
        for data in column:
            values.append(None if data is None else self.deserialize(data))
        return values


def _items(sessions: Sessions) -> list[Session]:
    return sessions.items
