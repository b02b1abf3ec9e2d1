"""Bounds the number of open segment files of a directory."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from streamlog.files import File, Files, OpenMode

DEFAULT_LIMIT: Final = 256


class Holder(Protocol):
    """Keeps a pooled file open. `used` is set by each use; the pool clears it."""

    used: bool

    def may_release(self) -> bool:
        """Whether nothing is lost by closing the file now."""
        ...

    def release(self) -> None:
        """Lets go of the file."""
        ...


class FilePool:
    """Opens files and asks the least used holders to let go of theirs (the clock algorithm).

    A file that another thread still reads stays open until that thread lets go of it, so nothing
    waits here. A holder that must not release (it has unsynced writes) may exceed the limit.
    Usable from any thread.
    """

    def __init__(self, files: Files, limit: int = DEFAULT_LIMIT) -> None:
        self.files = files
        self._limit = limit
        self._holders: deque[Holder] = deque()
        self._lock = Lock()

    def open(self, holder: Holder, path: str, mode: OpenMode) -> File:
        """Opens the file for the holder, which keeps it until `release`."""
        file = self.files.open(path, mode)
        with self._lock:
            self._shrink(self._limit - 1)
            self._holders.append(holder)
        return file

    def forget(self, holder: Holder) -> None:
        """The holder let go by itself."""
        with self._lock:
            if holder in self._holders:
                self._holders.remove(holder)

    def _shrink(self, limit: int) -> None:
        for _ in range(2 * len(self._holders)):
            if len(self._holders) <= limit:
                return
            holder = self._holders.popleft()
            if holder.used or not holder.may_release():
                holder.used = False
                self._holders.append(holder)
            else:
                holder.release()
