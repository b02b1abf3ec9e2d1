"""The `file` source: the lines of files, each file a source partition, offsets in bytes.

    source:
      file:
        paths: ["logs/**/*.log"]
        exclude: ["**/old/**"]
        format: lines               # or json: JSON lines
        encoding: utf-8
        encoding_errors: strict     # or replace
        key: none                   # or file, or {field: id, type: str}
        follow: true

Files are read in the order of their paths, each in blocks of whole lines; a block is one batch.
The source partition is `{"filename": path}` as in Kafka Connect, the offset

    {"position": 4711, "inode": 42, "fingerprint": "1f3a9b20", "unterminated": false}

`position` is the byte behind the last line taken. `fingerprint` is of the first and the last
kilobyte before it, and tells a file that grew from one that was truncated or replaced (which is
read from its start) and, with the inode, a file that was renamed (which is read on where it was).

A last line without newline may still be written to. It waits while the file is followed; it is
emitted when the run ends, or at once without `follow`, and `unterminated` remembers that the
newline that may come later ends no second line.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from connectors.api import (
    Batch,
    Exhausted,
    Source,
    SourceColumns,
    SourceContext,
    SourceEvent,
    source,
)
from connectors.errors import SourceReadError
from connectors.sources.blocks import Block, Cursor, Look, OpenFile, look_at, opened, read_blocks
from connectors.sources.file_config import FieldKey, FileSourceConfig
from connectors.sources.lines import JsonLines, LineFormat, Lines, TextLines, line_too_long
from connectors.sources.paths import absolute, exclude_regex, find_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_BLOCK_BYTES: Final = 1 << 18
_log: Final = logging.getLogger(__name__)


def partition_of(path: str) -> dict[str, str]:
    return {"filename": path}


@source("file", config=FileSourceConfig, encoded=True)
class FileSource(Source[FileSourceConfig]):
    """Reads lines of files. Owned by the loop's thread, where it reads in small blocks."""

    def __init__(self, config: FileSourceConfig, *, block_bytes: int = _BLOCK_BYTES) -> None:
        super().__init__(config)
        self._block_bytes = block_bytes
        self._patterns = [absolute(pattern) for pattern in config.paths]
        self._excluded = [exclude_regex(pattern) for pattern in config.exclude]
        self._format = _format_of(config)
        self._cursors: dict[str, Cursor] = {}
        # Files that were read to their ends: nothing new in them as long as they look the same.
        self._seen: dict[str, Look] = {}

    async def open(self, context: SourceContext) -> None:
        await super().open(context)
        for partition, offset in context.offsets():
            self._cursors[partition["filename"]] = Cursor.from_offset(offset)

    async def read(self) -> AsyncIterator[SourceEvent]:
        """Pass after pass over all files; after each it is exhausted for now."""
        last = not self.config.follow
        while True:
            # A thread looks: a tree of thousands of files takes long enough to be felt in the loop.
            files = await asyncio.to_thread(self.find, last=last)
            for batch in self.read_pass(files, last=last):
                yield batch
            if last:
                return
            yield Exhausted(self.config.poll_ms / 1_000)
            last = self.context.draining

    def find(self, *, last: bool) -> dict[str, Look]:
        """The files there are, in the order of their paths.

        Raises:
            SourceReadError: a directory cannot be read, or at the `last` look there is no file.
        """
        found: set[str] = set()
        for pattern in self._patterns:
            try:
                matching = find_files(pattern, self._excluded)
            except OSError as error:
                raise SourceReadError(error.filename or pattern, error.strerror or "") from error
            if last and not matching and not self._cursors:
                raise SourceReadError(pattern, "no file matches")
            found.update(matching)
        looks = ((path, look_at(path)) for path in sorted(found))
        return {path: look for path, look in looks if look is not None}

    def read_pass(self, files: dict[str, Look], *, last: bool) -> Iterator[Batch]:
        """What the files hold; `last`: with the lines at their ends that have no newline."""
        yield from self._follow_renames(files)
        for path, look in files.items():
            if self._seen.get(path) == look and not last:
                continue
            try:
                yield from self._read_file(path, look, last=last)
            except FileNotFoundError:
                continue  # went away since it was found
            except OSError as error:
                raise SourceReadError(path, error.strerror or str(error)) from error

    def _follow_renames(self, files: dict[str, Look]) -> Iterator[Batch]:
        """Gives a file that was renamed, as by a log rotation, the cursor of its old name.

        These batches come before the others: were a new file of the old name read and committed
        first, a crash would leave nothing that knows the renamed one, and it would be read twice.
        """
        for path, cursor in in_order_of_need(self._find_renames(files)):
            try:
                with opened(path) as file:
                    renamed = file.continues(cursor)
            except FileNotFoundError:
                continue  # went away since it was found
            except OSError as error:
                raise SourceReadError(path, error.strerror or str(error)) from error
            if renamed:
                self._cursors[path] = cursor
                yield Batch(SourceColumns([]), partition_of(path), cursor.to_offset())

    def _find_renames(self, files: dict[str, Look]) -> dict[str, tuple[str, Cursor]]:
        """Where a file stands under a name that is not its cursor's: that name and the cursor."""
        gone: dict[int, tuple[str, Cursor]] = {}
        for path, cursor in self._cursors.items():
            if cursor.position and not (path in files and files[path].inode == cursor.inode):
                # Two names may remember a file that was renamed before: the later one read on.
                if cursor.inode in gone and gone[cursor.inode][1].position >= cursor.position:
                    continue
                gone[cursor.inode] = path, cursor
        return {
            path: gone[look.inode]
            for path, look in (files.items() if gone else ())
            if look.inode in gone
            and (path not in self._cursors or self._cursors[path].inode != look.inode)
        }

    def _read_file(self, path: str, look: Look, *, last: bool) -> Iterator[Batch]:
        with opened(path) as file:
            if file.inode != look.inode:
                return  # renamed since the look: the next one shows where it is now
            start = self._resume(path, file)
            blocks = read_blocks(
                file,
                start,
                block_bytes=self._block_bytes,
                max_line_bytes=self.config.max_line_bytes,
            )
            for block in blocks:
                if block.terminated or last:
                    cursor = self._cursors[path] = file.cursor_at(block)
                    yield self._batch(path, block, cursor)
        self._seen[path] = look

    def _resume(self, path: str, file: OpenFile) -> int:
        """Where to read on in a file."""
        cursor = self._cursors.get(path)
        if cursor is None:
            return 0
        if not file.continues(cursor):
            _log.warning("%s was truncated or replaced: reading it from its start", path)
            del self._cursors[path]
            return 0
        return file.skip_newline(cursor.position) if cursor.unterminated else cursor.position

    def _batch(self, path: str, block: Block, cursor: Cursor) -> Batch:
        if block.data is None:
            poison = line_too_long(path, block.position, self.config.max_line_bytes)
            lines = Lines(SourceColumns([]), [poison])
        else:
            data = block.data if block.terminated else block.data + b"\n"
            lines = self._format.convert(data, path, block.position)
        if self.config.key == "file":
            keys: list[bytes | None] = [os.fsencode(path)] * len(lines.columns.values)
            lines.columns = replace(lines.columns, keys=keys)
        return Batch(lines.columns, partition_of(path), cursor.to_offset(), lines.poison)


def in_order_of_need(
    renames: dict[str, tuple[str, Cursor]],
) -> Iterator[tuple[str, Cursor]]:
    """Each new name with its cursor; a name whose own cursor another one takes comes behind it.

    After `a.1 -> a.2, a -> a.1` that is `a.2, a.1`: in the other order a crash between the two
    would leave nothing that knows how far `a.2` was read.
    """
    takers = {old: path for path, (old, _) in renames.items()}
    waiting = dict(renames)
    while waiting:
        path = next(iter(waiting))
        passed: set[str] = set()  # names may have been exchanged in a circle
        while (taker := takers.get(path)) in waiting and taker not in passed:
            passed.add(taker)
            path = taker
        yield path, waiting.pop(path)[1]


def _format_of(config: FileSourceConfig) -> LineFormat:
    text = TextLines(config.encoding, config.encoding_errors, config.max_line_bytes)
    if config.format == "lines":
        return text
    key = config.key
    return JsonLines(text, key.field, key.type) if isinstance(key, FieldKey) else JsonLines(text)
