"""A file system in memory that remembers every operation and can lose what was not synced.

Run a workload on it, then cut the power after any operation and look at what is left:

    files = FaultyFiles()
    log = LogDirectory.open("/log", files=files, threaded=False)
    ...
    files.note(("acknowledged", offset))           # what the caller was promised, and when

    for cut in choose_cuts(len(files.operations), count=500):
        survivors = files.cut(cut)
        promised = files.notes(cut)
        log = LogDirectory.open("/log", files=survivors, threaded=False)
        ...                                        # all that was promised must be there

`survivors.write_to(directory)` puts them on the real disk, for what does its own I/O; `read_from`
goes the other way. `threaded=False` makes the order of operations the same in every run.

What survives a cut: of a file, what its last `datasync` covered; of a directory, the names that
its last `sync_directory` covered. What came later is up to the `Adversary`. After a crash of the
process alone, everything survives: `Adversary.ALL`.

Faults while running: `fail` lets a later operation raise, `capacity_bytes` is the disk's size.
"""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any

from streamlog.testing.power_loss import (
    Adversary,
    Cut,
    DirectoryNode,
    FileNode,
    Node,
    Operation,
    Replay,
    apply,
    choose_cuts,
    copy_nodes,
    digest,
)

if TYPE_CHECKING:
    from streamlog.files import Bytes, File, Lock, OpenMode

__all__ = ["Adversary", "Cut", "FaultyFiles", "Operation", "choose_cuts"]

_numbers = count()


@dataclass(slots=True)
class _Fault:
    kind: str
    countdown: int
    error: int


class FaultyFiles:
    """A `Files` in memory. Usable from any thread."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.capacity_bytes: int | None = None
        self._name = f"faulty-{next(_numbers)}"
        self._lock = RLock()
        self._nodes: dict[int, Node] = {0: DirectoryNode()}
        self._initial: dict[int, Node] = {0: DirectoryNode()}
        self._next_node = 1
        self._faults: list[_Fault] = []
        self._notes: list[tuple[int, Any]] = []
        self._locked: set[str] = set()
        self._replay: Replay | None = None

    # Crashes

    def cut(self, cut: Cut, *, seed: str = "") -> FaultyFiles:
        """The files after a loss of power; a new file system, with no operations yet.

        Cuts in the order of operations are cheap.
        """
        with self._lock:
            done = self.operations[: cut.after]
            if cut.adversary is Adversary.ALL and any(
                each.kind == "failed datasync" for each in done
            ):
                nodes = copy_nodes(self._initial)
                for operation in done:
                    apply(nodes, operation)
                return _from_nodes(nodes)
            if self._replay is None or self._replay.done > cut.after:
                self._replay = Replay(self._initial)
            self._replay.advance(self.operations[self._replay.done : cut.after])
            choice = random.Random(digest(seed, cut))
            return _from_nodes(self._replay.survivors(cut.adversary, choice))

    def note(self, value: Any) -> None:
        """Remembers something together with the operations so far."""
        with self._lock:
            self._notes.append((len(self.operations), value))

    def notes(self, cut: Cut | None = None) -> list[Any]:
        """What had been noted before the cut."""
        after = len(self.operations) if cut is None else cut.after
        return [value for operations, value in self._notes if operations <= after]

    # Faults

    def fail(self, kind: str, *, after: int = 0, error: int = errno.EIO) -> None:
        """Lets the operation of this kind behind the next `after` ones raise, once.

        Kinds: write, truncate, preallocate, datasync, create, rename, unlink, mkdir,
        sync_directory. The failed operation has no effect and is not recorded. Only a datasync that
        fails has one, as on Linux: the file stays as it is in memory, no later sync writes what
        this one was to write, and a loss of power takes it away unless it is written again.
        """
        with self._lock:
            self._faults.append(_Fault(kind, after, error))

    # The real disk

    def write_to(self, directory: str, root: str = "/") -> None:
        """Writes everything below `root` into a directory of the real file system."""
        with self._lock:
            node = self._find(root)
            assert isinstance(node, DirectoryNode), f"{root} is no directory"
            self._write_node(node, directory)

    @classmethod
    def read_from(cls, directory: str, root: str = "/") -> FaultyFiles:
        """A file system with everything below the real directory, all of it synced."""
        files = cls()
        for parent, _, names in os.walk(directory):
            target = os.path.normpath(os.path.join(root, os.path.relpath(parent, directory)))
            files.makedirs(target)
            for name in sorted(names):
                with open(os.path.join(parent, name), "rb") as source:
                    files.open(os.path.join(target, name), "create").pwrite(source.read(), 0)
        return _from_nodes(files._nodes)

    # Files

    def open(self, path: str, mode: OpenMode = "read") -> File:
        with self._lock:
            parent, name = self._parent(path)
            number = parent.entries.get(name)
            if number is None:
                if mode != "create":
                    raise FileNotFoundError(errno.ENOENT, "no such file", path)
                number = self._next_node
                self._next_node += 1
                self._record(
                    Operation("create", path, self._number_of(path), name=name, child=number)
                )
            if isinstance(self._nodes[number], DirectoryNode):
                raise IsADirectoryError(errno.EISDIR, "is a directory", path)
            return FaultyFile(self, path, number, writable=mode != "read")

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            old, old_name = self._parent(source)
            if old_name not in old.entries:
                raise FileNotFoundError(errno.ENOENT, "no such file", source)
            _, name = self._parent(target)
            number, child = self._number_of(target), old.entries[old_name]
            if self._number_of(source) == number:
                self._record(
                    Operation("rename", target, number, name=name, source=old_name, child=child)
                )
            else:
                self._record(Operation("create", target, number, name=name, child=child))
                self._record(Operation("unlink", source, self._number_of(source), name=old_name))

    def unlink(self, path: str) -> None:
        with self._lock:
            parent, name = self._parent(path)
            if name not in parent.entries:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            self._record(Operation("unlink", path, self._number_of(path), name=name))

    def makedirs(self, path: str) -> None:
        with self._lock:
            made = ""
            for part in _parts(path):
                made += "/" + part
                if not self.exists(made):
                    number = self._next_node
                    self._next_node += 1
                    self._record(
                        Operation("mkdir", made, self._number_of(made), name=part, child=number)
                    )

    def rmtree(self, path: str) -> None:
        with self._lock:
            node = self._find(path)
            for name in list(node.entries) if isinstance(node, DirectoryNode) else []:
                self.rmtree(f"{path.rstrip('/')}/{name}")
            self.unlink(path)

    def sync_directory(self, path: str) -> None:
        with self._lock:
            self._directory(path)
            self._record(Operation("sync_directory", path, self._number(path)))

    def listdir(self, path: str) -> list[str]:
        with self._lock:
            return sorted(self._directory(path).entries)

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
            return len(node.content) if isinstance(node, FileNode) else 0

    def canonical(self, path: str) -> str:
        return f"{self._name}:{os.path.normpath(path)}"

    def lock(self, path: str, content: bytes) -> Lock:
        with self._lock:
            if path in self._locked:
                raise BlockingIOError(errno.EAGAIN, "locked", path)
            file = self.open(path, "create")
            file.truncate(0)
            file.pwrite(content, 0)
            self._locked.add(path)
            return _FaultyLock(self._locked, path)

    # Called by FaultyFile

    def read_node(self, number: int, size: int, offset: int) -> bytes:
        with self._lock:
            return bytes(self._file_node(number).content[offset : offset + size])

    def node_size(self, number: int) -> int:
        with self._lock:
            return len(self._file_node(number).content)

    def change_node(self, operation: Operation) -> None:
        with self._lock:
            self._record(operation)

    # Inside, under the lock

    def _record(self, operation: Operation) -> None:
        """Raises a fault that is due, else applies and remembers the operation."""
        for fault in self._faults:
            if fault.kind == operation.kind:
                if fault.countdown == 0:
                    self._faults.remove(fault)
                    if operation.kind == "datasync":
                        self.operations.append(operation._replace(kind="failed datasync"))
                    raise OSError(fault.error, os.strerror(fault.error), operation.path)
                fault.countdown -= 1
                break
        self._check_capacity(operation)
        apply(self._nodes, operation)
        self.operations.append(operation)

    def _check_capacity(self, operation: Operation) -> None:
        if self.capacity_bytes is None or operation.kind not in {"write", "preallocate"}:
            return
        node = self._file_node(operation.node)
        growth = max(0, operation.offset + len(operation.data) - len(node.content))
        used = sum(len(n.content) for n in self._nodes.values() if isinstance(n, FileNode))
        if used + growth > self.capacity_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), operation.path)

    def _file_node(self, number: int) -> FileNode:
        node = self._nodes[number]
        assert isinstance(node, FileNode)
        return node

    def _number(self, path: str) -> int:
        number = 0
        for part in _parts(path):
            node = self._nodes[number]
            if not isinstance(node, DirectoryNode):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
            if part not in node.entries:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory", path)
            number = node.entries[part]
        return number

    def _number_of(self, path: str) -> int:
        """The number of the directory that the path is in."""
        return self._number(os.path.dirname(path.rstrip("/")))

    def _find(self, path: str) -> Node:
        return self._nodes[self._number(path)]

    def _directory(self, path: str) -> DirectoryNode:
        node = self._find(path)
        if not isinstance(node, DirectoryNode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return node

    def _parent(self, path: str) -> tuple[DirectoryNode, str]:
        return self._directory(os.path.dirname(path.rstrip("/"))), _parts(path)[-1]

    def _write_node(self, node: DirectoryNode, target: str) -> None:
        os.makedirs(target, exist_ok=True)
        for name, number in node.entries.items():
            child, path = self._nodes[number], os.path.join(target, name)
            if isinstance(child, DirectoryNode):
                self._write_node(child, path)
            else:
                with open(path, "wb") as file:
                    file.write(child.content)


class FaultyFile:
    """A file of `FaultyFiles`."""

    def __init__(self, files: FaultyFiles, path: str, number: int, *, writable: bool) -> None:
        self._files = files
        self._path = path
        self._number = number
        self._writable = writable

    @property
    def path(self) -> str:
        return self._path

    def pread(self, size: int, offset: int) -> bytes:
        return self._files.read_node(self._number, size, offset)

    def pwrite(self, data: Bytes, offset: int) -> None:
        self._change("write", offset, bytes(data))

    def size(self) -> int:
        return self._files.node_size(self._number)

    def truncate(self, size: int) -> None:
        if size != self.size():
            self._change("truncate", size)

    def preallocate(self, size: int) -> None:
        if size > self.size():
            self._change("preallocate", size)

    def datasync(self) -> None:
        self._files.change_node(Operation("datasync", self._path, self._number))

    def close(self) -> None:
        """Nothing is held."""

    def _change(self, kind: str, offset: int, data: bytes = b"") -> None:
        if not self._writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)
        self._files.change_node(Operation(kind, self._path, self._number, offset, data))


class _FaultyLock:
    def __init__(self, locked: set[str], path: str) -> None:
        self._locked = locked
        self._path = path

    def release(self) -> None:
        self._locked.discard(self._path)


def _from_nodes(nodes: dict[int, Node]) -> FaultyFiles:
    """A file system of the nodes, with everything synced and no operations."""
    files = FaultyFiles()
    files._nodes = copy_nodes(nodes)  # pyright: ignore[reportPrivateUsage]  (a constructor)
    files._initial = copy_nodes(nodes)  # pyright: ignore[reportPrivateUsage]
    files._next_node = max(nodes) + 1  # pyright: ignore[reportPrivateUsage]
    return files


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
