"""Opening the log that `--log` names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log
    from streamlog.storage import Durability


def open_to_read(directory: Path) -> Log:
    """Beside whatever process owns the log: no lock, and up to the last durable end.

    Raises:
        DirectoryAccessError: there is no log.
    """
    import streamlog

    check_log(directory)
    return streamlog.open(directory, read_only=True)


def open_to_write(directory: Path, *, durability: Durability = "fsync", create: bool = True) -> Log:
    """As the owner of the directory, which is made if it is not there.

    Says on stderr what recovery had to cut off.

    Raises:
        DirectoryAccessError: there is no log, and `create` is False.
    """
    from streamlog.client.embedded import EmbeddedLog

    if not create:
        check_log(directory)
    log = EmbeddedLog.open(directory, durability=durability)
    for cut in log.truncations:
        print(
            f"recovered {cut.topic_partition}: {cut.removed_bytes:,} bytes that a crash had torn "
            f"cut off at offset {cut.offset:,}, none of them acknowledged ({cut.reason})",
            file=sys.stderr,
        )
    return log


def check_log(directory: Path) -> None:
    """Raises `DirectoryAccessError` where no log has been: a mistyped name is no empty log."""
    from streamlog.errors import DirectoryAccessError
    from streamlog.storage.layout import META_PROPERTIES

    if not (directory / META_PROPERTIES).exists():
        raise DirectoryAccessError(directory, "there is no log here; name its directory with --log")
