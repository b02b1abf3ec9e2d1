"""Tables that are grouped again: from changes of keys to changes of groups, and their aggregate.

A key that stays in its group is one row with both values, so that the group is never seen between
the two (KIP-904). One that moves is two rows, old before new, each for the task of its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from processors.operators.chunk import Chunk
from processors.operators.columns import fill_gaps
from processors.operators.copier import Copier
from processors.operators.folding import needs_shield
from processors.operators.guard import apply
from processors.operators.kernel import fold
from processors.operators.keyed_table import KeyedTableOperator
from processors.operators.operator import Failures, Operator, reporter
from processors.operators.steps import ChangeStep
from processors.topology.changes import Change
from processors.topology.reads import NOTHING
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.guard import OnFailure
    from processors.operators.kernel import KeyedStates, Updates
    from processors.operators.keyed_table import Emit
    from processors.topology.reads import Reads
    from streamlog.serdes import Serde

_NOWHERE: Final = (None, None)


class RegroupOperator(Operator):
    """Rows of a table to rows of changes by group; values in no group are left out.

    Where a function fails and the policy is to go on, the value is in no group.
    """

    def __init__(
        self,
        path: str,
        function: Callable[[Any], Any],
        select: Callable[[Any], Any] | None,
        key: Serde[Any],
        failures: Failures,
    ) -> None:
        super().__init__(path)
        self._function = function
        self._select = select
        self._key = key
        self._failures = failures

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        report = reporter(self._failures, "processing", self.path, chunk.tickets)
        survives = self._failures.survives("processing")
        # The new ones first: what fails for an old value was new in this chunk or before it, and
        # was reported then.
        news = self._group(chunk.values, report)
        olds: list[tuple[Any, Any]] = [_NOWHERE] * len(chunk)
        if chunk.olds is not None:
            olds = self._group(chunk.olds, _forget if survives else report)
        indexes: list[int] = []
        keys: list[Any] = []
        values: list[Change] = []
        for index, ((old_key, old), (key, value)) in enumerate(zip(olds, news, strict=True)):
            if old_key is not None and key is not None and self._is_same(old_key, key):
                indexes.append(index)
                keys.append(key)
                values.append(Change(old, value))
                continue
            if old_key is not None:
                indexes.append(index)
                keys.append(old_key)
                values.append(Change(old, None))
            if key is not None:
                indexes.append(index)
                keys.append(key)
                values.append(Change(None, value))
        kept = chunk.take(indexes)
        return Chunk(keys, values, kept.timestamps, kept.tickets, kept.headers)

    def _group(self, column: list[Any], on_failure: OnFailure) -> list[tuple[Any, Any]]:
        """The group's key and the value in it; both None for a value that is in no group."""
        function, select = self._function, self._select

        def group(value: Any) -> tuple[Any, Any]:
            if value is None:
                return _NOWHERE
            key = function(value)
            selected = value if key is None or select is None else select(value)
            return _NOWHERE if key is None or selected is None else (key, selected)

        pairs, failed = apply(group, column, on_failure)
        fill_gaps(pairs, failed, _NOWHERE)
        return pairs

    def _is_same(self, first: Any, second: Any) -> bool:
        if self._key.exact_keys:
            return first == second
        try:
            return self._key.serialize(first) == self._key.serialize(second)
        except SerializationError:
            return False  # the exchange says which of them it is


class TableFoldOperator(KeyedTableOperator):
    """`remove(result so far, old)`, then `add(result so far, new)`.

    A result of None deletes the group; what is added next begins anew.

    Args:
        initial: Makes the first `result so far`; None where the first value is the first result.
        choose: Makes what is added and removed of the values; see `ChangeStep`.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        emit: Emit,
        initial: Callable[[], Any] | None,
        add: Callable[[Any, Any], Any],
        remove: Callable[[Any, Any], Any],
        failures: Failures,
        *,
        choose: Callable[[Any], Any] | None = None,
        reads: Reads = NOTHING,
    ) -> None:
        super().__init__(path, states, emit, failures, reads=reads)
        shield = needs_shield(self.value_serde, failures, olds=self.needs_olds)
        copier = Copier(self.value_serde)
        self._step = ChangeStep(path, failures, copier, add, initial, remove, choose, shield=shield)

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        step = self._step.begin(chunk.tickets)
        fold(self.states, step, chunk.keys, names, chunk.values, chunk.timestamps, updates)


def _forget(index: int, error: Exception) -> None:
    """Nothing is told of it."""
