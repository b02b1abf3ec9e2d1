"""Sources in the application's own process, as the tasks take from them."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from processors.errors import IterableError
from processors.runtime.channel import TAKE_RECORDS
from processors.topology.nodes.local import IterableNode
from processors.topology.timestamp import checked_time
from streamlog.client.contract import FetchedColumns, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processors.runtime.application import Application
    from processors.runtime.engine import Engine
    from processors.runtime.rows import Rows
    from streamlog.client.contract import Headers

NOBODY_KNOWS: Final = 1 << 40


class Feed(Protocol):
    """Gives the rows of one source. Owned by the loop's thread."""

    @property
    def topic(self) -> str:
        """What it is called among the sources."""
        ...

    def take(self) -> FetchedColumns | None:
        """The next rows, None where there are none now."""
        ...

    def backlog(self) -> int:
        """About how many rows were not taken."""
        ...

    def is_full(self) -> bool:
        """Whether only a commit lets it go on."""
        ...

    def on_committed(self, position: int) -> None:
        """The rows before this offset are committed."""
        ...


class IterableFeed:
    """Gives the rows of an iterable from a position on; those before it are read and dropped.

    Where it fails, the rows before are given, and the error is raised once they are committed.

    Args:
        position: How many rows were processed and committed.
        now_ms: The wall clock, for rows without a time.
    """

    def __init__(
        self, node: IterableNode, rows: Rows, position: int, now_ms: Callable[[], int]
    ) -> None:
        self.topic = node.topic
        self._node = node
        self._rows = rows
        self._next = position
        self._committed = position
        self._now_ms = now_ms
        self._iterator: Iterator[Any] | None = None
        self._ended = False
        self._failure: IterableError | None = None

    def take(self) -> FetchedColumns | None:
        columns = None if self._ended else self._read()
        if self._failure is not None and self._committed == self._next:
            raise self._failure
        return columns

    def backlog(self) -> int:
        return 0 if self._ended and self._failure is None else NOBODY_KNOWS

    def is_full(self) -> bool:
        return self._failure is not None and self._committed < self._next

    def on_committed(self, position: int) -> None:
        self._committed = position

    def _read(self) -> FetchedColumns | None:
        """The next rows; fewer than are asked for are the last ones."""
        first = self._next
        columns = FetchedColumns(
            topic=self.topic,
            partition=0,
            keys=[],
            values=[],
            timestamps=[],
            offsets=[],
            headers=None,
            next_offset=first,
        )
        headers: list[Headers] = []
        try:
            for row in islice(self._begun(), TAKE_RECORDS):
                self._add(columns, headers, row)
        except Exception as error:
            self._failure = self._failure_of(error, first + len(headers))
        count = len(headers)
        self._ended = count < TAKE_RECORDS
        self._next = columns.next_offset = first + count
        columns.offsets = list(range(first, self._next))
        if any(headers):
            columns.headers = headers
        return columns if headers else None

    def _begun(self) -> Iterator[Any]:
        if self._iterator is None:
            self._iterator = self._rows.begin()
            self._skip(self._iterator)
        return self._iterator

    def _skip(self, rows: Iterator[Any]) -> None:
        read = deque(enumerate(islice(rows, self._next), 1), maxlen=1)
        there = read[0][0] if read else 0
        if there < self._next:
            raise IterableError(
                self._node.path,
                there,
                f"it ends here, and {self._next} rows of it were processed before: it must give "
                "the same rows at every start",
            )

    def _add(self, columns: FetchedColumns, headers: list[Headers], row: Any) -> None:
        key, value, timestamp, row_headers = _parts(row)
        key = None if key is None else self._node.key.serialize(key)
        value = None if value is None else self._node.value.serialize(value)
        columns.timestamps.append(self._now_ms() if timestamp is None else _time(timestamp))
        columns.keys.append(key)
        columns.values.append(value)
        headers.append(row_headers)

    def _failure_of(self, error: Exception, row: int) -> IterableError:
        if isinstance(error, IterableError):
            return error
        failure = IterableError(self._node.path, row, f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure


def _time(time: Any) -> int:
    """A time that the source may still refuse, as it does a record's, if it is negative."""
    return time if type(time) is int and time < 0 else checked_time(time)


def _parts(row: Any) -> tuple[Any, Any, int | None, Headers]:
    """Key, value, timestamp and headers of a value, a pair, a triple or a record."""
    if isinstance(row, Record):
        return row.key, row.value, row.timestamp, row.headers
    fields = _fields(row)
    if len(fields) == 2:
        return fields[0], fields[1], None, []
    if len(fields) == 3:
        return fields[0], fields[1], fields[2], []
    return None, row, None, []


def _fields(row: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", row) if isinstance(row, tuple) else ()


def begin_feeds(application: Application, engine: Engine, now_ms: Callable[[], int]) -> list[Feed]:
    """The feeds of an application, each where it was committed."""
    feeds: list[Feed] = []
    for channel in application.channels:
        channel.rewind()
        feeds.append(channel)
    for node in application.topology.sources:
        if isinstance(node, IterableNode):
            rows = application.iterables[node.path]
            feeds.append(IterableFeed(node, rows, engine.kept_position(node.topic), now_ms))
    return feeds
