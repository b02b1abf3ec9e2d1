"""Writes what is whole of one partition into a new directory, ready to be opened."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError
from streamlog.files import write_file
from streamlog.record import (
    BatchHeader,
    ControlType,
    crc32c,
    encode_control_batch,
    patch_batch,
    read_control,
    read_header,
)
from streamlog.record.batch import CRC, CRC_AT
from streamlog.record.header import (
    CRC_START,
    HEADER,
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    MAGIC,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
)
from streamlog.storage import layout
from streamlog.storage.inspect.partition_files import Cut, PartitionFiles, walk_partition
from streamlog.storage.inspect.salvage import Lost, Whole
from streamlog.storage.loader import small_files
from streamlog.storage.producer_snapshot import encode_snapshot
from streamlog.storage.producer_state import ProducerState
from streamlog.storage.replay import end_transaction
from streamlog.storage.segment_indexes import SegmentIndexes

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from streamlog.files import Bytes, File, Files
    from streamlog.storage.inspect.partition_files import Known, SegmentFile
    from streamlog.topic import TopicPartition

MAX_DELTA: Final = (1 << 31) - 1
COORDINATOR_EPOCH: Final = 0


@dataclass(slots=True)
class Rescued:
    """What of a partition is in the new directory.

    `lost` are ranges of offsets, exclusive; `undecided` the first offsets of transactions whose
    marker is lost, by producer id: their records are kept, and count as aborted.
    """

    start_offset: int = 0
    end_offset: int = 0
    batches: int = 0
    records: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    undecided: dict[int, int] = field(default_factory=dict[int, int])


class Rescue:
    """One partition. `take`, then `keep_end`, then `finish`. Not for two threads at a time."""

    def __init__(
        self,
        files: Files,
        topic_partition: TopicPartition,
        topic_id: UUID,
        directory: str,
        known: Known,
        interval_bytes: int,
        progress: Callable[[int], None],
    ) -> None:
        self.highest_producer_id = -1
        self._files = files
        self._topic_partition = topic_partition
        self._topic_id = topic_id
        self._directory = directory
        self._known = known
        self._interval_bytes = interval_bytes
        self._progress = progress
        self._producers = ProducerState(topic_partition)
        self._segment: _NewSegment | None = None
        self._expected: int | None = None
        self._first = 0
        self._rescued = Rescued(start_offset=known.log_start_offset)
        self._decisions: dict[int, list[tuple[int, int]]] = {}
        files.makedirs(directory)

    def take(self, partition: PartitionFiles) -> None:
        """Everything that is whole in a directory, twice through: first for the lost markers."""
        self._decisions = find_lost_markers(self._files, partition, self._known)
        source: SegmentFile | None = None
        behind_damage = False
        for segment, piece in walk_partition(self._files, partition, self._known):
            if self._expected is None:
                self._begin(segment.base_offset)
            match piece:
                case Whole(header=header):
                    self._progress(len(piece.data))
                    fill = behind_damage or not self._known.gaps
                    if source is not segment:
                        self._continue(segment.base_offset, fill=fill)
                        source = segment
                    if fill:
                        self._fill(header.base_offset)
                    self._add(header, piece.data)
                    self._rescued.batches += 1
                    self._rescued.records += 0 if header.is_control else header.record_count
                    behind_damage = False
                case Lost():
                    self._progress(piece.end_position - piece.position)
                    behind_damage = True
                case Cut():
                    return
                case _:
                    pass

    def _continue(self, base_offset: int, *, fill: bool) -> None:
        """With another segment, unless what comes before it has taken its place."""
        assert self._expected is not None
        # Readers go from segment to segment by their bounds, so no gap may be between two of them.
        self._fill(base_offset, lost=fill)
        self._roll(max(base_offset, self._expected))

    def keep_end(self) -> None:
        """Offsets that were durable are not given out again, though what had them is lost."""
        end, start = self._known.durable_end, self._known.log_start_offset
        if self._expected is None:
            self._expected = self._rescued.start_offset = max(end, start)
            self._lose(start, end)
        elif self._expected < start > end:
            self._rescued.start_offset = self._first  # a start behind the end cannot be right
        else:
            self._fill(max(end, start))

    def append(self, batch: bytearray) -> None:
        """A batch of ours, behind the others."""
        assert self._expected is not None
        if self._segment is None:
            self._roll(self._expected)
        patch_batch(batch, self._expected, 0)
        self._add(read_header(batch), bytes(batch))

    def finish(self) -> Rescued:
        """Writes what is made from the batches."""
        if self._segment is not None:
            self._segment.finish(self._files)
        end = self._expected or 0
        self._rescued.end_offset = end
        contents = small_files(self._topic_id)
        if self._segment is not None:
            snapshot = encode_snapshot(self._producers.entries.values())
            contents[layout.file_name(end, layout.SNAPSHOT)] = snapshot
        for name, content in contents.items():
            write_file(self._files, os.path.join(self._directory, name), content)
        self._files.sync_directory(self._directory)
        return self._rescued

    def _begin(self, offset: int) -> None:
        """The first segment; what should be before it is lost."""
        self._expected = self._first = offset
        start = self._known.log_start_offset
        if offset > start:
            self._lose(start, offset)
            self._rescued.start_offset = offset

    def _lose(self, start: int, end: int) -> None:
        if end > start:
            lost = self._rescued.lost
            if lost and lost[-1][1] == start:
                start, _ = lost.pop()
            lost.append((start, end))

    def _roll(self, base_offset: int) -> None:
        if self._segment is not None:
            self._segment.finish(self._files)
            name = layout.file_name(base_offset, layout.SNAPSHOT)
            content = encode_snapshot(self._producers.entries.values())
            write_file(self._files, os.path.join(self._directory, name), content)
        self._segment = _NewSegment(self._files, self._directory, base_offset, self._interval_bytes)

    def _add(self, header: BatchHeader, data: Bytes) -> None:
        assert self._segment is not None
        self._segment.append(header, data)
        self._expected = header.next_offset
        self.highest_producer_id = max(self.highest_producer_id, header.producer_id)
        if header.producer_id < 0:
            return
        if not header.is_control:
            self._producers.append(header, header.base_offset)
            return
        try:
            control = read_control(data)
        except CorruptRecordError:
            return  # a control record of a kind that we do not know
        if control.type is not ControlType.UNKNOWN:
            aborted = end_transaction(self._producers, control)
            if aborted is not None:
                self._segment.indexes.aborted.append(aborted)

    def _fill(self, end: int, *, lost: bool = True) -> None:
        """Keeps the place of the lost offsets up to `end`, with the markers that have to be."""
        assert self._expected is not None
        start = self._expected
        if start >= end:
            return
        if self._segment is None:
            self._roll(start)
        if lost:
            self._lose(start, end)
        for producer_id, epoch in self._decisions.get(start, []):
            open_transactions = self._producers.open_transactions()
            if producer_id in open_transactions and self._expected < end:
                self._rescued.undecided[producer_id] = open_transactions[producer_id][1]
                marker = encode_control_batch(
                    ControlType.ABORT,
                    producer_id,
                    epoch,
                    COORDINATOR_EPOCH,
                    max(self._timestamp(), 0),
                    self._expected,
                )
                self._add(read_header(marker), bytes(marker))
        while self._expected < end:
            batch = empty_batch(self._expected, min(end - self._expected - 1, MAX_DELTA))
            self._add(read_header(batch), batch)

    def _timestamp(self) -> int:
        assert self._segment is not None
        return self._segment.indexes.max_timestamp


class _NewSegment:
    """A segment's files as they are written."""

    def __init__(self, files: Files, directory: str, base_offset: int, interval_bytes: int) -> None:
        self.base_offset = base_offset
        self.indexes = SegmentIndexes(base_offset, interval_bytes)
        self._directory = directory
        self._size_bytes = 0
        self._file: File = files.open(self._path(layout.LOG), "create")

    def append(self, header: BatchHeader, data: Bytes) -> None:
        self._file.pwrite(data, self._size_bytes)
        self.indexes.observe(header.last_offset, header.max_timestamp, self._size_bytes)
        self._size_bytes += len(data)

    def finish(self, files: Files) -> None:
        """Syncs it, and writes its indexes."""
        with contextlib.closing(self._file) as file:
            file.datasync()
        self.indexes.seal()
        for suffix, _, data in self.indexes.take_unwritten():
            write_file(files, self._path(suffix), data)

    def _path(self, suffix: str) -> str:
        return os.path.join(self._directory, layout.file_name(self.base_offset, suffix))


def find_lost_markers(
    files: Files, partition: PartitionFiles, known: Known
) -> dict[int, list[tuple[int, int]]]:
    """By the first offset of a gap, the producers whose markers were in it, with their epochs.

    A producer with a transaction that is open at the gap goes on behind it: with the same epoch it
    is the same transaction, or with the next one its marker; else its marker is lost.
    """
    waiting: dict[int, tuple[int, int]] = {}  # producer id: gap, epoch of its transaction
    open_epochs: dict[int, int] = {}
    decisions: dict[int, list[tuple[int, int]]] = {}
    expected: int | None = None
    for segment, piece in walk_partition(files, partition, known):
        if expected is None:
            expected = segment.base_offset
        if not isinstance(piece, Whole):
            if isinstance(piece, Cut):
                break
            continue
        header = piece.header
        if header.base_offset > expected:
            for producer_id, epoch in open_epochs.items():
                waiting.setdefault(producer_id, (expected, epoch))
        expected = header.next_offset
        producer_id, found = header.producer_id, header.producer_epoch
        if not header.is_transactional:
            continue
        if producer_id in waiting:
            gap, epoch = waiting.pop(producer_id)
            if found > epoch + (1 if header.is_control else 0):
                decisions.setdefault(gap, []).append((producer_id, epoch))
        if header.is_control:
            open_epochs.pop(producer_id, None)
        else:
            open_epochs[producer_id] = found
    return decisions


def empty_batch(base_offset: int, last_offset_delta: int) -> bytes:
    """A batch without records that takes offsets up, as compaction leaves them."""
    batch = bytearray(
        HEADER.pack(
            base_offset,
            HEADER_SIZE - LENGTH_OVERHEAD,
            0,
            MAGIC,
            0,
            0,
            last_offset_delta,
            NO_TIMESTAMP,
            NO_TIMESTAMP,
            NO_PRODUCER_ID,
            NO_PRODUCER_EPOCH,
            NO_SEQUENCE,
            0,
        )
    )
    CRC.pack_into(batch, CRC_AT, crc32c(batch, CRC_START))
    return bytes(batch)
