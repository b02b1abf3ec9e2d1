"""A log directory read by a process that does not own it: no lock, nothing written."""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Final

from streamlog.errors import DirectoryAccessError, UnknownPartitionError, UnknownTopicError
from streamlog.files import OsFiles, read_file
from streamlog.storage import layout
from streamlog.storage.directory_files import read_checkpoints
from streamlog.storage.durable_offsets import DurableOffsetsReader
from streamlog.storage.failure import wrap_access_error
from streamlog.storage.file_pool import FilePool
from streamlog.storage.followed_log import FollowedLog
from streamlog.storage.identity import check_format, read_boot_id, read_session
from streamlog.storage.loader import Bounds, Loader
from streamlog.storage.metadata import METADATA, Metadata, Topic
from streamlog.storage.topic_config import METADATA_TOPIC
from streamlog.topic import TopicDescription, TopicPartition

if TYPE_CHECKING:
    from typing import Self

    from streamlog.files import Files

READ_BYTES: Final = 1 << 20
METADATA_PARTITION: Final = TopicPartition(METADATA_TOPIC, 0)


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
        self._durable = DurableOffsetsReader(files, os.path.join(root, layout.DURABLE_OFFSETS))
        session = read_session(files, root)
        # Without fsync, what was published before the machine stopped may be lost since.
        self._may_be_lost = (
            session is not None
            and (session.durability, session.is_of_boot(boot_id)) == ("os", False)
            and not files.exists(os.path.join(root, layout.CLEAN_SHUTDOWN))
        )
        self._logs: dict[TopicPartition, FollowedLog] = {}
        self._metadata = Metadata()
        self._metadata_offset = 0
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
            log = self._load(METADATA_PARTITION, METADATA)
            log.refresh()
            while self._metadata_offset < log.high_watermark:
                fetched = log.read(self._metadata_offset, READ_BYTES)
                self._metadata.apply_batches(fetched)
                self._metadata_offset = fetched.next_offset
            for log in list(self._logs.values()):
                log.refresh()

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

    def _load(self, topic_partition: TopicPartition, topic: Topic) -> FollowedLog:
        log = self._logs.get(topic_partition)
        if log is None:
            directory = os.path.join(self.root, str(topic_partition))
            bounds = Bounds(
                recovery_point=self._checkpoints.recovery_points.get(topic_partition, 0),
                log_start_offset=self._checkpoints.log_start_offsets.get(topic_partition, 0),
            )
            loader = Loader(
                topic_partition, directory, topic.config, self._pool, bounds, writable=False
            )
            log = FollowedLog(
                topic_partition,
                directory,
                topic.config,
                self._pool,
                loader.load_trusted(),
                lambda: self._durable_end(topic_partition, topic),
            )
            log.refresh()
            self._logs[topic_partition] = log
        return log

    def _durable_end(self, topic_partition: TopicPartition, topic: Topic) -> int:
        """The highest of what the owner has published; each of these is true."""
        partition_id = (topic.description.topic_id, topic_partition.partition)
        durable = self._durable.read().get(partition_id)
        return max(
            durable.high_watermark if durable and not self._may_be_lost else 0,
            self._checkpoints.high_watermarks.get(topic_partition, 0),
            self._checkpoints.recovery_points.get(topic_partition, 0),
        )
