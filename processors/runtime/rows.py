"""What is read of an iterable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Rows(NamedTuple):
    """An iterable that can be begun anew, or a function that makes one."""

    source: Iterable[Any] | Callable[[], Iterable[Any]]

    def begin(self) -> Iterator[Any]:
        return iter(self.source() if callable(self.source) else self.source)
