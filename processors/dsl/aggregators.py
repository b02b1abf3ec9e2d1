"""Aggregators: a few functions that belong together, for every kind of group and window.

class Range(Aggregator):
    def start(self):
        return None

    def add(self, result, value):
        return [value, value] if result is None else [min(result[0], value), max(...)]

    def merge(self, earlier, later):
        return [min(earlier[0], later[0]), max(earlier[1], later[1])]

    def result(self, kept):
        return kept[1] - kept[0]

grouped.windowed_by(Session("30m")).aggregate(Range())
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")
A = TypeVar("A")
R = TypeVar("R")


class Aggregator(Generic[V, A, R]):
    """What is kept of a key, how it changes, and what is given on.

    `start` and `add` are needed. `merge` is where sessions become one, `remove` where entries of a
    table leave a group. What `add`, `merge` and `remove` are given they may change and return.

        >>> from processors import Aggregator
        >>> class Longest(Aggregator):
        ...     def start(self):
        ...         return ""
        ...     def add(self, kept, value):
        ...         return max(kept, value, key=len)
        ...     def result(self, kept):
        ...         return len(kept)
        >>> app = App("doc")
        >>> app.stream("in", value=str).group_by_key().aggregate(Longest()).to_stream().to("out")
        >>> TopologyTestDriver(app).run("in", [("k", "aaa"), ("k", "bb")]).values("out")
        [3, 3]

    Attributes:
        value: The serde of what is kept.
        result_value: The serde of what `result` makes of it.
    """

    value: ClassVar[Any] = "json"
    result_value: ClassVar[Any] = "json"

    def start(self) -> A:
        """What a key starts with."""
        raise NotImplementedError

    def add(self, kept: A, value: V) -> A | None:
        """With one more value; None deletes the key."""
        raise NotImplementedError

    def merge(self, earlier: A, later: A) -> A | None:
        """One of two; `merge(start(), x)` is x."""
        raise NotImplementedError

    def remove(self, kept: A, value: V) -> A | None:
        """Without a value that was added."""
        raise NotImplementedError

    def result(self, kept: A) -> R:
        """What is given on; without it, what is kept."""
        raise NotImplementedError


def has(aggregator: Aggregator[Any, Any, Any], method: str) -> bool:
    """Whether an aggregator has a method of its own."""
    return getattr(type(aggregator), method) is not getattr(Aggregator, method)


class Of(Aggregator[Any, Any, Any]):
    """An aggregator of what a function makes of the values.

    Args:
        of: None takes the values themselves.
    """

    def __init__(self, of: Callable[[Any], Any] | None) -> None:
        self.of: Callable[[Any], Any] = _itself if of is None else of

    def start(self) -> Any:
        return None

    def functions(self) -> tuple[Callable[[Any], Any], ...]:
        """Those that the user gave."""
        return (self.of,)


def _itself(value: Any) -> Any:
    return value


class Sum(Of):
    def start(self) -> Any:
        return 0

    def add(self, kept: Any, value: Any) -> Any:
        return kept + self.of(value)

    def merge(self, earlier: Any, later: Any) -> Any:
        return earlier + later


class Min(Of):
    def add(self, kept: Any, value: Any) -> Any:
        chosen = self.of(value)
        return chosen if kept is None else min(kept, chosen)

    def merge(self, earlier: Any, later: Any) -> Any:
        return min(earlier, later)


class Max(Of):
    def add(self, kept: Any, value: Any) -> Any:
        chosen = self.of(value)
        return chosen if kept is None else max(kept, chosen)

    def merge(self, earlier: Any, later: Any) -> Any:
        return max(earlier, later)


class Mean(Of):
    result_value = float

    def start(self) -> list[Any]:
        return [0, 0]

    def add(self, kept: list[Any], value: Any) -> list[Any]:
        return [kept[0] + self.of(value), kept[1] + 1]

    def merge(self, earlier: list[Any], later: list[Any]) -> list[Any]:
        return [earlier[0] + later[0], earlier[1] + later[1]]

    def result(self, kept: list[Any]) -> float:
        return kept[0] / kept[1]


class First(Of):
    def add(self, kept: Any, value: Any) -> Any:
        return self.of(value) if kept is None else kept

    def merge(self, earlier: Any, later: Any) -> Any:
        return earlier


class Last(Of):
    def add(self, kept: Any, value: Any) -> Any:
        return self.of(value)

    def merge(self, earlier: Any, later: Any) -> Any:
        return later


class Collect(Of):
    """A list of all, or of the last so many."""

    def __init__(self, of: Callable[[Any], Any] | None, limit: int | None) -> None:
        super().__init__(of)
        self.limit = limit

    def start(self) -> list[Any]:
        return []

    def add(self, kept: list[Any], value: Any) -> list[Any]:
        kept.append(self.of(value))
        return self._last(kept)

    def merge(self, earlier: list[Any], later: list[Any]) -> list[Any]:
        return self._last(earlier + later)

    def _last(self, kept: list[Any]) -> list[Any]:
        return kept if self.limit is None else kept[-self.limit :]


class TopN(Of):
    """The largest, each as [rank, what was chosen of its value]; the first of equal ones stay."""

    def __init__(
        self, count: int, of: Callable[[Any], Any] | None, by: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(of)
        self.count = count
        self.by: Callable[[Any], Any] = self.of if by is None else by

    def start(self) -> list[Any]:
        return []

    def functions(self) -> tuple[Callable[[Any], Any], ...]:
        return (self.of, self.by)

    def add(self, kept: list[Any], value: Any) -> list[Any]:
        return self._largest([*kept, [self.by(value), self.of(value)]])

    def merge(self, earlier: list[Any], later: list[Any]) -> list[Any]:
        return self._largest(earlier + later)

    def result(self, kept: list[Any]) -> list[Any]:
        return [chosen for _, chosen in kept]

    def _largest(self, ranked: list[Any]) -> list[Any]:
        return highest(ranked, self.count)


def highest(ranked: list[Any], count: int) -> list[Any]:
    """The first so many [rank, value] by rank, the greatest first; equal ones as they came."""
    return sorted(ranked, key=itemgetter(0), reverse=True)[:count]


class CountDistinct(Of):
    """Exact: what was seen is kept, as JSON texts, with how often."""

    result_value = int

    def start(self) -> dict[str, int]:
        return {}

    def add(self, kept: dict[str, int], value: Any) -> dict[str, int]:
        text = distinct_text(self.of(value))
        kept[text] = kept.get(text, 0) + 1
        return kept

    def merge(self, earlier: dict[str, int], later: dict[str, int]) -> dict[str, int]:
        for text, times in later.items():
            earlier[text] = earlier.get(text, 0) + times
        return earlier

    def result(self, kept: dict[str, int]) -> int:
        return len(kept)


def distinct_text(value: Any) -> str:
    """A JSON text that equal values share, whatever the order of their parts."""
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    import msgspec  # slow to import, and seldom needed

    return msgspec.to_builtins(value, order="sorted", str_keys=True)
