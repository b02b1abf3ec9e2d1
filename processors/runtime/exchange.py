"""The exchange: rows go to the task of their key, in memory or through the repartition topic.

Every task of the sending sub-topology has a lane to every partition. The receiving task merges its
lanes by ticket. Nothing waits in a lane beyond the round: senders run before receivers, and the
end of their phase is the mark that no lower ticket will come, whether they sent rows or not.

Rows with a null key or value go no further, since every receiver would skip them. Only what the
receivers read is carried, in the topic too: where no more is asked than that there is a value, the
topic has an empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.chunk import EMPTY, Chunk, merge_chunks
from processors.operators.handover import hand_over
from processors.operators.kernel import DROPPED, choose_partitions, has_null, scatter
from processors.operators.operator import Failures, Operator
from streamlog.errors import SerializationError
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from processors.operators.sink import Encoder, Outbox
    from processors.topology.columns import Reads

MEMO_LIMIT = 1 << 17
"""So many keys are remembered with their partition before the memo begins anew."""


class Exchange:
    """The lanes of one grouping. Owned by one worker.

    Args:
        carries: The columns that receivers read.
    """

    def __init__(self, topic: str, partitions: int, carries: Reads) -> None:
        self.topic = topic
        self.partitions = partitions
        self.carries = carries
        self.memo: dict[Any, int] = {}
        self._lanes: list[list[Chunk]] = [[] for _ in range(partitions)]

    def put(self, partition: int, rows: Chunk) -> None:
        """Rows of one sender for one receiver; senders come in their order."""
        self._lanes[partition].append(rows)

    def take(self, partition: int) -> Chunk:
        """All that waits for a receiver, by ticket."""
        lanes = self._lanes[partition]
        if not lanes:
            return EMPTY
        self._lanes[partition] = []
        return merge_chunks(lanes)

    def is_empty(self) -> bool:
        return not any(self._lanes)

    def clear(self) -> None:
        self._lanes = [[] for _ in range(self.partitions)]


class SendOperator(Operator):
    """The sending end of an exchange, in memory."""

    def __init__(self, path: str, exchange: Exchange, encoder: Encoder, failures: Failures) -> None:
        super().__init__(path)
        self.exchange = exchange
        self.encoder = encoder
        self.failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        rows = without_nulls(chunk)
        if self.exchange.carries.values:
            rows, encoded = self.encoder.encode_values(rows)
            assert rows.values is not None
            rows = rows.with_values(hand_over(self.encoder.value, rows.values, encoded))
        if self.encoder.key.exact_keys:
            partitions = self._partitions_by_key(rows)
        else:
            rows, partitions = self._partitions_by_bytes(rows)
        self._scatter(rows, partitions)
        return EMPTY

    def _partitions_by_key(self, rows: Chunk) -> list[int]:
        """The memo may know keys as they are: equal keys have equal bytes."""
        keys = rows.keys
        assert keys is not None

        def choose(index: int) -> int:
            try:
                encoded = self.encoder.key.serialize(keys[index])
            except SerializationError as error:
                hint = self.encoder.key_hint
                self.failures.report("production", self.path, rows.tickets[index], error, hint)
                return DROPPED
            return partition_for(encoded, self.exchange.partitions)

        return choose_partitions(keys, self._memo(), choose)

    def _partitions_by_bytes(self, rows: Chunk) -> tuple[Chunk, list[int]]:
        """The memo knows keys by their bytes: 1, True and 1.0 are three keys."""
        rows, encoded = self.encoder.encode_keys(rows)
        assert rows.keys is not None

        def choose(index: int) -> int:
            data = encoded[index]
            assert data is not None
            return partition_for(data, self.exchange.partitions)

        partitions = choose_partitions(encoded, self._memo(), choose)
        return rows.with_keys(hand_over(self.encoder.key, rows.keys, encoded)), partitions

    def _memo(self) -> dict[Any, int]:
        memo = self.exchange.memo
        if len(memo) > MEMO_LIMIT:
            memo.clear()
        return memo

    def _scatter(self, rows: Chunk, partitions: list[int]) -> None:
        count = self.exchange.partitions
        carries = self.exchange.carries

        def spread(column: Any) -> list[list[Any]]:
            lanes: list[list[Any]] = [[] for _ in range(count)]
            scatter(partitions, column, lanes)
            return lanes

        keys, timestamps = spread(rows.keys), spread(rows.timestamps)
        values = spread(rows.values) if carries.values else None
        tickets = spread(list(rows.tickets)) if carries.tickets else None
        headers = spread(rows.headers) if carries.headers and rows.headers is not None else None
        for partition in range(count):
            if keys[partition]:
                chunk = Chunk(
                    keys[partition],
                    values and values[partition],
                    timestamps[partition],
                    tickets[partition] if tickets else (),
                    headers and headers[partition],
                )
                self.exchange.put(partition, chunk)


class SendThroughTopicOperator(Operator):
    """The sending end of an exchange that goes through its topic."""

    def __init__(self, path: str, exchange: Exchange, encoder: Encoder, outbox: Outbox) -> None:
        super().__init__(path)
        self.exchange = exchange
        self.encoder = encoder
        self.outbox = outbox

    def process(self, chunk: Chunk) -> Chunk:
        rows = without_nulls(chunk)
        if self.exchange.carries.values:
            rows, values = self.encoder.encode_values(rows)
            rows = rows.with_values(values)
        else:
            rows = rows.with_values([b""] * len(rows))
        rows, keys = self.encoder.encode_keys(rows)
        self.outbox.add(self.exchange.topic, rows.with_keys(keys))
        return EMPTY


def without_nulls(chunk: Chunk) -> Chunk:
    """The rows that have a key and a value."""
    assert chunk.keys is not None
    assert chunk.values is not None
    if not has_null(chunk.keys) and not has_null(chunk.values):
        return chunk
    pairs = zip(chunk.keys, chunk.values, strict=True)
    return chunk.select([key is not None and value is not None for key, value in pairs])
