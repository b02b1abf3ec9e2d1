"""The three indexes of one segment as they grow. Pure.

An index entry is due when more than `index_interval_bytes` lie behind the last indexed batch.
The files are written when the recovery point moves; what is not in them yet is `take_unwritten`.
"""

from __future__ import annotations

from streamlog.storage import layout
from streamlog.storage.offset_index import ENTRY_SIZE as OFFSET_ENTRY_SIZE
from streamlog.storage.offset_index import OffsetIndex
from streamlog.storage.time_index import ENTRY_SIZE as TIME_ENTRY_SIZE
from streamlog.storage.time_index import TimeIndex, TimestampOffset
from streamlog.storage.transaction_index import ENTRY_SIZE as ABORTED_ENTRY_SIZE
from streamlog.storage.transaction_index import AbortedEntry, encode_aborted

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
        # Files that are missing, or that have something behind the written entries. Each segment
        # has all three, be they empty: so one that was lost is missed.
        self._stale = set(layout.INDEXES)

    @classmethod
    def decode(
        cls,
        base_offset: int,
        interval_bytes: int,
        offset_index: bytes,
        time_index: bytes,
        *,
        end_offset: int,
    ) -> SegmentIndexes | None:
        """From the files' contents, without entries at or above `end_offset`.

        None where one is damaged. The transaction index is added with `take_aborted`.
        """
        offsets = OffsetIndex.decode(base_offset, offset_index, end_offset=end_offset)
        times = TimeIndex.decode(base_offset, time_index, end_offset=end_offset)
        if offsets is None or times is None:
            return None
        indexes = cls(base_offset, interval_bytes)
        indexes.offsets, indexes.times = offsets, times
        indexes._last_indexed = offsets.last_position
        indexes._max = times.last_entry
        indexes._written = (len(offsets), len(times), 0)
        indexes._stale.clear()
        if len(offset_index) != len(offsets) * OFFSET_ENTRY_SIZE:
            indexes._stale.add(layout.OFFSET_INDEX)
        if len(time_index) != len(times) * TIME_ENTRY_SIZE:
            indexes._stale.add(layout.TIME_INDEX)
        return indexes

    def take_aborted(self, entries: list[AbortedEntry], file_size: int) -> None:
        """What of the transaction index's file, of this size, is to be trusted."""
        self.aborted = entries
        offsets, times, _ = self._written
        self._written = (offsets, times, len(entries))
        if file_size != len(entries) * ABORTED_ENTRY_SIZE:
            self._stale.add(layout.TRANSACTION_INDEX)

    @property
    def max_timestamp(self) -> int:
        """The highest timestamp in the segment; -1 without one."""
        return self._max.timestamp

    @property
    def is_written(self) -> bool:
        """Whether the files have all there is to know, the highest timestamp too."""
        known = self._max == self.times.last_entry
        return known and not self._stale and self._written == self._lengths()

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
        parts = (
            (layout.OFFSET_INDEX, offsets * OFFSET_ENTRY_SIZE, self.offsets.encode(offsets)),
            (layout.TIME_INDEX, times * TIME_ENTRY_SIZE, self.times.encode(times)),
            (
                layout.TRANSACTION_INDEX,
                aborted * ABORTED_ENTRY_SIZE,
                encode_aborted(self.aborted[aborted:]),
            ),
        )
        stale, self._stale = self._stale, set[str]()
        self._written = self._lengths()
        return tuple(part for part in parts if part[2] or part[0] in stale)

    def _lengths(self) -> tuple[int, int, int]:
        return len(self.offsets), len(self.times), len(self.aborted)
