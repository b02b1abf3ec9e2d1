"""What a foreign-key join sends between its two sides, and keeps: messages, answers, pages.

A subscription goes to the task of the foreign key, and is one byte (what is asked) and the key
bytes of the left table's entry. Its answer comes back under those:

| bytes | what                                                             |
|-------|------------------------------------------------------------------|
| 1     | flags: 1 there is a value, 2 the subscription has ended          |
| 4     | length of the foreign key, big endian                            |
| n     | the foreign key                                                  |
| rest  | the value of the right table, where there is one                 |

Subscribers of a foreign key are kept in pages: the key of a page is the foreign key and the number
of the page (4 bytes, big endian), and a page is the number of pages of its foreign key (4 bytes,
only right in page 0), and then each subscriber's length (4 bytes) and key bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.serdes import Serde

END: Final = 0
"""Unsubscribe, and say nothing."""

END_AND_TELL: Final = 1
"""Unsubscribe, and answer that it has ended."""

ANSWER: Final = 2
"""Subscribe, and answer in any case."""

ANSWER_IF_FOUND: Final = 3
"""Subscribe, and answer where there is a value."""

_LENGTH: Final = struct.Struct(">i")
_HEADER: Final = struct.Struct(">Bi")
_HAS_VALUE: Final = 1
_ENDED: Final = 2


class Answer(NamedTuple):
    """What the right table has under a foreign key; or that the subscription to it has ended."""

    foreign_key: bytes
    ended: bool
    value: Any


class AnswerSerde:
    """Answers with values of the serde `values`. As a key it is of no use."""

    exact_keys = False

    def __init__(self, values: Serde[Any]) -> None:
        self.values = values
        self.name = f"answer of {values.name}"
        self.immutable = values.immutable

    def serialize(self, value: Answer) -> bytes:
        flags = _ENDED if value.ended else 0
        data = b""
        if value.value is not None:
            flags |= _HAS_VALUE
            data = self.values.serialize(value.value)
        return _HEADER.pack(flags, len(value.foreign_key)) + value.foreign_key + data

    def deserialize(self, data: bytes) -> Answer:
        try:
            flags, size = _HEADER.unpack_from(data)
        except struct.error as error:
            raise SerializationError(self.name, str(error)) from error
        end = _HEADER.size + size
        if end > len(data):
            raise SerializationError(self.name, "cut off")
        value = self.values.deserialize(data[end:]) if flags & _HAS_VALUE else None
        return Answer(data[_HEADER.size : end], bool(flags & _ENDED), value)

    def serialize_column(self, values: Sequence[Answer | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Answer | None]:
        return [None if data is None else self.deserialize(data) for data in column]

    def parts(self, column: Sequence[Answer]) -> tuple[Serde[Any], list[Any]]:
        """All values in a column of answers, whose soundness is that of the answers."""
        return self.values, [answer.value for answer in column if answer.value is not None]


class Page:
    """Some of the subscribers of a foreign key, in the order in which they came."""

    __slots__ = ("pages", "subscribers")

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.subscribers: dict[bytes, None] = {}


class PageSerde:
    """Pages. As a key it is of no use."""

    exact_keys = False
    immutable = False
    name = "subscribers"

    def serialize(self, value: Page) -> bytes:
        parts = [_LENGTH.pack(value.pages)]
        for subscriber in value.subscribers:
            parts += (_LENGTH.pack(len(subscriber)), subscriber)
        return b"".join(parts)

    def deserialize(self, data: bytes) -> Page:
        try:
            page = Page(_LENGTH.unpack_from(data)[0])
            place = _LENGTH.size
            while place < len(data):
                start = place + _LENGTH.size
                place = start + _LENGTH.unpack_from(data, place)[0]
                page.subscribers[data[start:place]] = None
        except struct.error as error:
            raise SerializationError(self.name, str(error)) from error
        if place != len(data):
            raise SerializationError(self.name, "cut off")
        return page

    def serialize_column(self, values: Sequence[Page | None]) -> list[bytes | None]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Page | None]:
        return [None if data is None else self.deserialize(data) for data in column]
