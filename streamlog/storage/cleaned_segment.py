"""The segment that compaction writes, until it is one of the log's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from streamlog.record import read_header
from streamlog.storage import layout
from streamlog.storage.segment import Segment
from streamlog.storage.segment_indexes import SegmentIndexes
from streamlog.storage.segment_swap import Swap

if TYPE_CHECKING:
    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.transaction_index import AbortedEntry


class CleanedSegment:
    """Written batch by batch, and in runs of them to its file. Not for two threads at a time."""

    def __init__(
        self, pool: FilePool, directory: str, base_offset: int, index_interval_bytes: int
    ) -> None:
        self.size_bytes = 0
        self._pool = pool
        self._directory = directory
        self._base_offset = base_offset
        self._interval_bytes = index_interval_bytes
        self._indexes = SegmentIndexes(base_offset, index_interval_bytes)
        self._parts: list[bytes] = []
        self._written_bytes = 0
        self._swap = Swap(pool.files, directory, base_offset, layout.INDEXES)
        self._file = pool.files.open(self._swap.path(layout.LOG, layout.CLEANED), "create")
        self._file.truncate(0)  # an earlier attempt may have left something

    def append(self, batch: bytes) -> None:
        """Takes a batch; it may not be in the file before `write`."""
        header = read_header(batch)
        self._indexes.observe(header.last_offset, header.max_timestamp, self.size_bytes)
        self._parts.append(batch)
        self.size_bytes += len(batch)

    def write(self) -> None:
        """Writes what was appended."""
        if self._parts:
            self._file.pwrite(b"".join(self._parts), self._written_bytes)
            self._written_bytes = self.size_bytes
            self._parts.clear()

    def finish(self, aborted: list[AbortedEntry]) -> tuple[Segment, Swap]:
        """Writes and syncs all of it; the segment as the log will have it, and how."""
        self.write()
        self._file.datasync()
        indexes = self._indexes
        indexes.seal()
        indexes.aborted = aborted
        swap = self._swap
        for suffix, _, data in indexes.take_unwritten():  # all three of them, as none is written
            path = swap.path(suffix, layout.CLEANED)
            with contextlib.closing(self._pool.files.open(path, "create")) as file:
                file.truncate(0)
                file.pwrite(data, 0)
                file.datasync()
        segment = Segment(
            self._pool,
            self._directory,
            self._base_offset,
            size_bytes=self.size_bytes,
            index_interval_bytes=self._interval_bytes,
        )
        segment.has_aborted = bool(aborted)
        segment.take_place(self._file, indexes)
        return segment, swap

    def abandon(self) -> None:
        """Closes and removes the files."""
        self._file.close()
        self._swap.abandon()
