"""Checks one partition's directory: segments, and everything that is made from them."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from streamlog.errors import CorruptRecordError
from streamlog.files import read_file
from streamlog.record import read_control
from streamlog.storage import layout
from streamlog.storage.inspect.finding import Finding
from streamlog.storage.inspect.index_check import (
    NO_END,
    REBUILT,
    AbortedCheck,
    OffsetIndexCheck,
    TimeIndexCheck,
)
from streamlog.storage.inspect.partition_files import Cut, list_partition, walk_partition
from streamlog.storage.inspect.producer_check import ProducerCheck
from streamlog.storage.inspect.salvage import Lost, Whole
from streamlog.storage.loader import small_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.files import Files
    from streamlog.record import BatchHeader, ControlRecord
    from streamlog.storage.inspect.partition_files import Known, PartitionFiles, SegmentFile
    from streamlog.storage.transaction_index import AbortedEntry
    from streamlog.topic import TopicPartition

    Progress = Callable[[int], None]


@dataclass(slots=True)
class PartitionCheck:
    """One partition; `end_offset` is known behind the last finding. Not for two threads."""

    files: Files
    directory: str
    topic_partition: TopicPartition
    topic_id: UUID | None
    known: Known
    interval_bytes: int
    progress: Progress
    take: Callable[[Whole], None] | None = None
    """Is given every whole batch."""
    end_offset: int = -1

    def findings(self) -> Iterator[Finding]:
        partition = list_partition(self.files, self.directory)
        yield from self._small_files()
        yield from self._names(partition)
        yield from self._content(partition)

    # Names and small files

    def _small_files(self) -> Iterator[Finding]:
        path = os.path.join(self.directory, layout.PARTITION_METADATA)
        found = read_topic_id(self.files, path)
        # Before the first checkpoint nothing says that these are on the disk.
        young = not self.known.clean and not self.known.recovery_point
        level, saved = ("mended", "written again") if young else ("odd", "nobody needs it")
        topic_id = self.topic_id or found
        if not self.files.exists(path):
            yield Finding(level="mended", path=path, reason="is missing", saved=saved)
        elif found is not None and found != topic_id:
            reason = f"the directory is of a topic with id {found}, not {topic_id}"
            yield Finding(level="damage", path=path, reason=reason)
        elif found is None or read_file(self.files, path) != _small(topic_id, path):
            yield Finding(level=level, path=path, reason="not as it was written", saved=saved)
        path = os.path.join(self.directory, layout.LEADER_EPOCH_CHECKPOINT)
        if not self.files.exists(path):
            yield Finding(level="mended", path=path, reason="is missing", saved="nobody reads it")
        elif read_file(self.files, path) != _small(topic_id, path):
            yield Finding(level=level, path=path, reason="not as it was written", saved=saved)

    def _names(self, partition: PartitionFiles) -> Iterator[Finding]:
        for name in partition.in_between:
            path = os.path.join(self.directory, name)
            reason = "left by an interrupted compaction or deletion"
            yield Finding(level="mended", path=path, reason=reason, saved="opening finishes it")
        for name in partition.foreign:
            path = os.path.join(self.directory, name)
            yield Finding(level="odd", path=path, reason="no file of a partition", saved="not read")
        bases = {segment.named_offset for segment in partition.segments}
        gone: set[int] = set()
        for suffix, offsets in partition.indexes.items():
            for offset in offsets:
                path = os.path.join(self.directory, layout.file_name(offset, suffix))
                if offset in bases:
                    continue
                if self._first_kept(partition) <= offset < self.known.recovery_point:
                    gone.add(offset)
                else:
                    reason = "an index without a segment"
                    saved = "opening removes it"
                    yield Finding(level="mended", path=path, reason=reason, saved=saved)
        for offset in sorted(gone):
            path = os.path.join(self.directory, layout.file_name(offset, layout.LOG))
            reason = "the segment is missing, its indexes are there"
            yield Finding(level="damage", path=path, offset=offset, reason=reason)
        if partition.swapped:
            for segment in partition.segments:
                if segment.named_offset != segment.base_offset:
                    reason = f"its batches begin at {segment.base_offset}: names are swapped"
                    yield Finding(
                        level="damage",
                        path=segment.path,
                        offset=segment.base_offset,
                        reason=reason,
                        saved="all of it can be saved",
                    )

    def _first_kept(self, partition: PartitionFiles) -> int:
        """Where the segments begin that are not just being deleted."""
        start = self.known.log_start_offset
        return max(
            (s.base_offset for s in partition.segments if s.base_offset <= start), default=start
        )

    # Batches

    def _content(self, partition: PartitionFiles) -> Iterator[Finding]:
        known = self.known
        segments = partition.segments
        first = segments[0].base_offset if segments else known.log_start_offset
        partial = first > 0
        snapshots = {
            offset: (path, read_file(self.files, path))
            for offset in partition.snapshots
            for path in [os.path.join(self.directory, layout.file_name(offset, layout.SNAPSHOT))]
        }
        if not known.clean:  # what is above is made again
            snapshots = {at: each for at, each in snapshots.items() if at <= known.recovery_point}
        producers = ProducerCheck(self.topic_partition, snapshots, first, partial=partial)
        yield from self._start(segments, first)
        checks: _SegmentCheck | None = None
        expected, epoch = first, None
        cut = False
        yield from producers.findings(first)
        for segment, piece in walk_partition(self.files, partition, known):
            if checks is None or checks.segment is not segment:
                before = None if checks is None else checks.segment
                if checks is not None and expected > known.log_start_offset:
                    yield from checks.findings()  # else retention is deleting the segment
                if before is None or expected >= known.log_start_offset:
                    yield from self._gap(before, segment, expected)
                checks = _SegmentCheck(self, segment, partial, segment is segments[-1])
                expected = max(expected, segment.base_offset)
            match piece:
                case Whole(position=position, header=header, data=data):
                    self.progress(len(data))
                    if piece.mended:
                        yield self._mended(segment, piece)
                    if header.base_offset > expected or _is_compacted(header):
                        partial = producers.partial = checks.aborted.partial = True
                    if header.base_offset > expected and not known.gaps:
                        yield self._missing(segment, position, expected, header.base_offset)
                    if epoch is not None and header.partition_leader_epoch != epoch:
                        yield self._epoch(segment, piece, epoch)
                    epoch = header.partition_leader_epoch
                    control = self._control(piece) if header.is_control else None
                    aborted = producers.observe(header, control)
                    checks.observe(piece, control, aborted)
                    expected = header.next_offset
                    yield from producers.findings(expected)
                    if self.take is not None:
                        self.take(piece)
                case Lost():
                    producers.damaged = True
                    checks.intact = False
                    self.progress(piece.end_position - piece.position)
                    yield self._lost(segment, piece)
                case Cut():
                    cut = True
                    yield self._cut(segment, piece)
                case _:
                    if piece.padding_bytes and (known.clean or segment is not segments[-1]):
                        yield self._padding(segment, piece.position, piece.padding_bytes)
        if checks is not None and expected > known.log_start_offset:
            yield from checks.findings()
        yield from producers.rest(expected, clean=known.clean)
        self.end_offset = expected
        if known.log_start_offset > max(expected, known.durable_end):
            path = os.path.join(os.path.dirname(self.directory), layout.LOG_START_OFFSETS)
            start = known.log_start_offset
            reason = f"{self.topic_partition} begins at {start}, but ends at {expected}"
            yield Finding(level="damage", path=path, offset=start, reason=reason)
        if not cut or expected < known.durable_end:
            yield from self._end(segments, expected)
        yield from self._snapshots(partition, expected)

    def _start(self, segments: list[SegmentFile], first: int) -> Iterator[Finding]:
        start = self.known.log_start_offset
        if segments and first > start:
            yield Finding(
                level="damage",
                path=self.directory,
                offset=start,
                end_offset=first,
                reason=f"the log begins at {start}, but its first segment at {first}",
            )

    def _gap(
        self, before: SegmentFile | None, segment: SegmentFile, expected: int
    ) -> Iterator[Finding]:
        if segment.base_offset > expected:
            yield Finding(
                level="odd" if self.known.gaps else "damage",
                path=before.path if before else self.directory,
                position=before.size_bytes if before else 0,
                offset=expected,
                end_offset=segment.base_offset,
                reason=f"it ends at offset {expected}, the next segment begins at "
                f"{segment.base_offset}",
                saved="compaction by Kafka leaves such gaps" if self.known.gaps else "",
            )

    def _missing(self, segment: SegmentFile, position: int, start: int, end: int) -> Finding:
        return Finding(
            level="odd",
            path=segment.path,
            position=position,
            offset=start,
            end_offset=end,
            reason=f"offsets {start} to {end - 1} are in no batch",
            saved="compaction leaves such gaps, and the topic is not compacted",
        )

    def _mended(self, segment: SegmentFile, piece: Whole) -> Finding:
        return Finding(
            level="damage",
            path=segment.path,
            position=piece.position,
            offset=piece.header.base_offset,
            reason=piece.mended,
            saved="the rest of the batch is right: all of it can be saved",
        )

    def _epoch(self, segment: SegmentFile, piece: Whole, before: int) -> Finding:
        return Finding(
            level="odd",
            path=segment.path,
            position=piece.position,
            offset=piece.header.base_offset,
            reason=f"leader epoch {piece.header.partition_leader_epoch} behind {before}",
            saved="nobody reads it",
        )

    def _lost(self, segment: SegmentFile, piece: Lost) -> Finding:
        size = piece.end_position - piece.position
        return Finding(
            level="damage",
            path=segment.path,
            position=piece.position,
            offset=piece.offset,
            reason=piece.reason,
            saved=f"{size} bytes cannot be saved, what is before and behind them can",
        )

    def _cut(self, segment: SegmentFile, piece: Cut) -> Finding:
        return Finding(
            level="mended",
            path=segment.path,
            position=piece.position,
            offset=piece.offset,
            reason=f"torn by a crash: {piece.reason}",
            saved=f"opening cuts {piece.removed_bytes} bytes off, nothing of it acknowledged",
        )

    def _padding(self, segment: SegmentFile, position: int, size: int) -> Finding:
        return Finding(
            level="mended",
            path=segment.path,
            position=position,
            reason=f"{size} zeros behind the batches",
            saved="opening cuts them off",
        )

    def _end(self, segments: list[SegmentFile], end: int) -> Iterator[Finding]:
        known = self.known
        durable = max(known.durable_end, known.recovery_point)
        if end < durable:
            path = segments[-1].path if segments else self.directory
            position = segments[-1].size_bytes if segments else 0
            yield Finding(
                level="damage",
                path=path,
                position=position,
                offset=end,
                end_offset=durable,
                reason=f"the log ends at {end}, but was durable to {durable}",
            )
        elif known.clean and end > known.recovery_point:
            path = os.path.join(os.path.dirname(self.directory), layout.RECOVERY_POINTS)
            yield Finding(
                level="mended",
                path=path,
                offset=known.recovery_point,
                reason=f"{self.topic_partition} ends at {end}, not {known.recovery_point}",
                saved="opening reads the rest again",
            )

    def _snapshots(self, partition: PartitionFiles, end: int) -> Iterator[Finding]:
        point = self.known.recovery_point
        wanted = {s.named_offset for s in partition.segments[1:] if s.named_offset <= point}
        if point and point <= end and partition.segments:
            wanted.add(point)
        for offset in sorted(wanted - set(partition.snapshots)):
            path = os.path.join(self.directory, layout.file_name(offset, layout.SNAPSHOT))
            yield Finding(level="mended", path=path, reason="is missing", saved=REBUILT)

    def _control(self, piece: Whole) -> ControlRecord | None:
        try:
            return read_control(piece.data)
        except CorruptRecordError:
            return None


class _SegmentCheck:
    """The three indexes of one segment."""

    def __init__(
        self, check: PartitionCheck, segment: SegmentFile, partial: bool, is_last: bool
    ) -> None:
        known = check.known
        self.segment = segment
        self.intact = True
        self._files = check.files
        self._trusted_end = NO_END
        if not known.clean and (is_last or segment.base_offset >= known.recovery_point):
            self._trusted_end = known.recovery_point
        base = segment.base_offset
        path, data = self._read(layout.OFFSET_INDEX)
        interval = check.interval_bytes
        self._offsets = OffsetIndexCheck(path, data or b"", base, self._trusted_end, interval)
        self._missing = [] if data is not None else [path]
        path, data = self._read(layout.TIME_INDEX)
        sealed = self._trusted_end == NO_END
        self._times = TimeIndexCheck(path, data or b"", base, self._trusted_end, sealed=sealed)
        self._missing += [] if data is not None else [path]
        path, data = self._read(layout.TRANSACTION_INDEX)
        self.aborted = AbortedCheck(path, data, self._trusted_end, partial=partial)

    def _read(self, suffix: str) -> tuple[str, bytes | None]:
        path = self.segment.path_of(suffix)
        swapped = path + layout.SWAP
        if self.segment.path.endswith(layout.SWAP) and self._files.exists(swapped):
            path = swapped
        return path, read_file(self._files, path) if self._files.exists(path) else None

    def observe(
        self, piece: Whole, control: ControlRecord | None, aborted: AbortedEntry | None
    ) -> None:
        self._offsets.observe(piece.header, piece.position)
        self._times.observe(piece.header, piece.position)
        if control is not None:
            self.aborted.observe(control, aborted)

    def findings(self) -> Iterator[Finding]:
        """What is wrong; nothing where batches are lost, with which they cannot be compared."""
        if not self.intact:
            return
        for path in self._missing:
            if self._trusted_end > self.segment.base_offset:
                yield Finding(level="mended", path=path, reason="is missing", saved=REBUILT)
        if not self._missing:
            yield from self._offsets.findings()
            yield from self._times.findings()
        yield from self.aborted.findings()


def _is_compacted(header: BatchHeader) -> bool:
    """Whether records were taken out of the batch."""
    return header.record_count != header.last_offset_delta + 1


def _small(topic_id: UUID | None, path: str) -> bytes | None:
    """What one of the small files of a partition has to be."""
    return small_files(topic_id)[os.path.basename(path)] if topic_id else None


def read_topic_id(files: Files, path: str) -> UUID | None:
    """The id in a `partition.metadata`; None where it cannot be told."""
    if not files.exists(path):
        return None
    lines = read_file(files, path).decode(errors="replace").splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    if fields.get("version") != "0":
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(fields["topic_id"] + "=="))
    except (KeyError, ValueError):
        return None
