"""Deletes what is beyond retention and forgets producers that are long silent.

What a crash leaves, in the order of a deletion:

1. the new log start offset is written to its checkpoint, durably: behind it nobody may read what
   is below, deleted or not;
2. the segments leave the log's list, and then lose their names, the oldest first: those that keep
   them are below the start, and go the next time;
3. a little later their files are removed; opening removes those that are left.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.errors import CorruptLogError
from streamlog.storage.deletion import unname_segments
from streamlog.storage.failure import wrap_write_error
from streamlog.storage.retention import choose_deletable, may_roll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamlog.files import Files
    from streamlog.storage.deletion import Deletions
    from streamlog.storage.log_config import LogConfig
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.segment import Segment
    from streamlog.topic import TopicPartition

    StartOffsets = Mapping[TopicPartition, int]


class Retainer:
    """Two tasks of the housekeeper. `advance` makes new log start offsets durable and valid."""

    def __init__(
        self,
        files: Files,
        deletions: Deletions,
        logs: Callable[[], Iterable[PartitionLog]],
        config: Callable[[], LogConfig],
        advance: Callable[[StartOffsets], None],
    ) -> None:
        self._files = files
        self._deletions = deletions
        self._logs = logs
        self._config = config
        self._advance = advance

    def retain(self, now_ms: int) -> int:
        """Deletes what is beyond retention; when to look again.

        Raises the `StorageError` of a write that failed.
        """
        plans: list[tuple[PartitionLog, list[Segment], int]] = []
        for log in self._logs():
            # Of damage whoever reads is told; and of what was compacted or deleted meanwhile the
            # next look finds the rest. Other logs do not wait for either.
            with suppress(CorruptLogError, FileNotFoundError):
                plan = _plan(log, now_ms)
                if plan is not None:
                    plans.append(plan)
        self._advance({log.topic_partition: start for log, _, start in plans})
        for log, segments, _ in plans:
            self._delete(log, segments, now_ms)
        return now_ms + self._config().log_retention_check_interval_ms

    def expire_producers(self, now_ms: int) -> int:
        """Forgets producers that have been silent for `producer.id.expiration.ms`."""
        config = self._config()
        for log in self._logs():
            log.expire_producers(now_ms, config.producer_id_expiration_ms)
        return now_ms + config.producer_id_expiration_check_interval_ms

    def _delete(self, log: PartitionLog, segments: list[Segment], now_ms: int) -> None:
        with log.reshaping:
            if not log.replace_segments(segments, ()):
                return  # compacted or deleted meanwhile
            try:
                left = unname_segments(self._files, segments)
            except OSError as error:
                raise wrap_write_error(log.directory, error) from error
        self._deletions.add(left, now_ms + log.config.file_delete_delay_ms)


def _plan(log: PartitionLog, now_ms: int) -> tuple[PartitionLog, list[Segment], int] | None:
    """The segments that go, and the log start offset then."""
    view = log.view()
    if may_roll(view.segments, view.log_start_offset, view.log_end_offset):
        log.roll(now_ms)  # they go when this is durable
        return None
    count = choose_deletable(
        view.segments,
        log.config,
        log_start_offset=view.log_start_offset,
        stable_offset=view.stable_offset,
        now_ms=now_ms,
    )
    if not count:
        return None
    start = max(view.log_start_offset, view.segments[count].base_offset)
    return log, list(view.segments[:count]), start
