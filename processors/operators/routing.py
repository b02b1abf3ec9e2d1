"""Where a user's function says which topic or partition a row goes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from processors.errors import ProcessorsError, ResultTooLargeError
from processors.operators.chunk import EMPTY, Chunk, rows_of
from processors.operators.guard import apply
from processors.operators.handover import serialize_rows
from processors.operators.operator import Failures, Operator, reporter
from processors.operators.sink import OVERHEAD_BYTES, largest, sizes
from streamlog.errors import UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.sink import Encoder, Outbox
    from processors.topology.row import Row


Address = tuple[str, int | None]


class NoSuchPartitionError(ProcessorsError):
    """A function gave a partition that the topic does not have."""

    def __init__(self, partition: object, count: int) -> None:
        self.partition = partition
        self.count = count
        super().__init__(
            f"partition {partition!r}: there are {count}, from 0 to {count - 1}; give one of these "
            "numbers"
        )


class RowPartitioner:
    """The user's choice of a partition by key and value, under the processing policy."""

    def __init__(
        self, path: str, function: Callable[[Any, Any, int], int], failures: Failures
    ) -> None:
        self._path = path
        self._function = function
        self._failures = failures

    def choose(self, rows: Chunk, count: int) -> tuple[Chunk, list[int]]:
        """The rows for which there is a partition, and which it is."""
        assert rows.keys is not None
        assert rows.values is not None

        def choose(item: tuple[Any, Any]) -> int:
            return check_partition(self._function(*item, count), count)

        report = reporter(self._failures, "processing", self._path, rows.tickets)
        items = list(zip(rows.keys, rows.values, strict=True))
        partitions, failed = apply(choose, items, report)
        return (rows.without(failed) if failed else rows), partitions


def check_partition(partition: Any, count: int) -> int:
    if type(partition) is not int or not 0 <= partition < count:
        raise NoSuchPartitionError(partition, count)
    return partition


class RoutedSinkOperator(Operator):
    """Writes each row to the topic and the partitions that functions choose.

    Args:
        topic: Where there is no `route`.
        partition_count: Of a topic; None where there is no such topic.
        max_bytes: The largest batch that a topic takes.
    """

    def __init__(
        self,
        path: str,
        topic: str | None,
        route: Callable[[Row], str] | None,
        partition: Callable[[Row, int], Any] | None,
        encoder: Encoder,
        outbox: Outbox,
        partition_count: Callable[[str], int | None],
        max_bytes: Callable[[str], int],
    ) -> None:
        super().__init__(path)
        self._topic = topic
        self._route = route
        self._partition = partition
        self._encoder = encoder
        self._outbox = outbox
        self._partition_count = partition_count
        self._counts: dict[str, int] = {}
        self._max_bytes = max_bytes
        self._limits: dict[str, int] = {}

    def process(self, chunk: Chunk) -> Chunk:
        encoder = self._encoder
        report = reporter(encoder.failures, "processing", self.path, chunk.tickets)
        addresses, failed = apply(self._address, rows_of(chunk), report)
        rows = chunk.without(failed) if failed else chunk
        missing = [index for index, (_, places) in enumerate(addresses) if places is None]
        if missing:
            self._refuse(rows, [addresses[index][0] for index in missing], missing)
            rows, addresses = rows.without(missing), _without(addresses, missing)
        places = dict[Address, list[int]]()
        for index, (topic, partitions) in enumerate(addresses):
            for partition in partitions or ():
                places.setdefault((topic, partition), []).append(index)
        encoded, kept = self._encode(rows)
        kept = self._without_large(encoded, kept, [topic for topic, _ in addresses])
        for (topic, partition), indexes in places.items():
            wanted = [kept[index] for index in indexes if index in kept]
            self._outbox.add(topic, encoded.take(wanted), partition)
        return EMPTY

    def _address(self, row: Row) -> tuple[str, Sequence[int | None] | None]:
        """The topic of a row and its partitions, None where there is no such topic."""
        topic = self._topic if self._route is None else self._route(row)
        if not isinstance(topic, str):
            raise TypeError(f"the function gave {topic!r} for a topic; give its name")
        count = self._count(topic)
        if count is None:
            return topic, None
        if self._partition is None:
            return topic, (None,)
        return topic, _partitions(self._partition(row, count), count)

    def _count(self, topic: str) -> int | None:
        count = self._counts.get(topic)
        if count is None:
            count = self._partition_count(topic)
            if count is not None:
                self._counts[topic] = count
        return count

    def _refuse(self, rows: Chunk, topics: list[str], missing: list[int]) -> None:
        hint = "to(..., topics=[...]) makes the topics that a function chooses"
        report = reporter(self._encoder.failures, "production", self.path, rows.tickets, hint)
        for index, topic in zip(missing, topics, strict=True):
            report(index, UnknownTopicError(topic, ()))

    def _without_large(
        self, encoded: Chunk, kept: dict[int, int], topics: list[str]
    ) -> dict[int, int]:
        """Of the rows that are written, those that a batch of their topic can hold."""
        for topic in set(topics) - self._limits.keys():
            self._limits[topic] = self._max_bytes(topic)
        if largest(encoded) <= min(self._limits.values(), default=0) - OVERHEAD_BYTES:
            return kept
        report = reporter(self._encoder.failures, "production", self.path, encoded.tickets)
        found = sizes(encoded)
        fitting: dict[int, int] = {}
        for index, place in kept.items():
            limit = self._limits[topics[index]]
            if found[place] <= limit - OVERHEAD_BYTES:
                fitting[index] = place
            else:
                report(place, ResultTooLargeError(topics[index], found[place], limit))
        return fitting

    def _encode(self, rows: Chunk) -> tuple[Chunk, dict[int, int]]:
        """Those that can be written, as bytes, and where each of the rows is among them."""
        encoder = self._encoder
        assert rows.keys is not None
        assert rows.values is not None
        places = list(range(len(rows)))
        report = reporter(encoder.failures, "production", self.path, rows.tickets, encoder.key_hint)
        keys, failed = serialize_rows(encoder.key, rows.keys, report)
        rows, places = rows.without(failed), _without(places, failed)
        rows = rows.with_keys(keys)
        assert rows.values is not None
        report = reporter(
            encoder.failures, "production", self.path, rows.tickets, encoder.value_hint
        )
        values, failed = serialize_rows(encoder.value, rows.values, report)
        rows, places = rows.without(failed).with_values(values), _without(places, failed)
        return rows, {place: index for index, place in enumerate(places)}


def _without(rows: list[Any], indexes: Sequence[int]) -> list[Any]:
    gone = set(indexes)
    return [row for index, row in enumerate(rows) if index not in gone] if gone else rows


def _partitions(chosen: Any, count: int) -> Sequence[int | None]:
    if chosen is None:
        return (None,)
    if isinstance(chosen, Iterable):
        several = cast("Iterable[Any]", chosen)  # of what, the check tells
        return [check_partition(each, count) for each in several]
    return (check_partition(chosen, count),)
