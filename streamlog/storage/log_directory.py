"""The log directory: topics, their partitions, and the one owner that writes them.

Opening, in this order: the lock; the format's version; the checkpoints; the marker of a clean stop
is taken away, durably; the metadata log; then, only after an unclean stop, every partition is
recovered; last, the session of the new owner is written. After a clean stop a partition is loaded
when it is first asked for.

A clean stop, in this order: the last flush windows; for each partition that has changed, its
preallocated zeros are cut off, and indexes and a snapshot of its producers are written; the
checkpoints; the marker. So the marker means that all of the others are true.
"""

from __future__ import annotations

import contextlib
import os
from base64 import urlsafe_b64encode
from dataclasses import replace
from functools import partial
from operator import index
from threading import Event, Lock, RLock
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from streamlog.clock import SystemClock
from streamlog.errors import (
    CorruptLogError,
    DirectoryLockedError,
    InvalidPartitionsError,
    LogClosedError,
    OffsetOutOfRangeError,
    PartitionCountError,
    PolicyViolationError,
    StorageError,
    TopicError,
    TopicExistsError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.files import OsFiles, raise_open_files_limit, read_file
from streamlog.record import encode_batch
from streamlog.storage import layout
from streamlog.storage.adoption import adopt_partitions, find_partitions
from streamlog.storage.cleaner import Cleaner
from streamlog.storage.deletion import (
    Deletions,
    find_deleted,
    parse_partition,
    unname_partitions,
)
from streamlog.storage.directory_files import (
    Checkpoints,
    make_directory,
    read_checkpoints,
    segments_size,
    take_clean_stop,
    write_clean_stop,
    write_offsets,
)
from streamlog.storage.durable_offsets import DurableOffsetsWriter
from streamlog.storage.failure import wrap_access_error, wrap_write_error
from streamlog.storage.file_pool import FilePool
from streamlog.storage.flusher import Flusher
from streamlog.storage.housekeeper import Housekeeper
from streamlog.storage.identity import (
    Session,
    check_format,
    is_running,
    read_boot_id,
    read_session,
    write_meta_properties,
    write_session,
)
from streamlog.storage.loader import Bounds, Loader, Truncation
from streamlog.storage.log_config import LogConfig, log_entries, topic_entries
from streamlog.storage.metadata import (
    METADATA,
    Metadata,
    MetadataRecord,
    Topic,
    encode_config,
    encode_deletion,
    encode_deletion_end,
    encode_next_producer_id,
    encode_topic,
)
from streamlog.storage.partition_log import MAX_TORN_BYTES, PartitionLog
from streamlog.storage.retainer import Retainer
from streamlog.storage.topic_config import METADATA_TOPIC, check_topic_name, parse_config
from streamlog.topic import ConfigEntry, TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self
    from uuid import UUID

    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.files import Lock as FileLock
    from streamlog.storage.adoption import ChooseMarker
    from streamlog.storage.flusher import Checkpoint, Flushable
    from streamlog.storage.loader import LoadedLog

Durability = Literal["fsync", "os"]

PRODUCER_ID_BLOCK: Final = 1000
METADATA_READ_BYTES: Final = 1 << 20
METADATA_PARTITION: Final = TopicPartition(METADATA_TOPIC, 0)
_open_directories: dict[str, LogDirectory] = {}
_open_lock = Lock()


def _forget_directories() -> None:
    """In a forked child: the parent's logs are not the child's, and the lock may be held."""
    global _open_lock
    _open_lock = Lock()
    _open_directories.clear()


os.register_at_fork(after_in_child=_forget_directories)


class LogDirectory:
    """The owner's view of a log directory. Usable from any thread; made by `open`."""

    def __init__(
        self,
        root: str,
        durability: Durability,
        files: Files,
        clock: Clock,
        threaded: bool,
        boot_id: str,
    ) -> None:
        self.root = root
        self.durability: Durability = durability
        self.clock = clock
        self.unclean_boot = False
        """Whether data that was acknowledged under durability="os" may be lost.

        The machine stopped before the log did. It stays set until the next clean stop.
        """
        self.truncations: list[Truncation] = []
        """What recovery cut off; none of it had been acknowledged."""
        self.flusher = Flusher(root, files, self, sync=durability == "fsync", threaded=threaded)
        self.housekeeper = Housekeeper(
            f"streamlog-housekeeper {root}",
            clock,
            threaded=threaded,
            has_ended=lambda: self.flusher.failure is not None,
        )
        self.cleaner: Cleaner | None = None
        """Compaction, which has a thread of its own from the first log on that may need it."""
        self._cleaning = Housekeeper(
            f"streamlog-cleaner {root}",
            clock,
            threaded=threaded,
            has_ended=lambda: self.flusher.failure is not None,
        )
        self._cleans = False
        self.changes = 0
        """How often topics have changed since it was opened."""
        self.strays: list[str] = []
        """Directories of partitions that no topic has; they are left alone, see `create_topic`."""
        self._deletions = Deletions(files, self._delete_later)
        self._retainer = Retainer(
            files, self._deletions, self._retained, lambda: self.log_config, self._advance_starts
        )
        self._files = files
        self._boot_id = boot_id
        self._threaded = threaded
        self._pool = FilePool(files)
        self._key = ""
        self._users = 0
        self._closing = False
        self._released = Event()
        self._disk_lock: FileLock | None = None
        self._clean = True
        self._checkpoint_lock = Lock()  # guards the checkpoints: the flusher's thread moves some
        self._checkpoints = Checkpoints()
        self._max_torn_bytes: int | None = MAX_TORN_BYTES
        self._writer: DurableOffsetsWriter | None = None
        self._lock = RLock()  # guards what follows
        self._metadata = Metadata()
        self._partitions: dict[TopicPartition, PartitionLog] = {}
        self._with_open_transactions: set[TopicPartition] = set()
        self._listeners: list[Callable[[str], None]] = []
        self._keeps_house: set[str] = set()
        self._changing = Lock()  # one change of the metadata at a time; guards what follows
        self._producer_ids = range(0)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "fsync",
        files: Files | None = None,
        clock: Clock | None = None,
        threaded: bool = True,
        boot_id: str | None = None,
    ) -> LogDirectory:
        """Opens a directory to write it, making it if need be.

        Opened again in this process it is shared, and closed when every user has closed it.
        `threaded` False runs flush windows in the threads that wait for them.

        Raises `DirectoryLockedError` where another process owns it, `FormatVersionError` for a
        newer format, `DirectoryAccessError` where it cannot be written, `CorruptLogError` for
        damage that no crash explains, `ValueError` where it is open with another durability.
        """
        files = files or OsFiles()
        root = os.path.abspath(path)
        raise_open_files_limit()
        key = files.canonical(root)
        while True:
            with _open_lock:
                directory = _open_directories.get(key)
                if directory is None:
                    boot = read_boot_id() if boot_id is None else boot_id
                    directory = cls(root, durability, files, clock or SystemClock(), threaded, boot)
                    directory._open()
                    directory._key = key
                    _open_directories[key] = directory
                elif directory.durability != durability:
                    raise ValueError(
                        f"{root} is open in this process with durability={directory.durability!r}"
                    )
                if not directory._closing:
                    directory._users += 1
                    return directory
            directory._released.wait()  # it stops in another thread: its files are not ours yet

    # Topics

    def topics(self) -> dict[str, TopicDescription]:
        """Every topic, internal ones (`__...`) too."""
        with self._lock:
            return {name: topic.description for name, topic in self._metadata.topics.items()}

    def topic(self, name: str) -> TopicDescription:
        """Raises `UnknownTopicError`."""
        return self._topic(name).description

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
        *,
        exist_ok: bool = False,
    ) -> TopicDescription:
        """Creates a topic, durably; the directories of its partitions are made at first write.

        Raises `TopicExistsError`, or with `exist_ok` only a `PartitionCountError`;
        `InvalidTopicError` and `InvalidConfigError`.
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
            topic = TopicDescription(
                name=name, topic_id=uuid4(), partitions=partitions, config=config
            )
            parsed = self._metadata.parse(topic)
            self._check_no_strays(topic)
            self._append_metadata(*encode_topic(topic))
            with self._lock:
                self._metadata.topics[name] = Topic(topic, parsed)
        self._tell(name)
        return topic

    def adopt_topic(
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
            count = len(sources)
            description = TopicDescription(
                name=name, topic_id=uuid4(), partitions=count, config=config
            )
            topic = Topic(description, self._metadata.parse(description))
            self._check_no_strays(description)
            now_ms = self.clock.now_ms()
            adopted = adopt_partitions(topic, sources, self.root, self._pool, choose_marker, now_ms)
            logs = self._checkpoint_adopted(topic, adopted)
            self._append_metadata(*encode_topic(description))
            with self._lock:
                self._metadata.topics[name] = topic
                self._partitions |= logs
                for log in logs.values():
                    self._maybe_clean(log)
                self._keep_house()
        self._tell(name)
        return description

    def _checkpoint_adopted(
        self, topic: Topic, adopted: Mapping[TopicPartition, LoadedLog]
    ) -> dict[TopicPartition, PartitionLog]:
        """The logs, of which nothing has to be read again from now on."""
        logs = {
            name: PartitionLog(
                name,
                topic.description.topic_id,
                os.path.join(self.root, str(name)),
                topic.config,
                self._pool,
                self.flusher,
                loaded,
            )
            for name, loaded in adopted.items()
        }
        with self._checkpoint_lock:
            for name, loaded in adopted.items():
                self._checkpoints.recovery_points[name] = loaded.recovery_point
                self._checkpoints.log_start_offsets[name] = loaded.log_start_offset
            starts = self._checkpoints.log_start_offsets
            write_offsets(self._files, self.root, layout.LOG_START_OFFSETS, starts)
        for log in logs.values():
            self.flusher.mark_dirty(log)
        for _ in range(2):  # recovery points move when a window ends: before another one begins
            self.flusher.wait_durable()
        return logs

    def alter_topic(
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
            known = self._topic(name).description
            wanted = known.partitions if partitions is None else index(partitions)
            if wanted < known.partitions:
                raise InvalidPartitionsError(
                    name, wanted, f"it has {known.partitions}, and none can be taken away"
                )
            changed = replace(known, partitions=wanted, config=_merge(known.config, config or {}))
            self._check_no_strays(changed, from_partition=known.partitions)
            parsed = self._metadata.parse(changed)
            if changed != known:
                self._append_metadata(*encode_topic(changed))
                with self._lock:
                    self._set_topic(Topic(changed, parsed))
        self._tell(name)
        return changed

    def delete_topic(self, name: str) -> None:
        """Deletes a topic, durably. Its files are removed after `file.delete.delay.ms`.

        Not on the flusher's thread. Raises `UnknownTopicError`.
        """
        with self._changing:
            topic = self._topic(name)
            description = topic.description
            self._append_records(encode_deletion(description))
            names = _partitions_of(name, description.partitions)
            with self._lock:
                del self._metadata.topics[name]
                logs = [log for each in names if (log := self._partitions.pop(each, None))]
                self._with_open_transactions.difference_update(names)
            for log in logs:
                log.delete()
            self.flusher.wait_durable()
            self.flusher.sync_all()  # behind this no window or checkpoint knows the logs any more
            for log in logs:
                with log.reshaping:
                    log.retire()
            due_ms = self.clock.now_ms() + topic.config.file_delete_delay_ms
            self._finish_deletion(description.topic_id, names, due_ms)
        self._tell(name)

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        """Every configuration of a topic. Raises `UnknownTopicError`."""
        with self._lock:
            return topic_entries(name, self._topic(name).description.config, self._metadata.config)

    @property
    def log_config(self) -> LogConfig:
        """The log's own configuration as it is now."""
        return self._metadata.log_config

    def config(self) -> dict[str, ConfigEntry]:
        """The log's own configuration, by Kafka's names."""
        return log_entries(self._metadata.config)

    def alter_config(self, config: Mapping[str, str | None]) -> None:
        """Changes the log's own configuration, durably and at once; None is back to the default.

        Raises `InvalidConfigError`, and then nothing is changed.
        """
        with self._changing:
            changed = _merge(self._metadata.config, config)
            probe = Metadata()
            probe.topics = dict(self._metadata.topics)
            probe.set_config(changed)
            self._append_metadata(*encode_config(changed))
            with self._lock:
                self._metadata.set_config(changed)
                for topic in self._metadata.topics.values():
                    self._set_topic(topic)
            now_ms = self.clock.now_ms()
            checked_ms = now_ms + self.log_config.log_retention_check_interval_ms
            self.housekeeper.wake(self._retainer.retain, due_ms=checked_ms)
            expired_ms = now_ms + self.log_config.producer_id_expiration_check_interval_ms
            self.housekeeper.wake(self._retainer.expire_producers, due_ms=expired_ms)
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
        self._advance_starts(starts)
        return {name: self.partition(*name).log_start_offset for name in offsets}

    def sizes(self) -> dict[TopicPartition, int]:
        """The bytes of each partition's segments; of those that were ever written."""
        with self._lock:
            logs, topics = dict(self._partitions), dict(self._metadata.topics)
        found = {name: log.size_bytes for name, log in logs.items() if log.exists}
        for name in self._written(self._files.listdir(self.root), topics):
            if name not in logs:
                path = os.path.join(self.root, str(name))
                with contextlib.suppress(FileNotFoundError):
                    found[name] = segments_size(self._files, path)
        return {name: size for name, size in sorted(found.items()) if name.topic in topics}

    def add_topic_listener(self, listener: Callable[[str], None]) -> None:
        """`listener(topic)` runs, in the changing thread, when a topic was altered or deleted."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_topic_listener(self, listener: Callable[[str], None]) -> None:
        with self._lock:
            self._listeners = [each for each in self._listeners if each != listener]

    def partition(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition, loaded when it is first asked for.

        Raises `UnknownTopicError`, `UnknownPartitionError`, and `CorruptLogError` where loading
        finds damage.
        """
        topic_partition = TopicPartition(topic, partition)
        log = self._partitions.get(topic_partition)
        if log is not None:
            return log
        with self._lock:
            if self._disk_lock is None:
                raise LogClosedError(self.root)
            known = self._topic(topic)
            if not 0 <= partition < known.description.partitions:
                raise UnknownPartitionError(topic, partition, known.description.partitions)
            return self._load(topic_partition, known)

    def next_producer_id(self) -> int:
        """A producer id that was never handed out before; one durable write a thousand."""
        with self._changing:
            if not self._producer_ids:
                start = self._metadata.next_producer_id
                end = start + PRODUCER_ID_BLOCK
                self._append_metadata(*encode_next_producer_id(end))
                self._metadata.next_producer_id = end
                self._producer_ids = range(start, end)
            producer_id = self._producer_ids[0]
            self._producer_ids = self._producer_ids[1:]
            return producer_id

    def open_transactions(self) -> dict[TopicPartition, dict[int, tuple[int, int]]]:
        """Every partition with transactions without a marker: producer id to (epoch, first offset).

        After a clean stop only the partitions that are known to have some are loaded.
        """
        with self._lock:
            for topic, partition in self._with_open_transactions:
                if topic in self._metadata.topics:
                    self.partition(topic, partition)
            logs = dict(self._partitions)
        found = {name: log.open_transactions() for name, log in logs.items()}
        return {name: transactions for name, transactions in found.items() if transactions}

    def sync(self) -> None:
        """Returns when everything appended so far is on the disk, under durability="os" too."""
        self.flusher.sync_all()

    def close(self) -> None:
        """Stops cleanly, once the last user closes it. After a failed write, only closes.

        Raises the `StorageError` that ended writing if it happens here.
        """
        with _open_lock:
            if self._users == 0:
                return
            self._users -= 1
            if self._users:
                return
            self._closing = True  # known until it has let go: see `open`
        try:
            self._close()
        finally:
            with _open_lock:
                _open_directories.pop(self._key, None)
            self._released.set()

    def _close(self) -> None:
        self.housekeeper.stop()
        if self.cleaner is not None:
            self.cleaner.close()
        self._cleaning.stop()
        failed_before = self.flusher.failure
        try:
            self.flusher.close()
            if self.flusher.failure is None:
                self._stop()
                self._deletions.finish()
        except OSError as error:
            raise wrap_write_error(self.root, error) from error
        finally:
            self._release()
        if self.flusher.failure is not None and failed_before is None:
            raise self.flusher.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Called by the flusher, on its thread

    def publish(self, logs: Sequence[Flushable]) -> None:
        if self._writer is not None:
            self._writer.publish(log.durable_offset() for log in logs)

    def checkpoint(self, due: Sequence[Checkpoint]) -> None:
        self.flusher.run_jobs([partial(checkpoint.execute, self._files) for checkpoint in due])
        with self._checkpoint_lock:
            points = self._checkpoints.recovery_points
            points |= {each.topic_partition: each.recovery_point for each in due}
            write_offsets(self._files, self.root, layout.RECOVERY_POINTS, points)
        for checkpoint in due:
            checkpoint.complete()
        for checkpoint in due:
            self._maybe_clean(self._partitions.get(checkpoint.topic_partition))

    # Opening

    def _open(self) -> None:
        try:
            make_directory(self._files, self.root)
            self._disk_lock = self._take_disk_lock()
            if not check_format(self._files, self.root):
                write_meta_properties(self._files, self.root, _new_id(), _new_id())
            self._load_all()
        except OSError as error:
            self._release()
            raise wrap_access_error(self.root, error) from error
        except BaseException:
            self._release()
            raise

    def _take_disk_lock(self) -> FileLock:
        path = os.path.join(self.root, layout.LOCK)
        try:
            return self._files.lock(path, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            content = read_file(self._files, path).strip()
            pid = int(content) if content.isdigit() else None
            raise DirectoryLockedError(self.root, pid, running=is_running(pid)) from None

    def _load_all(self) -> None:
        files, root = self._files, self.root
        session = read_session(files, root)
        self._checkpoints = read_checkpoints(files, root)
        self.cleaner = Cleaner(
            root,
            self._pool,
            self.flusher,
            self._compacted,
            lambda: self.log_config,
            self._delete_files,
            paced=self._threaded,
        )
        stop = take_clean_stop(files, root)
        self._clean = stop is not None
        if stop is not None:
            partitions = (TopicPartition(*each) for each in stop.open_transactions)
            self._with_open_transactions = set(partitions)
        elif session is not None:
            self._judge_session(session)
        self._load_metadata()
        self._finish_deletions()
        if not self._clean:
            self._recover_all()
        write_session(
            files, root, Session(self._boot_id, self.durability, unclean_boot=self.unclean_boot)
        )
        self._writer = DurableOffsetsWriter(files, os.path.join(root, layout.DURABLE_OFFSETS))
        if not self._clean:
            self.publish(list(self._partitions.values()))
        for log in self._compacted():
            self._maybe_clean(log)
        if self._metadata.topics:
            self._keep_house()

    def _judge_session(self, session: Session) -> None:
        """After a crash: what may be missing of what the last owner had published."""
        self.unclean_boot = session.unclean_boot
        if session.durability != "os":
            return
        self._max_torn_bytes = None
        if not session.is_of_boot(self._boot_id):
            self.unclean_boot = True
            self._checkpoints.durable_offsets = {}
            path = os.path.join(self.root, layout.DURABLE_OFFSETS)
            if self._files.exists(path):
                self._files.unlink(path)
                self._files.sync_directory(self.root)

    def _load_metadata(self) -> None:
        log = self._load(METADATA_PARTITION, METADATA)
        offset = log.log_start_offset
        while offset < log.high_watermark:
            fetched = log.read(offset, METADATA_READ_BYTES)
            self._metadata.apply_batches(fetched)
            offset = fetched.next_offset

    def _recover_all(self) -> None:
        """Loads every partition that was ever written."""
        topics = self._metadata.topics
        written = dict.fromkeys(self._written(self._files.listdir(self.root), topics))
        expected = map(str, self._checkpoints.recovery_points)
        written |= dict.fromkeys(self._written(expected, topics))
        for partition in sorted(written):
            self._load(partition, topics[partition.topic])

    def _finish_deletions(self) -> None:
        """Of topics that were being deleted when the last owner died; and what nobody knows."""
        names = self._files.listdir(self.root)
        now_ms = self.clock.now_ms()
        self._deletions.add(find_deleted(self.root, names), now_ms, directories=True)
        for topic_id, (name, partitions) in list(self._metadata.deleted.items()):
            if name not in self._metadata.topics:
                self._finish_deletion(topic_id, _partitions_of(name, partitions), now_ms)
        known = {str(METADATA_PARTITION), *map(str, self._written(names, self._metadata.topics))}
        deleted = {each.name for each in self._metadata.deleted.values()}
        for name in names:
            parsed = parse_partition(name)
            if parsed and name not in known and parsed[0] not in deleted:
                self.strays.append(os.path.join(self.root, name))

    def _finish_deletion(
        self, topic_id: UUID, partitions: Iterable[TopicPartition], due_ms: int
    ) -> None:
        """Takes the names of a deleted topic's directories, and what the checkpoints say of them.

        Another topic may have its name only when all of that is durable: see `delete_topic`.
        """
        partitions = list(partitions)
        try:
            left = unname_partitions(self._files, self.root, partitions)
            with self._checkpoint_lock:
                self._checkpoints.forget(partitions)
                self._checkpoints.write(self._files, self.root)
        except OSError as error:
            raise wrap_write_error(self.root, error) from error
        if self.cleaner is not None:
            for partition in partitions:
                self.cleaner.forget(partition)
        self._deletions.add(left, due_ms, directories=True)
        self._append_unsynced([encode_deletion_end(topic_id)])

    def _check_no_strays(self, topic: TopicDescription, *, from_partition: int = 0) -> None:
        """Raises `StorageError` where a new partition's directory is there already."""
        names = set(self._files.listdir(self.root))
        for number in range(from_partition, topic.partitions):
            partition = TopicPartition(topic.name, number)
            if str(partition) in names:
                path = os.path.join(self.root, str(partition))
                raise StorageError(path, "is there already; remove it if nothing needs it")

    def _load(self, topic_partition: TopicPartition, topic: Topic) -> PartitionLog:
        """Under the lock, or while opening."""
        log = self._partitions.get(topic_partition)
        if log is not None:
            return log
        path = os.path.join(self.root, str(topic_partition))
        bounds = self._bounds(topic_partition, topic)
        loader = Loader(topic_partition, path, topic.config, self._pool, bounds, writable=True)
        loaded = loader.load_clean() if self._clean else None
        if loaded is None:
            loaded = loader.recover()
        if loaded.truncation is not None:
            self.truncations.append(loaded.truncation)
        log = PartitionLog(
            topic_partition,
            topic.description.topic_id,
            path,
            topic.config,
            self._pool,
            self.flusher,
            loaded,
        )
        self._partitions[topic_partition] = log
        expiration_ms = self.log_config.producer_id_expiration_ms
        log.expire_producers(self.clock.now_ms(), expiration_ms)
        self._maybe_clean(log)
        if topic is not METADATA:
            self._keep_house()
        if loaded.recovered and self._writer is not None:
            self.flusher.mark_dirty(log)  # readers beside us are told in the next window
        return log

    def _maybe_clean(self, log: PartitionLog | None) -> None:
        """Starts compaction with the first log that may need it; when all logs are known."""
        if self._cleans or self.cleaner is None or self._writer is None or log is None:
            return
        if log.config.compact and len(log.view().segments) > 1:
            self._cleans = True
            self._cleaning.add(self.cleaner.run)

    def _delete_files(self, paths: list[str]) -> None:
        """Removes what has lost its name, after the delay that topics have by default."""
        delay_ms = self.log_config.topic_defaults.file_delete_delay_ms
        self._deletions.add(paths, self.clock.now_ms() + delay_ms)

    def _delete_later(self, due_ms: int) -> None:
        if "deletions" in self._keeps_house:
            self.housekeeper.wake(self._deletions.run, due_ms=due_ms)
        else:
            self._keeps_house.add("deletions")
            self.housekeeper.add(self._deletions.run, due_ms=due_ms)

    def _keep_house(self) -> None:
        """From the first topic on: not for a directory that is opened to make one."""
        if "retention" not in self._keeps_house:
            self._keeps_house.add("retention")
            now_ms, config = self.clock.now_ms(), self.log_config
            due_ms = now_ms + config.log_initial_task_delay_ms
            self.housekeeper.add(self._retainer.retain, due_ms=due_ms)
            due_ms = now_ms + config.producer_id_expiration_check_interval_ms
            self.housekeeper.add(self._retainer.expire_producers, due_ms=due_ms)

    def _retained(self) -> list[PartitionLog]:
        """All logs that are loaded, and of the others those that have something to delete."""
        with self._lock:
            logs, topics = dict(self._partitions), dict(self._metadata.topics)
        for name in self._written(self._files.listdir(self.root), topics):
            if name in logs:
                continue
            path = os.path.join(self.root, str(name))
            with contextlib.suppress(FileNotFoundError, CorruptLogError, TopicError):
                # A damaged one is for who reads it to hear of; the others are not to wait for that.
                if sum(each.endswith(layout.LOG) for each in self._files.listdir(path)) > 1:
                    logs[name] = self.partition(*name)
        return list(logs.values())

    def _advance_starts(self, starts: Mapping[TopicPartition, int]) -> None:
        """Moves log start offsets: first on the disk, then for readers."""
        with self._checkpoint_lock:
            known = self._checkpoints.log_start_offsets
            moved = {name: start for name, start in starts.items() if start > known.get(name, 0)}
            if moved:
                known |= moved
                try:
                    write_offsets(self._files, self.root, layout.LOG_START_OFFSETS, known)
                except OSError as error:
                    raise wrap_write_error(self.root, error) from error
        with self._lock:
            logs = [(self._partitions.get(name), start) for name, start in starts.items()]
        for log, start in logs:
            if log is not None:
                log.advance_start(start)

    def _written(self, names: Iterable[str], topics: Mapping[str, Topic]) -> list[TopicPartition]:
        """The partitions that have a directory."""
        found: list[TopicPartition] = []
        for name in names:
            parsed = parse_partition(name)
            topic = topics.get(parsed[0]) if parsed else None
            if parsed and topic and parsed[1] < topic.description.partitions:
                found.append(TopicPartition(*parsed))
        return found

    def _compacted(self) -> list[PartitionLog]:
        """Those that are loaded: of any other, nothing was appended since the last session."""
        with self._lock:
            return [log for log in self._partitions.values() if log.config.compact]

    def _bounds(self, topic_partition: TopicPartition, topic: Topic) -> Bounds:
        checkpoints = self._checkpoints
        partition_id = (topic.description.topic_id, topic_partition.partition)
        durable = checkpoints.durable_offsets.get(partition_id)
        known_durable_offset = durable.high_watermark if durable else 0
        max_torn_bytes = self._max_torn_bytes
        if max_torn_bytes is not None:
            max_torn_bytes += topic.config.max_message_bytes
        return Bounds(
            recovery_point=checkpoints.recovery_points.get(topic_partition, 0),
            log_start_offset=checkpoints.log_start_offsets.get(topic_partition, 0),
            known_durable_offset=known_durable_offset,
            synced_offset=known_durable_offset if max_torn_bytes is not None else 0,
            max_torn_bytes=max_torn_bytes,
        )

    # Writing and stopping

    def _topic(self, name: str) -> Topic:
        with self._lock:
            topic = self._metadata.topics.get(name)
            if topic is None:
                raise UnknownTopicError(name, self._metadata.topics)
            return topic

    def _append_metadata(self, key: bytes, value: bytes | None) -> None:
        self._append_records([(key, value)])

    def _append_records(self, records: Sequence[MetadataRecord]) -> None:
        """Durably, all of them or none."""
        self._append_unsynced(records)
        self.flusher.wait_durable()

    def _append_unsynced(self, records: Sequence[MetadataRecord]) -> None:
        """Durable with the next record that has to be."""
        now_ms = self.clock.now_ms()
        keys, values = [key for key, _ in records], [value for _, value in records]
        batch = encode_batch(keys, values, [now_ms] * len(records))
        self._load(METADATA_PARTITION, METADATA).append(batch, now_ms=now_ms)

    def _set_topic(self, topic: Topic) -> None:
        """A topic has another configuration. Under the lock."""
        name, partitions = topic.description.name, topic.description.partitions
        self._metadata.topics[name] = topic
        if len(self._partitions) < partitions:
            logs = [log for each, log in self._partitions.items() if each.topic == name]
        else:
            found = map(self._partitions.get, _partitions_of(name, partitions))
            logs = [log for log in found if log is not None]
        for log in logs:
            log.config = topic.config
            self._maybe_clean(log)

    def _tell(self, topic: str) -> None:
        with self._lock:
            self.changes += 1
        for listener in self._listeners:
            listener(topic)

    def _stop(self) -> None:
        """Everything in memory goes to disk, then the marker that says so."""
        files, root = self._files, self.root
        with self._lock:
            logs = dict(self._partitions)
        for log in logs.values():
            log.stop_writing()
        self.flusher.flush_last(list(logs.values()))
        due = [log.take_last_checkpoint() for log in logs.values()]
        self.checkpoint([checkpoint for checkpoint in due if checkpoint is not None])
        checkpoints = self._checkpoints
        checkpoints.high_watermarks |= {
            name: log.high_watermark for name, log in logs.items() if log.exists
        }
        write_offsets(files, root, layout.LOG_START_OFFSETS, checkpoints.log_start_offsets)
        write_offsets(files, root, layout.HIGH_WATERMARKS, checkpoints.high_watermarks)
        still_open = {name for name in self._with_open_transactions if name not in logs}
        still_open |= {name for name, log in logs.items() if log.open_transactions()}
        write_clean_stop(files, root, sorted(still_open))

    def _release(self) -> None:
        self._cleaning.stop()
        self.flusher.release()
        with self._lock:
            for log in self._partitions.values():
                log.close()
            self._partitions = {}
            if self._writer is not None:
                self._writer.close()
            disk_lock, self._disk_lock = self._disk_lock, None
        if disk_lock is not None:
            disk_lock.release()


def _merge(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """A configuration with changes; None takes a key away."""
    merged = {**known, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def _partitions_of(topic: str, partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(partitions)]


def _new_id() -> str:
    """A random id as Kafka writes it: base64 of a UUID."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
