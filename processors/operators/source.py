"""Where bytes become rows: the start of a sub-topology that leads from a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.errors import InvalidTimestampError
from processors.operators.handover import deserialize_rows
from processors.operators.operator import Failures, Operator, reporter

if TYPE_CHECKING:
    from processors.operators.chunk import Chunk
    from processors.operators.guard import OnFailure
    from streamlog.serdes import Serde


class SourceOperator(Operator):
    """Raw columns to keys and values, under the deserialization policy.

    A negative timestamp is refused, as in Kafka Streams: it has no place in stream time.

    Args:
        key: None where nobody reads keys: the column is dropped undecoded.
        value: None where no more is asked than whether a value is null: it stays bytes.
    """

    def __init__(
        self, path: str, key: Serde[Any] | None, value: Serde[Any] | None, failures: Failures
    ) -> None:
        super().__init__(path)
        self.key = key
        self.value = value
        self.failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        if min(chunk.timestamps) < 0:
            chunk = self._refuse_negative(chunk)
        if self.value is not None:
            assert chunk.values is not None
            values, failed = deserialize_rows(self.value, chunk.values, self._reporter(chunk))
            chunk = (chunk.without(failed) if failed else chunk).with_values(values)
        if self.key is None:
            return chunk.with_keys(None)
        assert chunk.keys is not None
        keys, failed = deserialize_rows(self.key, chunk.keys, self._reporter(chunk))
        return (chunk.without(failed) if failed else chunk).with_keys(keys)

    def _reporter(self, chunk: Chunk) -> OnFailure:
        return reporter(self.failures, "deserialization", self.path, chunk.tickets)

    def _refuse_negative(self, chunk: Chunk) -> Chunk:
        report = self._reporter(chunk)
        negative = [index for index, timestamp in enumerate(chunk.timestamps) if timestamp < 0]
        for index in negative:
            report(index, InvalidTimestampError(chunk.timestamps[index]))
        return chunk.without(negative)
