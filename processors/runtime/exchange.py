"""The exchange: rows go to the task of their key, in memory or through the repartition topic.

There is a lane to every receiving task, which brings its lane into the order of tickets where
several tasks sent. Nothing waits in a lane beyond the round: senders run before receivers, and the
end of their level is the mark that no lower ticket will come, whether they sent rows or not.

Rows with a null key go no further, nor do those with a null value, where every receiver would skip
them; where they go on, those with a null key are for the first task. Only what the receivers read
is carried, in the topic too: where no more is asked than that there is a value, the topic has an
empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.operators.chunk import EMPTY, Chunk, merge_chunks
from processors.operators.columns import has_null, spread
from processors.operators.handover import copy_parts, is_sound
from processors.operators.operator import Operator
from streamlog.partitioner import partitions_for

if TYPE_CHECKING:
    from processors.operators.routing import RowPartitioner
    from processors.operators.sink import Encoder, Outbox
    from processors.topology.columns import Reads


class Exchange:
    """The lanes of one grouping. Owned by one worker.

    Args:
        carries: The columns that receivers read.
        lanes: One a partition, or one for all where one receiver runs them all.
        null_keys, null_values: Whether rows without a key, without a value go on.

    Attributes:
        rows: How many were handed over since the start.
    """

    def __init__(
        self,
        topic: str,
        carries: Reads,
        lanes: int,
        *,
        null_keys: bool = False,
        null_values: bool = False,
    ) -> None:
        self.topic = topic
        self.carries = carries
        self.null_keys = null_keys
        self.null_values = null_values
        self.lanes: list[list[Chunk]] = [[] for _ in range(lanes)]
        self.rows = 0

    def put(self, lane: int, rows: Chunk) -> None:
        """Rows of one sender; senders come in their order."""
        if len(rows):
            self.lanes[lane].append(rows)
            self.rows += len(rows)

    def take(self, lane: int) -> Chunk:
        """All that waits for a receiver, by ticket."""
        if lane >= len(self.lanes):
            return EMPTY  # a task of a partition that this exchange does not have
        waiting, self.lanes[lane] = self.lanes[lane], []
        return merge_chunks(waiting)

    def accept(self, rows: Chunk) -> Chunk:
        """Those of the rows that go on."""
        assert rows.keys is not None
        assert rows.values is not None
        if not self.null_values:
            rows = without_null_values(rows)
        return rows if self.null_keys else without_null_keys(rows)

    def is_empty(self) -> bool:
        return not any(self.lanes)

    def clear(self) -> None:
        self.lanes = [[] for _ in self.lanes]


class SendOperator(Operator):
    """The sending end of an exchange, in memory.

    Args:
        filters: What runs on the rows as the receiver would see them.
    """

    def __init__(
        self,
        path: str,
        exchange: Exchange,
        encoder: Encoder,
        partitioner: RowPartitioner | None = None,
        filters: Operator | None = None,
    ) -> None:
        super().__init__(path)
        self.exchange = exchange
        self.encoder = encoder
        self.partitioner = partitioner
        self.filters = filters

    def process(self, chunk: Chunk) -> Chunk:
        exchange = self.exchange
        rows = exchange.accept(chunk)
        lanes = len(exchange.lanes)
        if self.partitioner is not None:  # it sees values that nobody behind it may read
            rows, partitions = self.partitioner.choose(rows, lanes)
            for lane, indexes in enumerate(spread(partitions, lanes)):
                if indexes:
                    exchange.put(lane, self._hand_over(rows.take(indexes)))
            return EMPTY
        rows = self._hand_over(rows)
        if self.filters is not None:
            rows = self.filters.process(rows)
        if lanes == 1:
            exchange.put(0, rows)
            return EMPTY
        assert rows.keys is not None
        encoded = self.encoder.key.serialize_column(rows.keys)
        partitions = partitions_for(encoded, lanes)
        if exchange.null_keys:
            partitions = [max(partition, 0) for partition in partitions]
        for lane, indexes in enumerate(spread(partitions, lanes)):
            if indexes:
                exchange.put(lane, rows.take(indexes))
        return EMPTY

    def _hand_over(self, rows: Chunk) -> Chunk:
        """The columns that are carried, as the topic would give them back.

        A value that can be changed must not stay shared with the sender, and one that its serde
        refuses must be refused here.
        """
        carries, encoder = self.exchange.carries, self.encoder
        if not carries.values:
            rows = rows.with_values(self._marks(rows))
        elif is_sound(encoder.value, rows.values or []):
            pass
        elif (copies := copy_parts(encoder.value, rows.values or [])) is not None:
            rows = rows.with_values(copies)
        else:
            rows, values = encoder.encode_values(rows)
            rows = rows.with_values(encoder.value.deserialize_column(values))
        if not is_sound(encoder.key, rows.keys or []):
            rows, keys = encoder.encode_keys(rows)
            rows = rows.with_keys(encoder.key.deserialize_column(keys))
        if not carries.headers:
            rows = rows.with_headers(None)
        return rows

    def _marks(self, rows: Chunk) -> list[bytes | None] | None:
        """What tells rows with a value from those without, where both go on."""
        return null_marks(rows) if self.exchange.null_values else None


class SendThroughTopicOperator(Operator):
    """The sending end of an exchange that goes through its topic."""

    def __init__(
        self,
        path: str,
        exchange: Exchange,
        encoder: Encoder,
        outbox: Outbox,
        partitioner: RowPartitioner | None = None,
    ) -> None:
        super().__init__(path)
        self.exchange = exchange
        self.encoder = encoder
        self.outbox = outbox
        self.partitioner = partitioner

    def process(self, chunk: Chunk) -> Chunk:
        rows = self.exchange.accept(chunk)
        if self.partitioner is None:
            self._send(rows, None)
            return EMPTY
        lanes = len(self.exchange.lanes)
        rows, partitions = self.partitioner.choose(rows, lanes)
        for lane, indexes in enumerate(spread(partitions, lanes)):
            if indexes:
                self._send(rows.take(indexes), lane)
        return EMPTY

    def _send(self, rows: Chunk, partition: int | None) -> None:
        if self.exchange.carries.values:
            rows, values = self.encoder.encode_values(rows)
            rows = rows.with_values(values)
        else:
            rows = rows.with_values(null_marks(rows))
        rows, keys = self.encoder.encode_keys(rows)
        self.outbox.add(self.exchange.topic, rows.with_keys(keys), partition)


def null_marks(rows: Chunk) -> list[bytes | None]:
    """Empty values in place of values."""
    return [None if value is None else b"" for value in rows.values or []]


def without_null_keys(rows: Chunk) -> Chunk:
    assert rows.keys is not None
    if not has_null(rows.keys):
        return rows
    return rows.select([key is not None for key in rows.keys])


def without_null_values(rows: Chunk) -> Chunk:
    assert rows.values is not None
    if not has_null(rows.values):
        return rows
    return rows.select([value is not None for value in rows.values])
