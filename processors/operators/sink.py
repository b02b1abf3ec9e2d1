"""Where rows become bytes: the end of a sub-topology that leads to a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from processors.errors import ResultTooLargeError
from processors.operators.chunk import EMPTY, Chunk
from processors.operators.columns import longest
from processors.operators.handover import serialize_rows
from processors.operators.operator import Failures, Operator, reporter

if TYPE_CHECKING:
    from streamlog.serdes import Serde

MAX_MESSAGE_BYTES: Final = 1_048_588
"""What a topic takes where its configuration says nothing else."""

OVERHEAD_BYTES: Final = 61 + 21
"""Of a batch and of its one record, at most, headers not counted; as Kafka's producer reckons."""


class Outbox(Protocol):
    """Takes rows of bytes that are bound for a topic."""

    def add(self, topic: str, rows: Chunk, partition: int | None = None) -> None: ...


class Encoder:
    """Keys and values to bytes, under the production policy. Rows that fail are left out.

    Args:
        remedy: The call that chose the serdes, as the user wrote it (`to('counts')`).
    """

    def __init__(
        self, path: str, key: Serde[Any], value: Serde[Any], failures: Failures, remedy: str
    ) -> None:
        self.path = path
        self.key = key
        self.value = value
        self.failures = failures
        self.key_hint = f"keys are written as {key.name}; {remedy} takes another serde as key="
        self.value_hint = (
            f"values are written as {value.name}; {remedy} takes another serde as value="
        )

    def encode_keys(self, chunk: Chunk) -> tuple[Chunk, list[bytes | None]]:
        """The rows whose key can be written, and their keys as bytes."""
        assert chunk.keys is not None
        report = reporter(self.failures, "production", self.path, chunk.tickets, self.key_hint)
        keys, failed = serialize_rows(self.key, chunk.keys, report)
        return (chunk.without(failed) if failed else chunk), keys

    def encode_values(self, chunk: Chunk) -> tuple[Chunk, list[bytes | None]]:
        """The rows whose value can be written, and their values as bytes."""
        assert chunk.values is not None
        report = reporter(self.failures, "production", self.path, chunk.tickets, self.value_hint)
        values, failed = serialize_rows(self.value, chunk.values, report)
        return (chunk.without(failed) if failed else chunk), values


class SinkOperator(Operator):
    """Writes its rows to a topic, with the open transaction.

    Args:
        max_bytes: The largest batch that the topic takes. A row that none can hold has failed in
            production here, where it is known which one it is.
    """

    def __init__(
        self, path: str, topic: str, max_bytes: int, encoder: Encoder, outbox: Outbox
    ) -> None:
        super().__init__(path)
        self.topic = topic
        self.max_bytes = max_bytes
        self.encoder = encoder
        self.outbox = outbox

    def process(self, chunk: Chunk) -> Chunk:
        known, encoder = chunk.encoded, self.encoder
        if known and (known.key_serde, known.value_serde) == (encoder.key, encoder.value):
            rows = chunk.with_keys(known.keys).with_values(known.values)
        else:
            rows, keys = encoder.encode_keys(chunk)
            rows, values = encoder.encode_values(rows.with_keys(keys))
            rows = rows.with_values(values)
        self.outbox.add(self.topic, self._leave_out_large(rows))
        return EMPTY

    def _leave_out_large(self, rows: Chunk) -> Chunk:
        most = self.max_bytes - OVERHEAD_BYTES
        if largest(rows) <= most:
            return rows
        report = reporter(self.encoder.failures, "production", self.path, rows.tickets)
        large: list[int] = []
        for index, size in enumerate(sizes(rows)):
            if size > most:
                report(index, ResultTooLargeError(self.topic, size, self.max_bytes))
                large.append(index)
        return rows.without(large) if large else rows


def largest(rows: Chunk) -> int:
    """What no key and value together, which are bytes, have more of."""
    assert rows.keys is not None
    assert rows.values is not None
    return longest(rows.keys) + longest(rows.values)


def sizes(rows: Chunk) -> list[int]:
    """The bytes of key and value of each row."""
    assert rows.keys is not None
    assert rows.values is not None
    pairs = zip(rows.keys, rows.values, strict=True)
    return [len(key or b"") + len(value or b"") for key, value in pairs]
