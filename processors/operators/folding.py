"""A user's add and merge over results, under the error policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.handover import copier
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.operator import Failures
    from processors.topology.fold import Fold
    from streamlog.serdes import Serde


class Folding:
    """Makes the steps of a fold, which report a row that fails and go on.

    What a function returns is copied, as it may hold the row's value. Where a failure is survived
    it works on a copy too: what it changed in place before it raised must not stay. So it does
    where somebody asks what the value was before.
    """

    def __init__(
        self, path: str, fold: Fold, serde: Serde[Any], failures: Failures, *, olds: bool
    ) -> None:
        self.path = path
        self.fold = fold
        self.failures = failures
        self.copy = copier(serde)
        self.shield = not serde.immutable and (olds or failures.survives("processing"))

    def step(self, tickets: Sequence[int]) -> Callable[[Any, Any, int], Any]:
        """`step(old value or None, value, index)`: (value to keep, value to emit), or None."""
        add, initial, copy, shield = self.fold.add, self.fold.initial, self.copy, self.shield
        assert add is not None

        def step(old: Any, value: Any, index: int) -> Any:
            try:
                if old is None:
                    new = value if initial is None else add(initial(), value)
                else:
                    new = add(copy(old) if shield else old, value)
                return (None, None) if new is None else (copy(new), new)
            except SerializationError as error:
                self.failures.report("production", self.path, tickets[index], error)
            except Exception as error:
                self.failures.report("processing", self.path, tickets[index], error)
            return None

        return step

    def merging_step(self, tickets: Sequence[int]) -> Callable[[list[Any], Any, int], Any]:
        """`step(results that become one, value, index)`: as `step`, after they were merged."""
        fold, copy, shield = self.fold, self.copy, self.shield
        add, initial, merge = fold.add, fold.initial, fold.merge
        assert add is not None
        assert merge is not None

        def step(olds: list[Any], value: Any, index: int) -> Any:
            try:
                if not olds:
                    new = value if initial is None else add(initial(), value)
                else:
                    if shield:
                        olds = list(map(copy, olds))
                    so_far = olds[0]
                    for each in olds[1:]:
                        so_far = merge(so_far, each)
                    new = add(so_far, value)
                return (None, None) if new is None else (copy(new), new)
            except SerializationError as error:
                self.failures.report("production", self.path, tickets[index], error)
            except Exception as error:
                self.failures.report("processing", self.path, tickets[index], error)
            return None

        return step
