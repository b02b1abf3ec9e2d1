"""Saves what can be saved of a damaged log into a new directory that opens. The old one stays.

Every whole batch is taken over as it is, with its offset. Where offsets are lost, a batch without
records keeps their place, as compaction leaves one: so what was committed (offsets of groups,
positions of stores) still means the same. Indexes, snapshots and checkpoints are made anew.

A lost batch may have been a transaction's marker. A producer has a higher epoch behind each of its
markers, so where it goes on with a higher one than its open transaction had, the marker is gone,
and with it how the transaction ended. An abort marker is put into the gap then: records that may
never have been committed are not to be read as if they had been.

The new directory is written under a temporary name and gets its own when it is complete; a crash
before that leaves `<name>.partial`, which the next attempt removes.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from streamlog.clock import SystemClock
from streamlog.errors import DirectoryAccessError
from streamlog.files import read_file, write_file
from streamlog.record import encode_batch
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import encode_offsets
from streamlog.storage.directory_files import make_directory
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.identity import read_boot_id, write_meta_properties
from streamlog.storage.inspect.check import (
    METADATA_PARTITION,
    Inspected,
    known_of,
    list_directory,
    read_metadata,
)
from streamlog.storage.inspect.partition_check import read_topic_id
from streamlog.storage.inspect.partition_files import list_partition
from streamlog.storage.inspect.rescue import Rescue
from streamlog.storage.inspect.root_files import read_root
from streamlog.storage.metadata import (
    METADATA,
    METADATA_TOPIC_ID,
    encode_next_producer_id,
    encode_topic,
)
from streamlog.topic import TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.storage.inspect.rescue import Rescued

PARTIAL: Final = ".partial"
DEFAULT_INTERVAL_BYTES: Final = 4096


@dataclass(slots=True)
class Repaired:
    """What was saved, and what was not.

    `partitions` are those with anything in them; `restored_topics` had lost their description, and
    with it their configuration, and were made again from the names of their directories.
    """

    partitions: dict[TopicPartition, Rescued] = field(
        default_factory=dict[TopicPartition, "Rescued"]
    )
    restored_topics: list[str] = field(default_factory=list[str])

    @property
    def records(self) -> int:
        return sum(rescued.records for rescued in self.partitions.values())

    @property
    def lost_offsets(self) -> int:
        return sum(
            end - start for rescued in self.partitions.values() for start, end in rescued.lost
        )


def repair_directory(
    files: Files,
    root: str,
    target: str,
    *,
    clock: Clock | None = None,
    boot_id: str | None = None,
    progress: Callable[[int], None] = lambda size: None,
) -> Repaired:
    """Writes the new directory `target`, durably.

    Raises `DirectoryAccessError` where there is something already, or no log at `root`;
    `FormatVersionError`; `DiskFullError` and `StorageError` where it cannot be written.
    """
    if files.exists(target) and files.listdir(target):
        raise DirectoryAccessError(target, "is there already: name a directory that is not")
    boot_id = read_boot_id() if boot_id is None else boot_id
    inspected = Inspected(read_root(files, root, boot_id))
    for _ in read_metadata(files, root, inspected, lambda size: None):
        pass
    for _ in list_directory(files, root, inspected):
        pass
    repair = _Repair(files, root, target + PARTIAL, inspected, progress)
    try:
        repair.write((clock or SystemClock()).now_ms())
        if files.exists(target):
            files.rmtree(target)  # it is empty
        files.rename(target + PARTIAL, target)
        files.sync_directory(os.path.dirname(os.path.abspath(target)))
    except OSError as error:
        raise wrap_write_error(target, error) from error
    return repair.result


class _Repair:
    def __init__(
        self,
        files: Files,
        root: str,
        target: str,
        inspected: Inspected,
        progress: Callable[[int], None],
    ) -> None:
        self._files = files
        self._root = root
        self._target = target
        self._inspected = inspected
        self._progress = progress
        self._starts: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._ids: dict[str, UUID] = {}
        self._highest_producer_id = -1
        self.result = Repaired()

    def write(self, now_ms: int) -> None:
        files, target = self._files, self._target
        if files.exists(target):
            files.rmtree(target)
        make_directory(files, target)
        for partition in self._partitions():
            self._rescue(partition, [])
        self._rescue(METADATA_PARTITION, self._metadata_records(), now_ms)
        for name, offsets in (
            (layout.RECOVERY_POINTS, self._ends),
            (layout.LOG_START_OFFSETS, self._starts),
            (layout.HIGH_WATERMARKS, self._ends),
        ):
            write_file(files, os.path.join(target, name), encode_offsets(offsets))
        self._write_identity()
        files.sync_directory(target)

    def _partitions(self) -> list[TopicPartition]:
        """With a directory, or with offsets that were there."""
        found = set(self._inspected.partitions)
        for name, topic in self._inspected.metadata.topics.items():
            found |= {TopicPartition(name, n) for n in range(topic.description.partitions)}
        return sorted(found)

    def _rescue(
        self,
        partition: TopicPartition,
        more: list[tuple[bytes, bytes]],
        now_ms: int = 0,
    ) -> None:
        files = self._files
        source = os.path.join(self._root, str(partition))
        if partition != METADATA_PARTITION:
            source = self._inspected.partitions.get(partition, "")
        if partition == METADATA_PARTITION:
            topic, topic_id = METADATA, METADATA_TOPIC_ID
        else:
            topic = self._inspected.metadata.topics.get(partition.topic)
            topic_id = topic.description.topic_id if topic else self._topic_id(partition.topic)
        known = known_of(files, source, partition, self._inspected, topic)
        exists = bool(source) and files.exists(source)
        if not exists and not known.durable_end and not more:
            return
        rescue = Rescue(
            files,
            partition,
            topic_id,
            os.path.join(self._target, str(partition)),
            known,
            topic.config.index_interval_bytes if topic else DEFAULT_INTERVAL_BYTES,
            self._progress,
        )
        if exists:
            rescue.take(list_partition(files, source))
        rescue.keep_end()
        if more:
            keys, values = [key for key, _ in more], [value for _, value in more]
            rescue.append(encode_batch(keys, values, [now_ms] * len(more)))
        rescued = rescue.finish()
        self._starts[partition] = rescued.start_offset
        self._ends[partition] = rescued.end_offset
        self._highest_producer_id = max(self._highest_producer_id, rescue.highest_producer_id)
        if rescued.end_offset or rescued.lost:
            self.result.partitions[partition] = rescued

    def _topic_id(self, topic: str) -> UUID:
        """Of a topic whose description is lost, from the directories of its partitions."""
        for partition, path in sorted(self._inspected.partitions.items()):
            if partition.topic == topic:
                metadata = os.path.join(path, layout.PARTITION_METADATA)
                found = read_topic_id(self._files, metadata)
                if found is not None:
                    return self._ids.setdefault(topic, found)
        return self._ids.setdefault(topic, uuid4())

    def _metadata_records(self) -> list[tuple[bytes, bytes]]:
        """What the metadata has lost: topics with directories, and producer ids in use."""
        metadata = self._inspected.metadata
        lost: dict[str, int] = {}
        for topic, partition in self._inspected.partitions:
            known = metadata.topics.get(topic)
            if known is None or partition >= known.description.partitions:
                lost[topic] = max(lost.get(topic, 0), partition + 1)
        records: list[tuple[bytes, bytes]] = []
        for topic, partitions in sorted(lost.items()):
            known = metadata.topics.get(topic)
            description = TopicDescription(
                name=topic,
                topic_id=known.description.topic_id if known else self._topic_id(topic),
                partitions=partitions,
                config=known.description.config if known else {},
            )
            records.append(_with_value(encode_topic(description)))
            if known is None:
                self.result.restored_topics.append(topic)
        if metadata.next_producer_id <= self._highest_producer_id:
            records.append(_with_value(encode_next_producer_id(self._highest_producer_id + 1)))
        return records

    def _write_identity(self) -> None:
        """The old `meta.properties` where it can be read, else a new one."""
        files = self._files
        name = layout.META_PROPERTIES
        damaged = {os.path.basename(each.path) for each in self._inspected.root_files.findings}
        source = os.path.join(self._root, name)
        if name not in damaged and files.exists(source):
            write_file(files, os.path.join(self._target, name), read_file(files, source))
        else:
            write_meta_properties(files, self._target, _new_id(), _new_id())


def _new_id() -> str:
    """A random id as Kafka writes it: base64 of a UUID."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()


def _with_value(record: tuple[bytes, bytes | None]) -> tuple[bytes, bytes]:
    key, value = record
    assert value is not None
    return key, value
