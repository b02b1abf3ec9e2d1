"""RocksDB for many short runs: opening a database, or a family of it, takes longer than a run."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from processors.state.cached import range_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from processors.state.byte_store import ByteStore


class OneFamily:
    """The stores of all runs in one column family, told apart by a prefix each."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._made = count()

    def store(self, name: str) -> ByteStore:
        return Prefixed(self._store, next(self._made).to_bytes(4, "big"))

    def drop(self, name: str) -> None:
        """A dropped store's prefix is not used again."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Prefixed:
    def __init__(self, store: Any, prefix: bytes) -> None:
        self._store = store
        self._prefix = prefix

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._store.get_many([self._prefix + key for key in keys])

    def write(
        self,
        items: Iterable[tuple[bytes, bytes | None]],
        position: Any,
        wiped: Sequence[bytes] = (),
    ) -> None:
        rows = [(self._prefix + key, value) for key, value in items]
        prefixes = [self._prefix + prefix for prefix in wiped]
        self._store.write(rows, position, *([prefixes] if prefixes else []))

    def range(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        first = self._prefix + (start or b"")
        last = range_end(self._prefix) if end is None else self._prefix + end
        for key, value in self._store.range(first, last):
            yield key[len(self._prefix) :], value

    def position(self) -> Any:
        return self._store.position()

    def flush(self) -> None: ...

    def close(self) -> None: ...
