"""map_batch: a function of the whole column, for those that work on many values at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from processors.operators.operator import Failures, Operator, reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.chunk import Chunk
    from processors.topology.nodes.stateless import Column


class MapBatchOperator(Operator):
    """New values, of all values at once.

    Where the function fails for the column, it is asked for one value after the other: then it is
    known which record it was, and the others go on.
    """

    def __init__(
        self, path: str, function: Callable[[Any], Any], column: Column, failures: Failures
    ) -> None:
        super().__init__(path)
        self.function = function
        self.column: Column = column
        self.failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        try:
            return chunk.with_values(self._map(chunk.values))
        except Exception:
            return self._one_by_one(chunk, chunk.values)

    def _one_by_one(self, chunk: Chunk, values: list[Any]) -> Chunk:
        report = reporter(self.failures, "processing", self.path, chunk.tickets)
        results: list[Any] = []
        failed: list[int] = []
        for index, value in enumerate(values):
            try:
                results += self._map([value])
            except Exception as error:
                report(index, error)
                failed.append(index)
        return chunk.without(failed).with_values(results)

    def _map(self, values: list[Any]) -> list[Any]:
        made = self.function(_to_column(values, self.column))
        results = _to_list(made)
        if len(results) != len(values):
            raise ValueError(
                f"the function gave {len(results)} values for {len(values)}: one each is wanted"
            )
        return results


def _to_column(values: list[Any], column: Column) -> Any:
    if column == "numpy":
        numpy: Any = import_module("numpy")
        return numpy.asarray(values)
    if column == "arrow":
        arrow: Any = import_module("pyarrow")  # an extra; it has no types
        return arrow.array(values)
    return values


def _to_list(made: Any) -> list[Any]:
    for method in ("tolist", "to_pylist"):
        convert = getattr(made, method, None)
        if convert is not None:
            return convert()
    return list(made)
