"""Opens a partition's directory: after a clean stop, after a crash, or to read beside the owner.

After a clean stop the files are what the checkpoints say, and next to nothing is read. After a
crash everything above the recovery point is read and checked, batch by batch; indexes, producers
and aborted transactions are rebuilt from there.

Torn is not corrupt. Above the recovery point a batch may be damaged because the crash came before
it was synced. That cannot be so below the last high watermark that was published, nor further
from the end than one flush window may leave unsynced. There, the log refuses to open; else the
rest is cut off, and the caller is told (`Truncation`).

A cut goes from the end to the front, so a crash in the middle of it changes nothing: the later
segments are deleted, from the last, then the segment is truncated, then both are synced.
"""

from __future__ import annotations

import base64
import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from streamlog.errors import CorruptLogError
from streamlog.files import read_file, write_file
from streamlog.record import Batch, BatchScanner, Corrupt, End, NeedData, Torn
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import encode_epochs
from streamlog.storage.producer_snapshot import decode_snapshot
from streamlog.storage.producer_state import ProducerEntry, ProducerState
from streamlog.storage.replay import replay_batch, replay_producers
from streamlog.storage.segment import Segment
from streamlog.storage.segment_swap import overlook_swaps, recover_swaps
from streamlog.storage.transaction_index import encode_aborted

if TYPE_CHECKING:
    from streamlog.files import Files
    from streamlog.record import BatchHeader
    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.topic_config import TopicConfig
    from streamlog.topic import TopicPartition

SCAN_BYTES: Final = 1 << 20
DAMAGED_BITS: Final = 16
MIN_MAX_BATCH_BYTES: Final = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncation:
    """What recovery cut off because a crash had torn it. None of it had been acknowledged."""

    topic_partition: TopicPartition
    path: str
    position: int
    offset: int
    removed_bytes: int
    reason: str


@dataclass(kw_only=True, slots=True)
class LoadedLog:
    """What a partition log starts from."""

    segments: list[Segment]
    producers: ProducerState
    log_start_offset: int = 0
    log_end_offset: int = 0
    recovery_point: int = 0
    recovered: bool = False
    recovered_bytes: int = 0
    exists: bool = True
    snapshot_offsets: list[int] = field(default_factory=list[int])
    truncation: Truncation | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What the directory knows of a partition before it is loaded."""

    recovery_point: int = 0
    log_start_offset: int = 0
    known_durable_offset: int = 0
    """A batch below it was synced: damage there is corruption."""
    synced_offset: int = 0
    """From there on a batch may be in the page cache only, where a failed sync has left it."""
    max_torn_bytes: int | None = 0
    """How far from the end a batch can be torn; None for any distance."""
    offsets_may_be_missing: bool = False
    """Above the recovery point, too: in a log that somebody else has compacted."""
    all_transaction_indexes: bool = False
    """Whether every segment below the recovery point must have one, be it empty."""


def small_files(topic_id: UUID) -> dict[str, bytes]:
    """The topic's id and the leader epochs, of which a log without replicas has one."""
    encoded_id = base64.urlsafe_b64encode(topic_id.bytes).rstrip(b"=").decode()
    return {
        layout.PARTITION_METADATA: f"version: 0\ntopic_id: {encoded_id}\n".encode(),
        layout.LEADER_EPOCH_CHECKPOINT: encode_epochs({0: 0}),
    }


def read_topic_id(files: Files, directory: str) -> UUID | None:
    """The topic that a partition's directory belongs to; None where it does not say."""
    try:
        content = read_file(files, os.path.join(directory, layout.PARTITION_METADATA)).decode()
        encoded = dict(line.split(": ", 1) for line in content.splitlines())["topic_id"]
        return UUID(bytes=base64.urlsafe_b64decode(encoded + "=="))
    except (FileNotFoundError, ValueError, KeyError):
        return None  # it is written with the first checkpoint


def is_other_topic(found: UUID | None, topic_id: UUID) -> bool:
    """Whether a directory's id is another topic's.

    Ids are random: one that differs in a few bits is a damaged one, for which there is no checksum.
    """
    return found is not None and (found.int ^ topic_id.int).bit_count() > DAMAGED_BITS


@dataclass(frozen=True, slots=True)
class _Damage:
    """The first place where the files are not what they should be."""

    place: int  # of the segment; -1 before the first
    position: int
    offset: int
    reason: str


class Loader:
    """Loads one partition. Not for two threads at a time."""

    def __init__(
        self,
        topic_partition: TopicPartition,
        directory: str,
        config: TopicConfig,
        pool: FilePool,
        bounds: Bounds,
        *,
        writable: bool,
    ) -> None:
        self._topic_partition = topic_partition
        self._directory = directory
        self._config = config
        self._pool = pool
        self._files: Files = pool.files
        self._bounds = bounds
        self._writable = writable
        self._unsynced: dict[Segment, int] = {}  # and from which position on
        self._exists = pool.files.exists(directory)
        self._offsets_of: dict[str, list[int]] = {}
        names = pool.files.listdir(directory) if self._exists else []
        self._swapped: frozenset[str] = frozenset()
        if writable:
            names = recover_swaps(pool.files, directory, names)
        else:
            names, self._swapped = overlook_swaps(pool.files, directory, names)
        for name in names:
            parsed = layout.parse_file_name(name)
            if parsed is not None:
                self._offsets_of.setdefault(parsed[1], []).append(parsed[0])
        self._with_transaction_index = set(self._offsets_of.get(layout.TRANSACTION_INDEX, []))

    def load_clean(self) -> LoadedLog | None:
        """After a clean stop; None where the files are not what the checkpoints say."""
        with contextlib.suppress(CorruptLogError):
            loaded = self.load_trusted()
            if loaded.segments:
                last = loaded.segments[-1]
                if last.base_offset != self._base_offsets()[-1]:
                    return None
                if last.size_bytes != self._files.size(last.path):
                    return None
            return None if not loaded.segments and self._base_offsets() else loaded
        return None

    def load_trusted(self) -> LoadedLog:
        """What lies below the recovery point, without reading it.

        Raises `CorruptLogError` where that is not all there.
        """
        end = self._bounds.recovery_point
        base_offsets = [base for base in self._from_start() if base < end]
        segments = [self._segment(base) for base in base_offsets]
        if not segments:
            if end > self._bounds.log_start_offset:
                raise CorruptLogError(self._directory, 0, f"no segment below offset {end}")
            return self._loaded([], self._load_producers([], end))
        last = segments[-1]
        last.trusted_offset = end
        try:
            last.size_bytes = _position_behind(last, end)
        except CorruptLogError:
            if self._bounds.log_start_offset < end:
                raise
            # Left of what was deleted: whatever is missing of it, nobody may read it.
            return self._loaded([], self._load_producers([], end))
        if not self._writable:
            for segment, next_offset in zip(segments, [*base_offsets[1:], end], strict=True):
                segment.end_offset = next_offset
        if self._bounds.all_transaction_indexes:
            self._restore_transaction_indexes(segments)
        return self._loaded(segments, self._load_producers(segments, end))

    def recover(self) -> LoadedLog:
        """After a crash: checks what lies above the recovery point and cuts off what is torn.

        Raises `CorruptLogError` for damage that no crash explains, and changes nothing then.
        """
        loaded = self.load_trusted()
        trusted = len(loaded.segments)
        above = [base for base in self._base_offsets() if base >= loaded.recovery_point]
        segments = [*loaded.segments, *(self._segment(base) for base in above)]
        damage = self._scan(segments, max(trusted - 1, 0), loaded)
        if damage is None and loaded.log_end_offset < self._bounds.known_durable_offset:
            end = segments[-1].size_bytes if segments else 0
            damage = _Damage(len(segments) - 1, end, loaded.log_end_offset, "the log ends here")
        if damage is not None:
            loaded.truncation = self._truncation(segments, damage)
            segments = self._cut(segments, damage.place + 1)
        if segments and not segments[-1].size_bytes:
            segments = self._cut(segments, len(segments) - 1)
        loaded.segments = segments
        self._settle(segments, max(trusted - 1, 0), loaded)
        return loaded

    # The part below the recovery point

    def _base_offsets(self) -> list[int]:
        return self._offsets_of.get(layout.LOG, [])

    def _from_start(self) -> list[int]:
        """Without segments that are all below the log start, which are removed.

        They were about to be deleted, and a crash may have left any of them. Not above the recovery
        point: nothing is deleted there, and recovery needs it.
        """
        bases = self._base_offsets()
        limit = min(self._bounds.log_start_offset, self._bounds.recovery_point)
        count = sum(1 for following in bases[1:] if following <= limit)
        for base in bases[:count] if self._writable else ():
            for suffix in (layout.LOG, *layout.INDEXES):
                with contextlib.suppress(FileNotFoundError):
                    path = os.path.join(self._directory, layout.file_name(base, suffix))
                    self._files.unlink(path)
        return bases[count:]

    def _segment(self, base_offset: int) -> Segment:
        segment = Segment(
            self._pool,
            self._directory,
            base_offset,
            index_interval_bytes=self._config.index_interval_bytes,
            writable=self._writable and base_offset == self._base_offsets()[-1],
            swapped=self._swapped,
        )
        segment.take_size(self._files.size(segment.path))
        if base_offset in self._with_transaction_index:
            path = segment.path_of(layout.TRANSACTION_INDEX)
            segment.has_aborted = self._files.size(path) > 0
        return segment

    def _restore_transaction_indexes(self, segments: list[Segment]) -> None:
        """Makes those anew that were lost: without them aborted records would be shown."""
        lost = [s for s in segments if s.base_offset not in self._with_transaction_index]
        for segment in lost:
            producers = self._load_producers(segments, segment.base_offset)
            found = [
                replay_batch(producers, header, segment, position)
                for position, header in segment.walk(0, segment.size_bytes)
            ]
            aborted = [entry for entry in found if entry is not None]
            content = encode_aborted(aborted)
            if self._writable:
                path = segment.path_of(layout.TRANSACTION_INDEX)
                write_file(self._files, path + layout.CLEANED, content)
                self._files.rename(path + layout.CLEANED, path)  # a crash leaves all of it or none
            segment.take_aborted(aborted, len(content) if self._writable else -1)
        if lost and self._writable:
            self._files.sync_directory(self._directory)

    def _loaded(self, segments: list[Segment], producers: ProducerState) -> LoadedLog:
        end = self._bounds.recovery_point
        return LoadedLog(
            segments=segments,
            producers=producers,
            log_start_offset=self._bounds.log_start_offset,
            log_end_offset=end,
            recovery_point=end,
            exists=self._exists,
            snapshot_offsets=list(self._offsets_of.get(layout.SNAPSHOT, [])),
        )

    def _load_producers(self, segments: list[Segment], end: int) -> ProducerState:
        """From the newest intact snapshot, and the batches behind it."""
        start = self._bounds.log_start_offset
        producers = ProducerState(self._topic_partition)
        for offset in reversed(self._offsets_of.get(layout.SNAPSHOT, [])):
            if offset <= end:
                entries = self._read_snapshot(offset)
                if entries is not None:
                    start = offset
                    producers = ProducerState(self._topic_partition, entries)
                    break
        if segments:
            replay_producers(producers, segments, start, end)
        producers.decide_below(end)
        return producers

    def _read_snapshot(self, offset: int) -> list[ProducerEntry] | None:
        path = os.path.join(self._directory, layout.file_name(offset, layout.SNAPSHOT))
        try:
            return decode_snapshot(read_file(self._files, path))
        except FileNotFoundError:  # the owner, in another process, has dropped it meanwhile
            return None

    # The part above it

    def _scan(self, segments: list[Segment], first: int, loaded: LoadedLog) -> _Damage | None:
        """Goes through every batch above the recovery point, up to the first damage."""
        for place in range(first, len(segments)):
            segment = segments[place]
            trusted = segment.base_offset < loaded.recovery_point
            if not trusted and not self._may_begin(segment.base_offset, loaded):
                return self._misplaced(segments, place, loaded.log_end_offset)
            position = segment.size_bytes if trusted else 0
            if not trusted:
                segment.forget_indexes()
            stop = self._scan_segment(segment, position, loaded)
            loaded.recovered_bytes += stop.position - position
            segment.size_bytes = stop.position
            if not isinstance(stop, End):
                return _Damage(place, stop.position, loaded.log_end_offset, stop.reason)
        return None

    def _may_begin(self, offset: int, loaded: LoadedLog) -> bool:
        """Whether a batch of this base offset may be the next one."""
        if self._bounds.offsets_may_be_missing:
            return offset >= loaded.log_end_offset
        return offset == loaded.log_end_offset

    def _misplaced(self, segments: list[Segment], place: int, offset: int) -> _Damage:
        reason = f"the next segment begins at {segments[place].base_offset}, not {offset}"
        if place == 0:
            return _Damage(-1, 0, offset, reason)  # the name of the segment before it was lost
        return _Damage(place - 1, segments[place - 1].size_bytes, offset, reason)

    def _scan_segment(
        self, segment: Segment, position: int, loaded: LoadedLog
    ) -> Torn | Corrupt | End:
        limit = max(self._config.max_message_bytes, MIN_MAX_BATCH_BYTES)
        scanner = BatchScanner(position, max_batch_bytes=limit)
        while True:
            for batch in scanner.take_batches():
                misplaced = self._take_batch(segment, batch.header, batch.position, loaded)
                if misplaced is not None:
                    return misplaced
            event = scanner.next_event()
            if not isinstance(event, NeedData):
                assert not isinstance(event, Batch), "all of them were taken"
                return event
            chunk = segment.pread(SCAN_BYTES, position)
            position += len(chunk)
            if chunk:
                scanner.feed(chunk)
            else:
                scanner.feed_end()

    def _take_batch(
        self, segment: Segment, header: BatchHeader, position: int, loaded: LoadedLog
    ) -> Corrupt | None:
        """Takes note of the log's next batch, or says why it is not the next."""
        base_offset = header.base_offset
        if base_offset != loaded.log_end_offset and not self._may_begin(base_offset, loaded):
            reason = f"base offset {base_offset} instead of {loaded.log_end_offset}"
            return Corrupt(position, reason)
        if base_offset >= self._bounds.synced_offset and segment not in self._unsynced:
            self._unsynced[segment] = position
        last_offset = base_offset + header.last_offset_delta
        segment.indexes.observe(last_offset, header.max_timestamp, position)
        if header.producer_id >= 0:
            aborted = replay_batch(loaded.producers, header, segment, position)
            if aborted is not None:
                segment.add_aborted(aborted)
        loaded.log_end_offset = last_offset + 1
        return None

    def _truncation(self, segments: list[Segment], damage: _Damage) -> Truncation:
        """Judges the damage: raises `CorruptLogError` unless a crash explains it."""
        path, position = self._directory, damage.position
        removed = 0
        for place, segment in enumerate(segments):
            if place >= damage.place:
                start = damage.position if place == damage.place else 0
                removed += self._content_size(segment.path, start)
        if segments:
            path = segments[max(damage.place, 0)].path
        bounds = self._bounds
        if damage.offset < bounds.known_durable_offset:
            reason = f"{damage.reason} (offset {damage.offset}, durable to "
            reason += f"{bounds.known_durable_offset})"
            raise CorruptLogError(path, position, reason)
        if bounds.max_torn_bytes is not None and removed > bounds.max_torn_bytes:
            reason = f"{damage.reason}, and {removed} bytes behind it"
            raise CorruptLogError(path, position, reason)
        return Truncation(
            topic_partition=self._topic_partition,
            path=path,
            position=position,
            offset=damage.offset,
            removed_bytes=removed,
            reason=damage.reason,
        )

    def _content_size(self, path: str, start: int) -> int:
        """The bytes from `start` to the last that is not zero."""
        with contextlib.closing(self._files.open(path)) as file:
            end = file.size()
            while end > start:
                step = max(start, end - SCAN_BYTES)
                content = file.pread(end - step, step).rstrip(b"\0")
                if content:
                    return step + len(content) - start
                end = step
        return 0

    def _cut(self, segments: list[Segment], keep: int) -> list[Segment]:
        """Deletes the segments behind the first `keep`, the last one first."""
        for segment in reversed(segments[keep:]):
            segment.close()
            for suffix in (layout.LOG, *layout.INDEXES):
                with contextlib.suppress(FileNotFoundError):
                    self._files.unlink(segment.path_of(suffix))
        self._files.sync_directory(self._directory)
        return segments[:keep]

    def _settle(self, segments: list[Segment], first: int, loaded: LoadedLog) -> None:
        """Makes what was found durable: it may be in the page cache only.

        What may be there because its sync failed is written again: the system took those pages for
        clean when it failed, and another sync alone would leave them where they are.
        """
        changed = self._drop_strays(segments, loaded)
        for place in range(first, len(segments)):
            segment = segments[place]
            if place < len(segments) - 1:
                segment.indexes.seal()
            segment.reopen(writable=self._writable and place == len(segments) - 1)
            cut = self._files.size(segment.path) != segment.size_bytes
            if cut:
                segment.cut(segment.size_bytes)
            if segment in self._unsynced:
                segment.rewrite(self._unsynced[segment])
            elif loaded.log_end_offset > loaded.recovery_point and not cut:
                segment.datasync()
            changed |= cut or loaded.log_end_offset > loaded.recovery_point
        if changed:
            self._files.sync_directory(self._directory)
        loaded.producers.decide_below(loaded.log_end_offset)
        loaded.recovered = True

    def _drop_strays(self, segments: list[Segment], loaded: LoadedLog) -> bool:
        """Deletes indexes without a segment and snapshots above the recovery point, if any."""
        bases = {segment.base_offset for segment in segments}
        strays = [
            (offset, suffix)
            for suffix in layout.INDEXES
            for offset in self._offsets_of.get(suffix, [])
            if offset not in bases
        ]
        for offset in self._offsets_of.get(layout.SNAPSHOT, []):
            if offset > loaded.recovery_point:
                strays.append((offset, layout.SNAPSHOT))
                loaded.snapshot_offsets.remove(offset)
        for offset, suffix in strays:
            with contextlib.suppress(FileNotFoundError):
                path = os.path.join(self._directory, layout.file_name(offset, suffix))
                self._files.unlink(path)
        return bool(strays)


def _position_behind(segment: Segment, end: int) -> int:
    """Where the batch that ends at the offset `end` ends in the file.

    The batches behind the last index entry are looked at on the way, for the next entries.
    """
    position = segment.indexes.offsets.lookup(end - 1)
    for place, header in segment.walk(position, segment.size_bytes):
        segment.indexes.observe(header.last_offset, header.max_timestamp, place)
        position = place + header.size_bytes
        if header.next_offset >= end:
            if header.next_offset == end:
                return position
            break
    reason = f"no batch ends at offset {end}, the recovery point"
    raise CorruptLogError(segment.path, position, reason)
