"""The topics of a driver: rows in lists, and how tests write and read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from processors.topology.duration import milliseconds
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processors.topology.duration import Duration
    from streamlog.client.contract import Headers, Record


@dataclass(slots=True)
class Row:
    """A record of a topic of the driver, as bytes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Topic:
    """Partitions as lists; `read` is how many records `records()` has given."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.rows: list[Row] = []
        self.read = 0
        self._next_offsets = [0] * partitions

    def append(
        self,
        partition: int | None,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> Row:
        if partition is None:
            partition = 0 if key is None else partition_for(key, self.partitions)
        offset = self._next_offsets[partition]
        self._next_offsets[partition] = offset + 1
        row = Row(partition, offset, timestamp, key, value, headers)
        self.rows.append(row)
        return row


class Pipe(Protocol):
    """Takes one record of a topic."""

    def __call__(
        self,
        topic: str,
        value: Any,
        *,
        key: Any = None,
        timestamp: int = 0,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None: ...


class Read(Protocol):
    """Gives the records of a topic that were not read yet, at most so many."""

    def __call__(
        self, topic: str, *, key: Any = None, value: Any = None, at_most: int | None = None
    ) -> list[Record]: ...


class InputTopic:
    """Pipes records into one topic, with timestamps that go on by themselves."""

    def __init__(self, pipe: Pipe, topic: str, start: int, advance: int) -> None:
        self._pipe = pipe
        self._topic = topic
        self._timestamp = start
        self._advance = advance

    def pipe(
        self,
        value: Any,
        *,
        key: Any = None,
        timestamp: int | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """One record; without `timestamp`, the next one of this topic."""
        if timestamp is None:
            timestamp = self._timestamp
            self._timestamp += self._advance
        self._pipe(
            self._topic,
            value,
            key=key,
            timestamp=timestamp,
            headers=headers,
            partition=partition,
        )

    def pipe_all(self, rows: Iterable[Any]) -> None:
        """Values, `(key, value)` pairs, or `(key, value, timestamp)` triples.

        Raises:
            ValueError: a tuple of another length; a value that is a tuple is given in a pair.
        """
        for row in rows:
            if not isinstance(row, tuple):
                self.pipe(row)
                continue
            given = cast("tuple[Any, ...]", row)  # what the caller was told to give
            if len(given) not in (2, 3):
                raise ValueError(f"{row!r}: give (key, value) or (key, value, timestamp)")
            self.pipe(given[1], key=given[0], timestamp=given[2] if len(given) == 3 else None)

    def advance_time(self, by: Duration) -> None:
        """Moves the next timestamp on, beside what each record moves it."""
        self._timestamp += milliseconds(by, "advance_time: by")


class OutputTopic:
    """Reads one topic, with its serdes chosen once. What was read is not given again."""

    def __init__(self, read: Read, topic: str, key: Any, value: Any) -> None:
        self._read = read
        self._topic = topic
        self._key = key
        self._value = value

    def read(self) -> Record:
        """The next record.

        Raises:
            LookupError: all have been read.
        """
        found = self._read(self._topic, key=self._key, value=self._value, at_most=1)
        if not found:
            raise LookupError(f"topic {self._topic!r}: everything has been read")
        return found[0]

    def records(self) -> list[Record]:
        return self._read(self._topic, key=self._key, value=self._value)

    def values(self) -> list[Any]:
        return [record.value for record in self.records()]

    def items(self) -> list[tuple[Any, Any]]:
        """Pairs of key and value."""
        return [(record.key, record.value) for record in self.records()]

    def read_map(self) -> dict[Any, Any]:
        """The last value of each key, in the order in which keys first came."""
        return dict(self.items())
