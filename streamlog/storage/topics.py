"""The topics of a log directory, and every change of them: the metadata log has one writer.

A change is a record of the metadata log. It counts when that is durable; what it is made of (the
directories of partitions) comes before it when a topic is adopted, and after it when one is
deleted or created. A topic is deleted in this order:

1. a record takes the topic away and says that it may still have directories;
2. its logs refuse, the windows and checkpoints under way end, files are let go;
3. its directories lose their names, and the checkpoints forget its partitions;
4. a record says that nothing is left. Only now may another topic have the name.

Where 3 fails, the next topic of that name begins with it, and so does the next opening.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from streamlog.errors import (
    InvalidPartitionsError,
    OffsetOutOfRangeError,
    PartitionCountError,
    PolicyViolationError,
    TopicExistsError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.record import encode_batch
from streamlog.storage.adoption import find_partitions
from streamlog.storage.deletion import parse_partition, unname_partitions
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.log_config import LogConfig, log_entries, topic_entries
from streamlog.storage.metadata import (
    METADATA,
    METADATA_PARTITION,
    DeletedTopic,
    Metadata,
    MetadataRecord,
    Topic,
    encode_config,
    encode_deletion,
    encode_deletion_end,
    encode_next_producer_id,
    encode_topic,
)
from streamlog.storage.partitions import partitions_of
from streamlog.storage.topic_config import check_topic_name, parse_config
from streamlog.topic import ConfigEntry, TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.storage.adoption import ChooseMarker
    from streamlog.storage.deletion import Deletions
    from streamlog.storage.flusher import Flusher
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.partitions import Partitions

PRODUCER_ID_BLOCK: Final = 1000


class Topics:
    """The owner of the metadata log. Usable from any thread, but changes not on the flusher's.

    The partitions' lock guards what is known; a lock of its own, taken first, lets changes come
    one by one.
    """

    def __init__(
        self,
        partitions: Partitions,
        files: Files,
        flusher: Flusher,
        deletions: Deletions,
        clock: Clock,
        on_configure: Callable[[PartitionLog], None],
        on_delete: Callable[[TopicPartition], None],
    ) -> None:
        """`on_configure` gets each log that has another configuration, under the lock.

        `on_delete` gets each partition of a deleted topic, before another one may have its name.
        """
        self.changes = 0
        """How often topics have changed since the directory was opened."""
        self._partitions = partitions
        self._root = partitions.root
        self._files = files
        self._flusher = flusher
        self._deletions = deletions
        self._clock = clock
        self._on_configure = on_configure
        self._on_delete = on_delete
        self._lock = partitions.lock  # guards what follows
        self._metadata = Metadata()
        self._listeners: list[Callable[[str], None]] = []
        self._changing = Lock()  # one change at a time; guards what follows
        self._producer_ids = range(0)

    # What there is

    def load(self) -> None:
        """Reads the metadata log. While opening."""
        log = self._partitions.load(METADATA_PARTITION, METADATA)
        self._metadata.follow(log, log.log_start_offset)

    def known(self) -> dict[str, Topic]:
        """Every topic with its configuration, internal ones (`__...`) too."""
        with self._lock:
            return dict(self._metadata.topics)

    def get(self, name: str) -> Topic:
        """Raises `UnknownTopicError`."""
        with self._lock:
            topic = self._metadata.topics.get(name)
            if topic is None:
                raise UnknownTopicError(name, self._metadata.topics)
            return topic

    def partition(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition, loaded when it is first asked for.

        Raises `UnknownTopicError`, `UnknownPartitionError`, and `CorruptLogError` where loading
        finds damage.
        """
        name = TopicPartition(topic, partition)
        log = self._partitions.get(name)
        if log is not None:
            return log
        with self._lock:
            self._partitions.check_open()
            known = self.get(topic)
            if not 0 <= partition < known.description.partitions:
                raise UnknownPartitionError(topic, partition, known.description.partitions)
            return self._partitions.load(name, known)

    def open_transactions(self) -> dict[TopicPartition, dict[int, tuple[int, int]]]:
        """Every partition with transactions without a marker: producer id to (epoch, first offset).

        After a clean stop only the partitions that are known to have some are loaded.
        """
        with self._lock:
            for name in self._partitions.with_open_transactions():
                if name.topic in self._metadata.topics:
                    self.partition(*name)
            logs = self._partitions.logs()
        found = {name: log.open_transactions() for name, log in logs.items()}
        return {name: transactions for name, transactions in found.items() if transactions}

    @property
    def log_config(self) -> LogConfig:
        """The log's own configuration as it is now."""
        return self._metadata.log_config

    def config(self) -> dict[str, ConfigEntry]:
        """The log's own configuration, by Kafka's names."""
        return log_entries(self._metadata.config)

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        """Every configuration of a topic. Raises `UnknownTopicError`."""
        with self._lock:
            return topic_entries(name, self.get(name).description.config, self._metadata.config)

    def find_strays(self) -> list[str]:
        """The directories of partitions that no topic has."""
        names = self._files.listdir(self._root)
        known = {METADATA_PARTITION, *self._partitions.written(self._metadata.topics)}
        known_names = {str(name) for name in known}
        deleted = {each.name for each in self._metadata.deleted.values()}
        strays: list[str] = []
        for name in names:
            parsed = parse_partition(name)
            if parsed and name not in known_names and parsed[0] not in deleted:
                strays.append(os.path.join(self._root, name))
        return strays

    def add_listener(self, listener: Callable[[str], None]) -> None:
        """`listener(topic)` runs, in the changing thread, when a topic was changed or deleted."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Callable[[str], None]) -> None:
        with self._lock:
            self._listeners = [each for each in self._listeners if each != listener]

    # Changes

    def create(
        self,
        name: str,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
        *,
        exist_ok: bool = False,
    ) -> TopicDescription:
        """Creates a topic, durably; the directories of its partitions are made at first write.

        Raises `TopicExistsError`, or with `exist_ok` only a `PartitionCountError`;
        `InvalidTopicError`, `InvalidConfigError`, and `StorageError` where such a directory is
        there already.
        """
        check_topic_name(name)
        if index(partitions) < 1:
            raise InvalidPartitionsError(name, partitions, "it needs at least one")
        config = dict(config or {})
        parse_config(name, config)
        with self._changing:
            known = self._metadata.topics.get(name)
            if known is not None:
                found = known.description.partitions
                if not exist_ok:
                    raise TopicExistsError(name)
                if found != partitions:
                    raise PartitionCountError(name, found=found, wanted=partitions)
                return known.description
            topic = self._begin_topic(name, partitions, config)
            self._append([encode_topic(topic.description)])
            with self._lock:
                self._metadata.topics[name] = topic
        self._tell(name)
        return topic.description

    def adopt(
        self,
        name: str,
        source: str | os.PathLike[str],
        config: Mapping[str, str] | None = None,
        *,
        source_name: str | None = None,
        choose_marker: ChooseMarker | None = None,
    ) -> TopicDescription:
        """Copies a topic out of the directory of a stopped broker, durably; see `adoption`.

        `source` holds its partitions' directories, and is only read; `source_name` is the
        topic's name there. Records keep their offsets, and the log its start. Transactions that
        are open there get the marker that `choose_marker` gives. Without it they stay open until
        the log is opened again and aborts them, and producers of ours must not have their ids.

        Its configuration is not in those directories. Without one, this log's defaults hold, and
        retention deletes what is too old for them.

        Raises `TopicExistsError`, `InvalidTopicError`, `InvalidConfigError`,
        `DirectoryLockedError` while the broker runs, `StorageError` where a partition is missing,
        and `CorruptLogError` for damage; nothing is adopted then.
        """
        check_topic_name(name)
        config = dict(config or {})
        parse_config(name, config)
        with self._changing:
            if name in self._metadata.topics:
                raise TopicExistsError(name)
            sources = find_partitions(os.fspath(source), source_name or name)
            topic = self._begin_topic(name, len(sources), config)
            logs = self._partitions.adopt(topic, sources, choose_marker, self._clock.now_ms())
            self._append([encode_topic(topic.description)])
            with self._lock:
                self._metadata.topics[name] = topic
                self._partitions.add(logs)
        self._tell(name)
        return topic.description

    def alter(
        self,
        name: str,
        *,
        partitions: int | None = None,
        config: Mapping[str, str | None] | None = None,
    ) -> TopicDescription:
        """Adds partitions, up to `partitions`, and changes configurations, durably and at once.

        A value of None takes a key back to its default. Records with a key that were written
        before stay in the partitions where they are.

        Raises `UnknownTopicError`, `InvalidPartitionsError` for fewer than there are,
        `InvalidConfigError`; nothing is changed then.
        """
        with self._changing:
            known = self.get(name).description
            wanted = known.partitions if partitions is None else index(partitions)
            if wanted < known.partitions:
                raise InvalidPartitionsError(
                    name, wanted, f"it has {known.partitions}, and none can be taken away"
                )
            changed = replace(known, partitions=wanted, config=_merge(known.config, config or {}))
            topic = Topic(changed, self._metadata.parse(changed))
            self._partitions.check_no_strays(topic, from_partition=known.partitions)
            if changed != known:
                self._append([encode_topic(changed)])
                with self._lock:
                    self._set_topic(topic)
        self._tell(name)
        return changed

    def delete(self, name: str) -> None:
        """Deletes a topic, durably. Its files are removed after `file.delete.delay.ms`.

        Raises `UnknownTopicError`.
        """
        with contextlib.ExitStack() as behind, self._changing:
            topic = self.get(name)
            description = topic.description
            names = partitions_of(name, description.partitions)
            self._append(encode_deletion(description))
            with self._lock:
                del self._metadata.topics[name]
                left = DeletedTopic(name, description.partitions)
                self._metadata.deleted[description.topic_id] = left
                logs = self._partitions.remove(names)
            behind.callback(self._tell, name)  # whatever becomes of its files
            for log in logs:
                log.delete()
            self._flusher.wait_durable()
            self._flusher.sync_all()  # behind this no window or checkpoint knows the logs any more
            for log in logs:
                with log.reshaping:
                    log.retire()
            due_ms = self._clock.now_ms() + topic.config.file_delete_delay_ms
            self._finish_deletion(description.topic_id, due_ms)

    def alter_config(self, config: Mapping[str, str | None]) -> None:
        """Changes the log's own configuration, durably and at once; None is back to the default.

        Raises `InvalidConfigError`, and then nothing is changed.
        """
        with self._changing:
            changed = _merge(self._metadata.config, config)
            probe = Metadata()
            probe.topics = dict(self._metadata.topics)
            probe.set_config(changed)
            self._append([encode_config(changed)])
            with self._lock:
                self._metadata.set_config(changed)
                for topic in self._metadata.topics.values():
                    self._set_topic(topic)
            names = list(self._metadata.topics)
        for name in names:
            self._tell(name)

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Nothing below these offsets can be read any more, durably; -1 is the high watermark.

        Returns the log start offsets then; one that is higher already stays. What takes up space
        goes with the next check of retention.

        Raises `OffsetOutOfRangeError` above the high watermark, `PolicyViolationError` for a topic
        that is only compacted, `UnknownTopicError`, `UnknownPartitionError`; nothing is deleted
        then.
        """
        starts: dict[TopicPartition, int] = {}
        for name, offset in offsets.items():
            log = self.partition(*name)
            if not log.config.delete:
                reason = "its cleanup.policy is compact: records go one by one, by tombstones"
                raise PolicyViolationError(name.topic, reason)
            end = log.high_watermark
            starts[name] = end if offset == -1 else index(offset)
            if not 0 <= starts[name] <= end:
                raise OffsetOutOfRangeError(*name, offset, start=log.log_start_offset, end=end)
        self._partitions.advance_starts(starts)
        return {name: self.partition(*name).log_start_offset for name in offsets}

    def next_producer_id(self) -> int:
        """A producer id that was never handed out before; one durable write a thousand."""
        with self._changing:
            if not self._producer_ids:
                start = self._metadata.next_producer_id
                end = start + PRODUCER_ID_BLOCK
                self._append([encode_next_producer_id(end)])
                self._metadata.next_producer_id = end
                self._producer_ids = range(start, end)
            producer_id = self._producer_ids[0]
            self._producer_ids = self._producer_ids[1:]
            return producer_id

    def finish_deletions(self) -> None:
        """Of topics that were being deleted when the last owner died. While opening."""
        now_ms = self._clock.now_ms()
        for topic_id, deleted in list(self._metadata.deleted.items()):
            if deleted.name not in self._metadata.topics:
                self._finish_deletion(topic_id, now_ms)

    # How

    def _begin_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> Topic:
        """A new topic, whose record comes next. Nothing is left of another one of its name."""
        for topic_id, deleted in list(self._metadata.deleted.items()):
            if deleted.name == name:
                self._finish_deletion(topic_id, self._clock.now_ms())
        description = TopicDescription(
            name=name, topic_id=uuid4(), partitions=partitions, config=config
        )
        topic = Topic(description, self._metadata.parse(description))
        self._partitions.check_no_strays(topic)
        return topic

    def _finish_deletion(self, topic_id: UUID, due_ms: int) -> None:
        """Takes the names of a deleted topic's directories, and what the checkpoints say of them.

        Their content goes when `due_ms` has come.
        """
        names = partitions_of(*self._metadata.deleted[topic_id])
        try:
            left = unname_partitions(self._files, self._root, names)
            self._deletions.add(left, due_ms, directories=True)
            self._partitions.forget(names)
        except OSError as error:
            raise wrap_write_error(self._root, error) from error
        for name in names:
            self._on_delete(name)
        self._append_unsynced([encode_deletion_end(topic_id)])
        del self._metadata.deleted[topic_id]

    def _set_topic(self, topic: Topic) -> None:
        """A topic has another configuration. Under the lock."""
        self._metadata.topics[topic.description.name] = topic
        for log in self._partitions.reconfigure(topic):
            self._on_configure(log)

    def _append(self, records: Sequence[MetadataRecord]) -> None:
        """Durably, all of them or none."""
        self._append_unsynced(records)
        self._flusher.wait_durable()

    def _append_unsynced(self, records: Sequence[MetadataRecord]) -> None:
        """Durable with the next record that has to be."""
        now_ms = self._clock.now_ms()
        keys, values = [key for key, _ in records], [value for _, value in records]
        batch = encode_batch(keys, values, [now_ms] * len(records))
        with self._lock:
            log = self._partitions.load(METADATA_PARTITION, METADATA)
        log.append(batch, now_ms=now_ms)

    def _tell(self, topic: str) -> None:
        with self._lock:
            self.changes += 1
        for listener in self._listeners:
            listener(topic)


def _merge(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """A configuration with changes; None takes a key away."""
    merged = {**known, **changes}
    return {key: value for key, value in merged.items() if value is not None}
