"""What can be read of a partition, by its owner and by a process beside it."""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import (
    CorruptLogError,
    CorruptRecordError,
    OffsetOutOfRangeError,
    TopicDeletedError,
)
from streamlog.record import HEADER_SIZE, Columns, decode_batch
from streamlog.storage.transaction_index import AbortedTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamlog.storage.producer_state import ProducerState, ProducerSummary
    from streamlog.storage.segment import Segment
    from streamlog.topic import Isolation, TopicPartition

PLACE: Final = Struct(">qi")  # base offset and length, which begin a batch
DELTA: Final = Struct(">i")
DELTA_AT: Final = 23
LENGTH_OVERHEAD: Final = 12
MIN_LENGTH: Final = 49
CURSORS: Final = 64


class FetchedBatches(NamedTuple):
    """Whole batches of one segment, from the one that has the offset asked for.

    The first batch may begin below that offset. `next_offset` is where to read on; `data` is empty
    where nothing lies below the bound. `aborted` is for read_committed: a producer's batches from
    `first_offset` to its next abort marker in the data are not to be shown. The data stands in the
    file `path` from `position` on.
    """

    data: bytes
    next_offset: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    aborted: Sequence[AbortedTransaction]
    path: str = ""
    position: int = 0

    def place(self, error: CorruptRecordError) -> CorruptLogError:
        """What decoding the data raised, with the file and the byte in it."""
        return CorruptLogError(self.path, self.position + error.position, error.reason)


class ReadableLog:
    """The segments of a partition and the offsets that bound what may be seen of them.

    Usable from any thread. The lock guards every attribute; a reader takes it only to look at
    them, and reads the file without it: batches below the high watermark never change.
    """

    def __init__(
        self,
        topic_partition: TopicPartition,
        segments: list[Segment],
        producers: ProducerState,
        *,
        log_start_offset: int,
        log_end_offset: int,
        high_watermark: int,
    ) -> None:
        self.topic_partition = topic_partition
        self._lock = Lock()
        self._segments = segments  # replaced, never changed, so that a reader may keep it
        self._producers = producers
        self._log_start_offset = log_start_offset
        self._log_end_offset = log_end_offset
        self._high_watermark = high_watermark
        self._last_stable_offset = 0
        self._listeners: list[Callable[[], None]] = []
        self._cursors: dict[int, tuple[Segment, int]] = {}
        self._deleted = False
        self._update_last_stable_offset()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.topic_partition} to {self._log_end_offset}>"

    @property
    def deleted(self) -> bool:
        """Whether its topic is gone; one of the same name is another."""
        return self._deleted

    @property
    def log_start_offset(self) -> int:
        """The first offset that can be read."""
        return self._log_start_offset

    @property
    def log_end_offset(self) -> int:
        """The offset of the next record to be appended."""
        return self._log_end_offset

    @property
    def high_watermark(self) -> int:
        """The durable end: nothing from there on is shown to anyone."""
        return self._high_watermark

    @property
    def last_stable_offset(self) -> int:
        """Where a read_committed reader stops: at the oldest open transaction."""
        return self._last_stable_offset

    def bound(self, isolation: Isolation) -> int:
        """The offset at which a reader of this isolation stops for now."""
        if isolation == "read_committed":
            return self._last_stable_offset
        return self._high_watermark

    @property
    def size_bytes(self) -> int:
        """The bytes of all batches on the disk, those below the log start offset too."""
        return sum(segment.size_bytes for segment in self._segments)

    def open_transactions(self) -> dict[int, tuple[int, int]]:
        """Producer id to (epoch, first offset) of every transaction without a marker."""
        with self._lock:
            return self._producers.open_transactions()

    def producers(self) -> list[ProducerSummary]:
        """Every producer that the partition knows, in no order."""
        with self._lock:
            return self._producers.summaries()

    def add_listener(self, listener: Callable[[], None]) -> None:
        """`listener` runs, in any thread, after the high watermark or last stable offset moved."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners = [each for each in self._listeners if each != listener]

    def read(
        self, offset: int, max_bytes: int, isolation: Isolation = "read_uncommitted"
    ) -> FetchedBatches:
        """The batches from the one that has `offset` on, about `max_bytes`, one at least.

        Raises `OffsetOutOfRangeError` for an offset below the start or above the end, and
        `CorruptLogError` for bytes that are no batches and for a segment that is missing. CRCs are
        left to the decoder: `FetchedBatches.place` names the file.
        """
        while True:
            segments = self._segments
            try:
                return self._read(offset, max_bytes, isolation)
            except FileNotFoundError as error:
                self._check_replaced(segments, error)

    def _read(self, offset: int, max_bytes: int, isolation: Isolation) -> FetchedBatches:
        with self._lock:
            if self._deleted:
                raise TopicDeletedError(self.topic_partition.topic)
            segments = self._segments
            start, end = self._log_start_offset, self._log_end_offset
            high_watermark, last_stable = self._high_watermark, self._last_stable_offset
        committed = isolation == "read_committed"
        bound = last_stable if committed else high_watermark
        if not start <= offset <= end:
            topic, partition = self.topic_partition
            raise OffsetOutOfRangeError(topic, partition, offset, start=start, end=end)
        if offset >= bound:
            return FetchedBatches(b"", offset, high_watermark, last_stable, start, ())
        data, next_offset, place, position = self._read_segments(segments, offset, bound, max_bytes)
        aborted = _collect_aborted(segments[place:], offset, next_offset) if committed else ()
        path = segments[place].path
        return FetchedBatches(
            data, next_offset, high_watermark, last_stable, start, aborted, path, position
        )

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after `timestamp`; None without one."""
        while True:
            segments = self._segments
            try:
                return self._offset_for_timestamp(timestamp)
            except FileNotFoundError as error:
                self._check_replaced(segments, error)

    def _check_replaced(self, segments: list[Segment], error: FileNotFoundError) -> None:
        """A file may be gone because its segment was deleted or compacted: then look again.

        Raises `CorruptLogError` where the segments are what they were.
        """
        if self._deleted:
            raise TopicDeletedError(self.topic_partition.topic) from error
        if self._segments is segments:
            raise CorruptLogError(error.filename, 0, "the file is gone") from error

    def _offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        with self._lock:
            segments, high_watermark = self._segments, self._high_watermark
            start = self._log_start_offset
        for segment in segments:
            if segment.max_timestamp() < timestamp:
                continue
            found = _find_timestamp(segment, timestamp, start, high_watermark)
            if found is not None:
                return found
        return None

    def _read_segments(
        self, segments: list[Segment], offset: int, bound: int, max_bytes: int
    ) -> tuple[bytes, int, int, int]:
        """Data, next offset, the segment's place and the position in it.

        Goes on where a segment has no more.
        """
        cursor = self._cursors.pop(offset, None)
        place = max(bisect_right(segments, offset, key=_base_offset) - 1, 0)
        while place < len(segments):
            segment = segments[place]
            if segment.base_offset > offset:
                raise CorruptLogError(segment.path, 0, f"no segment has offset {offset}")
            size = segment.size_bytes
            if cursor is not None and cursor[0] is segment:
                position = cursor[1]
            else:
                position = segment.locate(offset, size)
            if position < size:
                data, next_offset = _read_batches(segment, position, size, bound, max_bytes)
                following = segments[place + 1] if place + 1 < len(segments) else None
                if following is not None and next_offset > following.base_offset:
                    reason = f"offset {next_offset - 1} is the next segment's"
                    raise CorruptLogError(segment.path, position, reason)
                if not data:  # all that was below the bound was compacted away
                    next_offset = bound
                if next_offset < bound:
                    self._keep_cursor(next_offset, segment, position + len(data))
                return data, next_offset, place, position
            place += 1
        raise CorruptLogError(segments[-1].path, segments[-1].size_bytes, f"no offset {offset}")

    def _keep_cursor(self, offset: int, segment: Segment, position: int) -> None:
        """Remembers where the next read of a reader begins, so that it needs no index."""
        if len(self._cursors) >= CURSORS:
            self._cursors.clear()
        self._cursors[offset] = (segment, position)

    def _update_last_stable_offset(self) -> bool:
        """Whether the last stable offset moved. Under the lock."""
        first_unstable = self._producers.first_unstable_offset()
        last_stable = self._high_watermark
        if first_unstable is not None and first_unstable < last_stable:
            # What of an open transaction was deleted holds nobody back.
            last_stable = max(first_unstable, self._log_start_offset)
        moved = last_stable != self._last_stable_offset
        self._last_stable_offset = last_stable
        return moved

    def _advance(self, high_watermark: int) -> bool:
        """Moves the high watermark; whether a listener has anything to hear. Under the lock."""
        moved = high_watermark != self._high_watermark
        self._high_watermark = high_watermark
        self._producers.decide_below(high_watermark)
        return self._update_last_stable_offset() or moved

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()


def _base_offset(segment: Segment) -> int:
    return segment.base_offset


def _read_batches(
    segment: Segment, position: int, size: int, bound: int, max_bytes: int
) -> tuple[bytes, int]:
    """Whole batches below `bound` in one read, and the offset behind them.

    Where there are none, the offset behind that of the first batch. The index knows where batches
    begin, so only those behind its last entry are walked over.
    """
    limit = min(position + max(max_bytes, HEADER_SIZE), size)
    boundary = segment.indexes.offsets.boundary(bound, limit)
    if boundary > position and limit < size:
        next_offset, _ = PLACE.unpack(segment.pread(PLACE.size, boundary))
        return segment.pread(boundary - position, position), next_offset
    data = segment.pread(limit - position, position)
    walked = max(boundary - position, 0)
    end, next_offset = _whole_batches(segment, data, position, walked, bound)
    if not end:  # the first batch is larger than max_bytes
        base_offset, length = PLACE.unpack_from(data)
        if base_offset >= bound:
            return b"", base_offset + 1
        data = segment.pread(length + LENGTH_OVERHEAD, position)
        end, next_offset = _whole_batches(segment, data, position, 0, bound)
    return data if end == len(data) else data[:end], next_offset


def _whole_batches(
    segment: Segment, data: bytes, position: int, place: int, bound: int
) -> tuple[int, int]:
    """Where the whole batches below `bound` end in the data, and the offset behind them.

    `place` is where the walk begins, at a batch below the bound. (0, 0) where none is whole.
    """
    last = place
    available = len(data)
    unpack = PLACE.unpack_from
    while place + PLACE.size <= available:
        base_offset, length = unpack(data, place)
        if base_offset >= bound:
            break
        if length < MIN_LENGTH:
            raise CorruptLogError(segment.path, position + place, f"batch length {length}")
        end = place + length + LENGTH_OVERHEAD
        if end > available:
            break
        last, place = place, end
    if last == place:
        return 0, 0
    base_offset, _ = unpack(data, last)
    return place, base_offset + DELTA.unpack_from(data, last + DELTA_AT)[0] + 1


def _collect_aborted(
    segments: list[Segment], offset: int, next_offset: int
) -> list[AbortedTransaction]:
    """The aborted transactions that have data in `[offset, next_offset)`, by first offset."""
    aborted: list[AbortedTransaction] = []
    for segment in segments:
        for entry in segment.aborted():
            if entry.last_offset >= offset and entry.first_offset < next_offset:
                aborted.append(AbortedTransaction(entry.producer_id, entry.first_offset))
            if entry.last_stable_offset >= next_offset:
                return sorted(aborted, key=_first_offset)
    return sorted(aborted, key=_first_offset)


def _first_offset(aborted: AbortedTransaction) -> int:
    return aborted.first_offset


def _find_timestamp(
    segment: Segment, timestamp: int, start: int, bound: int
) -> tuple[int, int] | None:
    """Offset and timestamp of the segment's first record at or after `timestamp`."""
    size = segment.size_bytes
    first = max(segment.indexes.times.lookup(timestamp), start)
    for position, header in segment.walk(segment.locate(first, size), size):
        if header.base_offset >= bound:
            return None
        if header.max_timestamp < timestamp or header.is_control:
            continue
        columns = Columns()
        decode_batch(segment.pread(header.size_bytes, position), 0, columns, min_offset=start)
        for offset, each in zip(columns.offsets, columns.timestamps, strict=True):
            if each >= timestamp:
                return offset, each
    return None
