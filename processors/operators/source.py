"""Where bytes become rows: the start of a sub-topology that leads from a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.errors import InvalidTimestampError
from processors.operators.columns import are_within
from processors.operators.handover import deserialize_rows
from processors.operators.operator import Failures, Operator, reporter
from processors.topology.timestamp import MAX_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.chunk import Chunk
    from processors.operators.guard import OnFailure
    from streamlog.serdes import Serde


NO_TIME = "stream(..., invalid_timestamp=) leaves such records out, or gives them a time"


class SourceOperator(Operator):
    """Raw columns to keys and values, under the deserialization policy.

    A negative timestamp is refused, as in Kafka Streams: it has no place in stream time. So is one
    that is too late for sums of it and a window's size.

    Args:
        key: None where nobody reads keys: the column is dropped undecoded.
        value: None where no more is asked than whether a value is null: it stays bytes.
        timestamp: The function that has made the timestamps, where one has.
        skip_invalid: Whether records without a usable timestamp are left out and counted.
    """

    def __init__(
        self,
        path: str,
        key: Serde[Any] | None,
        value: Serde[Any] | None,
        failures: Failures,
        *,
        timestamp: Callable[[Any], Any] | None = None,
        skip_invalid: bool = False,
    ) -> None:
        super().__init__(path)
        self.timestamp = timestamp
        self.skip_invalid = skip_invalid
        self.key = key
        self.value = value
        self.failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        if not are_within(chunk.timestamps, MAX_TIMESTAMP):
            chunk = self._refuse_timestamps(chunk)
        if self.value is not None:
            assert chunk.values is not None
            values, failed = deserialize_rows(self.value, chunk.values, self._reporter(chunk))
            chunk = (chunk.without(failed) if failed else chunk).with_values(values)
        if self.key is None:
            return chunk.with_keys(None)
        assert chunk.keys is not None
        keys, failed = deserialize_rows(self.key, chunk.keys, self._reporter(chunk))
        return (chunk.without(failed) if failed else chunk).with_keys(keys)

    def _reporter(self, chunk: Chunk, hint: str = "") -> OnFailure:
        return reporter(self.failures, "deserialization", self.path, chunk.tickets, hint)

    def _refuse_timestamps(self, chunk: Chunk) -> Chunk:
        report = self._reporter(chunk, NO_TIME)
        times = enumerate(chunk.timestamps)
        refused = [index for index, time in times if not 0 <= time <= MAX_TIMESTAMP]
        for index in refused:
            if self.skip_invalid:
                self.failures.skip("deserialization")
            else:
                report(index, self._why(chunk, index))
        return chunk.without(refused)

    def _why(self, chunk: Chunk, index: int) -> Exception:
        """What is wrong with a timestamp; the function that made none is asked once more."""
        if self.timestamp is None or self.value is None or chunk.values is None:
            return InvalidTimestampError(chunk.timestamps[index])
        data = chunk.values[index]
        try:
            made = self.timestamp(None if data is None else self.value.deserialize(data))
        except Exception as error:
            return error
        if type(made) is int:
            return InvalidTimestampError(made)
        return TypeError(f"timestamp= gave {made!r}: milliseconds since 1970 are wanted, as an int")
