"""Compaction: chooses a log, cleans it, again and again, beside appends and reads.

A round, in this order:

1. the dirty part is read for the last offset of each key, as far as the map has room;
2. everything below the end of that is written anew, group by group of neighbouring segments, and
   each group takes the place of its segments (see `segment_swap`) before the next one is begun, so
   that a value is gone, durably, before the tombstone behind it;
3. the offset up to which keys were read is written to the checkpoint.

A crash anywhere leaves a log of which some groups are cleaned, and the next round begins where
this one did. Nothing waits for compaction but whoever deletes segments of the same log, for the
moment in which a group is swapped.

A damaged batch ends the cleaning of its log, and no other's: what cannot be read is not rewritten.
"""

from __future__ import annotations

import time
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptLogError, CorruptRecordError, StorageError
from streamlog.record import HEADER_SIZE, read_header
from streamlog.storage import layout
from streamlog.storage.batch_cleaner import BatchCleaner, map_batch
from streamlog.storage.cleanable import (
    CleanableLog,
    Round,
    choose_round,
    due_round,
    group_segments,
)
from streamlog.storage.cleaned_segment import CleanedSegment
from streamlog.storage.cleaned_transactions import CleanedTransactions
from streamlog.storage.compaction_pace import Pace
from streamlog.storage.directory_files import read_offsets, write_offsets
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.offset_map import OffsetMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.flusher import Flusher
    from streamlog.storage.log_config import LogConfig
    from streamlog.storage.partition_log import LogView, PartitionLog
    from streamlog.storage.segment import Segment
    from streamlog.storage.segment_swap import Swap
    from streamlog.storage.transaction_index import AbortedEntry
    from streamlog.topic import TopicPartition

STEP_BYTES: Final = 1 << 20
"""Read at a time; a larger batch is read alone."""


class _Stopped(Exception):
    """The cleaner is being closed, or what it was cleaning has been deleted."""


class Cleaner:
    """Cleans one log at a time: where `run`, a task, or `step` is called. Usable from any thread.

    `logs` are all that are loaded; those whose `cleanup.policy` says so are compacted. `delete`
    gets the files that nobody needs any more, and their topic's `file.delete.delay.ms`. Only with
    `paced` does it rest between two steps.
    """

    def __init__(
        self,
        root: str,
        pool: FilePool,
        flusher: Flusher,
        logs: Callable[[], Iterable[PartitionLog]],
        config: Callable[[], LogConfig],
        delete: Callable[[list[str], int], None],
        *,
        paced: bool = True,
    ) -> None:
        self.faults: dict[TopicPartition, StorageError] = {}
        """Why a log is not cleaned any more; until the directory is opened again."""
        self._root = root
        self._pool = pool
        self._flusher = flusher
        self._logs = logs
        self._config = config
        self._delete = delete
        self._paced = paced
        self._closing = Event()
        self._cleaning = Lock()  # one round at a time; guards what follows
        self._pace = Pace()
        self._checkpointing = Lock()  # guards what follows
        self._cleaned_offsets = read_offsets(pool.files, root, layout.CLEANED_OFFSETS)

    def run(self, now_ms: int) -> int:
        """One round if one is due, and when to look again. For a housekeeper of its own.

        Raises the `StorageError` that ended writing.
        """
        return now_ms if self.step(now_ms) else now_ms + self._config().log_cleaner_backoff_ms

    def close(self) -> None:
        """Ends what it does soon. What it was cleaning stays as it is."""
        self._closing.set()

    def step(self, now_ms: int) -> bool:
        """Cleans the dirtiest log that is due; whether there was one.

        Raises the `StorageError` that ended writing.
        """
        if not self._config().log_cleaner_enable or self._closing.is_set():
            return False
        with self._cleaning:
            views: dict[TopicPartition, tuple[PartitionLog, LogView]] = {}
            due: list[Round] = []
            for log in self._logs():
                if log.config.compact and log.topic_partition not in self.faults:
                    view = log.view()
                    planned = self._plan(log, view, now_ms)
                    if planned is not None:
                        due.append(planned)
                        views[log.topic_partition] = log, view
            chosen = choose_round(due)
            if chosen is None:
                return False
            log, view = views[chosen.topic_partition]
            try:
                self._clean(log, view, chosen, now_ms)
            except _Stopped:
                return not self._closing.is_set()
            except CorruptLogError as error:
                self._give_up(log, error)
            except OSError as error:  # nothing has been renamed yet: the log is as it was
                self._tell(log, wrap_write_error(log.directory, error))
                return False
            return True

    def cleaned_offset(self, topic_partition: TopicPartition) -> int:
        """How far the log has been cleaned; 0 for not yet."""
        return self._cleaned_offsets.get(topic_partition, 0)

    def forget(self, topic_partition: TopicPartition) -> None:
        """The partition is deleted; another may have its name one day."""
        with self._checkpointing:
            self.faults.pop(topic_partition, None)
            if self._cleaned_offsets.pop(topic_partition, None) is not None:
                self._write_checkpoint()

    def _plan(self, log: PartitionLog, view: LogView, now_ms: int) -> Round | None:
        """The log's next round if it is due. A damaged log is not cleaned, and the others are."""
        try:
            return due_round(self._describe(log, view), now_ms)
        except FileNotFoundError as error:
            if any(segment.retired for segment in view.segments):
                return None  # somebody has deleted one meanwhile: the next look finds others
            self._give_up(log, CorruptLogError(error.filename, 0, "the file is gone"))
        except CorruptLogError as error:
            self._give_up(log, error)
        return None

    def _describe(self, log: PartitionLog, view: LogView) -> CleanableLog:
        return CleanableLog(
            topic_partition=log.topic_partition,
            segments=view.segments,
            config=log.config,
            log_start_offset=view.log_start_offset,
            log_end_offset=view.log_end_offset,
            stable_offset=view.stable_offset,
            cleaned_offset=self._cleaned_offsets.get(log.topic_partition),
        )

    def _give_up(self, log: PartitionLog, error: StorageError) -> None:
        self.faults[log.topic_partition] = error
        self._tell(log, error)

    def _tell(self, log: PartitionLog, error: StorageError) -> None:
        from logging import getLogger  # slow to import, hardly ever needed

        getLogger(__name__).warning("%s is not compacted: %s", log.topic_partition, error)

    def _clean(self, log: PartitionLog, view: LogView, chosen: Round, now_ms: int) -> None:
        config = log.config
        self._pace = Pace(self._config().log_cleaner_io_max_bytes_per_second)
        segments = [each for each in view.segments if each.base_offset < chosen.end_offset]
        offset_map = self._map_keys(view, segments, chosen)
        end = offset_map.end_offset
        segments = [each for each in segments if each.base_offset < end]
        ends = dict(zip(segments, _ends(segments, view), strict=True))
        transactions = CleanedTransactions()
        if segments:
            transactions.add_aborted(
                _aborted(view.segments, segments[0].base_offset, ends[segments[-1]])
            )
        cleaner = BatchCleaner(
            offset_map,
            transactions,
            view.last_records,
            now_ms=now_ms,
            delete_retention_ms=config.delete_retention_ms,
        )
        sizes = [segment.indexes.size_bytes for segment in segments]
        for group in group_segments(segments, sizes, max(ends.values(), default=end), config):
            self._clean_group(log, group, ends[group[-1]], cleaner, transactions)
        with self._checkpointing:
            if log.deleted:
                raise _Stopped
            self._cleaned_offsets[log.topic_partition] = end
            self._write_checkpoint()

    def _map_keys(self, view: LogView, segments: Sequence[Segment], chosen: Round) -> OffsetMap:
        """The last offset of each key from the first dirty offset on, as far as there is room."""
        log_config = self._config()
        room = log_config.log_cleaner_dedupe_buffer_size
        room *= log_config.log_cleaner_io_buffer_load_factor
        start = chosen.first_dirty_offset
        offset_map = OffsetMap(int(room))
        offset_map.end_offset = start
        transactions = CleanedTransactions()
        transactions.add_aborted(_aborted(view.segments, start, chosen.end_offset))
        for segment, end in zip(segments, _ends(segments, view), strict=True):
            if end <= start:
                continue
            for position, data, size in self._read(
                segment, segment.locate(start, segment.size_bytes), end
            ):
                place = 0
                while place < size:
                    try:
                        place, whole = map_batch(offset_map, transactions, data, place, start)
                    except CorruptRecordError as error:
                        raise _corrupt(segment, position, error) from error
                    if not whole:
                        return offset_map
            offset_map.end_offset = end
        return offset_map

    def _clean_group(
        self,
        log: PartitionLog,
        group: Sequence[Segment],
        end: int,
        cleaner: BatchCleaner,
        transactions: CleanedTransactions,
    ) -> None:
        """Writes one segment for a group, and puts it in its place."""
        interval = log.config.index_interval_bytes
        cleaned = CleanedSegment(self._pool, log.directory, group[0].base_offset, interval)
        try:
            for segment in group:
                self._copy(segment, cleaner, cleaned, end)
            new, swap = cleaned.finish(transactions.take_kept())
        except (_Stopped, CorruptLogError, OSError) as error:
            cleaned.abandon()
            if log.deleted and isinstance(error, OSError):  # its directory has another name now
                raise _Stopped from error
            raise
        with log.reshaping:
            if not log.has_segments(group):
                cleaned.abandon()
                raise _Stopped
            deleted = self._swap(log, group, new, swap)
        self._delete(deleted, log.config.file_delete_delay_ms)

    def _swap(
        self, log: PartitionLog, group: Sequence[Segment], new: Segment, swap: Swap
    ) -> list[str]:
        """The point of no return. Raises the `StorageError` that ends all writing."""
        try:
            swap.commit()
            replaced = log.replace_segments(group, [new])
            assert replaced, "nobody else changes them while we are reshaping"
            deleted = swap.finish([segment.base_offset for segment in group])
        except OSError as error:  # which names are on the disk is not known any more
            failure = wrap_write_error(log.directory, error)
            self._flusher.fail(failure)
            raise failure from error
        new.settle()
        return deleted

    def _copy(
        self, segment: Segment, cleaner: BatchCleaner, cleaned: CleanedSegment, end: int
    ) -> None:
        for position, data, size in self._read(segment, 0, end):
            place = 0
            while place < size:
                try:
                    batch_size, kept = cleaner.clean(data, place, end)
                except CorruptRecordError as error:
                    raise _corrupt(segment, position, error) from error
                place += batch_size
                if kept:
                    cleaned.append(kept)
            cleaned.write()

    def _read(self, segment: Segment, position: int, end: int) -> Iterator[tuple[int, bytes, int]]:
        """Position, data, and the size of the whole batches in it; rests between two of them."""
        offset = segment.base_offset
        while position < segment.size_bytes:
            began_s, processor_s = time.perf_counter(), time.thread_time()
            try:
                data = segment.pread(min(STEP_BYTES, segment.size_bytes - position), position)
                size, offset = _whole_batches(segment, data, position, offset, end)
                if size > len(data):
                    data = segment.pread(size, position)
            except FileNotFoundError as error:
                if segment.retired:  # somebody has deleted it meanwhile
                    raise _Stopped from None
                raise CorruptLogError(segment.path, 0, "the file is gone") from error
            yield position, data, size
            position += size
            self._rest(size, time.perf_counter() - began_s, time.thread_time() - processor_s)

    def _rest(self, size_bytes: int, wall_s: float, processor_s: float) -> None:
        rest_s = self._pace.rest_s(size_bytes, wall_s, processor_s) if self._paced else 0.0
        if self._closing.wait(rest_s) if rest_s else self._closing.is_set():
            raise _Stopped

    def _write_checkpoint(self) -> None:
        write_offsets(self._pool.files, self._root, layout.CLEANED_OFFSETS, self._cleaned_offsets)


def _ends(segments: Sequence[Segment], view: LogView) -> list[int]:
    """Where each segment ends: where the next one of the log begins."""
    following = {
        one.base_offset: other.base_offset
        for one, other in zip(view.segments, view.segments[1:], strict=False)
    }
    return [following[segment.base_offset] for segment in segments]


def _aborted(segments: Sequence[Segment], start: int, end: int) -> list[AbortedEntry]:
    """The aborted transactions with data in `[start, end)`; their markers may be further on."""
    found: list[AbortedEntry] = []
    for segment in segments:
        for entry in segment.aborted():
            if entry.last_offset >= start and entry.first_offset < end:
                found.append(entry)
            if entry.last_stable_offset >= end:
                return found
    return found


def _whole_batches(
    segment: Segment, data: bytes, position: int, offset: int, end: int
) -> tuple[int, int]:
    """The size of the whole batches in the data, or of the first one, and the offset behind them.

    A batch's offset is not covered by its CRC; so it is looked at that they lie between `offset`
    and `end`, in their order.
    """
    place = 0
    while place + HEADER_SIZE <= len(data):
        try:
            header = read_header(data, place)
        except CorruptRecordError as error:
            raise _corrupt(segment, position, error) from error
        if not offset <= header.base_offset < header.next_offset <= end:
            reason = f"offset {header.base_offset} between {offset} and {end}"
            raise CorruptLogError(segment.path, position + place, reason)
        if place and place + header.size_bytes > len(data):
            break
        offset = header.next_offset
        place += header.size_bytes
    if not place:
        raise CorruptLogError(segment.path, position, "less than a batch header")
    return place, offset


def _corrupt(segment: Segment, position: int, error: CorruptRecordError) -> CorruptLogError:
    return CorruptLogError(segment.path, position + error.position, error.reason)
