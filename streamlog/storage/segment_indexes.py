"""The three indexes of one segment as they grow. Pure.

An index entry is due when more than `index_interval_bytes` lie behind the last indexed batch.
The files are written when the recovery point moves; what is not in them yet is `take_unwritten`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage import layout
from streamlog.storage.offset_index import ENTRY_SIZE as OFFSET_ENTRY_SIZE
from streamlog.storage.offset_index import OffsetIndex
from streamlog.storage.time_index import ENTRY_SIZE as TIME_ENTRY_SIZE
from streamlog.storage.time_index import TimeIndex, TimestampOffset
from streamlog.storage.transaction_index import ENTRY_SIZE as ABORTED_ENTRY_SIZE
from streamlog.storage.transaction_index import AbortedEntry, decode_aborted, encode_aborted

if TYPE_CHECKING:
    from collections.abc import Mapping

IndexPart = tuple[str, int, bytes]
"""Suffix of the file, position in it, bytes."""


class SegmentIndexes:
    """Offset, time and transaction index. The partition log's lock guards all but the lookups."""

    __slots__ = (
        "_interval_bytes",
        "_last_indexed",
        "_max",
        "_stale",
        "_written",
        "aborted",
        "has_transaction_file",
        "offsets",
        "times",
    )

    def __init__(self, base_offset: int, interval_bytes: int) -> None:
        self.offsets = OffsetIndex(base_offset)
        self.times = TimeIndex(base_offset)
        self.aborted: list[AbortedEntry] = []
        self._interval_bytes = interval_bytes
        self._last_indexed = 0
        self._max = self.times.last_entry
        self._written = (0, 0, 0)
        self.has_transaction_file = False
        self._stale = True  # the files are missing, or have entries that are not trusted

    @classmethod
    def decode(
        cls,
        base_offset: int,
        interval_bytes: int,
        contents: Mapping[str, bytes],
        *,
        end_offset: int,
    ) -> SegmentIndexes | None:
        """From the files' contents by suffix, without entries at or above `end_offset`.

        None where a file is damaged or, but for the transaction index, missing.
        """
        indexes = cls(base_offset, interval_bytes)
        if layout.OFFSET_INDEX not in contents or layout.TIME_INDEX not in contents:
            return None
        offsets = OffsetIndex.decode(
            base_offset, contents[layout.OFFSET_INDEX], end_offset=end_offset
        )
        times = TimeIndex.decode(base_offset, contents[layout.TIME_INDEX], end_offset=end_offset)
        aborted = decode_aborted(contents.get(layout.TRANSACTION_INDEX, b""), end_offset=end_offset)
        if offsets is None or times is None or aborted is None:
            return None
        indexes.offsets, indexes.times, indexes.aborted = offsets, times, aborted
        indexes._last_indexed = offsets.last_position
        indexes._max = times.last_entry
        indexes._written = indexes._lengths()
        indexes.has_transaction_file = layout.TRANSACTION_INDEX in contents
        indexes._stale = indexes._file_sizes() != tuple(
            len(contents.get(suffix, b"")) for suffix in layout.INDEXES
        )
        return indexes

    @property
    def max_timestamp(self) -> int:
        """The highest timestamp in the segment; -1 without one."""
        return self._max.timestamp

    @property
    def is_written(self) -> bool:
        """Whether every entry has been taken to be written."""
        return not self._stale and self._written == self._lengths()

    @property
    def size_bytes(self) -> int:
        """The larger of what the offset and the time index take up."""
        return max(len(self.offsets) * OFFSET_ENTRY_SIZE, len(self.times) * TIME_ENTRY_SIZE)

    def observe(self, last_offset: int, max_timestamp: int, position: int) -> None:
        """Takes note of the batch at `position`."""
        if max_timestamp > self._max.timestamp:
            self._max = TimestampOffset(max_timestamp, last_offset)
        if position - self._last_indexed > self._interval_bytes:
            self.offsets.append(last_offset, position)
            self.times.maybe_append(*self._max)
            self._last_indexed = position

    def seal(self) -> None:
        """Makes the last time entry exact, when nothing more is expected."""
        self.times.maybe_append(*self._max)

    def take_unwritten(self) -> tuple[IndexPart, ...]:
        """What the files do not have yet. The caller writes it, or stops writing altogether."""
        offsets, times, aborted = self._written
        positions = self._file_sizes()
        contents = (
            self.offsets.encode(offsets),
            self.times.encode(times),
            encode_aborted(self.aborted[aborted:]),
        )
        wanted = (self._stale, self._stale, self._stale and self.has_transaction_file)
        self._written, self._stale = self._lengths(), False
        parts = zip(layout.INDEXES, positions, contents, wanted, strict=True)
        return tuple((suffix, at, data) for suffix, at, data, want in parts if data or want)

    def _lengths(self) -> tuple[int, int, int]:
        return len(self.offsets), len(self.times), len(self.aborted)

    def _file_sizes(self) -> tuple[int, int, int]:
        offsets, times, aborted = self._written
        return offsets * OFFSET_ENTRY_SIZE, times * TIME_ENTRY_SIZE, aborted * ABORTED_ENTRY_SIZE
