"""map, filter, flat_map and their kin: each touches only the column that it changes."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from processors.operators.guard import OnFailure, apply, apply_lists, apply_truth
from processors.operators.operator import Failures, Operator, reporter
from streamlog.client.contract import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.chunk import Chunk
    from streamlog.client.contract import Headers


class FunctionOperator(Operator):
    """An operator around a function of the user's."""

    def __init__(self, path: str, function: Callable[[Any], Any], failures: Failures) -> None:
        super().__init__(path)
        self.function = function
        self.failures = failures

    def on_failure(self, tickets: Sequence[int]) -> OnFailure:
        return reporter(self.failures, "processing", self.path, tickets)


class MapOperator(FunctionOperator):
    """New values."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        values, failed = apply(self.function, chunk.values, self.on_failure(chunk.tickets))
        return (chunk.without(failed) if failed else chunk).with_values(values)


class MapKeyOperator(FunctionOperator):
    """New keys, from the values."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        keys, failed = apply(self.function, chunk.values, self.on_failure(chunk.tickets))
        return (chunk.without(failed) if failed else chunk).with_keys(keys)


class FilterOperator(FunctionOperator):
    """The rows whose value the predicate holds for."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        truth = apply_truth(self.function, chunk.values, self.on_failure(chunk.tickets))
        return chunk if all(truth) else chunk.select(truth)


class FlatMapOperator(FunctionOperator):
    """Any number of values for one, in order."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        lists = apply_lists(self.function, chunk.values, self.on_failure(chunk.tickets))
        return chunk.repeat(list(map(len, lists)), list(chain.from_iterable(lists)))


class ItemsOperator(Operator):
    """Values become (key, value) pairs."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        return chunk.with_values(list(zip(chunk.keys, chunk.values, strict=True)))


class MergeOperator(Operator):
    """Several inputs as one; the task has merged them by ticket already."""

    def process(self, chunk: Chunk) -> Chunk:
        return chunk


class RecordsOperator(Operator):
    """Values become `Record`s.

    Args:
        coordinates: Topic, partition and offset of the source record of a ticket.
    """

    def __init__(
        self, path: str, coordinates: Callable[[Sequence[int]], list[tuple[str, int, int]]]
    ) -> None:
        super().__init__(path)
        self.coordinates = coordinates

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        headers: Sequence[Headers] = chunk.headers or [[] for _ in range(len(chunk))]
        rows = zip(
            self.coordinates(chunk.tickets),
            chunk.timestamps,
            chunk.keys,
            chunk.values,
            headers,
            strict=True,
        )
        return chunk.with_values(
            [
                Record(topic, partition, offset, timestamp, key, value, list(row_headers))
                for (topic, partition, offset), timestamp, key, value, row_headers in rows
            ]
        )
