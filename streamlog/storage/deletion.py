"""What is deleted, and a little later removed.

Files lose their names at once (`.deleted`, `<topic>-<partition>.<uuid>-delete`) and their content
after `file.delete.delay.ms`: who has them open, in this process or another, reads on that long
without a thought. What a crash leaves under such a name is removed when the log is opened.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from streamlog.storage import layout
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.housekeeper import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamlog.files import Files
    from streamlog.storage.segment import Segment
    from streamlog.topic import TopicPartition

MAX_FILE_NAME: Final = 255
_DELETED_DIRECTORY = re.compile(r".+\.[0-9a-f]{32}-delete")
_PARTITION_DIRECTORY = re.compile(r"([a-zA-Z0-9._-]+)-(\d+)")


class _Pending(NamedTuple):
    due_ms: int
    path: str
    is_directory: bool


class Deletions:
    """Removes what has lost its name when its time has come. Usable from any thread."""

    def __init__(self, files: Files, wake: Callable[[int], None]) -> None:
        """`wake` is told when something is due."""
        self._files = files
        self._wake = wake
        self._lock = Lock()
        self._pending: list[_Pending] = []

    def add(self, paths: Iterable[str], due_ms: int, *, directories: bool = False) -> None:
        """Removes these, which have lost their names already, from `due_ms` on."""
        added = False
        with self._lock:
            for path in paths:
                heapq.heappush(self._pending, _Pending(due_ms, path, directories))
                added = True
        if added:
            self._wake(due_ms)

    def run(self, now_ms: int) -> int:
        """Removes what is due, and returns when the next one is: a housekeeper's task."""
        while True:
            with self._lock:
                if not self._pending or self._pending[0].due_ms > now_ms:
                    return self._pending[0].due_ms if self._pending else NEVER
                pending = heapq.heappop(self._pending)
            self._remove(pending)

    def finish(self) -> None:
        """Removes everything now: the log is being closed, and nobody here reads any more."""
        self.run(NEVER)

    def _remove(self, pending: _Pending) -> None:
        """Not synced: what a crash brings back still has no name."""
        try:
            if pending.is_directory:
                self._files.rmtree(pending.path)
            else:
                self._files.unlink(pending.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise wrap_write_error(pending.path, error) from error


def unname_segments(files: Files, segments: Iterable[Segment]) -> list[str]:
    """Takes the names of segments that are retired already; the paths that are left of them.

    The oldest first, and of each its log last: a crash leaves nothing that looks like a segment
    without the indexes that it needs, apart from those that are rebuilt.
    """
    left: list[str] = []
    for segment in segments:
        for suffix in (*layout.INDEXES, layout.LOG):
            path = segment.path_of(suffix)
            with contextlib.suppress(FileNotFoundError):
                files.rename(path, path + layout.DELETED)
                left.append(path + layout.DELETED)
    return left


def unname_partitions(files: Files, root: str, partitions: Iterable[TopicPartition]) -> list[str]:
    """Takes the names of partitions' directories, durably; the paths that are left of them."""
    names = set(files.listdir(root))
    left: list[str] = []
    for partition in partitions:
        if str(partition) in names:
            path = os.path.join(root, _deleted_name(str(partition)))
            files.rename(os.path.join(root, str(partition)), path)
            left.append(path)
    if left:
        files.sync_directory(root)
    return left


def find_deleted(root: str, names: Iterable[str]) -> list[str]:
    """The directories that a crash has left without their names."""
    return [os.path.join(root, name) for name in names if _DELETED_DIRECTORY.fullmatch(name)]


def parse_partition(name: str) -> tuple[str, int] | None:
    """Topic and partition of a directory's name; None for any other."""
    match = _PARTITION_DIRECTORY.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def _deleted_name(name: str) -> str:
    """Kafka's: with a random id, and cut where the file system would not take it."""
    suffix = f".{uuid4().hex}-delete"
    return name[: MAX_FILE_NAME - len(suffix)] + suffix
