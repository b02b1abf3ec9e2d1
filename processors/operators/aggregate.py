"""count, reduce, aggregate: one entry a key, updated row by row.

Rows with a null key or value are skipped. A result's timestamp is the highest of the rows in it.
A function that returns None deletes the entry and a tombstone goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.copier import Copier
from processors.operators.folding import needs_shield
from processors.operators.kernel import count, fold
from processors.operators.keyed_table import KeyedTableOperator
from processors.operators.steps import AddStep
from processors.topology.reads import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.chunk import Chunk
    from processors.operators.kernel import KeyedStates, Updates
    from processors.operators.keyed_table import Emit
    from processors.operators.operator import Failures
    from processors.topology.reads import Reads


class CountOperator(KeyedTableOperator):
    """The number of rows a key."""

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        assert chunk.keys is not None
        count(self.states, chunk.keys, names, chunk.values, chunk.timestamps, updates)


class FoldOperator(KeyedTableOperator):
    """reduce and aggregate: `function(result so far, value)`.

    Args:
        initial: Makes the first `result so far`; None for reduce, where the first value of a key
            is its first result.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        emit: Emit,
        function: Callable[[Any, Any], Any],
        initial: Callable[[], Any] | None,
        failures: Failures,
        *,
        reads: Reads = NOTHING,
    ) -> None:
        super().__init__(path, states, emit, failures, reads=reads)
        shield = needs_shield(self.value_serde, failures, olds=self.needs_olds)
        copier = Copier(self.value_serde)
        self._step = AddStep(path, failures, copier, function, initial, shield=shield)

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        step = self._step.begin(chunk.tickets)
        fold(self.states, step, chunk.keys, names, chunk.values, chunk.timestamps, updates)
