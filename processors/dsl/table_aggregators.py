"""Aggregators of grouped tables that keep all values of a group, as any of them may leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.aggregators import Of
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable


class All(Of):
    """The values in the order in which they came. Of equal ones, as JSON, the first one leaves."""

    def start(self) -> list[Any]:
        return []

    def add(self, kept: list[Any], value: Any) -> list[Any] | None:
        kept.append(self.keep(value))
        return kept

    def remove(self, kept: list[Any], value: Any) -> list[Any] | None:
        json = serde_for("json")
        chosen = self.keep(value)
        leaving = json.serialize([chosen])  # in a list, as a value alone may be None
        as_kept = json.deserialize(leaving)[0]
        for index, each in enumerate(kept):
            # The text says it, as 1, 1.0 and True are equal in Python, but takes longer.
            if each == as_kept and json.serialize([each]) == leaving:
                del kept[index]
                return kept
        raise LookupError(f"{chosen!r} leaves a group that it was never in")

    def keep(self, value: Any) -> Any:
        """What is kept of a value."""
        return self.of(value)


class Extreme(All):
    """The one that `choose`, min or max, takes of all; a group that has lost all is deleted."""

    def __init__(
        self,
        of: Callable[[Any], Any] | None,
        choose: Callable[[list[Any]], Any],
        result_value: Any,
    ) -> None:
        super().__init__(of)
        self.choose = choose
        self.result_value = result_value  # type: ignore[misc] # each has its own

    def remove(self, kept: list[Any], value: Any) -> list[Any] | None:
        return super().remove(kept, value) or None

    def result(self, kept: list[Any]) -> Any:
        return self.choose(kept)


class TopOfAll(All):
    """The largest, as `TopN` gives them, of all."""

    def __init__(
        self, count: int, of: Callable[[Any], Any] | None, by: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(of)
        self.count = count
        self.by: Callable[[Any], Any] = self.of if by is None else by

    def functions(self) -> tuple[Callable[[Any], Any], ...]:
        return (self.of, self.by)

    def keep(self, value: Any) -> list[Any]:
        return [self.by(value), self.of(value)]

    def result(self, kept: list[Any]) -> list[Any]:
        ranked = sorted(kept, key=_rank, reverse=True)
        return [chosen for _, chosen in ranked[: self.count]]


def _rank(pair: list[Any]) -> Any:
    return pair[0]
