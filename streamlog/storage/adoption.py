"""Copies the partitions of a topic from the directory of a stopped broker, or of another log.

What is taken are the segments: everything else is rebuilt from them, and every batch is checked on
the way. The directories are made, recovered and checkpointed before the topic is: a crash in the
middle leaves directories of a topic id that no topic has.

Kafka's compaction may leave nothing of the last offsets of a segment; in our logs each segment
ends where the next one begins, so that one that is lost is missed. Such a gap gets a batch without
records.

The producers of a foreign log stay where they are. Ours may get the same ids, and must not be
taken for them; so of theirs only the transactions that are still open are remembered.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamlog.errors import DirectoryLockedError, StorageError
from streamlog.files import OsFiles, write_file
from streamlog.record import encode_control_batch
from streamlog.storage import layout
from streamlog.storage.batch_cleaner import filler_batch
from streamlog.storage.directory_files import read_offsets
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.loader import Bounds, Loader, small_files
from streamlog.storage.partition_log import CHECKPOINT_BYTES, MAX_RELATIVE_OFFSET
from streamlog.storage.producer_state import NO_OFFSET, ProducerState
from streamlog.storage.segment import ANY_OFFSET
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from streamlog.files import Files
    from streamlog.record import ControlType
    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.loader import LoadedLog
    from streamlog.storage.metadata import Topic
    from streamlog.storage.topic_config import TopicConfig

    ChooseMarker = Callable[[TopicPartition, int, int], tuple[ControlType, int]]
    """Partition in the foreign log, producer id and epoch of an open transaction, to its marker."""

COPY_BYTES: Final = 1 << 20
COORDINATOR_EPOCH: Final = 0


@dataclass(frozen=True, slots=True)
class ForeignPartition:
    """A partition's directory outside of the log, and what its root knows of it."""

    topic_partition: TopicPartition
    path: str
    log_start_offset: int


def find_partitions(root: str, topic: str) -> list[ForeignPartition]:
    """The partitions of a topic in a broker's directory, from 0 on without a gap.

    Raises `DirectoryLockedError` while the broker runs, `StorageError` where there is no partition
    or one is missing (in another directory of that broker, perhaps), and `CorruptLogError` for a
    damaged checkpoint.
    """
    files = OsFiles()
    _check_stopped(os.path.join(root, layout.LOCK))
    matches = [re.fullmatch(re.escape(topic) + r"-(\d+)", name) for name in files.listdir(root)]
    numbers = sorted(int(match[1]) for match in matches if match is not None)
    missing = min(set(range(len(numbers) + 1)) - set(numbers))
    if missing < max(len(numbers), 1):
        raise StorageError(root, f"there is no directory {topic}-{missing}")
    starts = read_offsets(files, root, layout.LOG_START_OFFSETS)
    names = [TopicPartition(topic, number) for number in numbers]
    return [
        ForeignPartition(name, os.path.join(root, str(name)), starts.get(name, 0)) for name in names
    ]


def _check_stopped(path: str) -> None:
    """A broker of Java's locks the file by `fcntl`, ours by `flock`. The lock is not kept."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryLockedError(os.path.dirname(path), None) from None


def adopt_partitions(
    topic: Topic,
    sources: Sequence[ForeignPartition],
    root: str,
    pool: FilePool,
    choose_marker: ChooseMarker | None,
    now_ms: int,
) -> dict[TopicPartition, LoadedLog]:
    """The partitions of a topic that is still to be, copied and checked; a checkpoint is due.

    Their directories must not be there yet, and none stays where one cannot be copied.
    """
    topic_id, config = topic.description.topic_id, topic.config
    adopted: dict[TopicPartition, LoadedLog] = {}
    made: list[str] = []
    try:
        for number, source in enumerate(sources):
            name = TopicPartition(topic.description.name, number)
            path = os.path.join(root, str(name))
            made.append(path)
            _copy_partition(source, pool.files, path, topic_id)
            loaded = _load(source, name, path, config, pool)
            if _fill_gaps(pool.files, path, loaded):
                loaded = _load(source, name, path, config, pool)
            opened = loaded.producers.open_transactions()
            if choose_marker is not None and opened:
                markers = [
                    (producer_id, *choose_marker(source.topic_partition, producer_id, epoch))
                    for producer_id, (epoch, _) in opened.items()
                ]
                _append_markers(pool.files, loaded, markers, now_ms)
                loaded = _load(source, name, path, config, pool)
            adopted[name] = loaded
    except BaseException as error:
        for path in made:
            if pool.files.exists(path):
                pool.files.rmtree(path)
        if isinstance(error, OSError):
            raise wrap_write_error(root, error) from error
        raise
    return adopted


def _copy_partition(source: ForeignPartition, files: Files, directory: str, topic_id: UUID) -> None:
    """Copies the segments into a new directory, durably."""
    files.makedirs(directory)
    for name, content in small_files(topic_id).items():
        write_file(files, os.path.join(directory, name), content)
    for name in sorted(OsFiles().listdir(source.path)):
        parsed = layout.parse_file_name(name)
        if parsed is not None and parsed[1] == layout.LOG:
            _copy(os.path.join(source.path, name), files, os.path.join(directory, name))
    files.sync_directory(directory)
    files.sync_directory(os.path.dirname(directory))


def _load(
    source: ForeignPartition,
    topic_partition: TopicPartition,
    directory: str,
    config: TopicConfig,
    pool: FilePool,
) -> LoadedLog:
    """Checks all of a copied partition; a checkpoint is due afterwards.

    Raises `CorruptLogError` for any damage: a broker that is started and stopped once more repairs
    what it has torn itself.
    """
    parsed = (layout.parse_file_name(name) for name in pool.files.listdir(directory))
    bases = sorted(each[0] for each in parsed if each is not None and each[1] == layout.LOG)
    start = max(source.log_start_offset, bases[0] if bases else 0)
    bounds = Bounds(log_start_offset=start, synced_offset=ANY_OFFSET, offsets_may_be_missing=True)
    loaded = Loader(topic_partition, directory, config, pool, bounds, writable=True).recover()
    loaded.log_end_offset = max(loaded.log_end_offset, start, bases[-1] if bases else 0)
    loaded.recovered_bytes = max(loaded.recovered_bytes, CHECKPOINT_BYTES)
    loaded.producers = _with_open_transactions(topic_partition, loaded.producers)
    if not loaded.segments:
        loaded.log_start_offset = loaded.recovery_point = loaded.log_end_offset
    return loaded


def _fill_gaps(files: Files, directory: str, loaded: LoadedLog) -> bool:
    """Lets every segment end where the next one begins, the last where the log ends.

    Whether any did not. Not synced: loading it again does that.
    """
    segments = loaded.segments
    ends = [*(segment.base_offset for segment in segments[1:]), loaded.log_end_offset]
    gaps = [
        (segment, start, end)
        for segment, end in zip(segments, ends, strict=False)
        if (start := segment.next_offset()) < end
    ]
    for segment, start, end in gaps:
        segment.close()
        base_offset, position = segment.base_offset, segment.size_bytes
        while start < end:
            if start - base_offset > MAX_RELATIVE_OFFSET:  # more than a segment can have
                base_offset, position = start, 0
            following = min(end, base_offset + MAX_RELATIVE_OFFSET + 1)
            content = filler_batch(start, following - 1)
            path = os.path.join(directory, layout.file_name(base_offset, layout.LOG))
            with contextlib.closing(files.open(path, "create")) as file:
                file.pwrite(content, position)
            start = following
    return bool(gaps)


def _append_markers(
    files: Files, loaded: LoadedLog, markers: list[tuple[int, ControlType, int]], now_ms: int
) -> None:
    """Before the log is there, so that it never knows the producers that they are for."""
    for segment in loaded.segments:
        segment.close()
    last = loaded.segments[-1]
    content = bytearray()
    for offset, (producer_id, kind, epoch) in enumerate(markers, loaded.log_end_offset):
        content += encode_control_batch(kind, producer_id, epoch, COORDINATOR_EPOCH, now_ms, offset)
    with contextlib.closing(files.open(last.path, "write")) as file:
        file.pwrite(content, last.size_bytes)
        file.datasync()


def _with_open_transactions(
    topic_partition: TopicPartition, producers: ProducerState
) -> ProducerState:
    entries = [
        entry for entry in producers.entries.values() if entry.transaction_first_offset != NO_OFFSET
    ]
    for entry in entries:
        entry.batches.clear()
    return ProducerState(topic_partition, entries)


def _copy(source: str, files: Files, target: str) -> None:
    with (
        contextlib.closing(OsFiles().open(source)) as reader,
        contextlib.closing(files.open(target, "create")) as writer,
    ):
        position, size = 0, reader.size()
        while position < size:
            data = reader.pread(min(COPY_BYTES, size - position), position)
            writer.pwrite(data, position)
            position += len(data)
        writer.datasync()
