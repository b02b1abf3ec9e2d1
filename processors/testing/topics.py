"""The topics of a driver: rows in lists, and how tests write and read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from processors.topology.duration import milliseconds
from processors.topology.row import checked_headers
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from processors.topology.duration import Duration
    from streamlog.client.contract import Headers, Record

    Time = int | datetime
    SomeHeaders = Headers | Mapping[str, bytes | str | None]


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


def time_of(what: str, time: Any) -> int:
    """A timestamp in milliseconds; one that no record should have is taken as it is.

    Args:
        what: The call and the argument, as errors say them (`pipe to 'lines': timestamp`).

    Raises:
        TypeError, ValueError: it is neither a whole number nor a datetime with a time zone.
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError(f"{what}={time!r} has no time zone; give it one")
        return (time - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    if type(time) is not int:
        raise TypeError(f"{what}={time!r}: give milliseconds since 1970 as an int, or a datetime")
    return time


def headers_of(at: str, headers: Any) -> Headers:
    """Headers as operators take them: a mapping or pairs; texts are written as UTF-8."""
    if headers is None:
        return []
    try:
        return checked_headers(headers)
    except TypeError as error:
        raise TypeError(f"{at}: {error}") from None


class Pipe(Protocol):
    """Takes one record of a topic."""

    def __call__(
        self,
        topic: str,
        value: Any,
        *,
        key: Any = None,
        timestamp: Time = 0,
        headers: SomeHeaders | None = None,
        partition: int | None = None,
    ) -> None: ...


class Read(Protocol):
    """Gives the records of a topic that were not read yet, at most so many."""

    def __call__(
        self, topic: str, *, key: Any = None, value: Any = None, at_most: int | None = None
    ) -> list[Record]: ...


class InputTopic:
    """Pipes records into one topic, with timestamps that go on by themselves.

    Made by `TopologyTestDriver.input_topic`.

    >>> app = App("doc")
    >>> app.stream("clicks", value=str).to("out")
    >>> driver = TopologyTestDriver(app)
    >>> clicks = driver.input_topic("clicks", start=1_000, advance=10)
    >>> clicks.pipe("/", key="ann")
    >>> clicks.advance_time("1s")
    >>> clicks.pipe("/a", key="ann")
    >>> [record.timestamp for record in driver.records("out")]
    [1000, 2010]
    """

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
        timestamp: Time | None = None,
        headers: SomeHeaders | None = None,
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
    """Reads one topic, with its serdes chosen once. What was read is not given again.

    Made by `TopologyTestDriver.output_topic`.

    >>> app = App("doc")
    >>> app.stream("numbers", value=int).to("out")
    >>> out = TopologyTestDriver(app).run("numbers", [("a", 7), ("b", 8)]).output_topic("out")
    >>> out.read().key, out.items(), out.is_empty
    ('a', [('b', 8)], True)

    `len()` is how many records wait to be read; with none, it is false.
    """

    def __init__(
        self, read: Read, waiting: Callable[[str], int], topic: str, key: Any, value: Any
    ) -> None:
        self._read = read
        self._waiting = waiting
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

    def __len__(self) -> int:
        return self._waiting(self._topic)

    @property
    def is_empty(self) -> bool:
        """Whether everything has been read."""
        return not len(self)

    def records(self) -> list[Record]:
        """All that wait to be read."""
        return self._read(self._topic, key=self._key, value=self._value)

    def values(self) -> list[Any]:
        """Their values."""
        return [record.value for record in self.records()]

    def items(self) -> list[tuple[Any, Any]]:
        """Pairs of key and value."""
        return [(record.key, record.value) for record in self.records()]

    def read_map(self) -> dict[Any, Any]:
        """The last value of each key, in the order in which keys first came."""
        return dict(self.items())
