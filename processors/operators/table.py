"""Tables as they come from topics and as they follow from others: store, filter, map, items.

A derived table has no store. What it has for a key is the function of what its parent has, and so
is what it had. Where the function fails and the policy is to go on, it has nothing for that key:
were the row left out, a value would stay that no later change retracts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from processors.operators.columns import fill_gaps, has_null
from processors.operators.guard import apply, apply_truth
from processors.operators.handover import is_sound, serialize_rows
from processors.operators.keyed_table import KeyedTableOperator
from processors.operators.operator import Failures, Operator, reporter
from processors.operators.table_kernel import put
from processors.topology.changes import Change
from processors.topology.reads import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.chunk import Chunk
    from processors.operators.guard import OnFailure
    from processors.operators.kernel import KeyedStates, Updates
    from processors.operators.keyed_table import Emit
    from processors.operators.table_view import TableView, VersionedView
    from processors.topology.reads import Reads


class StoreOperator(KeyedTableOperator):
    """The last row of each key; a null value deletes it, rows with a null key are left out.

    Args:
        checked: Whether values must be checked: those of functions, not those of topics. What the
            store cannot hold has failed in production, and deletes its key.
        view: What the rows follow from, and who has more than was given on; it is looked up there.
    """

    def __init__(
        self,
        path: str,
        states: KeyedStates,
        emit: Emit,
        failures: Failures,
        *,
        reads: Reads = NOTHING,
        checked: bool = False,
        view: TableView | None = None,
    ) -> None:
        if view is not None:
            reads = replace(reads, view=False)  # it is asked, so nothing need be noted for it
        super().__init__(path, states, emit, failures, reads=reads)
        self._checked = checked
        self._view = view

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return super().read(keys, tickets) if self._view is None else self._view.read(keys, tickets)

    def update(self, chunk: Chunk, names: list[Any], updates: Updates | None) -> None:
        assert chunk.keys is not None
        assert chunk.values is not None
        values = chunk.values
        if self._checked and not is_sound(self.value_serde, values):
            values = self._hand_over(values, chunk.tickets)
        put(self.states, chunk.keys, names, values, chunk.timestamps, updates)

    def _hand_over(self, values: list[Any], tickets: Sequence[int]) -> list[Any]:
        report = reporter(self.failures, "production", self.path, tickets)
        encoded, failed = serialize_rows(self.value_serde, values, report)
        fill_gaps(encoded, failed, None)
        return self.value_serde.deserialize_column(encoded)


class PassOperator(Operator):
    """A table without a store; rows with a null key are left out, look-ups are the parent's matter.

    Args:
        view: The parent, where it is a table.
    """

    def __init__(self, path: str, view: TableView | None) -> None:
        super().__init__(path)
        self._parent = view

    @property
    def _view(self) -> TableView:
        assert self._parent is not None, "what comes from a topic and is looked up has a store"
        return self._parent

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        if not has_null(chunk.keys):
            return chunk
        return chunk.select([key is not None for key in chunk.keys])

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self._view.read(keys, tickets)

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self._view.read_emitted(keys, tickets)

    def read_at(
        self, keys: list[Any], tickets: Sequence[int], times: list[int]
    ) -> tuple[list[Any], list[int]]:
        view = cast("VersionedView", self._view)  # its node has a history
        return view.read_at(keys, tickets, times)


class DerivedTableOperator(Operator):
    """Values that follow from the parent's values.

    Args:
        view: The parent.
        with_olds: Whether what its keys had before is asked for.
    """

    def __init__(self, path: str, view: TableView, *, with_olds: bool) -> None:
        super().__init__(path)
        self._view = view
        self._with_olds = with_olds

    def derive(self, keys: list[Any] | None, values: list[Any], on_failure: OnFailure) -> list[Any]:
        """The values of a column without nulls, None where there is none or a function failed."""
        raise NotImplementedError

    def on_failure(self, tickets: Sequence[int]) -> OnFailure:
        raise NotImplementedError

    def on_repeated_failure(self, tickets: Sequence[int]) -> OnFailure:
        raise NotImplementedError

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        values = self._derive(chunk.keys, chunk.values, self.on_failure(chunk.tickets))
        if not self._with_olds:
            return chunk.with_values(values)
        if chunk.olds is None:
            olds: list[Any] = [None] * len(values)
        else:
            report = self.on_repeated_failure(chunk.tickets)
            olds = self._derive(chunk.keys, chunk.olds, report)
        return chunk.with_values(values).with_olds(olds)

    def read(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self._derive_read(keys, tickets, *self._view.read(keys, tickets))

    def read_emitted(self, keys: list[Any], tickets: Sequence[int]) -> tuple[list[Any], list[int]]:
        return self._derive_read(keys, tickets, *self._view.read_emitted(keys, tickets))

    def read_at(
        self, keys: list[Any], tickets: Sequence[int], times: list[int]
    ) -> tuple[list[Any], list[int]]:
        view = cast("VersionedView", self._view)  # its node has a history
        return self._derive_read(keys, tickets, *view.read_at(keys, tickets, times))

    def _derive_read(
        self, keys: list[Any], tickets: Sequence[int], values: list[Any], timestamps: list[int]
    ) -> tuple[list[Any], list[int]]:
        derived = self._derive(keys, values, self.on_repeated_failure(tickets))
        pairs = zip(derived, timestamps, strict=True)
        return derived, [-1 if value is None else timestamp for value, timestamp in pairs]

    def _derive(
        self, keys: list[Any] | None, values: list[Any], on_failure: OnFailure
    ) -> list[Any]:
        if not has_null(values):
            return self.derive(keys, values, on_failure)
        present = [index for index, value in enumerate(values) if value is not None]
        derived = self.derive(
            keys and [keys[index] for index in present],
            [values[index] for index in present],
            lambda index, error: on_failure(present[index], error),
        )
        column: list[Any] = [None] * len(values)
        for index, value in zip(present, derived, strict=True):
            column[index] = value
        return column


class TableFunctionOperator(DerivedTableOperator):
    """A function of the user's over the values of a table."""

    def __init__(
        self,
        path: str,
        view: TableView,
        function: Callable[[Any], Any],
        failures: Failures,
        *,
        with_olds: bool,
    ) -> None:
        super().__init__(path, view, with_olds=with_olds)
        self.function = function
        self.failures = failures

    def on_failure(self, tickets: Sequence[int]) -> OnFailure:
        return reporter(self.failures, "processing", self.path, tickets)

    def on_repeated_failure(self, tickets: Sequence[int]) -> OnFailure:
        """What failed for an old value has failed, and was reported, when that was new."""
        if self.failures.survives("processing"):
            return _forget
        return self.on_failure(tickets)


class TableMapOperator(TableFunctionOperator):
    def derive(self, keys: list[Any] | None, values: list[Any], on_failure: OnFailure) -> list[Any]:
        results, failed = apply(self.function, values, on_failure)
        fill_gaps(results, failed, None)
        return results


class TableFilterOperator(TableFunctionOperator):
    """The values for which the predicate's truth is `wanted`."""

    def __init__(
        self,
        path: str,
        view: TableView,
        function: Callable[[Any], Any],
        failures: Failures,
        *,
        with_olds: bool,
        wanted: bool,
    ) -> None:
        super().__init__(path, view, function, failures, with_olds=True)
        self._gives_olds = with_olds
        self._wanted = wanted

    def process(self, chunk: Chunk) -> Chunk:
        made = super().process(chunk)
        assert made.values is not None
        assert made.olds is not None
        pairs = zip(made.olds, made.values, strict=True)
        truth = [old is not None or value is not None for old, value in pairs]
        kept = made if all(truth) else made.select(truth)
        return kept if self._gives_olds else kept.with_olds(None)

    def derive(self, keys: list[Any] | None, values: list[Any], on_failure: OnFailure) -> list[Any]:
        failed: set[int] = set()

        def fail(index: int, error: Exception) -> None:
            on_failure(index, error)
            failed.add(index)

        truth = apply_truth(self.function, values, fail)
        wanted = self._wanted
        kept = [
            value if true is wanted else None for value, true in zip(values, truth, strict=True)
        ]
        for index in failed:
            kept[index] = None
        return kept


class TableItemsOperator(DerivedTableOperator):
    """Values become (key, value) pairs."""

    def derive(self, keys: list[Any] | None, values: list[Any], on_failure: OnFailure) -> list[Any]:
        assert keys is not None
        return list(zip(keys, values, strict=True))

    def on_failure(self, tickets: Sequence[int]) -> OnFailure:
        return _forget

    def on_repeated_failure(self, tickets: Sequence[int]) -> OnFailure:
        return _forget


class ChangesOperator(Operator):
    """Values become `Change`s."""

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.values is not None
        olds = chunk.olds or [None] * len(chunk)
        return chunk.with_values(list(map(Change, olds, chunk.values)))


def _forget(index: int, error: Exception) -> None:
    """Nothing is told of it."""
