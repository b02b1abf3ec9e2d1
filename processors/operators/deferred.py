"""Columns that are made when somebody reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar, final, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@final
class Deferred(Sequence[T]):
    """A column that mostly nobody reads: a sink has its bytes, or no row of its tickets failed.

    Args:
        make: Called once, at the first look.
    """

    __slots__ = ("_column", "_make")

    def __init__(self, make: Callable[[], list[T]]) -> None:
        self._make: Callable[[], list[T]] | None = make
        self._column: list[T] = []

    def get(self) -> list[T]:
        if self._make is not None:
            self._column = self._make()
            self._make = None
        return self._column

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.get()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())

    def __len__(self) -> int:
        return len(self.get())
