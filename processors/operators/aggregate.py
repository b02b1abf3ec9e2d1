"""count, reduce, aggregate: one entry a key, updated row by row.

Rows with a null key or value are skipped. A result's timestamp is the highest of the rows in it.
A function that returns None deletes the entry and a tombstone goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.handover import copier
from processors.operators.kernel import count, fold
from processors.operators.keyed_table import KeyedTableOperator
from processors.topology.reads import NOTHING
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.chunk import Chunk
    from processors.operators.kernel import KeyedStates, Updates
    from processors.operators.keyed_table import Emit
    from processors.operators.operator import Failures
    from processors.topology.reads import Reads


class CountOperator(KeyedTableOperator):
    """The number of rows a key."""

    def update(self, chunk: Chunk, updates: Updates | None) -> None:
        assert chunk.keys is not None
        count(self.states, chunk.keys, chunk.values, chunk.timestamps, updates)


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
        super().__init__(path, states, emit, reads=reads)
        self.function = function
        self.initial = initial
        self.failures = failures
        self._copy = copier(self.value_serde)

    def update(self, chunk: Chunk, updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        step = self._step(chunk.tickets)
        fold(self.states, step, chunk.keys, chunk.values, chunk.timestamps, updates)

    def _step(self, tickets: Sequence[int]) -> Callable[[Any, Any, int], Any]:
        """One update under the error policy: (value to keep, value to emit), None if it failed.

        What the function returns is copied, as it may hold the row's value. Where a failure is
        survived, it works on a copy too: what it changed in place before it raised must not stay.
        And so it does where somebody asks what the value was before.
        """
        function, initial, copy = self.function, self.initial, self._copy
        immutable = self.value_serde.immutable
        shield = not immutable and (self.needs_olds or self.failures.survives("processing"))

        def step(old: Any, value: Any, index: int) -> Any:
            try:
                if old is None:
                    new = value if initial is None else function(initial(), value)
                else:
                    new = function(copy(old) if shield else old, value)
                return (None, None) if new is None else (copy(new), new)
            except SerializationError as error:
                self.failures.report("production", self.path, tickets[index], error)
            except Exception as error:
                self.failures.report("processing", self.path, tickets[index], error)
            return None

        return step
