"""Aggregators of grouped tables: what is added of a value is chosen first, and can leave again.

A value for which the choice fails is in no group, so the functions behind it need not fail: what
was added is always there to be removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.aggregators import Of, distinct_text, highest
from processors.dsl.kept import fault_of
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde


class Chosen(Of):
    """An aggregator whose `add` and `remove` are given what `choose` makes of the values."""

    def choose(self, value: Any) -> Any:
        """Raises where the value cannot be added, or could not be taken back."""
        return self.of(value)


class SumNow(Chosen):
    """Sums, which are kept by a serde."""

    def __init__(self, of: Callable[[Any], Any] | None, serde: Serde[Any]) -> None:
        super().__init__(of)
        self.serde = serde

    def start(self) -> Any:
        return 0

    def choose(self, value: Any) -> Any:
        return _number(self.of(value), self.serde)

    def add(self, kept: Any, value: Any) -> Any:
        return kept + value

    def remove(self, kept: Any, value: Any) -> Any:
        return kept - value


class MeanNow(Chosen):
    result_value = float

    def start(self) -> list[Any]:
        return [0, 0]

    def choose(self, value: Any) -> Any:
        return _number(self.of(value), serde_for("json"))

    def add(self, kept: list[Any], value: Any) -> list[Any]:
        return [kept[0] + value, kept[1] + 1]

    def remove(self, kept: list[Any], value: Any) -> list[Any] | None:
        return [kept[0] - value, kept[1] - 1] if kept[1] > 1 else None

    def result(self, kept: list[Any]) -> float:
        return kept[0] / kept[1]


class All(Chosen):
    """The values in the order in which they came, each as its bytes in a text.

    Args:
        result_value: The serde of what is given on.
    """

    def __init__(self, of: Callable[[Any], Any] | None, result_value: Any = "json") -> None:
        super().__init__(of)
        self.serde: Serde[Any] = serde_for("json")  # of lists, as a value alone may be None
        self.result_value = result_value  # type: ignore[misc] # each has its own

    def start(self) -> list[str]:
        return []

    def choose(self, value: Any) -> str | None:
        return self.text([self.of(value)])

    def add(self, kept: list[str], value: str) -> list[str]:
        kept.append(value)
        return kept

    def remove(self, kept: list[str], value: str) -> list[str] | None:
        if value not in kept:
            raise LookupError(_stranger(value))
        kept.remove(value)
        return kept

    def result(self, kept: list[str]) -> Any:
        return [value for (value,) in self.values(kept)]

    def text(self, value: Any) -> str:
        return self.serde.serialize(value).decode("latin-1")

    def values(self, kept: list[str]) -> list[Any]:
        """What was made into these texts."""
        return [self.serde.deserialize(each.encode("latin-1")) for each in kept]


class Extreme(All):
    """The one that `pick`, min or max, takes of all; a group that has lost all is deleted."""

    def __init__(
        self,
        of: Callable[[Any], Any] | None,
        pick: Callable[[list[Any]], Any],
        serde: Serde[Any],
    ) -> None:
        super().__init__(of, serde)
        self.serde = serde
        self.pick = pick

    def choose(self, value: Any) -> str | None:
        chosen = self.of(value)
        if chosen is None:
            return None
        _check_kept(chosen, self.serde)
        return self.text(chosen)

    def remove(self, kept: list[str], value: str) -> list[str] | None:
        return super().remove(kept, value) or None

    def result(self, kept: list[str]) -> Any:
        return self.pick(self.values(kept))


class TopOfAll(All):
    """The largest, as `TopN` gives them, of all; kept as [rank, what is given on]."""

    def __init__(
        self, count: int, of: Callable[[Any], Any] | None, by: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(of)
        self.count = count
        self.by: Callable[[Any], Any] = self.of if by is None else by

    def functions(self) -> tuple[Callable[[Any], Any], ...]:
        return (self.of, self.by)

    def choose(self, value: Any) -> str | None:
        rank = self.by(value)
        _check_kept(rank, self.serde)
        return self.text([rank, self.of(value)])

    def result(self, kept: list[str]) -> list[Any]:
        return [chosen for _, chosen in highest(self.values(kept), self.count)]


class DistinctNow(Chosen):
    """How many different values there are; each is kept as a text, with how often."""

    result_value = int

    def start(self) -> dict[str, int]:
        return {}

    def choose(self, value: Any) -> str:
        return distinct_text(self.of(value))

    def add(self, kept: dict[str, int], value: str) -> dict[str, int]:
        kept[value] = kept.get(value, 0) + 1
        return kept

    def remove(self, kept: dict[str, int], value: str) -> dict[str, int]:
        times = kept.pop(value, 0)
        if not times:
            raise LookupError(_stranger(value))
        if times > 1:
            kept[value] = times - 1
        return kept

    def result(self, kept: dict[str, int]) -> int:
        return len(kept)


def _stranger(text: str) -> str:
    return f"{text} leaves a group that it was never in"


def _number(value: Any, serde: Serde[Any]) -> Any:
    """A number that can be added, kept and taken back."""
    if value - value != 0:  # inf, nan
        raise ValueError(f"{value!r} cannot be taken back out of a sum")
    _check_kept(0 + value, serde)
    return value


def _check_kept(value: Any, serde: Serde[Any]) -> None:
    """Raises for what has no place in an order, or is given back as something in another one."""
    if value != value:
        raise ValueError(f"{value!r} has no place in an order")
    found = fault_of(value, serde)
    if found is not None:
        raise TypeError(f"{found}, or make a number or a text of it")
