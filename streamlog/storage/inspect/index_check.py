"""Holds the indexes of a segment against its batches. Pure: feed the batches, then ask.

Each has `observe` for the batches in order, and `findings` at the end. Entries at and above
`trusted_end` are none: after a crash they are made again from the batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.record import ControlType
from streamlog.storage.inspect.finding import Finding
from streamlog.storage.offset_index import ENTRY as OFFSET_ENTRY
from streamlog.storage.segment_indexes import SegmentIndexes
from streamlog.storage.time_index import ENTRY as TIME_ENTRY
from streamlog.storage.transaction_index import ENTRY as ABORTED_ENTRY
from streamlog.storage.transaction_index import VERSION, AbortedEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from struct import Struct

    from streamlog.record import BatchHeader, ControlRecord

REBUILT: Final = "it can be made again from the batches"
NO_END: Final = 1 << 63


class OffsetIndexCheck:
    """Every entry names a batch's place and its last offset."""

    def __init__(
        self, path: str, data: bytes, base_offset: int, trusted_end: int, interval_bytes: int
    ) -> None:
        self._path = path
        self._base_offset = base_offset
        self._trusted_end = trusted_end
        self._interval_bytes = interval_bytes
        self._entries, self._fault = _entries(OFFSET_ENTRY, path, data, trusted_end)
        self._next = 0
        self._expected = SegmentIndexes(base_offset, interval_bytes)

    def observe(self, header: BatchHeader, position: int) -> None:
        if header.next_offset <= self._trusted_end:
            self._expected.observe(header.last_offset, header.max_timestamp, position)
        while self._next < len(self._entries) and self._entries[self._next][1] <= position:
            self._check(self._entries[self._next], header, position)
            self._next += 1

    def _check(self, entry: tuple[int, ...], header: BatchHeader, position: int) -> None:
        relative, at = entry
        offset = self._base_offset + relative
        if offset >= self._trusted_end:
            return
        if at != position:
            self._wrong(offset, f"the entry of offset {offset} names byte {at}, but no batch there")
        elif offset != header.last_offset:
            reason = f"the entry of byte {at} says offset {offset} instead of {header.last_offset}"
            self._wrong(offset, reason)

    def findings(self) -> Iterator[Finding]:
        for relative, at in self._entries[self._next :]:
            offset = self._base_offset + relative
            if offset < self._trusted_end:
                self._wrong(offset, f"the entry of offset {offset} names byte {at}, behind the end")
            self._next += 1
        if self._fault is not None:
            yield self._fault
        elif (missing := self._missing()) is not None:
            expected, found = missing
            reason = f"{found} entries, where index.interval.bytes = {self._interval_bytes} makes "
            reason += f"{expected}"
            yield Finding(
                level="odd",
                path=self._path,
                position=found * OFFSET_ENTRY.size,
                reason=reason,
                saved="reading is slower",
            )

    def _missing(self) -> tuple[int, int] | None:
        expected = len(self._expected.offsets)
        found = sum(
            self._base_offset + relative < self._trusted_end for relative, _ in self._entries
        )
        return (expected, found) if found < expected else None

    def _wrong(self, offset: int, reason: str) -> None:
        if self._fault is None:
            self._fault = Finding(
                level="damage",
                path=self._path,
                position=self._next * OFFSET_ENTRY.size,
                offset=offset,
                reason=reason,
                saved=REBUILT,
            )


class TimeIndexCheck:
    """Every entry is the highest timestamp so far; that of a sealed segment's last is exact."""

    def __init__(
        self, path: str, data: bytes, base_offset: int, trusted_end: int, *, sealed: bool
    ) -> None:
        self._path = path
        self._base_offset = base_offset
        self._trusted_end = trusted_end
        self._sealed = sealed
        self._entries, self._fault = _entries(TIME_ENTRY, path, data, trusted_end)
        self._next = 0
        self._highest = (-1, base_offset)

    def observe(self, header: BatchHeader, position: int) -> None:
        if header.max_timestamp <= self._highest[0]:
            return
        self._highest = header.max_timestamp, header.last_offset
        while self._next < len(self._entries) and self._entry()[0] <= self._highest[0]:
            if self._entry() != self._highest and self._entry()[1] < self._trusted_end:
                self._wrong()
            self._next += 1

    def findings(self) -> Iterator[Finding]:
        while self._next < len(self._entries):
            if self._entry()[1] < self._trusted_end:
                self._wrong()
            self._next += 1
        if self._fault is not None:
            yield self._fault
        elif self._sealed and self._highest[0] >= 0:
            last = self._at(len(self._entries) - 1) if self._entries else (-1, self._base_offset)
            if last != self._highest:
                reason = f"it ends at timestamp {last[0]}, but the highest is {self._highest[0]}"
                yield Finding(
                    level="damage",
                    path=self._path,
                    position=len(self._entries) * TIME_ENTRY.size,
                    offset=self._highest[1],
                    reason=reason,
                    saved=REBUILT,
                )

    def _entry(self) -> tuple[int, int]:
        return self._at(self._next)

    def _at(self, place: int) -> tuple[int, int]:
        timestamp, relative = self._entries[place]
        return timestamp, relative + self._base_offset

    def _wrong(self) -> None:
        timestamp, offset = self._entry()
        if self._fault is None:
            reason = f"the entry says that timestamp {timestamp} is the highest up to offset "
            self._fault = Finding(
                level="damage",
                path=self._path,
                position=self._next * TIME_ENTRY.size,
                offset=offset,
                reason=f"{reason}{offset}, and it is not",
                saved=REBUILT,
            )


class AbortedCheck:
    """The transaction index has what the abort markers say, and nothing else.

    Where the log no longer begins at its beginning, or compaction has been there, a transaction's
    first offset may be that of a batch which is gone.
    """

    def __init__(self, path: str, data: bytes | None, trusted_end: int, *, partial: bool) -> None:
        self._path = path
        self._data = data
        self._trusted_end = trusted_end
        self.partial = partial
        self._markers: dict[int, int] = {}
        self._expected: dict[int, AbortedEntry] = {}

    def observe(self, control: ControlRecord, aborted: AbortedEntry | None) -> None:
        """Takes note of a marker, and of what it aborts where batches of that are there."""
        if control.type is ControlType.ABORT and control.offset < self._trusted_end:
            self._markers[control.offset] = control.producer_id
            if aborted is not None:
                self._expected[control.offset] = aborted

    def findings(self) -> Iterator[Finding]:
        if self._data is None:
            for entry in self._expected.values():
                yield self._finding(0, entry, "the file is missing: it has to name an abort")
                return
            return
        entries, fault = _entries(ABORTED_ENTRY, self._path, self._data, self._trusted_end)
        seen: set[int] = set()
        last = -1
        for place, (version, *fields) in enumerate(entries):
            entry = AbortedEntry(*fields)
            if entry.last_offset >= self._trusted_end:
                break
            reason = self._fault_of(version, entry, last)
            if reason is not None:
                if self._trusted_end != NO_END and self._expected.keys() <= seen:
                    break  # written for a recovery point that never came
                yield self._finding(place * ABORTED_ENTRY.size, entry, reason)
                return
            last = entry.last_offset
            seen.add(last)
        if fault is not None:
            yield fault
            return
        for offset, entry in self._expected.items():
            if offset not in seen:
                reason = "no entry for the abort marker there: aborted records would be read"
                yield self._finding(len(self._data), entry, reason)
                return

    def _fault_of(self, version: int, entry: AbortedEntry, last: int) -> str | None:
        if version != VERSION:
            return f"an entry of version {version}; this version knows {VERSION}"
        if not last < entry.last_offset or entry.first_offset > entry.last_offset:
            return "an entry whose offsets do not rise"
        if self._markers.get(entry.last_offset) != entry.producer_id:
            return f"producer {entry.producer_id} has no abort marker at {entry.last_offset}"
        expected = self._expected.get(entry.last_offset)
        if entry == expected:
            return None
        if self.partial and (expected is None or entry.first_offset <= expected.first_offset):
            return None
        if expected is None:
            return "the marker aborts nothing"
        return f"the entry says {tuple(entry)} instead of {tuple(expected)}"

    def _finding(self, position: int, entry: AbortedEntry, reason: str) -> Finding:
        return Finding(
            level="damage",
            path=self._path,
            position=position,
            offset=entry.last_offset,
            reason=reason,
            saved=REBUILT,
        )


def _entries(
    form: Struct, path: str, data: bytes, trusted_end: int
) -> tuple[list[tuple[int, ...]], Finding | None]:
    """The entries of an index file, and what is wrong with its size."""
    whole = len(data) - len(data) % form.size
    fault = None
    if whole != len(data) and trusted_end == NO_END:
        reason = f"it ends inside of an entry: {len(data)} bytes"
        fault = Finding(level="damage", path=path, position=whole, reason=reason, saved=REBUILT)
    return list(form.iter_unpack(data[:whole])), fault
