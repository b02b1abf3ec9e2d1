"""A log directory read by a process that does not own it: no lock, nothing written."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING

from streamlog.errors import (
    CorruptLogError,
    DirectoryAccessError,
    TopicDeletedError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.files import OsFiles, read_file
from streamlog.storage import layout
from streamlog.storage.deletion import parse_partition
from streamlog.storage.directory_files import read_checkpoints, read_offsets, segments_size
from streamlog.storage.durable_offsets import DurableOffsetsReader
from streamlog.storage.failure import wrap_access_error
from streamlog.storage.file_pool import FilePool
from streamlog.storage.followed_log import ATTEMPTS, FollowedLog
from streamlog.storage.identity import (
    check_format,
    has_all_transaction_indexes,
    read_boot_id,
    read_session,
)
from streamlog.storage.loader import Bounds, LoadedLog, Loader, is_other_topic, read_topic_id
from streamlog.storage.log_config import log_entries, topic_entries
from streamlog.storage.metadata import METADATA, METADATA_PARTITION, Metadata, Topic
from streamlog.topic import ConfigEntry, TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self
    from uuid import UUID

    from streamlog.files import Files
    from streamlog.storage.durable_offsets import DurableOffset, PartitionId
    from streamlog.storage.topic_config import TopicConfig


class ReadOnlyDirectory:
    """Topics and partitions up to their last durable end. Usable from any thread.

    Works beside a living owner and without one, after a clean stop or a crash: whatever was
    published as durable can be read.
    """

    def __init__(self, root: str, files: Files, boot_id: str) -> None:
        self.root = root
        self._files = files
        self._pool = FilePool(files)
        self._lock = RLock()
        self._checkpoints = read_checkpoints(files, root)
        self._all_transaction_indexes = has_all_transaction_indexes(files, root)
        self._durable = DurableOffsetsReader(files, os.path.join(root, layout.DURABLE_OFFSETS))
        session = read_session(files, root)
        # Without fsync, what was published before the machine stopped may be lost since.
        self._may_be_lost = (
            session is not None
            and (session.durability, session.is_of_boot(boot_id)) == ("os", False)
            and not files.exists(os.path.join(root, layout.CLEAN_SHUTDOWN))
        )
        self._logs: dict[TopicPartition, FollowedLog] = {}
        self._ids: dict[TopicPartition, UUID] = {}
        self._metadata = Metadata()
        self._metadata_offset = 0
        self._starts = b""
        self.changes = 0
        """How often a look has found something new about the topics."""
        self.refresh()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        files: Files | None = None,
        boot_id: str | None = None,
    ) -> ReadOnlyDirectory:
        """Raises `DirectoryAccessError` where there is no log, `FormatVersionError`."""
        files = files or OsFiles()
        root = os.path.abspath(path)
        try:
            if not check_format(files, root):
                raise DirectoryAccessError(root, "there is no log here")
            return cls(root, files, read_boot_id() if boot_id is None else boot_id)
        except OSError as error:
            raise wrap_access_error(root, error) from error

    def refresh(self) -> None:
        """Takes in topics and records that became durable since the last look."""
        with self._lock:
            durable = self._durable.read()
            self._follow_metadata(durable)
            self._follow_starts()
            for name, log in list(self._logs.items()):
                with suppress(TopicDeletedError):  # whoever reads it is told
                    log.refresh(self._end_of(name, self._topic_of(name), durable))

    def _follow_metadata(self, durable: Mapping[PartitionId, DurableOffset]) -> None:
        log = self._load(METADATA_PARTITION, METADATA)
        log.refresh(self._end_of(METADATA_PARTITION, METADATA, durable))
        if self._metadata_offset >= log.high_watermark:
            return
        start = max(self._metadata_offset, log.log_start_offset)
        self._metadata_offset = self._metadata.follow(log, start)
        self.changes += 1
        # Checkpoints go by names, and a topic may have the name of one that was deleted.
        self._checkpoints = read_checkpoints(self._files, self.root)
        for name, log in list(self._logs.items()):
            topic = METADATA if name == METADATA_PARTITION else self._metadata.topics.get(name[0])
            if topic is None or topic.description.topic_id != self._ids[name]:
                del self._logs[name]
                log.delete()

    def _follow_starts(self) -> None:
        """What the owner has deleted since the last look."""
        path = os.path.join(self.root, layout.LOG_START_OFFSETS)
        content = read_file(self._files, path) if self._files.exists(path) else b""
        if content == self._starts:
            return
        self._starts = content
        starts = read_offsets(self._files, self.root, layout.LOG_START_OFFSETS)
        self._checkpoints.log_start_offsets = starts
        for name, log in self._logs.items():
            log.advance_start(starts.get(name, 0))

    def topics(self) -> dict[str, TopicDescription]:
        """Every topic, internal ones (`__...`) too."""
        with self._lock:
            return {name: topic.description for name, topic in self._metadata.topics.items()}

    def topic(self, name: str) -> TopicDescription:
        """Raises `UnknownTopicError`."""
        with self._lock:
            return self._topic(name).description

    def partition(self, topic: str, partition: int) -> FollowedLog:
        """Raises `UnknownTopicError`, `UnknownPartitionError`."""
        with self._lock:
            known = self._topic(topic)
            if not 0 <= partition < known.description.partitions:
                raise UnknownPartitionError(topic, partition, known.description.partitions)
            return self._load(TopicPartition(topic, partition), known)

    def owner_pid(self) -> int | None:
        """The process that opened the directory last; it may have ended since."""
        path = os.path.join(self.root, layout.LOCK)
        content = read_file(self._files, path).strip() if self._files.exists(path) else b""
        return int(content) if content.isdigit() else None

    def close(self) -> None:
        with self._lock:
            for log in self._logs.values():
                log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _topic(self, name: str) -> Topic:
        topic = self._metadata.topics.get(name)
        if topic is None:
            raise UnknownTopicError(name, self._metadata.topics)
        return topic

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        """Every configuration of a topic. Raises `UnknownTopicError`."""
        with self._lock:
            return topic_entries(name, self._topic(name).description.config, self._metadata.config)

    def config(self) -> dict[str, ConfigEntry]:
        """The log's own configuration, by Kafka's names."""
        with self._lock:
            return log_entries(self._metadata.config)

    def sizes(self) -> dict[TopicPartition, int]:
        """The bytes of each partition's segments, with what is preallocated."""
        sizes: dict[TopicPartition, int] = {}
        with self._lock:
            for name in self._files.listdir(self.root):
                parsed = parse_partition(name)
                if parsed and parsed[0] in self._metadata.topics:
                    with suppress(FileNotFoundError):
                        path = os.path.join(self.root, name)
                        sizes[TopicPartition(*parsed)] = segments_size(self._files, path)
        return dict(sorted(sizes.items()))

    def _topic_of(self, topic_partition: TopicPartition) -> Topic:
        if topic_partition == METADATA_PARTITION:
            return METADATA
        return self._metadata.topics[topic_partition.topic]

    def _load(self, topic_partition: TopicPartition, topic: Topic) -> FollowedLog:
        log = self._logs.get(topic_partition)
        if log is None:
            topic_id = topic.description.topic_id
            directory = os.path.join(self.root, str(topic_partition))

            def load() -> LoadedLog:
                """Takes no lock of the directory's: the log's own may be held."""
                if is_other_topic(read_topic_id(self._files, directory), topic_id):
                    raise TopicDeletedError(topic_partition.topic)
                points = read_offsets(self._files, self.root, layout.RECOVERY_POINTS)
                starts = read_offsets(self._files, self.root, layout.LOG_START_OFFSETS)
                start = starts.get(topic_partition, 0)
                bounds = Bounds(
                    recovery_point=points.get(topic_partition, 0),
                    log_start_offset=start,
                    all_transaction_indexes=self._all_transaction_indexes,
                )
                return load_beside(topic_partition, directory, topic.config, self._pool, bounds)

            log = FollowedLog(
                topic_partition,
                directory,
                topic.config,
                self._pool,
                load,
                lambda: self._end_of(topic_partition, topic, None),
            )
            log.refresh()
            self._logs[topic_partition] = log
            self._ids[topic_partition] = topic_id
        return log

    def _end_of(
        self,
        topic_partition: TopicPartition,
        topic: Topic,
        known: Mapping[PartitionId, DurableOffset] | None,
    ) -> int:
        """The highest of what the owner has published; each of these is true.

        `known` is what its file says, where that was read already.
        """
        partition_id = (topic.description.topic_id, topic_partition.partition)
        durable = self._durable.read_one(partition_id) if known is None else known.get(partition_id)
        return max(
            durable.high_watermark if durable and not self._may_be_lost else 0,
            self._checkpoints.high_watermarks.get(topic_partition, 0),
            self._checkpoints.recovery_points.get(topic_partition, 0),
        )


def load_beside(
    topic_partition: TopicPartition,
    directory: str,
    config: TopicConfig,
    pool: FilePool,
    bounds: Bounds,
) -> LoadedLog:
    """What lies below the recovery point, while the owner may delete and compact.

    Raises `TopicDeletedError` where there is nothing any more, and `CorruptLogError`.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            loader = Loader(topic_partition, directory, config, pool, bounds, writable=False)
            return loader.load_trusted()
        except FileNotFoundError as error:  # deleted or compacted since it was listed
            if attempt == ATTEMPTS:
                raise CorruptLogError(error.filename, 0, "the file is gone") from error
        except CorruptLogError as error:
            if bounds.recovery_point and not pool.files.exists(directory):
                raise TopicDeletedError(topic_partition.topic) from error
            if attempt == ATTEMPTS:
                raise
