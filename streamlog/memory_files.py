"""Files in this process's memory: what `streamlog.open(":memory:")` keeps a log in.

An address is ":memory:" for files of one's own, or ":memory:NAME" for those that everybody in the
process shares who opens that name. They are gone when the lock on them is released, which is when
the last opening of the log is closed, as with SQLite's databases in memory.

Nothing here survives anything: `datasync` has nothing to do. The model of a disk that loses power
is `streamlog.testing.FaultyFiles`.
"""

from __future__ import annotations

import errno
import os
from itertools import count
from threading import Lock as Mutex
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from streamlog.files import Bytes, File, Lock, OpenMode

MEMORY: Final = ":memory:"
BLOCK_BYTES: Final = 1 << 18


def is_memory(address: str) -> bool:
    """Whether the address is one of files in memory."""
    return address.startswith(MEMORY)


def files_in_memory(address: str) -> MemoryFiles:
    """New files for ":memory:", the process's for ":memory:NAME"."""
    name = address.removeprefix(MEMORY)
    if not name:
        return MemoryFiles()
    with _named_lock:
        files = _named.get(name)
        if files is None:
            files = _named[name] = MemoryFiles()
        return files


class Content:
    """The bytes of a file, in blocks that are never moved, so that growing copies nothing.

    Only the first block grows, so that a small file takes little. Behind `size` the blocks have
    zeros. Usable from any thread: a block must not grow while another thread looks into it.
    """

    __slots__ = ("_blocks", "_lock", "_room", "size")

    def __init__(self) -> None:
        self.size = 0
        self._room = 0
        self._blocks: list[bytearray] = []
        self._lock = Mutex()

    def read(self, size: int, offset: int) -> bytes:
        with self._lock:
            size = min(size, self.size - offset)
            if size <= 0:
                return b""
            number, start = divmod(offset, BLOCK_BYTES)
            if start + size <= BLOCK_BYTES:
                return bytes(memoryview(self._blocks[number])[start : start + size])
            parts: list[memoryview] = []
            while size > 0:
                part = memoryview(self._blocks[number])[start : start + size]
                parts.append(part)
                size -= len(part)
                number, start = number + 1, 0
            return b"".join(parts)

    def write(self, data: Bytes, offset: int) -> None:
        size = len(data)
        with self._lock:
            if offset + size > self.size:
                self._reserve(offset + size)
                self.size = offset + size
            number, start = divmod(offset, BLOCK_BYTES)
            if start + size <= BLOCK_BYTES:
                if size:
                    self._blocks[number][start : start + size] = data
                return
            source, done = memoryview(data), 0
            while done < size:
                part = source[done : done + BLOCK_BYTES - start]
                # Into a view, as the assignment of a view to a bytearray makes a copy first.
                memoryview(self._blocks[number])[start : start + len(part)] = part
                done += len(part)
                number, start = number + 1, 0

    def truncate(self, size: int) -> None:
        with self._lock:
            if size > self.size:
                self._reserve(size)
            else:
                self._drop(size)
            self.size = size

    def _drop(self, size: int) -> None:
        """Gives back what is behind `size`. Under the lock."""
        blocks = -(-size // BLOCK_BYTES)
        del self._blocks[blocks:]
        if blocks:
            last = self._blocks[-1]
            end = size - (blocks - 1) * BLOCK_BYTES
            if blocks == 1:
                del last[end:]
            else:
                last[end:] = bytes(BLOCK_BYTES - end)
        self._room = size if blocks < 2 else blocks * BLOCK_BYTES

    def _reserve(self, size: int) -> None:
        """Makes room for `size` bytes. Under the lock."""
        if size <= self._room:
            return
        if not self._blocks:
            self._blocks.append(bytearray())
        first = self._blocks[0]
        wanted = min(max(size, 2 * len(first)), BLOCK_BYTES)
        first.extend(bytes(wanted - len(first)))
        while len(self._blocks) * BLOCK_BYTES < size:
            self._blocks.append(bytearray(BLOCK_BYTES))
        self._room = len(first) + (len(self._blocks) - 1) * BLOCK_BYTES


class MemoryFile:
    """An open file of `MemoryFiles`."""

    __slots__ = ("_content", "_path", "_writable")

    def __init__(self, path: str, content: Content, *, writable: bool) -> None:
        self._path = path
        self._content = content
        self._writable = writable

    @property
    def path(self) -> str:
        return self._path

    def pread(self, size: int, offset: int) -> bytes:
        return self._content.read(size, offset)

    def pwrite(self, data: Bytes, offset: int) -> None:
        self._check_writable()
        self._content.write(data, offset)

    def size(self) -> int:
        return self._content.size

    def truncate(self, size: int) -> None:
        self._check_writable()
        self._content.truncate(size)

    def preallocate(self, size: int) -> None:
        """There is nothing to reserve."""

    def datasync(self) -> None:
        """There is nothing to sync."""

    def close(self) -> None:
        """Nothing is held."""

    def _check_writable(self) -> None:
        if not self._writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)


class Directory(dict[str, "Directory | Content"]):
    """What a directory has by name."""


class MemoryFiles:
    """A `Files` in memory. Usable from any thread."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._root = Directory()
        self._lock = Mutex()
        self._locked: set[str] = set()

    def open(self, path: str, mode: OpenMode = "read") -> File:
        with self._lock:
            parent, name = self._parent(path)
            content = parent.get(name)
            if isinstance(content, Directory):
                raise _error(errno.EISDIR, path)
            if content is None:
                if mode != "create":
                    raise _error(errno.ENOENT, path)
                content = parent[name] = Content()
            return MemoryFile(path, content, writable=mode != "read")

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            old, old_name = self._parent(source)
            new, new_name = self._parent(target)
            if old_name not in old:
                raise _error(errno.ENOENT, source)
            new[new_name] = old.pop(old_name)

    def unlink(self, path: str) -> None:
        with self._lock:
            parent, name = self._parent(path)
            if name not in parent:
                raise _error(errno.ENOENT, path)
            if isinstance(parent[name], Directory):
                raise _error(errno.EISDIR, path)
            del parent[name]

    def makedirs(self, path: str) -> None:
        with self._lock:
            node = self._root
            for part in _parts(path):
                child = node.setdefault(part, Directory())
                if not isinstance(child, Directory):
                    raise _error(errno.ENOTDIR, path)
                node = child

    def rmtree(self, path: str) -> None:
        with self._lock:
            self._directory(path)
            parent, name = self._parent(path)
            del parent[name]

    def sync_directory(self, path: str) -> None:
        """There is nothing to sync, in a directory that exists."""
        with self._lock:
            self._directory(path)

    def listdir(self, path: str) -> list[str]:
        with self._lock:
            return sorted(self._directory(path))

    def exists(self, path: str) -> bool:
        with self._lock:
            try:
                self._find(path)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def size(self, path: str) -> int:
        with self._lock:
            node = self._find(path)
            return node.size if isinstance(node, Content) else 0

    def canonical(self, path: str) -> str:
        return f"memory-{self._number}:{os.path.normpath(path)}"

    def lock(self, path: str, content: bytes) -> Lock:
        """As the contract says. Releasing the lock gives the memory back, all of it."""
        with self._lock:
            if path in self._locked:
                raise _error(errno.EAGAIN, path)
            self._locked.add(path)
        file = self.open(path, "create")
        file.truncate(0)
        file.pwrite(content, 0)
        return MemoryLock(self, path)

    def unlock(self, path: str) -> None:
        """Drops everything: the log that was here is closed, though somebody may still hold it."""
        with self._lock:
            if path in self._locked:
                self._locked.discard(path)
                self._root = Directory()

    # Under the lock

    def _find(self, path: str) -> Directory | Content:
        node: Directory | Content = self._root
        for part in _parts(path):
            if not isinstance(node, Directory):
                raise _error(errno.ENOTDIR, path)
            if part not in node:
                raise _error(errno.ENOENT, path)
            node = node[part]
        return node

    def _directory(self, path: str) -> Directory:
        node = self._find(path)
        if not isinstance(node, Directory):
            raise _error(errno.ENOTDIR, path)
        return node

    def _parent(self, path: str) -> tuple[Directory, str]:
        directory, name = os.path.split(path.rstrip("/"))
        return self._directory(directory), name


class MemoryLock:
    """A held lock."""

    def __init__(self, files: MemoryFiles, path: str) -> None:
        self._files: MemoryFiles | None = files
        self._path = path

    def release(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.unlock(self._path)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _error(number: int, path: str) -> OSError:
    """Of the class that Python has for the number."""
    return OSError(number, os.strerror(number), path)


_numbers = count()
# Weakly: a name that nobody has open is free again.
_named: WeakValueDictionary[str, MemoryFiles] = WeakValueDictionary()
_named_lock = Mutex()


def _forget_names() -> None:
    """In a forked child: the parent's logs are not the child's, and the lock may be held."""
    global _named_lock
    _named_lock = Mutex()
    _named.clear()


os.register_at_fork(after_in_child=_forget_names)
