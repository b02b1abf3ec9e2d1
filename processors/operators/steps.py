"""One row of a fold: the user's functions over results, under the error policies (compiled).

What a function returns is copied, as it may hold the row's value. Where a failure is survived it
works on a copy too: what it changed in place before it raised must not stay. So it does where
somebody asks what the value was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_extensions import i64

    from processors.operators.copier import Copier
    from processors.operators.operator import Failures

DELETED: Final = (None, None)


class Step:
    """What a row makes of a result. The loops call `run`, row by row, behind `begin`."""

    def begin(self, tickets: Sequence[int]) -> Step:
        """A chunk with these tickets comes."""
        return self

    def run(self, result: Any, value: Any, index: i64) -> Any:
        """The value to keep and the value to emit, or None where the row failed.

        Args:
            result: None where there is none yet.
        """
        raise NotImplementedError


class CountStep(Step):
    """The number of rows, whatever they are."""

    def run(self, result: Any, value: Any, index: i64) -> Any:
        total = 1 if result is None else result + 1
        return total, total


class UserStep(Step):
    """What functions of the user's make of it: `add(result so far, value)`, at least.

    Args:
        initial: Makes the first `result so far`; None where the first value is the first result.
        shield: Whether the functions get copies.
    """

    def __init__(
        self,
        path: str,
        failures: Failures,
        copier: Copier,
        add: Callable[[Any, Any], Any],
        initial: Callable[[], Any] | None,
        *,
        shield: bool,
    ) -> None:
        self.path: str = path
        self.failures: Any = failures
        self.copier: Copier = copier
        self.add: Any = add
        self.initial: Any = initial
        self.shield: bool = shield
        self.tickets: Any = ()

    def begin(self, tickets: Sequence[int]) -> Step:
        self.tickets = tickets
        return self

    def run(self, result: Any, value: Any, index: i64) -> Any:
        try:
            new = self.make(result, value)
            return DELETED if new is None else (self.copier.copy(new), new)
        except SerializationError as error:
            self.failures.report("production", self.path, self.tickets[index], error)
        except Exception as error:
            self.failures.report("processing", self.path, self.tickets[index], error)
        return None

    def make(self, result: Any, value: Any) -> Any:
        """The new result."""
        raise NotImplementedError

    def first(self, value: Any) -> Any:
        """The result of one value alone."""
        return value if self.initial is None else self.add(self.initial(), value)


class AddStep(UserStep):
    """`add(result so far, value)`."""

    def make(self, result: Any, value: Any) -> Any:
        if result is None:
            return self.first(value)
        return self.add(self.copier.copy(result) if self.shield else result, value)


class MergeStep(UserStep):
    """As `AddStep`, after the results of several sessions were merged: `result` is their list."""

    def __init__(
        self,
        path: str,
        failures: Failures,
        copier: Copier,
        add: Callable[[Any, Any], Any],
        initial: Callable[[], Any] | None,
        merge: Callable[[Any, Any], Any],
        *,
        shield: bool,
    ) -> None:
        super().__init__(path, failures, copier, add, initial, shield=shield)
        self.merge: Any = merge

    def make(self, result: Any, value: Any) -> Any:
        results: list[Any] = result
        if not results:
            return self.first(value)
        if self.shield:
            results = [self.copier.copy(each) for each in results]
        so_far = results[0]
        for each in results[1:]:
            so_far = self.merge(so_far, each)
        return self.add(so_far, value)


class ChangeStep(UserStep):
    """`remove(result so far, old)`, then `add(result so far, new)`, of a `Change`.

    Args:
        choose: Makes what is added and removed of the values. A value for which it fails is not in
            the group: that is reported when it is new, and what was there before leaves all the
            same.
    """

    def __init__(
        self,
        path: str,
        failures: Failures,
        copier: Copier,
        add: Callable[[Any, Any], Any],
        initial: Callable[[], Any] | None,
        remove: Callable[[Any, Any], Any],
        choose: Callable[[Any], Any] | None,
        *,
        shield: bool,
    ) -> None:
        super().__init__(path, failures, copier, add, initial, shield=shield)
        self.remove: Any = remove
        self.choose: Any = choose

    def run(self, result: Any, value: Any, index: i64) -> Any:
        if self.choose is not None:
            old, new = value
            # The new one first: an old one that fails was new in this chunk or before it.
            new = self._chosen(new, index, True)
            old = self._chosen(old, index, False)
            if old is None and new is None:
                return None
            value = (old, new)
        return super().run(result, value, index)

    def _chosen(self, value: Any, index: i64, is_new: bool) -> Any:
        if value is None:
            return None
        try:
            return self.choose(value)
        except Exception as error:
            if is_new or not self.failures.survives("processing"):
                self.failures.report("processing", self.path, self.tickets[index], error)
        return None

    def make(self, result: Any, value: Any) -> Any:
        old, new = value
        if self.shield and result is not None:
            result = self.copier.copy(result)
        if old is not None and result is not None:
            result = self.remove(result, old)
        if new is None:
            return result
        return self.first(new) if result is None else self.add(result, new)
