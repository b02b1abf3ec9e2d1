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
from typing import TYPE_CHECKING, Any, Final

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
HEADER_BYTES: Final = 5
_HAS_VALUE: Final = 1
_ENDED: Final = 2


class Answer:
    """What the right table has under a foreign key; or that the subscription to it has ended."""

    __slots__ = ("ended", "foreign_key", "value")

    def __init__(self, foreign_key: bytes, ended: bool, value: Any) -> None:
        self.foreign_key: bytes = foreign_key
        self.ended: bool = ended
        self.value: Any = value


class AnswerSerde:
    """Answers with values of the serde `values`. As a key it is of no use."""

    def __init__(self, values: Serde[Any]) -> None:
        self.values: Any = values
        self.exact_keys: bool = False
        self.name: str = f"answer of {values.name}"
        self.immutable: bool = values.immutable

    def serialize(self, value: Answer) -> bytes:
        return self._pack(
            value, None if value.value is None else self.values.serialize(value.value)
        )

    def deserialize(self, data: bytes) -> Answer:
        answer = self._unpack(data)
        if answer.value is not None:
            answer.value = self.values.deserialize(answer.value)
        return answer

    def serialize_column(self, values: Sequence[Answer | None]) -> list[bytes | None]:
        column: list[Any] = [None if each is None else each.value for each in values]
        encoded: list[Any] = self.values.serialize_column(column)
        packed: list[bytes | None] = []
        for index in range(len(values)):
            answer = values[index]
            packed.append(None if answer is None else self._pack(answer, encoded[index]))
        return packed

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Answer | None]:
        answers: list[Answer | None] = []
        for data in column:
            answers.append(None if data is None else self._unpack(data))
        self._read([answer for answer in answers if answer is not None])
        return answers

    def hand_over(self, column: list[Answer]) -> list[Answer]:
        """What the bytes of a column would give back; only what is not made here is copied.

        Raises:
            SerializationError: one of the values cannot be written.
        """
        encoded: list[Any] = self.values.serialize_column([answer.value for answer in column])
        copies: list[Answer] = []
        for index in range(len(column)):
            answer = column[index]
            copies.append(Answer(answer.foreign_key, answer.ended, encoded[index]))
        self._read(copies)
        return copies

    def parts(self, column: Sequence[Answer]) -> tuple[Serde[Any], list[Any]]:
        """All values in a column of answers, whose soundness is that of the answers."""
        return self.values, [answer.value for answer in column if answer.value is not None]

    def _read(self, answers: list[Answer]) -> None:
        """Bytes in the place of values become values."""
        values: list[Any] = self.values.deserialize_column([answer.value for answer in answers])
        for index in range(len(answers)):
            answers[index].value = values[index]

    def _pack(self, answer: Answer, data: Any) -> bytes:
        flags = _ENDED if answer.ended else 0
        if data is None:
            data = b""
        else:
            flags |= _HAS_VALUE
        head: bytes = _HEADER.pack(flags, len(answer.foreign_key))
        return head + answer.foreign_key + data

    def _unpack(self, data: bytes) -> Answer:
        """With bytes in the place of the value."""
        try:
            flags, size = _HEADER.unpack_from(data)
        except struct.error as error:
            raise SerializationError(self.name, str(error)) from error
        end = HEADER_BYTES + size
        if end > len(data):
            raise SerializationError(self.name, "cut off")
        value = data[end:] if flags & _HAS_VALUE else None
        return Answer(data[HEADER_BYTES:end], bool(flags & _ENDED), value)


class Page:
    """Some of the subscribers of a foreign key, in the order in which they came."""

    __slots__ = ("pages", "subscribers")

    def __init__(self, pages: int) -> None:
        self.pages: int = pages
        self.subscribers: dict[bytes, None] = {}


class PageSerde:
    """Pages. As a key it is of no use."""

    def __init__(self) -> None:
        self.name: str = "subscribers"
        self.exact_keys: bool = False
        self.immutable: bool = False

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
