"""The byte store: what every kind of store stands on.

Keys are any bytes. Values are the record's timestamp (8 bytes, big endian) and then the value as
the store's serde wrote it; a deleted key is absent. A store holds committed data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from processors.state.position import Position


class ByteStore(Protocol):
    """Six methods over bytes. Owned by one thread."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of `keys`, None where a key is absent."""
        ...

    def write(
        self,
        items: Iterable[tuple[bytes, bytes | None]],
        position: Position | None,
        wiped: Sequence[bytes] = (),
    ) -> None:
        """Puts, or deletes where the value is None, and sets the position: all or nothing.

        Before that, all keys go that begin with one of `wiped`, whose first byte is below 0xff.

        It may be lost in a crash until `flush`, but then data and position are lost together.
        """
        ...

    def range(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and value in the order of the key bytes, from `start` to before `end`."""
        ...

    def position(self) -> Position | None:
        """What the last write set; None for a store that was never written."""
        ...

    def flush(self) -> None:
        """On return everything written before survives the death of the process."""
        ...

    def close(self) -> None: ...
