"""What the engine and the checkpoints know of a store, whatever is kept in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processors.state.position import Position


class State(Protocol):
    """The store of one task, in four layers (see `cached`). Owned by one thread.

    Attributes:
        store: The byte store below it.
        changelog: The topic and partition of its changelog, or None.
        cache_bytes: The bound of its cache, or its part of a common one (`CacheBudget`).
        complete: Whether the byte store is known to have nothing that the cache has not.
    """

    name: str
    store: Any
    changelog: Any
    complete: bool
    cache_bytes: Any

    @property
    def committed_bytes(self) -> int:
        """What waits for a checkpoint, estimated."""
        ...

    def flush(self) -> object:
        """Encodes what has changed since the last flush."""
        ...

    def has_dirty(self) -> bool:
        """Whether something has changed since the last flush."""
        ...

    def has_committed(self) -> bool:
        """Whether a checkpoint would write something."""
        ...

    def committing_records(self) -> tuple[list[Any], list[Any], list[int]]:
        """The changelog's columns of this commit."""
        ...

    def on_committed(self) -> None: ...

    def on_aborted(self) -> None: ...

    def checkpoint(self, position: Position | None) -> None:
        """Writes what is committed to the byte store, with the position that it reflects."""
        ...

    def checkpoint_items(self) -> Iterable[tuple[bytes, bytes | None]]: ...

    def cached_bytes(self) -> int:
        """What the cache takes, estimated."""
        ...

    def dirty_bytes(self) -> int:
        """What of it only a commit makes free."""
        ...

    def trim(self) -> int:
        """Between rounds: evicts what is over the bound."""
        ...
