"""How a compacted segment takes the place of those that it was made of, crash by crash.

| step | a crash behind it leaves, at the next open |
|---|---|
| all files of the new one are written as `.cleaned` and synced | the old ones; `.cleaned` goes |
| its indexes are renamed to `.swap`, the directory is synced | the old ones; both go |
| its log is renamed to `.swap`, the directory is synced | the new one: opening does the rest |
| the old ones are renamed to `.deleted`, the indexes to their names; a sync | the new one |
| the log is renamed to its name; a sync | the new one |

So `.log.swap` decides. While it is there its indexes are there too, under one name or the other,
and whatever segment begins in its range of offsets is one of those that it replaces: a compacted
segment ends exactly where the next one begins. An old transaction index is always replaced, if
need be by an empty one, so none is ever taken for the new segment's.

This is Kafka's protocol (KAFKA-6264, LogLoader) with the steps' order made durable.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptLogError, CorruptRecordError
from streamlog.record import HEADER_SIZE, read_header
from streamlog.storage import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.files import Files

SCAN_BYTES: Final = 1 << 20
_NAME = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.txnindex)(\.cleaned|\.swap|\.deleted)")


@dataclass(frozen=True, slots=True)
class Swap:
    """The new segment's files, all of them written as `.cleaned` and synced."""

    files: Files
    directory: str
    base_offset: int
    indexes: tuple[str, ...]  # the suffixes

    def commit(self) -> None:
        """From the last step of this on, the new segment is what a crash leaves."""
        for suffix in self.indexes:
            self._rename(suffix, layout.CLEANED, layout.SWAP)
        self.files.sync_directory(self.directory)
        self._rename(layout.LOG, layout.CLEANED, layout.SWAP)
        self.files.sync_directory(self.directory)

    def finish(self, old: Iterable[int]) -> list[str]:
        """Gives every file its name; the paths of what is left of the old segments."""
        deleted: list[str] = []
        for base_offset in old:
            for suffix in (layout.LOG, *layout.INDEXES):
                path = os.path.join(self.directory, layout.file_name(base_offset, suffix))
                with contextlib.suppress(FileNotFoundError):
                    self.files.rename(path, path + layout.DELETED)
                    deleted.append(path + layout.DELETED)
        self.give_names()
        return deleted

    def give_names(self) -> None:
        """The last two steps."""
        for suffix in self.indexes:
            self._rename(suffix, layout.SWAP, "")
        self.files.sync_directory(self.directory)
        self._rename(layout.LOG, layout.SWAP, "")
        self.files.sync_directory(self.directory)

    def abandon(self) -> None:
        """Removes what was written, before `commit`."""
        for suffix in (layout.LOG, *self.indexes):
            with contextlib.suppress(FileNotFoundError):
                self.files.unlink(self.path(suffix, layout.CLEANED))

    def path(self, suffix: str, state: str) -> str:
        return os.path.join(self.directory, layout.file_name(self.base_offset, suffix) + state)

    def _rename(self, suffix: str, state: str, following: str) -> None:
        self.files.rename(self.path(suffix, state), self.path(suffix, following))


def recover_swaps(files: Files, directory: str, names: Iterable[str]) -> list[str]:
    """Finishes what a crash has interrupted in a partition's directory with these names.

    Returns the names that are there then. May itself be interrupted anywhere. Raises
    `CorruptLogError` where a segment that is to take others' place is damaged; nothing is changed
    then.
    """
    names = list(names)
    found = _sort(names)
    if not any(found.values()):
        return names
    ends = _ends(files, directory, found[layout.SWAP])
    for name in names:
        if _is_replaced(name, ends):
            files.unlink(os.path.join(directory, name))
    for base in ends:
        indexes = tuple(suffix for suffix in found[layout.SWAP][base] if suffix != layout.LOG)
        Swap(files, directory, base, indexes).give_names()
    for state, by_base in found.items():
        for base, suffixes in by_base.items():
            if state != layout.SWAP or base not in ends:
                for suffix in suffixes:
                    name = layout.file_name(base, suffix) + state
                    files.unlink(os.path.join(directory, name))
    files.sync_directory(directory)
    return files.listdir(directory)


def overlook_swaps(
    files: Files, directory: str, names: Iterable[str]
) -> tuple[list[str], frozenset[str]]:
    """For who only reads: the names as `recover_swaps` would leave them.

    And those of them that end in `.swap` for now. Raises `CorruptLogError` as that does.
    """
    names = list(names)
    swaps = _sort(names)[layout.SWAP]
    ends = _ends(files, directory, swaps)
    waiting = {layout.file_name(base, suffix) for base in ends for suffix in swaps[base]}
    left = {name for name in names if not _is_replaced(name, ends)}
    return sorted(left | waiting), frozenset(waiting)


def _sort(names: Iterable[str]) -> dict[str, dict[int, list[str]]]:
    """The suffixes of the files that are not simply a segment's, by state and base offset."""
    found: dict[str, dict[int, list[str]]] = {}
    for state in (layout.CLEANED, layout.SWAP, layout.DELETED):
        found[state] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            found[match[3]].setdefault(int(match[1]), []).append(match[2])
    return found


def _ends(files: Files, directory: str, swaps: dict[int, list[str]]) -> dict[int, int]:
    """The end offset of every segment that waits for its name."""
    return {
        base: _end_offset(files, directory, base)
        for base, suffixes in swaps.items()
        if layout.LOG in suffixes
    }


def _is_replaced(name: str, ends: dict[int, int]) -> bool:
    """Whether it is a segment's file in the range of a segment that waits for its name.

    Not one of the same base offset: its log is replaced by the renaming, and so are its indexes
    unless that was done already.
    """
    parsed = layout.parse_file_name(name)
    if parsed is None or parsed[1] == layout.SNAPSHOT:
        return False
    return any(base < parsed[0] < end for base, end in ends.items())


def _end_offset(files: Files, directory: str, base_offset: int) -> int:
    """The offset behind the last batch of a segment that waits for its name."""
    path = os.path.join(directory, layout.file_name(base_offset, layout.LOG) + layout.SWAP)
    end, position = base_offset, 0
    with contextlib.closing(files.open(path)) as file:
        size = file.size()
        chunk, start = b"", 0
        while position < size:
            if position + HEADER_SIZE > start + len(chunk):
                chunk, start = file.pread(SCAN_BYTES, position), position
            try:
                header = read_header(chunk, position - start)
            except CorruptRecordError as error:
                raise CorruptLogError(path, position, error.reason) from error
            end = header.next_offset
            position += header.size_bytes
    if position != size or not size:
        raise CorruptLogError(path, position, "a compacted segment is not all there")
    return end
