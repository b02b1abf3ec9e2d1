"""Opening the log that `--log` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log


def open_to_read(directory: Path) -> Log:
    """Beside whatever process owns the log: no lock, and up to the last durable end."""
    import streamlog

    return streamlog.open(directory, read_only=True)


def open_to_write(directory: Path, *, durability: str = "fsync", create: bool = True) -> Log:
    """As the owner of the directory, which is made if it is not there.

    Raises:
        DirectoryAccessError: there is none, and `create` is False.
    """
    import streamlog

    if not create and not directory.exists():
        from streamlog.errors import DirectoryAccessError

        raise DirectoryAccessError(directory, "there is no log here; name one with --log")
    return streamlog.open(directory, durability=durability)
