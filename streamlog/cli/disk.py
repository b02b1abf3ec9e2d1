"""What a log's directory shows without being opened."""

from __future__ import annotations

import contextlib
import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamlog.errors import DirectoryLockedError
from streamlog.storage import layout

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def read_properties(path: Path) -> dict[str, str]:
    """`meta.properties`; empty where there is none."""
    try:
        text = (path / layout.META_PROPERTIES).read_text()
    except FileNotFoundError:
        return {}
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def find_owner(path: Path) -> int | None:
    """The process that holds the directory's lock, or None.

    A shared lock is tried and given back: the number in the file outlives its process.
    """
    try:
        with (path / layout.LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or b"0")
    except FileNotFoundError:
        pass
    return None


@contextmanager
def hold_still(path: Path) -> Generator[None]:
    """Keeps owners away from a log's directory as long as its files are looked at.

    Raises `DirectoryLockedError` where one has it open.
    """
    try:
        file = (path / layout.LOCK).open("rb")
    except FileNotFoundError:
        yield  # nobody has opened it since it was made or copied
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            content = file.read().strip()
            pid = int(content) if content.isdigit() else None
            raise DirectoryLockedError(path, pid) from None
        yield


USAGE = ("segments", "log_bytes", "index_bytes", "other_bytes")


def usage(directory: Path) -> dict[str, int]:
    """What the files of a partition take on disk, by kind: `segments` is their number."""
    found: dict[str, int] = dict.fromkeys(USAGE, 0)
    try:
        files = list(directory.iterdir())
    except FileNotFoundError:
        return found
    for file in files:
        parsed = layout.parse_file_name(file.name)
        kind = "other_bytes"
        if parsed is not None and parsed[1] == layout.LOG:
            kind = "log_bytes"
            found["segments"] += 1
        elif parsed is not None and parsed[1] in layout.INDEXES:
            kind = "index_bytes"
        with contextlib.suppress(FileNotFoundError):  # retention or compaction took it away
            found[kind] += file.stat().st_blocks * 512
    return found


def size_bytes(directory: Path) -> int:
    """What the files of a directory take on disk; preallocated room counts."""
    try:
        return sum(file.stat().st_blocks * 512 for file in directory.iterdir())
    except FileNotFoundError:
        return 0
