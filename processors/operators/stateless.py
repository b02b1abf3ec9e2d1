"""map, filter, flat_map and their kin: each touches only the column that it changes."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from processors.operators.chunk import EMPTY, Chunk, rows_of
from processors.operators.guard import OnFailure, apply, apply_lists, apply_truth
from processors.operators.operator import Failures, Operator, reporter
from processors.topology.row import checked_headers
from processors.topology.timestamp import checked_time
from streamlog.client.contract import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.topology.row import Row
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


class FilterNotOperator(FunctionOperator):
    """The rows whose value the predicate does not hold for; one that failed is left out, too."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        failed: set[int] = set()
        report = self.on_failure(chunk.tickets)
        truth = apply_truth(self.function, chunk.values, noting(failed, report))
        return chunk.select([not each and at not in failed for at, each in enumerate(truth)])


class PeekOperator(FunctionOperator):
    """A look at the values, which go on as they are."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        _, failed = apply(self.function, chunk.values, self.on_failure(chunk.tickets))
        return chunk.without(failed) if failed else chunk


class PrintOperator(FunctionOperator):
    """A look at keys and values."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        items = list(zip(chunk.keys, chunk.values, strict=True))
        _, failed = apply(self.function, items, self.on_failure(chunk.tickets))
        return chunk.without(failed) if failed else chunk


class MapItemsOperator(FunctionOperator):
    """New keys and values, from both."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        items = list(zip(chunk.keys, chunk.values, strict=True))
        pairs, failed = apply(self._pair, items, self.on_failure(chunk.tickets))
        rows = chunk.without(failed) if failed else chunk
        return rows.with_keys([key for key, _ in pairs]).with_values([value for _, value in pairs])

    def _pair(self, item: tuple[Any, Any]) -> tuple[Any, Any]:
        function: Callable[..., Any] = self.function
        key, value = function(*item)
        return key, value


class TimestampOperator(FunctionOperator):
    """New timestamps, from the values."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        times, failed = apply(self._time, chunk.values, self.on_failure(chunk.tickets))
        return (chunk.without(failed) if failed else chunk).with_timestamps(times)

    def _time(self, value: Any) -> int:
        return checked_time(self.function(value))


class HeadersOperator(FunctionOperator):
    """New headers, from the rows."""

    def process(self, chunk: Chunk) -> Chunk:
        headers, failed = apply(self._headers, rows_of(chunk), self.on_failure(chunk.tickets))
        return (chunk.without(failed) if failed else chunk).with_headers(headers)

    def _headers(self, row: Row) -> Headers:
        return checked_headers(self.function(row))


class BranchOperator(Operator):
    """Each row to the side of the first predicate that holds for it."""

    def __init__(
        self,
        path: str,
        branches: Sequence[tuple[str, Callable[[Any], Any] | None]],
        failures: Failures,
    ) -> None:
        super().__init__(path)
        self.branches = branches
        self.failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        rest = chunk
        for name, predicate in self.branches:
            if not len(rest):
                break
            failed: set[int] = set()
            truth = [True] * len(rest)
            if predicate is not None:
                assert rest.values is not None
                report = reporter(self.failures, "processing", self.path, rest.tickets)
                truth = apply_truth(predicate, rest.values, noting(failed, report))
            if name in self.sides and any(truth):
                self.sides[name].append(rest.select(truth))
            rest = rest.select([not each and at not in failed for at, each in enumerate(truth)])
        return EMPTY


def noting(failed: set[int], report: OnFailure) -> OnFailure:
    """Reports a failure and remembers its index."""

    def note(index: int, error: Exception) -> None:
        report(index, error)
        failed.add(index)

    return note


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
