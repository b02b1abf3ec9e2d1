"""The logs of a directory's partitions, and what its checkpoints say of them.

A log is loaded when it is first asked for; after an unclean stop each that was ever written is
loaded at opening. Checkpoints go by names, so what they say of a partition is forgotten, durably,
before another topic may have its name.
"""

from __future__ import annotations

import contextlib
import os
from threading import Lock, RLock
from typing import TYPE_CHECKING

from streamlog.errors import CorruptLogError, LogClosedError, StorageError
from streamlog.storage import layout
from streamlog.storage.adoption import adopt_partitions
from streamlog.storage.deletion import parse_partition
from streamlog.storage.directory_files import Checkpoints, segments_size, write_offsets
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.loader import Bounds, Loader, Truncation, is_other_topic, read_topic_id
from streamlog.storage.partition_log import MAX_TORN_BYTES, PartitionLog
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streamlog.files import Files
    from streamlog.storage.adoption import ChooseMarker, ForeignPartition
    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.flusher import Flusher
    from streamlog.storage.loader import LoadedLog
    from streamlog.storage.metadata import Topic


class Partitions:
    """The table of logs, and the checkpoints. Usable from any thread.

    `lock` guards the table, and with it the table of topics: a log is there only while its topic
    is. It is taken before a log's own.
    """

    def __init__(
        self,
        root: str,
        files: Files,
        pool: FilePool,
        flusher: Flusher,
        on_load: Callable[[PartitionLog, bool], None],
    ) -> None:
        """`on_load(log, recovered)` is called under the lock for each log that is loaded."""
        self.root = root
        self.lock = RLock()
        self.truncations: list[Truncation] = []
        """What recovery cut off; none of it had been acknowledged."""
        self._files = files
        self._pool = pool
        self._flusher = flusher
        self._on_load = on_load
        self._clean = True
        self._closed = False
        self._max_torn_bytes: int | None = MAX_TORN_BYTES
        self._all_transaction_indexes = True
        self._logs: dict[TopicPartition, PartitionLog] = {}
        self._with_open_transactions: set[TopicPartition] = set()
        self._checkpointing = Lock()  # guards what follows: the flusher's thread moves some
        self._checkpoints = Checkpoints()

    def begin(
        self,
        checkpoints: Checkpoints,
        *,
        clean: bool,
        synced: bool = True,
        all_transaction_indexes: bool = True,
        with_open_transactions: Iterable[TopicPartition] = (),
    ) -> None:
        """What the last owner has left: `clean` when it has stopped, `synced` where it synced.

        `all_transaction_indexes`: see `has_all_transaction_indexes`.
        """
        self._checkpoints = checkpoints
        self._clean = clean
        self._max_torn_bytes = MAX_TORN_BYTES if synced else None
        self._all_transaction_indexes = all_transaction_indexes
        self._with_open_transactions = set(with_open_transactions)

    # The table

    def get(self, name: TopicPartition) -> PartitionLog | None:
        """The log, if it is loaded."""
        return self._logs.get(name)

    def logs(self) -> dict[TopicPartition, PartitionLog]:
        """All that are loaded."""
        with self.lock:
            return dict(self._logs)

    def load(self, name: TopicPartition, topic: Topic) -> PartitionLog:
        """The log, loaded if need be. Under the lock, or while opening.

        Raises `CorruptLogError` for damage, `LogClosedError`.
        """
        log = self._logs.get(name)
        if log is not None:
            return log
        self.check_open()
        path = os.path.join(self.root, str(name))
        self._check_topic(path, topic)
        bounds = self._bounds(name, topic)
        loader = Loader(name, path, topic.config, self._pool, bounds, writable=True)
        loaded = loader.load_clean() if self._clean else None
        if loaded is None:
            loaded = loader.recover()
        if loaded.truncation is not None:
            self.truncations.append(loaded.truncation)
        log = self._logs[name] = self._make(name, topic, loaded)
        self._on_load(log, loaded.recovered)
        return log

    def recover(self, topics: Mapping[str, Topic]) -> None:
        """Loads every partition that was ever written: in its directory, or by the checkpoints."""
        written = dict.fromkeys(self.written(topics))
        expected = map(str, self._checkpoints.recovery_points)
        written |= dict.fromkeys(_partitions_among(expected, topics))
        for name in sorted(written):
            self.load(name, topics[name.topic])

    def reconfigure(self, topic: Topic) -> list[PartitionLog]:
        """Gives a topic's logs its configuration, and returns those that are loaded.

        Under the lock.
        """
        names = partitions_of(topic.description.name, topic.description.partitions)
        if len(self._logs) < len(names):
            name = topic.description.name
            logs = [log for each, log in self._logs.items() if each.topic == name]
        else:
            logs = [log for each in names if (log := self._logs.get(each)) is not None]
        for log in logs:
            log.config = topic.config
        return logs

    def remove(self, names: Sequence[TopicPartition]) -> list[PartitionLog]:
        """Takes the logs of a topic that is deleted out of the table. Under the lock."""
        self._with_open_transactions.difference_update(names)
        return [log for name in names if (log := self._logs.pop(name, None)) is not None]

    def with_open_transactions(self) -> set[TopicPartition]:
        """Those that the last clean stop left with open transactions. Under the lock."""
        return set(self._with_open_transactions)

    def check_open(self) -> None:
        if self._closed:
            raise LogClosedError(self.root)

    def close(self) -> None:
        """Closes all files. What was not synced may be lost."""
        with self.lock:
            self._closed = True
            for log in self._logs.values():
                log.close()
            self._logs = {}

    # The directories

    def written(self, topics: Mapping[str, Topic]) -> list[TopicPartition]:
        """The partitions that have a directory."""
        return _partitions_among(self._files.listdir(self.root), topics)

    def sizes(self, topics: Mapping[str, Topic]) -> dict[TopicPartition, int]:
        """The bytes of each partition's segments; of those that were ever written."""
        logs = self.logs()
        found = {name: log.size_bytes for name, log in logs.items() if log.exists}
        for name in self.written(topics):
            if name not in logs:
                with contextlib.suppress(FileNotFoundError):
                    found[name] = segments_size(self._files, os.path.join(self.root, str(name)))
        return {name: size for name, size in sorted(found.items()) if name.topic in topics}

    def may_have_deletable(self, name: TopicPartition) -> bool:
        """Whether a partition that is not loaded has more than its active segment."""
        path = os.path.join(self.root, str(name))
        with contextlib.suppress(FileNotFoundError):
            return sum(each.endswith(layout.LOG) for each in self._files.listdir(path)) > 1
        return False

    def check_no_strays(self, topic: Topic, *, from_partition: int = 0) -> None:
        """Raises `StorageError` where a new partition's directory is there already."""
        names = set(self._files.listdir(self.root))
        description = topic.description
        for name in partitions_of(description.name, description.partitions)[from_partition:]:
            if str(name) in names:
                path = os.path.join(self.root, str(name))
                raise StorageError(path, "is there already; remove it if nothing needs it")

    def adopt(
        self,
        topic: Topic,
        sources: Sequence[ForeignPartition],
        choose_marker: ChooseMarker | None,
        now_ms: int,
    ) -> dict[TopicPartition, PartitionLog]:
        """Copies a foreign topic's partitions; of what is copied nothing has to be read again.

        The logs are not in the table before `add`. Raises as `adopt_partitions` does.
        """
        adopted = adopt_partitions(topic, sources, self.root, self._pool, choose_marker, now_ms)
        logs = {name: self._make(name, topic, loaded) for name, loaded in adopted.items()}
        starts = {name: loaded.log_start_offset for name, loaded in adopted.items()}
        points = {name: loaded.recovery_point for name, loaded in adopted.items()}
        with self._checkpointing:
            try:
                self._write_starts({**self._checkpoints.log_start_offsets, **starts})
            except StorageError:
                for log in logs.values():
                    log.close()
                    self._files.rmtree(log.directory)
                raise
            self._checkpoints.recovery_points |= points
        for log in logs.values():
            self._flusher.mark_dirty(log)
        for _ in range(2):  # recovery points move when a window ends: before another one begins
            self._flusher.wait_durable()
        return logs

    def add(self, logs: Mapping[TopicPartition, PartitionLog]) -> None:
        """Takes in logs that were adopted. Under the lock."""
        self._logs |= logs
        for log in logs.values():
            self._on_load(log, False)

    # The checkpoints

    def move_recovery_points(self, points: Mapping[TopicPartition, int]) -> None:
        """Durably. On the flusher's thread."""
        with self._checkpointing:
            self._checkpoints.recovery_points |= points
            known = self._checkpoints.recovery_points
            write_offsets(self._files, self.root, layout.RECOVERY_POINTS, known)

    def advance_starts(self, starts: Mapping[TopicPartition, int]) -> None:
        """Moves log start offsets: first on the disk, then for readers."""
        with self._checkpointing:
            known = self._checkpoints.log_start_offsets
            moved = {name: start for name, start in starts.items() if start > known.get(name, 0)}
            if moved:
                self._write_starts({**known, **moved})
        with self.lock:
            logs = [(self._logs.get(name), start) for name, start in starts.items()]
        for log, start in logs:
            if log is not None:
                log.advance_start(start)

    def forget(self, names: Iterable[TopicPartition]) -> None:
        """What the checkpoints say of partitions that are deleted, durably. Raises `OSError`."""
        with self._checkpointing:
            self._checkpoints.forget(names)
            self._checkpoints.write(self._files, self.root)

    def write_last(self) -> list[TopicPartition]:
        """For a clean stop; returns the partitions with open transactions. Raises `OSError`."""
        logs = self.logs()
        with self._checkpointing:
            checkpoints = self._checkpoints
            checkpoints.high_watermarks |= {
                name: log.high_watermark for name, log in logs.items() if log.exists
            }
            starts, ends = checkpoints.log_start_offsets, checkpoints.high_watermarks
            write_offsets(self._files, self.root, layout.LOG_START_OFFSETS, starts)
            write_offsets(self._files, self.root, layout.HIGH_WATERMARKS, ends)
        still_open = {name for name in self._with_open_transactions if name not in logs}
        still_open |= {name for name, log in logs.items() if log.open_transactions()}
        return sorted(still_open)

    def _write_starts(self, starts: dict[TopicPartition, int]) -> None:
        """Only what is on the disk is known: who asks again after a failure is not told yes."""
        try:
            write_offsets(self._files, self.root, layout.LOG_START_OFFSETS, starts)
        except OSError as error:
            raise wrap_write_error(self.root, error) from error
        self._checkpoints.log_start_offsets = starts

    def _check_topic(self, path: str, topic: Topic) -> None:
        """Raises `CorruptLogError` for the directory of another topic: its offsets look alike."""
        found = read_topic_id(self._files, path)
        if is_other_topic(found, topic.description.topic_id):
            reason = f"the directory is of topic id {found}, not {topic.description.topic_id}"
            raise CorruptLogError(os.path.join(path, layout.PARTITION_METADATA), 0, reason)

    def _bounds(self, name: TopicPartition, topic: Topic) -> Bounds:
        checkpoints = self._checkpoints
        durable = checkpoints.durable_offsets.get((topic.description.topic_id, name.partition))
        known_durable_offset = durable.high_watermark if durable else 0
        max_torn_bytes = self._max_torn_bytes
        if max_torn_bytes is not None:
            max_torn_bytes += topic.config.max_message_bytes
        return Bounds(
            recovery_point=checkpoints.recovery_points.get(name, 0),
            log_start_offset=checkpoints.log_start_offsets.get(name, 0),
            known_durable_offset=known_durable_offset,
            synced_offset=known_durable_offset if max_torn_bytes is not None else 0,
            max_torn_bytes=max_torn_bytes,
            all_transaction_indexes=self._all_transaction_indexes,
        )

    def _make(self, name: TopicPartition, topic: Topic, loaded: LoadedLog) -> PartitionLog:
        return PartitionLog(
            name,
            topic.description.topic_id,
            os.path.join(self.root, str(name)),
            topic.config,
            self._pool,
            self._flusher,
            loaded,
        )


def partitions_of(topic: str, partitions: int) -> list[TopicPartition]:
    """The names of a topic's partitions."""
    return [TopicPartition(topic, number) for number in range(partitions)]


def _partitions_among(names: Iterable[str], topics: Mapping[str, Topic]) -> list[TopicPartition]:
    """The partitions of these topics among the names."""
    found: list[TopicPartition] = []
    for name in names:
        parsed = parse_partition(name)
        topic = topics.get(parsed[0]) if parsed else None
        if parsed and topic and parsed[1] < topic.description.partitions:
            found.append(TopicPartition(*parsed))
    return found
