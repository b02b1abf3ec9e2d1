"""A partition's log as its owner has it: append, group commit, roll.

What is true around each write, in the order of a batch's life:

1. `append` writes the batch behind the last one. Not durable: a crash may leave any part of it.
   The log end offset covers it, the high watermark does not.
2. A roll ends the segment and begins another file, whose name is not durable either.
3. A flush window syncs the dirty segments, and the directory where names are new.
   Only then does the high watermark cover the batch: what a reader has seen, no crash takes away.
4. A checkpoint, at a roll and every `CHECKPOINT_BYTES`, writes and syncs the indexes and a
   snapshot of the producers, and then the recovery point moves: nothing below it is read again
   when the log is opened, and damage there is corruption.

So files other than segments never matter above the recovery point: recovery rebuilds them.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import (
    LogClosedError,
    RecordTooLargeError,
    StorageError,
    TopicDeletedError,
)
from streamlog.files import read_file, write_file
from streamlog.record import (
    ControlRecord,
    ControlType,
    crc32c,
    encode_control_batch,
    patch_batch,
    read_header,
)
from streamlog.storage import layout
from streamlog.storage.batch_cleaner import LastRecord
from streamlog.storage.durable_offsets import DurableOffset
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.flusher import FlushPoint
from streamlog.storage.loader import LoadedLog, small_files
from streamlog.storage.producer_snapshot import encode_snapshot
from streamlog.storage.readable_log import ReadableLog
from streamlog.storage.replay import end_transaction
from streamlog.storage.segment import Segment
from streamlog.storage.validation import validate_produce

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from streamlog.files import Files
    from streamlog.record import BatchHeader
    from streamlog.storage.durable_offsets import PartitionId
    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.flusher import Flusher
    from streamlog.storage.segment import IndexWrite
    from streamlog.storage.topic_config import TopicConfig
    from streamlog.topic import TopicPartition

LEADER_EPOCH: Final = 0
MAX_UNSYNCED_BYTES: Final = 32 << 20
"""Of one partition: `append` waits for the flusher when more would be unsynced.

Recovery relies on it: what is further from the log's end than that cannot be torn.
"""
CHECKPOINT_BYTES: Final = 64 << 20
MAX_TORN_BYTES: Final = MAX_UNSYNCED_BYTES + (64 << 20)
"""With the files' ends, but without a larger batch, which may exceed the bound alone."""
MAX_RELATIVE_OFFSET: Final = (1 << 31) - 1


class LogView(NamedTuple):
    """A log at one moment, for those who reshape it."""

    segments: tuple[Segment, ...]
    log_start_offset: int
    log_end_offset: int
    stable_offset: int
    """Nothing below it is undecided, nor will it be read again when the log is opened."""
    last_records: dict[int, LastRecord]
    """By producer id."""


class AppendResult(NamedTuple):
    """Where a batch is in the log; a duplicate is where it was appended the first time."""

    base_offset: int
    last_offset: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """What makes everything below `recovery_point` readable without reading it again."""

    log: PartitionLog
    topic_partition: TopicPartition
    recovery_point: int
    index_writes: tuple[IndexWrite, ...]
    contents: tuple[tuple[str, bytes], ...]  # of snapshots and other small files, by name

    def execute(self, files: Files) -> None:
        """Writes and syncs indexes, snapshots and their names."""
        directory = self.log.directory
        for write in self.index_writes:
            write.execute(files)
        for name, content in self.contents:
            _settle_file(files, os.path.join(directory, name), content)
        files.sync_directory(directory)

    def complete(self) -> None:
        self.log.complete_checkpoint(self)


def _settle_file(files: Files, path: str, content: bytes) -> None:
    """Makes a small file durable; one that is right already is only synced.

    Were it written anew, a reader beside might find it empty: of `partition.metadata`, that would
    hide whose the directory is.
    """
    if not files.exists(path) or read_file(files, path) != content:
        write_file(files, path, content)
        return
    with contextlib.closing(files.open(path, "create")) as file:
        file.datasync()


class PartitionLog(ReadableLog):
    """One writer at a time appends, under the lock; see `ReadableLog` for readers."""

    def __init__(
        self,
        topic_partition: TopicPartition,
        topic_id: UUID,
        directory: str,
        config: TopicConfig,
        pool: FilePool,
        flusher: Flusher,
        loaded: LoadedLog,
    ) -> None:
        super().__init__(
            topic_partition,
            loaded.segments,
            loaded.producers,
            log_start_offset=loaded.log_start_offset,
            log_end_offset=loaded.log_end_offset,
            high_watermark=loaded.log_end_offset,
        )
        self.topic_id = topic_id
        self.directory = directory
        self.config = config
        self._pool = pool
        self._flusher = flusher
        self._exists = loaded.exists
        self._closed = False
        self._dirty = False
        self._appended_bytes = 0
        self._durable_bytes = 0
        self._unsynced: list[Segment] = []
        self._new_names: list[str] = []
        self._recovery_point = loaded.recovery_point
        self._checkpoint_due_bytes = CHECKPOINT_BYTES - loaded.recovered_bytes
        self._snapshot_offsets = loaded.snapshot_offsets
        self._small_files_synced = loaded.exists and not loaded.recovered
        self._roll_snapshots: list[tuple[int, bytes]] = []
        self._created_at_ms: int | None = None
        self.reshaping = Lock()
        """Held by who takes segments out of the list and renames their files.

        Appending and reading do without it; it is taken before the log's own lock.
        """

    @property
    def exists(self) -> bool:
        """Whether the partition was ever written: its directory is made then."""
        return self._exists

    @property
    def recovery_point(self) -> int:
        """Nothing below is read again when the log is opened after a crash."""
        return self._recovery_point

    # Appending

    def append(self, batch: bytearray, *, now_ms: int, verify: bool = False) -> AppendResult:
        """Appends a batch of data, giving it its offsets in place.

        `verify` is for batches that came over a wire: what is appended is the copy that
        `validate_produce` makes. Waits only where too much is unsynced already. Not durable before
        the next flush window has ended.

        Raises `RecordTooLargeError`, the errors of `ProducerState.check`, those of
        `validate_produce`, or the `StorageError` that ended writing.
        """
        if verify:
            batch = validate_produce(batch, self.config, now_ms, self.topic_partition)
        header = read_header(batch)
        size = len(batch)
        if size > self.config.max_message_bytes:
            topic, partition = self.topic_partition
            limit = self.config.max_message_bytes
            raise RecordTooLargeError(topic, partition, size_bytes=size, limit_bytes=limit)
        while True:
            with self._lock:
                if self._has_room(size):
                    return self._append_data(header, batch, now_ms)
            self._flusher.relieve(self)

    def append_control(
        self,
        kind: ControlType,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        *,
        now_ms: int,
    ) -> AppendResult:
        """Ends the producer's transaction in this partition with a marker.

        Raises `InvalidProducerEpochError` for an epoch below the producer's last.
        """
        with self._lock:
            self._check_writable()
            self._producers.check_marker(producer_id, producer_epoch)
            batch = encode_control_batch(
                kind, producer_id, producer_epoch, coordinator_epoch, now_ms
            )
            try:
                base_offset = self._write(read_header(batch), batch, now_ms)
                control = ControlRecord(
                    kind, producer_id, producer_epoch, coordinator_epoch, base_offset, now_ms
                )
                aborted = end_transaction(self._producers, control)
                if aborted is not None:
                    self._segments[-1].add_aborted(aborted)
            except BaseException as error:
                self._give_up(error)
                raise
            return AppendResult(base_offset, base_offset)

    def _has_room(self, size: int) -> bool:
        unsynced = self._appended_bytes - self._durable_bytes
        return unsynced + size <= MAX_UNSYNCED_BYTES or not unsynced

    def _append_data(self, header: BatchHeader, batch: bytearray, now_ms: int) -> AppendResult:
        self._check_writable()
        if header.producer_id >= 0:
            duplicate = self._producers.check(header)
            if duplicate is not None:
                return AppendResult(duplicate.first_offset, duplicate.last_offset, True)
        try:
            base_offset = self._write(header, batch, now_ms)
            if header.producer_id >= 0:
                self._producers.append(header, base_offset)
        except BaseException as error:
            self._give_up(error)
            raise
        return AppendResult(base_offset, base_offset + header.last_offset_delta)

    def _give_up(self, error: BaseException) -> None:
        """Ends all writing: between its steps an append leaves the file and what is known apart.

        Else Ctrl-C there could give an offset twice, or show what a transaction then aborts.
        """
        if self._flusher.failure is None:
            reason = f"an append was interrupted ({error!r}); close the log and open it again"
            self._flusher.fail(StorageError(self.directory, reason))

    def _write(self, header: BatchHeader, batch: bytearray, now_ms: int) -> int:
        """Writes the batch at the end and returns its base offset."""
        base_offset = self._log_end_offset
        last_offset = base_offset + header.last_offset_delta
        append_time = now_ms if self.config.log_append_time and not header.is_control else None
        patch_batch(batch, base_offset, LEADER_EPOCH, append_time=append_time)
        max_timestamp = header.max_timestamp if append_time is None else append_time
        try:
            segment = self._writable_segment(len(batch), last_offset, max_timestamp, now_ms)
            if not segment.size_bytes:
                self._new_names.append(self.directory)  # its file is made by its first batch
            segment.append(batch, last_offset, max_timestamp)
        except OSError as error:
            failure = wrap_write_error(self.directory, error)
            self._flusher.fail(failure)
            raise failure from error
        if not self._unsynced or self._unsynced[-1] is not segment:
            self._unsynced.append(segment)
        self._log_end_offset = last_offset + 1
        self._appended_bytes += len(batch)
        if not self._dirty:
            self._dirty = True
            self._flusher.mark_dirty(self)
        return base_offset

    def _check_writable(self) -> None:
        if self._flusher.failure is not None:
            raise self._flusher.failure
        if self._deleted:
            raise TopicDeletedError(self.topic_partition.topic)
        if self._closed:
            raise LogClosedError(self.directory)

    # Segments

    def _writable_segment(
        self, size: int, last_offset: int, max_timestamp: int, now_ms: int
    ) -> Segment:
        if not self._exists:
            self._create_directory()
        if not self._segments:
            return self._begin_segment(now_ms)
        segment = self._segments[-1]
        if segment.size_bytes and self._should_roll(
            segment, size, last_offset, max_timestamp, now_ms
        ):
            self._roll_snapshots.append(
                (self._log_end_offset, encode_snapshot(self._producers.entries.values()))
            )
            self._seal(segment)
            return self._begin_segment(now_ms)
        return segment

    def _should_roll(
        self, segment: Segment, size: int, last_offset: int, max_timestamp: int, now_ms: int
    ) -> bool:
        """Kafka's rule: by size, by relative offset, by time, or when an index is full."""
        config = self.config
        if (
            segment.size_bytes + size > config.segment_bytes
            or last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
            or segment.indexes.size_bytes + 12 > config.segment_index_bytes
        ):
            return True
        first_timestamp = segment.first_timestamp()
        limit_ms = config.longest_segment_ms - self._roll_jitter_ms()
        if first_timestamp is not None and first_timestamp >= 0:
            return max_timestamp - first_timestamp > limit_ms
        return self._created_at_ms is not None and now_ms - self._created_at_ms > limit_ms

    def _roll_jitter_ms(self) -> int:
        """So that not all logs roll at once: the same for a segment each time, as nothing draws."""
        highest = min(self.config.segment_jitter_ms, self.config.longest_segment_ms)
        if not highest:
            return 0
        seed = f"{self.topic_partition} {self._segments[-1].base_offset}".encode()
        return crc32c(seed) % highest

    def _seal(self, segment: Segment) -> None:
        """Ends a segment. That its zeros are gone must be synced, though its data may be."""
        segment.seal()
        if segment not in self._unsynced:
            self._unsynced.append(segment)

    def _begin_segment(self, now_ms: int) -> Segment:
        segment = Segment(
            self._pool,
            self.directory,
            self._log_end_offset,
            index_interval_bytes=self.config.index_interval_bytes,
            writable=True,
        )
        self._created_at_ms = now_ms
        self._segments = [*self._segments, segment]
        return segment

    def _create_directory(self) -> None:
        files = self._pool.files
        files.makedirs(self.directory)
        for name, content in small_files(self.topic_id).items():
            with contextlib.closing(files.open(os.path.join(self.directory, name), "create")) as f:
                f.pwrite(content, 0)  # not synced: the first checkpoint writes them again
        self._exists = True
        self._new_names.append(os.path.dirname(self.directory))

    def view(self) -> LogView:
        """What retention and compaction decide by."""
        with self._lock:
            return LogView(
                tuple(self._segments),
                self._log_start_offset,
                self._log_end_offset,
                min(self._last_stable_offset, self._recovery_point),
                {
                    entry.producer_id: LastRecord(
                        entry.batches[-1].last_offset if entry.batches else -1, entry.epoch
                    )
                    for entry in self._producers.entries.values()
                },
            )

    def advance_start(self, offset: int) -> None:
        """Nothing below `offset` can be read any more. The checkpoint has it already, durably."""
        with self._lock:
            if offset <= self._log_start_offset:
                return
            self._log_start_offset = offset
            self._cursors.clear()
            moved = self._update_last_stable_offset()
        if moved:
            self._notify()

    def roll(self, now_ms: int) -> None:
        """Ends the active segment, so that it may be deleted; once it is durable, and has data."""
        with self._lock:
            segments, end = self._segments, self._log_end_offset
            if self._closed or self._high_watermark != end or not segments[-1].size_bytes:
                return
            self._roll_snapshots.append((end, encode_snapshot(self._producers.entries.values())))
            self._seal(segments[-1])
            self._begin_segment(now_ms)
            self._dirty = True
            self._flusher.mark_dirty(self)

    def expire_producers(self, now_ms: int, expiration_ms: int) -> None:
        """Forgets producers that have not written for so long and have no transaction open."""
        with self._lock:
            self._producers.expire(now_ms, expiration_ms)

    def delete(self) -> None:
        """The topic is gone: who reads or writes from here on gets `TopicDeletedError`."""
        with self._lock:
            self._closed = self._deleted = True
        self._notify()

    def retire(self) -> None:
        """Lets go of the files, which are about to lose their names. After `delete`."""
        with self._lock:
            for segment in self._segments:
                segment.retire()

    def has_segments(self, segments: Sequence[Segment]) -> bool:
        """Whether these are neighbours in the log, and may still be replaced."""
        with self._lock:
            return self._place_of(segments) is not None

    def replace_segments(self, old: Sequence[Segment], new: Sequence[Segment]) -> bool:
        """Puts the new segments in the place of the old ones; False where these have changed.

        From now on nobody opens the old ones, so their files may be renamed. Under `reshaping`.
        """
        with self._lock:
            start = self._place_of(old)
            if start is None:
                return False
            segments = self._segments
            self._segments = [*segments[:start], *new, *segments[start + len(old) :]]
            self._cursors.clear()
            for segment in old:
                segment.retire()
        return True

    def _place_of(self, segments: Sequence[Segment]) -> int | None:
        for place, segment in enumerate(self._segments):
            if segment is segments[0]:
                found = self._segments[place : place + len(segments)] == list(segments)
                return place if found and not self._closed else None
        return None

    # Flushing: called by the flusher

    def begin_flush(self) -> FlushPoint:
        with self._lock:
            self._dirty = False
            segments, self._unsynced = self._unsynced, []
            names, self._new_names = self._new_names, []
            return FlushPoint(
                self._log_end_offset,
                self._appended_bytes,
                tuple((segment, segment.size_bytes) for segment in segments),
                tuple(names),
                self._maybe_checkpoint(),
            )

    def complete_flush(self, point: FlushPoint) -> None:
        with self._lock:
            self._durable_bytes = max(self._durable_bytes, point.appended_bytes)
            for segment, size in point.segments:
                if segment.size_bytes == size:
                    segment.unsynced = False
            moved = self._advance(max(point.end_offset, self._high_watermark))
        if moved:
            self._notify()

    def durable_offset(self) -> tuple[PartitionId, DurableOffset]:
        with self._lock:
            offset = DurableOffset(self._high_watermark, self._last_stable_offset)
            return (self.topic_id, self.topic_partition.partition), offset

    def _maybe_checkpoint(self) -> LogCheckpoint | None:
        """At a roll the recovery point moves to the new segment; else when much lies above it."""
        if self._roll_snapshots:
            recovery_point = self._roll_snapshots[-1][0]
        elif self._appended_bytes >= self._checkpoint_due_bytes:
            recovery_point = self._log_end_offset
        else:
            return None
        return self._take_checkpoint(recovery_point)

    def _take_checkpoint(self, recovery_point: int) -> LogCheckpoint:
        """Under the lock; at a recovery point of the log's end or of the last roll."""
        snapshots, self._roll_snapshots = self._roll_snapshots, []
        if not snapshots or snapshots[-1][0] != recovery_point:
            content = encode_snapshot(self._producers.entries.values())
            snapshots.append((recovery_point, content))
        self._snapshot_offsets += [offset for offset, _ in snapshots]
        contents = [(layout.file_name(at, layout.SNAPSHOT), data) for at, data in snapshots]
        if not self._small_files_synced:
            contents += small_files(self.topic_id).items()
            self._small_files_synced = True
        self._checkpoint_due_bytes = self._appended_bytes + CHECKPOINT_BYTES
        writes = [segment.take_index_write() for segment in self._segments_from_recovery_point()]
        return LogCheckpoint(
            self,
            self.topic_partition,
            recovery_point,
            tuple(write for write in writes if write is not None),
            tuple(contents),
        )

    def _segments_from_recovery_point(self) -> list[Segment]:
        """The segments whose indexes may not be all on disk."""
        segments = self._segments
        first = len(segments) - 1
        while first > 0 and segments[first].base_offset > self._recovery_point:
            first -= 1
        return segments[max(first, 0) :]

    def complete_checkpoint(self, checkpoint: LogCheckpoint) -> None:
        """The recovery point is on disk: drops snapshots that nothing needs any more."""
        with self._lock:
            self._recovery_point = checkpoint.recovery_point
            kept = {segment.base_offset for segment in self._segments}
            kept.add(checkpoint.recovery_point)
            dropped = [o for o in self._snapshot_offsets if o < max(kept) and o not in kept]
            self._snapshot_offsets = [o for o in self._snapshot_offsets if o not in dropped]
        for offset in dropped:
            name = layout.file_name(offset, layout.SNAPSHOT)
            with contextlib.suppress(FileNotFoundError):
                self._pool.files.unlink(os.path.join(self.directory, name))

    # Stopping

    def stop_writing(self) -> None:
        """Nothing is appended from now on: cuts the preallocated zeros off."""
        with self._lock:
            self._closed = True
            if self._segments and self._recovery_point != self._log_end_offset:
                self._seal(self._segments[-1])

    def take_last_checkpoint(self) -> LogCheckpoint | None:
        """What a clean stop has to write; None where nothing has changed."""
        with self._lock:
            if not self._segments or self._recovery_point == self._log_end_offset:
                return None
            return self._take_checkpoint(self._log_end_offset)

    def close(self) -> None:
        """Closes the files. What was not synced may be lost."""
        with self._lock:
            self._closed = True
            for segment in self._segments:
                segment.close()
