"""A file in blocks of whole lines, and how far it has been read."""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

_FINGERPRINT_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a file has been read, as it is stored.

    Attributes:
        position: The byte behind the last line taken.
        inode: Of the file that was read.
        fingerprint: Of the bytes before `position`; empty where only a position is known.
        unterminated: The last line taken had no newline.
    """

    position: int = 0
    inode: int = 0
    fingerprint: str = ""
    unterminated: bool = False

    def to_offset(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "inode": self.inode,
            "fingerprint": self.fingerprint,
            "unterminated": self.unterminated,
        }

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Cursor:
        """An offset that Kafka Connect wrote has only a position."""
        return cls(
            int(offset["position"]),
            int(offset.get("inode", 0)),
            str(offset.get("fingerprint", "")),
            bool(offset.get("unterminated", False)),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes `position` to `end` of a file.

    Attributes:
        data: Whole lines; without newline at the end only if the file ends here. None for a line
            over the limit.
        terminated: Whether it ends with a newline.
    """

    position: int
    end: int
    data: bytes | None
    terminated: bool


class OpenFile:
    """A file open for reading. Owned by one thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.inode = status.st_ino
        self.size = status.st_size

    def pread(self, size: int, position: int) -> bytes:
        return os.pread(self._descriptor, size, position)

    def fingerprint(self, position: int) -> str:
        """Of the first and the last kilobyte before `position`."""
        head = self.pread(min(position, _FINGERPRINT_BYTES), 0)
        start = max(0, position - _FINGERPRINT_BYTES)
        return f"{zlib.crc32(self.pread(position - start, start), zlib.crc32(head)):08x}"

    def cursor_at(self, block: Block) -> Cursor:
        return Cursor(block.end, self.inode, self.fingerprint(block.end), not block.terminated)

    def continues(self, cursor: Cursor) -> bool:
        """Whether this is the file that the cursor stands in, and not one truncated or replaced."""
        if cursor.position > self.size:
            return False
        return cursor.fingerprint in ("", self.fingerprint(cursor.position))

    def skip_newline(self, position: int) -> int:
        """The position behind a newline that stands there."""
        following = self.pread(2, position)
        if following.startswith(b"\n"):
            return position + 1
        return position + 2 if following == b"\r\n" else position


class Look(NamedTuple):
    """A file as a directory shows it."""

    inode: int
    size: int
    modified_ns: int


def look_at(path: str) -> Look | None:
    """None where there is no file (any more)."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return Look(status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def opened(path: str) -> Generator[OpenFile]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield OpenFile(descriptor)
    finally:
        os.close(descriptor)


def read_blocks(
    file: OpenFile, position: int, *, block_bytes: int, max_line_bytes: int
) -> Iterator[Block]:
    """From `position` to the end that the file had when it was opened.

    A block has about `block_bytes`, or more where a line is longer, up to `max_line_bytes`.
    A file that is truncated meanwhile ends where it ends now.
    """
    size = block_bytes
    while position < file.size:
        wanted = min(size, file.size - position)
        data = file.pread(wanted, position)
        cut = data.rfind(b"\n") + 1
        if cut:
            yield Block(position, position + cut, data[:cut], True)
            position += cut
            size = block_bytes
        elif len(data) < wanted or position + len(data) >= file.size:
            if data:
                yield Block(position, position + len(data), data, False)
            return
        elif len(data) > max_line_bytes:
            end, terminated = _find_line_end(file, position + len(data), block_bytes)
            yield Block(position, end, None, terminated)
            position = end
        else:
            size *= 2


def _find_line_end(file: OpenFile, position: int, block_bytes: int) -> tuple[int, bool]:
    """The byte behind the next newline, or the end of the file and False."""
    while position < file.size:
        data = file.pread(block_bytes, position)
        cut = data.find(b"\n") + 1
        if cut:
            return position + cut, True
        if not data:
            break
        position += len(data)
    return position, False
