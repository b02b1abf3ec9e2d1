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
from contextlib import suppress
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from streamlog.clock import SystemClock
from streamlog.errors import CorruptLogError, DirectoryLockedError, TopicError
from streamlog.files import OsFiles, raise_open_files_limit, read_file
from streamlog.storage import layout
from streamlog.storage.cleaner import Cleaner
from streamlog.storage.deletion import Deletions, find_deleted
from streamlog.storage.directory_files import (
    make_directory,
    read_checkpoints,
    take_clean_stop,
    write_clean_stop,
)
from streamlog.storage.durable_offsets import DurableOffsetsWriter
from streamlog.storage.failure import wrap_access_error, wrap_write_error
from streamlog.storage.file_pool import FilePool
from streamlog.storage.flusher import Flusher
from streamlog.storage.housekeeper import Housekeeper
from streamlog.storage.identity import (
    Session,
    check_format,
    has_all_transaction_indexes,
    is_running,
    read_boot_id,
    read_session,
    write_meta_properties,
    write_session,
)
from streamlog.storage.metadata import METADATA_PARTITION
from streamlog.storage.partitions import Partitions
from streamlog.storage.retainer import Retainer
from streamlog.storage.topics import Topics
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.files import Lock as FileLock
    from streamlog.storage.adoption import ChooseMarker
    from streamlog.storage.directory_files import Checkpoints
    from streamlog.storage.flusher import Checkpoint, Flushable
    from streamlog.storage.loader import Truncation
    from streamlog.storage.log_config import LogConfig
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.topic import ConfigEntry, TopicDescription

Durability = Literal["fsync", "os"]

_open_directories: dict[str, LogDirectory] = {}
_open_lock = Lock()


def _forget_directories() -> None:
    """In a forked child: the parent's logs are not the child's, and the lock may be held."""
    global _open_lock
    _open_lock = Lock()
    _open_directories.clear()


os.register_at_fork(after_in_child=_forget_directories)


class LogDirectory:
    """The owner's view of a log directory. Usable from any thread; made by `open`.

    It owns what lives as long as the opening: the lock, the flusher, the housekeepers. The topics
    and every change of them are `Topics`', the table of logs and the checkpoints `Partitions`'.
    """

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
        self.flusher = Flusher(root, files, self, sync=durability == "fsync", threaded=threaded)
        self.housekeeper = Housekeeper(
            f"streamlog-housekeeper {root}", clock, threaded=threaded, has_ended=self._has_failed
        )
        self.cleaner: Cleaner | None = None
        """Compaction, which has a thread of its own from the first log on that may need it."""
        self.strays: list[str] = []
        """Directories of partitions that no topic has; they are left alone, see `create_topic`."""
        self._cleaning = Housekeeper(
            f"streamlog-cleaner {root}", clock, threaded=threaded, has_ended=self._has_failed
        )
        self._cleans = False
        self._keeps_house: set[str] = set()
        self._files = files
        self._boot_id = boot_id
        self._threaded = threaded
        self._pool = FilePool(files)
        self._deletions = Deletions(files, self._delete_later)
        self._partitions = Partitions(root, files, self._pool, self.flusher, self._on_load)
        self._topics = Topics(
            self._partitions,
            files,
            self.flusher,
            self._deletions,
            clock,
            on_configure=self._maybe_clean,
            on_delete=self._forget_cleaned,
        )
        self._retainer = Retainer(
            files,
            self._deletions,
            self._retained,
            lambda: self.log_config,
            self._partitions.advance_starts,
        )
        self._key = ""
        self._users = 0
        self._closing = False
        self._released = Event()
        self._disk_lock: FileLock | None = None
        self._writer: DurableOffsetsWriter | None = None

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
        return {name: topic.description for name, topic in self._topics.known().items()}

    def topic(self, name: str) -> TopicDescription:
        """Raises `UnknownTopicError`."""
        return self._topics.get(name).description

    def partition(self, topic: str, partition: int) -> PartitionLog:
        """See `Topics.partition`. Raises `LogClosedError`, too."""
        return self._topics.partition(topic, partition)

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
        *,
        exist_ok: bool = False,
    ) -> TopicDescription:
        """See `Topics.create`."""
        return self._topics.create(name, partitions, config, exist_ok=exist_ok)

    def adopt_topic(
        self,
        name: str,
        source: str | os.PathLike[str],
        config: Mapping[str, str] | None = None,
        *,
        source_name: str | None = None,
        choose_marker: ChooseMarker | None = None,
    ) -> TopicDescription:
        """See `Topics.adopt`."""
        return self._topics.adopt(
            name, source, config, source_name=source_name, choose_marker=choose_marker
        )

    def alter_topic(
        self,
        name: str,
        *,
        partitions: int | None = None,
        config: Mapping[str, str | None] | None = None,
    ) -> TopicDescription:
        """See `Topics.alter`."""
        return self._topics.alter(name, partitions=partitions, config=config)

    def delete_topic(self, name: str) -> None:
        """See `Topics.delete`."""
        self._topics.delete(name)

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """See `Topics.delete_records`."""
        return self._topics.delete_records(offsets)

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        """See `Topics.topic_config`."""
        return self._topics.topic_config(name)

    @property
    def log_config(self) -> LogConfig:
        """The log's own configuration as it is now."""
        return self._topics.log_config

    def config(self) -> dict[str, ConfigEntry]:
        """See `Topics.config`."""
        return self._topics.config()

    def alter_config(self, config: Mapping[str, str | None]) -> None:
        """See `Topics.alter_config`. What is done now and then is done as often as it says now."""
        self._topics.alter_config(config)
        now_ms, config_now = self.clock.now_ms(), self.log_config
        checked_ms = now_ms + config_now.log_retention_check_interval_ms
        self.housekeeper.wake(self._retainer.retain, due_ms=checked_ms)
        expired_ms = now_ms + config_now.producer_id_expiration_check_interval_ms
        self.housekeeper.wake(self._retainer.expire_producers, due_ms=expired_ms)

    @property
    def changes(self) -> int:
        """How often topics have changed since the directory was opened."""
        return self._topics.changes

    def add_topic_listener(self, listener: Callable[[str], None]) -> None:
        """See `Topics.add_listener`."""
        self._topics.add_listener(listener)

    def remove_topic_listener(self, listener: Callable[[str], None]) -> None:
        self._topics.remove_listener(listener)

    def next_producer_id(self) -> int:
        """See `Topics.next_producer_id`."""
        return self._topics.next_producer_id()

    def open_transactions(self) -> dict[TopicPartition, dict[int, tuple[int, int]]]:
        """See `Topics.open_transactions`."""
        return self._topics.open_transactions()

    def sizes(self) -> dict[TopicPartition, int]:
        """The bytes of each partition's segments; of those that were ever written."""
        return self._partitions.sizes(self._topics.known())

    @property
    def truncations(self) -> list[Truncation]:
        """What recovery cut off; none of it had been acknowledged."""
        return self._partitions.truncations

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
        points = {checkpoint.topic_partition: checkpoint.recovery_point for checkpoint in due}
        self._partitions.move_recovery_points(points)
        for checkpoint in due:
            checkpoint.complete()
        for name in points:
            self._maybe_clean(self._partitions.get(name))

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
        checkpoints = read_checkpoints(files, root)
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
        synced = True
        if stop is None and session is not None:
            synced = self._judge_session(session, checkpoints)
        self._partitions.begin(
            checkpoints,
            clean=stop is not None,
            synced=synced,
            all_transaction_indexes=has_all_transaction_indexes(files, root),
            with_open_transactions=[TopicPartition(*n) for n in stop.open_transactions]
            if stop is not None
            else (),
        )
        self._topics.load()
        deleted = find_deleted(root, files.listdir(root))
        self._deletions.add(deleted, self.clock.now_ms(), directories=True)
        self._topics.finish_deletions()
        self.strays = self._topics.find_strays()
        if stop is None:
            self._partitions.recover(self._topics.known())
        write_session(
            files, root, Session(self._boot_id, self.durability, unclean_boot=self.unclean_boot)
        )
        self._writer = DurableOffsetsWriter(files, os.path.join(root, layout.DURABLE_OFFSETS))
        if stop is None:
            self.publish(list(self._partitions.logs().values()))
        for log in self._compacted():
            self._maybe_clean(log)
        if self._topics.known():
            self._keep_house()

    def _judge_session(self, session: Session, checkpoints: Checkpoints) -> bool:
        """After a crash: whether what the last owner had published was synced.

        What it had published is forgotten where the machine has lost it.
        """
        self.unclean_boot = session.unclean_boot
        if session.durability != "os":
            return True
        if not session.is_of_boot(self._boot_id):
            self.unclean_boot = True
            checkpoints.durable_offsets = {}
            path = os.path.join(self.root, layout.DURABLE_OFFSETS)
            if self._files.exists(path):
                self._files.unlink(path)
                self._files.sync_directory(self.root)
        return False

    def _on_load(self, log: PartitionLog, recovered: bool) -> None:
        """A log has been loaded. Under the lock of `Partitions`, or while opening."""
        log.expire_producers(self.clock.now_ms(), self.log_config.producer_id_expiration_ms)
        self._maybe_clean(log)
        if log.topic_partition != METADATA_PARTITION:
            self._keep_house()
        if recovered and self._writer is not None:
            self.flusher.mark_dirty(log)  # readers beside us are told in the next window

    # Housekeeping

    def _has_failed(self) -> bool:
        return self.flusher.failure is not None

    def _maybe_clean(self, log: PartitionLog | None) -> None:
        """Starts compaction with the first log that may need it; when all logs are known."""
        if self._cleans or self.cleaner is None or self._writer is None or log is None:
            return
        if log.config.compact and len(log.view().segments) > 1:
            self._cleans = True
            self._cleaning.add(self.cleaner.run)

    def _compacted(self) -> list[PartitionLog]:
        """Those that are loaded: of any other, nothing was appended since the last session."""
        return [log for log in self._partitions.logs().values() if log.config.compact]

    def _forget_cleaned(self, name: TopicPartition) -> None:
        if self.cleaner is not None:
            self.cleaner.forget(name)

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
        logs = self._partitions.logs()
        for name in self._partitions.written(self._topics.known()):
            if name not in logs and self._partitions.may_have_deletable(name):
                # A damaged one is for who reads it to hear of: the others do not wait for that.
                with suppress(CorruptLogError, TopicError):
                    logs[name] = self.partition(*name)
        return list(logs.values())

    def _delete_files(self, paths: list[str], delay_ms: int) -> None:
        """Removes what has lost its name, after a while."""
        self._deletions.add(paths, self.clock.now_ms() + delay_ms)

    def _delete_later(self, due_ms: int) -> None:
        if "deletions" in self._keeps_house:
            self.housekeeper.wake(self._deletions.run, due_ms=due_ms)
        else:
            self._keeps_house.add("deletions")
            self.housekeeper.add(self._deletions.run, due_ms=due_ms)

    # Stopping

    def _stop(self) -> None:
        """Everything in memory goes to disk, then the marker that says so."""
        logs = list(self._partitions.logs().values())
        for log in logs:
            log.stop_writing()
        self.flusher.flush_last(logs)
        due = [log.take_last_checkpoint() for log in logs]
        self.checkpoint([checkpoint for checkpoint in due if checkpoint is not None])
        write_clean_stop(self._files, self.root, self._partitions.write_last())

    def _release(self) -> None:
        self._cleaning.stop()
        self.flusher.release()
        self._partitions.close()
        if self._writer is not None:
            self._writer.close()
        disk_lock, self._disk_lock = self._disk_lock, None
        if disk_lock is not None:
            disk_lock.release()


def _new_id() -> str:
    """A random id as Kafka writes it: base64 of a UUID."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
