"""A segment: one file of batches back to back, and its three indexes."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from errno import ENOENT
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptLogError, CorruptRecordError
from streamlog.files import read_file
from streamlog.record import HEADER_SIZE, BatchHeader, read_header
from streamlog.storage import layout
from streamlog.storage.segment_indexes import IndexPart, SegmentIndexes
from streamlog.storage.time_index import ENTRY as TIME_ENTRY
from streamlog.storage.transaction_index import AbortedEntry, decode_aborted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from streamlog.files import Bytes, File, Files, OpenMode
    from streamlog.storage.file_pool import FilePool

PLACE: Final = Struct(">qi")  # base offset and length, which begin a batch
WALK_BYTES: Final = 1 << 16
REWRITE_BYTES: Final = 1 << 20
MIN_PREALLOCATION: Final = 1 << 16
MAX_PREALLOCATION: Final = 1 << 24
ANY_OFFSET: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class IndexWrite:
    """New bytes of a segment's indexes, taken under the log's lock and written outside it."""

    segment: Segment
    parts: tuple[IndexPart, ...]

    def execute(self, files: Files) -> None:
        """Writes and syncs. What a file has behind the position is from before a crash."""
        for suffix, position, data in self.parts:
            with contextlib.closing(files.open(self.segment.path_of(suffix), "create")) as file:
                if not data and file.size() == position:
                    continue  # new and empty: nothing but its name is to be synced
                file.truncate(position)
                file.pwrite(data, position)
                file.datasync()


class Segment:
    """Batches from `base_offset` on; `size_bytes` counts them, the file may have zeros behind.

    Opens its file and loads its indexes at first use. The partition log's lock guards what
    changes it; reading needs no lock.
    """

    def __init__(
        self,
        pool: FilePool,
        directory: str,
        base_offset: int,
        *,
        size_bytes: int = 0,
        index_interval_bytes: int = 4096,
        writable: bool = False,
        swapped: Collection[str] = (),
    ) -> None:
        self.base_offset = base_offset
        self.size_bytes = size_bytes
        self.used = False
        self.unsynced = False
        self.has_aborted = False
        self.retired = False
        """Whether its files are another segment's now: only what is open can still be read."""
        self.end_offset: int | None = None
        """For who reads beside the owner: behind its batches, to tell its file from another's."""
        self.trusted_offset = ANY_OFFSET
        """Entries of the index files from this offset on are from before a crash."""
        self._pool = pool
        self._directory = directory
        self._index_interval_bytes = index_interval_bytes
        self._writable = writable
        self._swapped = swapped
        self._allocated_bytes = size_bytes
        self._file: File | None = None
        self._indexes: SegmentIndexes | None = None
        self._load_lock = Lock()
        self._first_timestamp: int | None = None
        self._sealed_max_timestamp: int | None = None
        self.path = self.path_of(layout.LOG)

    def __repr__(self) -> str:
        return f"<Segment {self.path}, {self.size_bytes} bytes>"

    def path_of(self, suffix: str) -> str:
        name = layout.file_name(self.base_offset, suffix)
        if name in self._swapped:
            name += layout.SWAP  # a compacted one whose owner died before it had its name
        return os.path.join(self._directory, name)

    def take_size(self, size_bytes: int) -> None:
        """For a segment that is on the disk already."""
        self.size_bytes = self._allocated_bytes = size_bytes

    # Files, opened at first use

    def file(self) -> File:
        """The open file; a new segment's is created.

        Raises `FileNotFoundError` where it is gone: deleted, or replaced by a compacted one.
        """
        file = self._file
        if file is None:
            file = self._file = self._pool.open(self, self.path, self._open_mode())
            self._check_current(file)
        self.used = True
        return file

    def may_release(self) -> bool:
        return not self.unsynced

    def release(self) -> None:
        """Lets go of the file, and of indexes that are on disk as well."""
        self._file = None
        if not self._writable and self._indexes is not None and self._indexes.is_written:
            self._indexes = None

    def close(self) -> None:
        """Closes the file now."""
        file, self._file = self._file, None
        if file is not None:
            self._pool.forget(self)
            file.close()

    def retire(self) -> None:
        """Its files are about to be renamed. Readers that have it open read on.

        The others must not open what has its name by then, so they get `FileNotFoundError`. The
        log has another list of segments already.
        """
        self.retired = True
        self._pool.forget(self)
        self._file = None

    def take_place(self, file: File, indexes: SegmentIndexes) -> None:
        """For a segment whose files get their names later: it is not to open them before that."""
        self._file = file
        self._indexes = indexes
        self.unsynced = True

    def settle(self) -> None:
        """The files have their names, and may be closed and opened again."""
        self._file = None
        self.unsynced = False

    def _check_current(self, file: File | None = None) -> None:
        """A reader may have come by when the files were renamed, and then it opened another's.

        In another process than the owner's only `file`, or what is there now, can tell.
        """
        if self.retired or (self.end_offset is not None and not self._is_own(file)):
            self._pool.forget(self)
            self._file = None
            raise FileNotFoundError(ENOENT, "compacted", self.path)

    def _is_own(self, file: File | None) -> bool:
        """Whether what stands behind the batches that are known is nothing, zeros, or the next."""
        if file is None:
            file = self._pool.files.open(self.path)
        place = file.pread(PLACE.size, self.size_bytes)
        if not place.strip(b"\0"):
            return file.size() >= self.size_bytes
        return len(place) == PLACE.size and PLACE.unpack(place)[0] == self.end_offset

    @property
    def indexes(self) -> SegmentIndexes:
        """Read from their files at first use; rebuilt where these are damaged or missing."""
        indexes = self._indexes
        if indexes is None:
            with self._load_lock:
                loaded = self._indexes or self._load_indexes()
                self._check_current()
                indexes = self._indexes = loaded
        return indexes

    # Writing

    def append(self, batch: Bytes, last_offset: int, max_timestamp: int) -> None:
        """Writes the batch behind the last one."""
        position = self.size_bytes
        end = position + len(batch)
        indexes = self.indexes
        file = self.file()
        self.unsynced = True
        if end > self._allocated_bytes:
            self._preallocate(file, end)
        file.pwrite(batch, position)
        indexes.observe(last_offset, max_timestamp, position)
        if not position:
            self._first_timestamp = max_timestamp
        self.size_bytes = end

    def seal(self) -> None:
        """Ends the segment: no zeros behind the batches, and an exact last time entry."""
        self.indexes.seal()
        if self._allocated_bytes != self.size_bytes:
            self.file().truncate(self.size_bytes)
            self._allocated_bytes = self.size_bytes
        self._writable = False  # from now on it may be opened to read only

    def reopen(self, *, writable: bool) -> None:
        """Decides, once recovery knows, whether this is the segment to append to."""
        self.close()
        self._writable = writable

    def cut(self, size_bytes: int) -> None:
        """Removes what is behind the first `size_bytes`, durably."""
        file = self._pool.files.open(self.path, "write")
        with contextlib.closing(file):
            file.truncate(size_bytes)
            file.datasync()
        self.size_bytes = self._allocated_bytes = size_bytes

    def rewrite(self, position: int) -> None:
        """Writes what is behind `position` once more, durably."""
        with contextlib.closing(self._pool.files.open(self.path, "write")) as file:
            while position < self.size_bytes:
                data = file.pread(min(REWRITE_BYTES, self.size_bytes - position), position)
                file.pwrite(data, position)
                position += len(data)
            file.datasync()

    def take_index_write(self) -> IndexWrite | None:
        """What is to be written of the indexes; None for nothing."""
        parts = self.indexes.take_unwritten()
        return IndexWrite(self, parts) if parts else None

    # Reading

    def pread(self, size: int, position: int) -> bytes:
        return self.file().pread(size, position)

    def datasync(self) -> None:
        self.file().datasync()

    def walk(self, position: int, end: int) -> Iterator[tuple[int, BatchHeader]]:
        """Position and header of each batch in `[position, end)`; CRCs are not checked.

        Raises `CorruptLogError` where there is no batch.
        """
        chunk, start = b"", position
        while position < end:
            place = position - start
            if place + HEADER_SIZE > len(chunk):
                chunk, start, place = self.pread(WALK_BYTES, position), position, 0
            try:
                header = read_header(chunk, place)
            except CorruptRecordError as error:
                raise CorruptLogError(self.path, position, error.reason) from error
            yield position, header
            position += header.size_bytes

    def next_offset(self) -> int:
        """The offset behind the last batch; the base offset without one."""
        end = self.base_offset
        for _, header in self.walk(self.indexes.offsets.last_position, self.size_bytes):
            end = header.next_offset
        return end

    def locate(self, offset: int, end: int) -> int:
        """The position of the first batch in the file's first `end` bytes that reaches `offset`.

        `end` where there is none.
        """
        for position, header in self.walk(self.indexes.offsets.lookup(offset), end):
            if header.last_offset >= offset:
                return position
        return end

    def forget_indexes(self) -> None:
        """For a segment whose index files are all from before a crash."""
        self._indexes = SegmentIndexes(self.base_offset, self._index_interval_bytes)
        self.has_aborted = False

    def first_timestamp(self) -> int | None:
        """The highest timestamp of the first batch, by which the segment's age is told."""
        if self._first_timestamp is None and self.size_bytes:
            _, header = next(self.walk(0, self.size_bytes))
            self._first_timestamp = header.max_timestamp
        return self._first_timestamp

    def max_timestamp(self) -> int:
        """The highest timestamp in the segment; -1 without one.

        Without loading the indexes where the last time entry is exact.
        """
        if self._indexes is None and self._sealed_max_timestamp is None and not self._writable:
            with contextlib.suppress(FileNotFoundError):
                data = read_file(self._pool.files, self.path_of(layout.TIME_INDEX))
                self._check_current()
                if data and len(data) % TIME_ENTRY.size == 0:
                    self._sealed_max_timestamp = TIME_ENTRY.unpack_from(data[-TIME_ENTRY.size :])[0]
        if self._sealed_max_timestamp is not None:
            return self._sealed_max_timestamp
        return self.indexes.max_timestamp

    def aborted(self) -> list[AbortedEntry]:
        """The aborted transactions whose marker is in the segment, by marker."""
        return self.indexes.aborted if self.has_aborted else []

    def take_aborted(self, entries: list[AbortedEntry], file_size: int) -> None:
        """What a transaction index says that was lost; its file has this size now, -1 without."""
        self.indexes.take_aborted(entries, file_size)
        self.has_aborted = bool(entries)

    def add_aborted(self, entry: AbortedEntry) -> None:
        self.indexes.aborted.append(entry)
        self.has_aborted = True

    def _open_mode(self) -> OpenMode:
        if not self._writable:
            return "read"
        return "write" if self.size_bytes else "create"

    def _preallocate(self, file: File, end: int) -> None:
        """Reserves about as much again as the segment has, so small logs stay small."""
        step = min(max(end, MIN_PREALLOCATION), MAX_PREALLOCATION)
        self._allocated_bytes = end + step
        with contextlib.suppress(OSError):  # a full disk: the write itself will tell
            file.preallocate(self._allocated_bytes)

    def _load_indexes(self) -> SegmentIndexes:
        interval = self._index_interval_bytes
        if not self.size_bytes:
            return SegmentIndexes(self.base_offset, interval)
        offset_index = self._read_index(layout.OFFSET_INDEX)
        time_index = self._read_index(layout.TIME_INDEX)
        indexes = None
        if offset_index is not None and time_index is not None:
            indexes = SegmentIndexes.decode(
                self.base_offset,
                interval,
                offset_index,
                time_index,
                end_offset=self.trusted_offset,
            )
        if indexes is None or not self._is_plausible(indexes):
            indexes = self._rebuild_indexes()
        self._load_aborted(indexes)
        return indexes

    def _read_index(self, suffix: str) -> bytes | None:
        try:
            return read_file(self._pool.files, self.path_of(suffix))
        except FileNotFoundError:
            return None

    def _is_plausible(self, indexes: SegmentIndexes) -> bool:
        """Whether the indexes fit the batches.

        A crash while index entries were written may leave anything behind the entries that were
        synced before, and then the last entry is wrong; so it is enough to look at the last ones.
        """
        if indexes.offsets.last_position >= self.size_bytes:
            return False
        if self.trusted_offset == ANY_OFFSET:
            return True
        if len(indexes.offsets):
            header = self._header_at(indexes.offsets.last_position)
            if header is None or header.last_offset != indexes.offsets.last_offset:
                return False
        if len(indexes.times):
            timestamp, offset = indexes.times.last_entry
            header = self._header_at(self._position_of(indexes, offset))
            return header is not None and (header.max_timestamp, header.last_offset) == (
                timestamp,
                offset,
            )
        return True

    def _load_aborted(self, indexes: SegmentIndexes) -> None:
        """Raises `CorruptLogError` for a damaged transaction index that should be whole.

        And `FileNotFoundError` for one that is gone: without it aborted records would be shown.
        """
        if not self.has_aborted:
            return
        content = read_file(self._pool.files, self.path_of(layout.TRANSACTION_INDEX))
        entries, intact = decode_aborted(content, end_offset=self.trusted_offset)
        if self.trusted_offset != ANY_OFFSET:
            while entries and not self._is_marker(indexes, entries[-1]):
                entries.pop()
        elif not intact:
            path = self.path_of(layout.TRANSACTION_INDEX)
            raise CorruptLogError(path, 0, "a damaged transaction index")
        indexes.take_aborted(entries, len(content))

    def _is_marker(self, indexes: SegmentIndexes, entry: AbortedEntry) -> bool:
        header = self._header_at(self._position_of(indexes, entry.last_offset))
        return (
            header is not None
            and header.is_control
            and (header.producer_id, header.last_offset) == (entry.producer_id, entry.last_offset)
        )

    def _position_of(self, indexes: SegmentIndexes, offset: int) -> int:
        """The position of the batch that has the offset; the file's end without one."""
        for position, header in self.walk(indexes.offsets.lookup(offset), self.size_bytes):
            if header.last_offset >= offset:
                return position
        return self.size_bytes

    def _header_at(self, position: int) -> BatchHeader | None:
        """The header at the position; None where there is none."""
        try:
            return read_header(self.pread(HEADER_SIZE, position))
        except CorruptRecordError:
            return None

    def _rebuild_indexes(self) -> SegmentIndexes:
        """From the batches below the trusted offset."""
        indexes = SegmentIndexes(self.base_offset, self._index_interval_bytes)
        for position, header in self.walk(0, self.size_bytes):
            indexes.observe(header.last_offset, header.max_timestamp, position)
            if header.next_offset >= self.trusted_offset:
                break
        return indexes
