"""What a log's directory shows without being opened."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

from streamlog.storage import layout

if TYPE_CHECKING:
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


def size_bytes(directory: Path) -> int:
    """What the files of a directory take on disk; preallocated room counts."""
    try:
        return sum(file.stat().st_blocks * 512 for file in directory.iterdir())
    except FileNotFoundError:
        return 0
