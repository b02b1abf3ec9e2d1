"""Checks a log directory that nobody has open: what is wrong, and where.

It reads everything and changes nothing. What has a checksum is held against it; what is made from
the batches (indexes, snapshots, checkpoints) is held against the batches.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from streamlog.errors import CorruptRecordError, StreamlogError, UnsupportedCompressionError
from streamlog.record import Columns, decode_batch
from streamlog.storage import layout
from streamlog.storage.identity import read_boot_id
from streamlog.storage.inspect.finding import Finding
from streamlog.storage.inspect.partition_check import PartitionCheck, read_topic_id
from streamlog.storage.inspect.partition_files import Known
from streamlog.storage.inspect.root_files import KNOWN_NAMES, read_root
from streamlog.storage.loader import is_other_topic
from streamlog.storage.metadata import METADATA, METADATA_TOPIC_ID, Metadata, Topic
from streamlog.storage.topic_config import METADATA_TOPIC
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from streamlog.files import Files
    from streamlog.storage.inspect.root_files import RootFiles
    from streamlog.storage.inspect.salvage import Whole

METADATA_PARTITION: Final = TopicPartition(METADATA_TOPIC, 0)
_PARTITION = re.compile(r"(.+)-(\d+)")
_DELETED = re.compile(r".+\.[0-9a-f]{32}-delete")


@dataclass(slots=True)
class Inspected:
    """What a check has learned, for who repairs."""

    root_files: RootFiles
    metadata: Metadata = field(default_factory=Metadata)
    unread_topics: set[str] = field(default_factory=set[str])
    """Names of topics whose record cannot be read."""
    partitions: dict[TopicPartition, str] = field(default_factory=dict[TopicPartition, str])
    """Directories that are of a topic of this log, or that no topic is known for any more."""


def check_directory(
    files: Files,
    root: str,
    *,
    boot_id: str | None = None,
    progress: Callable[[int], None] = lambda size: None,
) -> Iterator[Finding]:
    """Everything that is not as it should be; `progress` is told the bytes that were checked.

    Raises `DirectoryAccessError` where there is no log, `FormatVersionError` for a newer format.
    """
    boot_id = read_boot_id() if boot_id is None else boot_id
    inspected = Inspected(read_root(files, root, boot_id))
    yield from inspected.root_files.findings
    yield from read_metadata(files, root, inspected, progress)
    yield from list_directory(files, root, inspected)
    for partition, directory in sorted(inspected.partitions.items()):
        yield from check_of(files, directory, partition, inspected, progress).findings()
    yield from _missing(files, root, inspected)
    yield from _checkpoints(root, inspected)


def check_of(
    files: Files,
    directory: str,
    partition: TopicPartition,
    inspected: Inspected,
    progress: Callable[[int], None] = lambda size: None,
) -> PartitionCheck:
    """The check of one partition."""
    topic = METADATA if partition == METADATA_PARTITION else _topic(inspected, partition)
    topic_id = topic.description.topic_id if topic else None
    return PartitionCheck(
        files,
        directory,
        partition,
        topic_id,
        known_of(files, directory, partition, inspected, topic),
        topic.config.index_interval_bytes if topic else 4096,
        progress,
    )


def known_of(
    files: Files,
    directory: str,
    partition: TopicPartition,
    inspected: Inspected,
    topic: Topic | None,
) -> Known:
    """What the root says of a partition."""
    found = inspected.root_files
    topic_id = topic.description.topic_id if topic else _id_of(files, directory)
    ends = found.ends(partition, topic_id)
    recovery_point = ends.get(layout.RECOVERY_POINTS, 0)
    if found.clean:
        ends.pop(_disagreeing(ends) or "", None)
        recovery_point = max(ends.values(), default=0)
    ends.pop(layout.HIGH_WATERMARKS, None)
    return Known(
        log_start_offset=found.checkpoint(layout.LOG_START_OFFSETS, partition),
        recovery_point=recovery_point,
        durable_end=max([recovery_point, *ends.values()]),
        clean=found.clean,
        gaps=topic is None or topic.config.compact,
    )


def _disagreeing(ends: Mapping[str, int]) -> str | None:
    """After a clean stop all say the same; where two do, the third one is wrong."""
    for name, end in ends.items():
        others = {other for each, other in ends.items() if each != name}
        if len(ends) == 3 and len(others) == 1 and end not in others:
            return name
    return None


def read_metadata(
    files: Files, root: str, inspected: Inspected, progress: Callable[[int], None]
) -> Iterator[Finding]:
    """The metadata's partition is checked, and its records are taken in."""
    directory = os.path.join(root, str(METADATA_PARTITION))
    if not files.exists(directory):
        others = any(_PARTITION.fullmatch(name) for name in files.listdir(root))
        known = known_of(files, directory, METADATA_PARTITION, inspected, METADATA)
        reason = "the metadata is missing: topics and their configurations"
        saved = "names, ids and partitions of topics are found in their directories"
        level = "damage" if others or known.clean or known.durable_end else "mended"
        yield Finding(level=level, path=directory, reason=reason, saved=saved)
        return
    unread: list[Finding] = []
    check = check_of(files, directory, METADATA_PARTITION, inspected, progress)

    def take(piece: Whole) -> None:
        unread.extend(_take_metadata(inspected, directory, piece))

    check.take = take
    yield from check.findings()
    yield from unread


def _take_metadata(inspected: Inspected, directory: str, piece: Whole) -> Iterator[Finding]:
    columns = Columns()
    try:
        decode_batch(piece.data, 0, columns)
    except (CorruptRecordError, UnsupportedCompressionError) as error:
        yield _unread(directory, piece, f"a batch that cannot be read: {error}")
        return
    for key, value in zip(columns.keys, columns.values, strict=True):
        try:
            inspected.metadata.apply(key, value)
        except (StreamlogError, msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
            if key is not None and key.startswith(b"topic:"):
                inspected.unread_topics.add(key[6:].decode(errors="replace"))
            yield _unread(directory, piece, f"a record that cannot be read: {error}")


def _unread(directory: str, piece: Whole, reason: str) -> Finding:
    return Finding(
        level="damage",
        path=directory,
        position=piece.position,
        offset=piece.header.base_offset,
        reason=reason,
        saved="it is kept as it is",
    )


def list_directory(files: Files, root: str, inspected: Inspected) -> Iterator[Finding]:
    """Tells partitions, leftovers and foreign names apart."""
    misplaced: list[tuple[str, TopicPartition]] = []
    for name in files.listdir(root):
        path = os.path.join(root, name)
        if name in KNOWN_NAMES or name == str(METADATA_PARTITION):
            continue
        if _DELETED.fullmatch(name):
            reason, saved = "of a deleted topic", "the log removes it"
            yield Finding(level="mended", path=path, reason=reason, saved=saved)
        elif name.endswith(".tmp"):
            reason, saved = "left by an interrupted replacement", "not read"
            yield Finding(level="mended", path=path, reason=reason, saved=saved)
        elif match := _PARTITION.fullmatch(name):
            partition = TopicPartition(match[1], int(match[2]))
            finding = _assign(files, path, partition, inspected)
            if finding is None:
                inspected.partitions[partition] = path
            else:
                yield finding
                misplaced.append((path, partition))
        else:
            yield Finding(level="odd", path=path, reason="no file of a log", saved="not read")
    for path, partition in misplaced:
        owner = _owner_of(files, path, partition, inspected)
        if owner is not None and owner not in inspected.partitions:
            inspected.partitions[owner] = path


def _assign(
    files: Files, path: str, partition: TopicPartition, inspected: Inspected
) -> Finding | None:
    """What is wrong with a directory that has a partition's name; None for nothing."""
    topic = _topic(inspected, partition)
    found = _id_of(files, path)
    if found in inspected.metadata.deleted:
        reason, saved = "of a deleted topic", "opening removes it"
        return Finding(level="mended", path=path, reason=reason, saved=saved)
    owner = next((t for t in inspected.metadata.topics.values() if _has_id(t, found)), None)
    if owner is not None and owner is not topic:
        reason = f"the directory is of topic {owner.description.name}, by its id"
        if partition.partition >= owner.description.partitions:
            saved = "not taken over: nothing says of which partition"
            return Finding(level="damage", path=path, reason=reason, saved=saved)
    elif topic is None and found is None and partition.topic not in inspected.unread_topics:
        reason = "no topic has this name, and nothing says that it is a partition"
        return Finding(level="odd", path=path, reason=reason, saved="not read")
    elif topic is None:
        reason = f"no topic has this name; the directory is of one with id {found}"
    elif owner is None and is_other_topic(found, topic.description.topic_id):
        reason = f"the directory is of a topic with id {found}, which is not this one"
        return Finding(level="damage", path=path, reason=reason, saved="it is not taken over")
    elif partition.partition >= topic.description.partitions:
        reason = f"the topic has {topic.description.partitions} partitions"
    else:
        return None
    return Finding(level="damage", path=path, reason=reason, saved="its records can be saved")


def _owner_of(
    files: Files, path: str, partition: TopicPartition, inspected: Inspected
) -> TopicPartition | None:
    """The partition that a directory with another's name, or of no known topic, is taken for."""
    found = _id_of(files, path)
    if found in inspected.metadata.deleted:
        return None
    for topic in inspected.metadata.topics.values():
        if _has_id(topic, found):
            owner = TopicPartition(topic.description.name, partition.partition)
            return owner if partition.partition < topic.description.partitions else None
    if _topic(inspected, partition) is not None:
        return None
    lost = found is not None or partition.topic in inspected.unread_topics
    return partition if lost else None


def _has_id(topic: Topic, topic_id: UUID | None) -> bool:
    return topic.description.topic_id == topic_id


def _missing(files: Files, root: str, inspected: Inspected) -> Iterator[Finding]:
    """Partitions that were written, and have no directory."""
    for name, topic in inspected.metadata.topics.items():
        for number in range(topic.description.partitions):
            partition = TopicPartition(name, number)
            path = os.path.join(root, str(partition))
            if partition in inspected.partitions:
                continue
            known = known_of(files, path, partition, inspected, topic)
            start, end = known.log_start_offset, known.durable_end
            if end > start:
                yield Finding(
                    level="damage",
                    path=path,
                    offset=start,
                    end_offset=end,
                    reason=f"the directory is missing, with offsets {start} to {end - 1}",
                )


def _checkpoints(root: str, inspected: Inspected) -> Iterator[Finding]:
    """Lines of partitions that nobody has."""
    topics = inspected.metadata.topics
    for name, offsets in inspected.root_files.checkpoints.items():
        strays = [
            partition
            for partition in offsets
            if partition.topic not in topics
            and partition != METADATA_PARTITION
            and partition not in inspected.partitions
        ]
        negative = [partition for partition, offset in offsets.items() if offset < 0]
        path = os.path.join(root, name)
        for partition in strays:
            reason = f"it has {partition}, which is of no topic"
            yield Finding(level="odd", path=path, reason=reason, saved="not read")
        for partition in negative:
            reason = f"it says {offsets[partition]} of {partition}"
            yield Finding(level="damage", path=path, reason=reason)
    if inspected.root_files.clean:
        yield from _ends(root, inspected)


def _ends(root: str, inspected: Inspected) -> Iterator[Finding]:
    """The files that say another end than the others."""
    known = {METADATA_PARTITION: METADATA_TOPIC_ID}
    for partition in inspected.partitions:
        topic = _topic(inspected, partition)
        if topic is not None:
            known[partition] = topic.description.topic_id
    for partition, topic_id in known.items():
        ends = inspected.root_files.ends(partition, topic_id)
        name = _disagreeing(ends)
        if name is not None:
            # The durable offsets are never synced, so a loss of power leaves older ones.
            behind = name == layout.DURABLE_OFFSETS and ends[name] < max(ends.values())
            reason = f"it says that {partition} ends at {ends[name]}, which the others do not"
            yield Finding(
                level="mended" if behind else "damage",
                path=os.path.join(root, name),
                offset=ends[name],
                reason=reason,
                saved="two others say the same",
            )


def _topic(inspected: Inspected, partition: TopicPartition) -> Topic | None:
    return inspected.metadata.topics.get(partition.topic)


def _id_of(files: Files, directory: str) -> UUID | None:
    if os.path.basename(directory) == str(METADATA_PARTITION):
        return METADATA_TOPIC_ID
    return read_topic_id(files, os.path.join(directory, layout.PARTITION_METADATA))
