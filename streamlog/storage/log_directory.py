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

import os
from base64 import urlsafe_b64encode
from functools import partial
from operator import index
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from streamlog.clock import SystemClock
from streamlog.errors import (
    DirectoryLockedError,
    InvalidTopicError,
    LogClosedError,
    PartitionCountError,
    TopicExistsError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.files import OsFiles, raise_open_files_limit, read_file
from streamlog.record import encode_batch
from streamlog.storage import layout
from streamlog.storage.adoption import adopt_partitions, find_partitions
from streamlog.storage.cleaner import Cleaner
from streamlog.storage.directory_files import (
    Checkpoints,
    make_directory,
    read_checkpoints,
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
    read_boot_id,
    read_session,
    write_meta_properties,
    write_session,
)
from streamlog.storage.loader import Bounds, Loader, Truncation
from streamlog.storage.log_config import LogConfig
from streamlog.storage.metadata import (
    METADATA,
    Metadata,
    Topic,
    encode_next_producer_id,
    encode_topic,
)
from streamlog.storage.partition_log import MAX_TORN_BYTES, PartitionLog
from streamlog.storage.topic_config import METADATA_TOPIC, check_topic_name, parse_config
from streamlog.topic import TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.files import Lock as FileLock
    from streamlog.storage.adoption import ChooseMarker
    from streamlog.storage.flusher import Checkpoint, Flushable

Durability = Literal["fsync", "os"]

PRODUCER_ID_BLOCK: Final = 1000
METADATA_READ_BYTES: Final = 1 << 20
METADATA_PARTITION: Final = TopicPartition(METADATA_TOPIC, 0)
_open_directories: dict[str, LogDirectory] = {}
_open_lock = Lock()


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
        self._files = files
        self._boot_id = boot_id
        self._threaded = threaded
        self._pool = FilePool(files)
        self._key = ""
        self._users = 0
        self._disk_lock: FileLock | None = None
        self._clean = True
        self._checkpoints = Checkpoints()
        self._max_torn_bytes: int | None = MAX_TORN_BYTES
        self._writer: DurableOffsetsWriter | None = None
        self._lock = RLock()  # guards what follows
        self._metadata = Metadata()
        self._partitions: dict[TopicPartition, PartitionLog] = {}
        self._with_open_transactions: set[TopicPartition] = set()
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
        with _open_lock:
            key = files.canonical(root)
            directory = _open_directories.get(key)
            if directory is None:
                boot_id = read_boot_id() if boot_id is None else boot_id
                directory = cls(root, durability, files, clock or SystemClock(), threaded, boot_id)
                directory._open()
                directory._key = key
                _open_directories[key] = directory
            elif directory.durability != durability:
                raise ValueError(
                    f"{root} is open in this process with durability={directory.durability!r}"
                )
            directory._users += 1
            return directory

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
            raise InvalidTopicError(name, f"{partitions} partitions")
        config = dict(config or {})
        parsed = parse_config(name, config)
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
            self._append_metadata(*encode_topic(topic))
            with self._lock:
                self._metadata.topics[name] = Topic(topic, parsed)
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

        Raises `TopicExistsError`, `InvalidTopicError`, `InvalidConfigError`, `StorageError` where
        a partition is missing, and `CorruptLogError` for damage; nothing is adopted then.
        """
        check_topic_name(name)
        config = dict(config or {})
        parsed = parse_config(name, config)
        with self._changing:
            if name in self._metadata.topics:
                raise TopicExistsError(name)
            partitions = find_partitions(os.fspath(source), source_name or name)
            count = len(partitions)
            description = TopicDescription(
                name=name, topic_id=uuid4(), partitions=count, config=config
            )
            topic = Topic(description, parsed)
            logs = adopt_partitions(
                topic,
                partitions,
                self.root,
                self._pool,
                self.flusher,
                self._checkpoints,
                choose_marker,
                self.clock.now_ms(),
            )
            self._append_metadata(*encode_topic(description))
            with self._lock:
                self._metadata.topics[name] = topic
                self._partitions |= logs
            return description

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
            del _open_directories[self._key]
        self.housekeeper.stop()
        if self.cleaner is not None:
            self.cleaner.close()
        self._cleaning.stop()
        failed_before = self.flusher.failure
        try:
            self.flusher.close()
            if self.flusher.failure is None:
                self._stop()
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
            raise DirectoryLockedError(
                self.root, int(content) if content.isdigit() else None
            ) from None

    def _load_all(self) -> None:
        files, root = self._files, self.root
        session = read_session(files, root)
        self._checkpoints = read_checkpoints(files, root)
        self.cleaner = Cleaner(
            root,
            self._pool,
            self.flusher,
            self._compacted,
            LogConfig,
            self._unlink,
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
        names = set(self._files.listdir(self.root))
        for topic in list(self._metadata.topics.values()):
            for number in range(topic.description.partitions):
                partition = TopicPartition(topic.description.name, number)
                if str(partition) in names or partition in self._checkpoints.recovery_points:
                    self._load(partition, topic)

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
        self._maybe_clean(log)
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

    def _unlink(self, paths: list[str]) -> None:
        for path in paths:
            self._files.unlink(path)

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
        now_ms = self.clock.now_ms()
        batch = encode_batch([key], [value], [now_ms])
        self._load(METADATA_PARTITION, METADATA).append(batch, now_ms=now_ms)
        self.flusher.wait_durable()

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


def _new_id() -> str:
    """A random id as Kafka writes it: base64 of a UUID."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
