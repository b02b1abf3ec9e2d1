"""A byte store in memory: for the test driver, and for stores that live as long as a process."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from processors.state.position import Position


class MemoryStore:
    """Meets `ByteStore` with a dict. Sorted only when a range is asked for."""

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._sorted: list[bytes] | None = None
        self._position: Position | None = None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self._data.get, keys))

    def write(
        self,
        items: Iterable[tuple[bytes, bytes | None]],
        position: Position | None,
        wiped: Sequence[bytes] = (),
    ) -> None:
        if wiped:
            prefixes = tuple(wiped)
            for key in [key for key in self._data if key.startswith(prefixes)]:
                del self._data[key]
        self._sorted = None
        for key, value in items:
            if value is None:
                self._data.pop(key, None)
            else:
                self._data[key] = value
        self._position = position

    def range(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._sorted is None:
            self._sorted = sorted(self._data)
        keys = self._sorted
        first = bisect_left(keys, b"" if start is None else start)
        last = len(keys) if end is None else bisect_left(keys, end)
        for key in keys[first:last]:
            yield key, self._data[key]

    def position(self) -> Position | None:
        return self._position

    def flush(self) -> None:
        """Nothing to do: this store does not outlive the process."""

    def close(self) -> None:
        self._data.clear()
        self._sorted = None
