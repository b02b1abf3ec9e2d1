"""Which operations on a file system survive a loss of power. Pure.

Of a file survives what its last `datasync` covered, of a directory the names that its last
`sync_directory` covered. What becomes of later operations is up to the `Adversary`. What a
`datasync` that failed was to write is lost, however often the file is synced afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

PAGE_SIZES: Final = (64, 512, 4096)


class Adversary(Enum):
    """What becomes of the operations that no sync covered."""

    NOTHING = "nothing"  # all are lost
    ALL = "all"  # all survive
    TORN = "torn"  # the first ones survive; the next write is torn at any byte
    ZEROED = "zeroed"  # files have their new sizes, and pages of zeros or old data
    REORDERED = "reordered"  # any of them survive
    MISSING = "missing"  # the data survive, the names do not


class Cut(NamedTuple):
    """Power lost after the first `after` operations."""

    after: int
    adversary: Adversary


class Operation(NamedTuple):
    """One change, as it was recorded."""

    kind: str
    path: str
    node: int
    offset: int = 0
    data: bytes = b""
    name: str = ""
    source: str = ""
    child: int = -1


def choose_cuts(
    operations: int, *, count: int | None = None, seed: str = "", first: int = 0
) -> list[Cut]:
    """Every cut from `first` on, or `count` of them chosen by hash; in the order of operations."""
    cuts = [Cut(n, adversary) for n in range(first, operations + 1) for adversary in Adversary]
    if count is not None and count < len(cuts):
        cuts.sort(key=lambda cut: digest(seed, cut))
        del cuts[count:]
        cuts.sort(key=lambda cut: cut.after)
    return cuts


@dataclass(slots=True)
class FileNode:
    content: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class DirectoryNode:
    entries: dict[str, int] = field(default_factory=dict[str, int])


Node = FileNode | DirectoryNode


class Replay:
    """What is durable after the first `done` operations, and what was done since each sync."""

    def __init__(self, initial: dict[int, Node]) -> None:
        self.done = 0
        self._durable = copy_nodes(initial)
        self._pending: dict[int, list[Operation]] = {}

    def advance(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            self.done += 1
            if operation.kind == "failed datasync":
                pending = self._pending.get(operation.node, [])
                pending[:] = [each for each in pending if each.kind != "write"]
                continue
            if operation.kind in {"datasync", "sync_directory"}:
                for earlier in self._pending.pop(operation.node, []):
                    apply(self._durable, earlier)
                continue
            self._pending.setdefault(operation.node, []).append(operation)
            if operation.kind == "mkdir":
                self._durable[operation.child] = DirectoryNode()
            elif operation.kind == "create":
                self._durable.setdefault(operation.child, FileNode())

    def survivors(self, adversary: Adversary, choice: random.Random) -> dict[int, Node]:
        nodes = copy_nodes(self._durable)
        for number, pending in self._pending.items():
            node = nodes[number]
            if isinstance(node, DirectoryNode):
                for operation in _choose_names(pending, adversary, choice):
                    apply(nodes, operation)
            else:
                _damage_file(nodes, node, pending, adversary, choice)
        return nodes


def _choose_names(
    pending: Sequence[Operation], adversary: Adversary, choice: random.Random
) -> list[Operation]:
    match adversary:
        case Adversary.NOTHING | Adversary.MISSING:
            return []
        case Adversary.ALL | Adversary.ZEROED:
            return list(pending)
        case Adversary.TORN:
            return list(pending[: choice.randint(0, len(pending))])
        case Adversary.REORDERED:
            return [operation for operation in pending if choice.random() < 0.5]


def _damage_file(
    nodes: dict[int, Node],
    node: FileNode,
    pending: Sequence[Operation],
    adversary: Adversary,
    choice: random.Random,
) -> None:
    """Applies to a file what survives of the operations since its last sync."""
    match adversary:
        case Adversary.NOTHING:
            kept: Sequence[Operation] = ()
        case Adversary.ALL | Adversary.MISSING:
            kept = pending
        case Adversary.TORN:
            end = choice.randint(0, len(pending))
            kept = pending[:end]
            if end < len(pending) and pending[end].kind == "write":
                torn = pending[end]
                size = choice.randint(0, len(torn.data))
                kept = [*kept, torn._replace(data=torn.data[:size])]
        case Adversary.REORDERED:
            kept = [operation for operation in pending if choice.random() < 0.5]
        case Adversary.ZEROED:
            _lose_pages(nodes, node, pending, choice)
            return
    for operation in kept:
        apply(nodes, operation)


def _lose_pages(
    nodes: dict[int, Node], node: FileNode, pending: Sequence[Operation], choice: random.Random
) -> None:
    """The file has its new size, but some pages never arrived."""
    before = bytes(node.content)
    for operation in pending:
        apply(nodes, operation)
    page = choice.choice(PAGE_SIZES)
    size = len(node.content)
    old = before[:size].ljust(size, b"\0")
    for start in range(0, size, page):
        if choice.random() < 0.4:
            node.content[start : start + page] = old[start : start + page]


def apply(nodes: dict[int, Node], operation: Operation) -> None:
    kind = operation.kind
    node = nodes[operation.node]
    if isinstance(node, DirectoryNode):
        if kind in {"create", "mkdir"}:
            nodes.setdefault(operation.child, DirectoryNode() if kind == "mkdir" else FileNode())
            node.entries[operation.name] = operation.child
        elif kind == "rename":
            node.entries.pop(operation.source, None)
            node.entries[operation.name] = operation.child
        elif kind == "unlink":
            node.entries.pop(operation.name, None)
        return
    content, offset = node.content, operation.offset
    if kind == "write":
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(operation.data)] = operation.data
    elif kind in {"truncate", "preallocate"}:
        if kind == "truncate":
            del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))


def copy_nodes(nodes: dict[int, Node]) -> dict[int, Node]:
    return {
        number: FileNode(bytearray(node.content))
        if isinstance(node, FileNode)
        else DirectoryNode(dict(node.entries))
        for number, node in nodes.items()
    }


def digest(seed: str, cut: Cut) -> bytes:
    return blake2b(f"{seed} {cut.after} {cut.adversary.value}".encode()).digest()
