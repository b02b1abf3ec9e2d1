"""The only way to the disk: what storage and exactly-once sinks ask of a file system.

Everything that must survive a crash goes through a `Files`. `OsFiles` is the operating system;
`streamlog.testing.FaultyFiles` is a model of one that loses what was not synced.

What may be relied upon, and nothing more:

- A write is on disk after `datasync` of its file, and not before.
- A name (a new file, a rename, an unlink) is on disk after `sync_directory` of its directory.
- A rename replaces its target as one step: there is always the old file or the new one.
- Everything else may be lost, torn at any byte, or survive in any order.

Errors are `OSError` as the system raises them; the callers wrap them. Paths are strings.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

Bytes = bytes | bytearray | memoryview
OpenMode = Literal["read", "write", "create"]
MAX_OPEN_FILES: Final = 10240  # macOS takes no more
LOOKERS_WAIT_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.001


class File(Protocol):
    """An open file. It is closed by `close` or when the last reference to it goes."""

    @property
    def path(self) -> str: ...

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end of the file."""
        ...

    def pwrite(self, data: Bytes, offset: int) -> None:
        """Writes all of `data`. After an error any part of it may be in the file."""
        ...

    def size(self) -> int: ...

    def truncate(self, size: int) -> None: ...

    def preallocate(self, size: int) -> None:
        """Extends the file with zeros to `size` and reserves the space, where that is possible.

        Syncing what is written into reserved space is cheaper, as the file's size stays. Does
        nothing where the file is larger or the file system cannot reserve.
        """
        ...

    def datasync(self) -> None:
        """Returns when all earlier writes to the file, and its size, are on the disk."""
        ...

    def close(self) -> None: ...


class Lock(Protocol):
    """A held lock."""

    def release(self) -> None: ...


class Files(Protocol):
    """A file system. Usable from any thread."""

    def open(self, path: str, mode: OpenMode = "read") -> File:
        """Opens a file: to read, to read and write, or to read and write and maybe create it."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Renames, replacing `target` as one step."""
        ...

    def unlink(self, path: str) -> None: ...

    def makedirs(self, path: str) -> None:
        """Makes the directory and the missing ones above it; nothing if it exists."""
        ...

    def rmtree(self, path: str) -> None: ...

    def sync_directory(self, path: str) -> None:
        """Returns when all earlier changes of names in the directory are on the disk."""
        ...

    def listdir(self, path: str) -> list[str]:
        """The names in the directory, sorted."""
        ...

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def canonical(self, path: str) -> str:
        """One name for a directory, whatever way leads to it, unique in the process."""
        ...

    def lock(self, path: str, content: bytes) -> Lock:
        """Creates and locks the file for this process and writes `content` into it.

        Raises `BlockingIOError` where another process holds the lock. It ends with the process.
        """
        ...


def raise_open_files_limit() -> None:
    """Lets the process open as many files as it may, as the JVM does at its start.

    A flush window keeps every file open that it has to sync, and the usual 1,024 (macOS: 256) are
    soon used up by partitions, stores and sockets.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then the old limit has to do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def read_file(files: Files, path: str) -> bytes:
    """The whole file."""
    file = files.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def write_file(files: Files, path: str, content: bytes) -> None:
    """Writes the whole file and syncs it. A crash may leave any part of it."""
    file = files.open(path, "create")
    try:
        file.truncate(0)
        file.pwrite(content, 0)
        file.datasync()
    finally:
        file.close()


def replace_file(files: Files, path: str, content: bytes) -> None:
    """Writes the whole file durably; a crash leaves the old content or the new.

    A temporary file is written, synced and renamed, and its directory is synced.
    """
    temporary = f"{path}.tmp"
    write_file(files, temporary, content)
    files.rename(temporary, path)
    files.sync_directory(os.path.dirname(path))


class OsFile:
    """A file of the operating system."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        return self._path

    def pread(self, size: int, offset: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        while data and (size := size - len(data)):
            offset += len(data)
            data = os.pread(self._descriptor, size, offset)
            parts.append(data)
        return b"".join(parts)

    def pwrite(self, data: Bytes, offset: int) -> None:
        written = os.pwrite(self._descriptor, data, offset)
        if written == len(data):
            return
        rest = memoryview(data)
        while written < len(rest):
            rest = rest[written:]
            offset += written
            written = os.pwrite(self._descriptor, rest, offset)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def preallocate(self, size: int) -> None:
        _reserve(self._descriptor, size)

    def datasync(self) -> None:
        _sync_data(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # A file may be dropped while another thread still reads from it; the last one closes it.
        with contextlib.suppress(OSError):
            self.close()


if sys.platform == "darwin":

    def _sync_data(descriptor: int) -> None:
        # macOS' fsync leaves the data in the disk's cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)

    def _reserve(descriptor: int, size: int) -> None:
        """APFS gains nothing from reserved space."""

else:
    _sync_data: Callable[[int], None] = os.fdatasync
    _CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EFBIG}

    def _reserve(descriptor: int, size: int) -> None:
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise


class OsLock:
    """An `flock` on a file; the file stays.

    A forked child would keep it, as the lock is the open file's and not the process's; so each
    child closes what it has got of it, which leaves the parent's lock alone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held_locks[self] = None

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _held_locks.pop(self, None)
            os.close(descriptor)


_held_locks: dict[OsLock, None] = {}


def _drop_locks() -> None:
    """In a forked child."""
    for lock in list(_held_locks):
        lock.release()


os.register_at_fork(after_in_child=_drop_locks)


def _lock_alone(descriptor: int) -> None:
    """Raises `BlockingIOError` where an owner holds the lock.

    Who only looks whether there is an owner (`streamlog info`) holds a shared lock for a moment;
    that one is waited for.
    """
    deadline = time.monotonic() + LOOKERS_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises: it is an owner
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_AGAIN_S)


class OsFiles:
    """The operating system's files. Stateless."""

    def open(self, path: str, mode: OpenMode = "read") -> File:
        flags = {
            "read": os.O_RDONLY,
            "write": os.O_RDWR,
            "create": os.O_RDWR | os.O_CREAT,
        }[mode]
        return OsFile(path, os.open(path, flags | os.O_CLOEXEC, 0o644))

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def makedirs(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def rmtree(self, path: str) -> None:
        shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if sys.platform == "darwin":
                _sync_data(descriptor)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def canonical(self, path: str) -> str:
        return os.path.realpath(path)

    def lock(self, path: str, content: bytes) -> Lock:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock_alone(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return OsLock(descriptor)
