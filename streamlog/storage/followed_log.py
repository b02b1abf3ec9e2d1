"""A partition read beside its owner, in another process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptLogError, TopicDeletedError
from streamlog.storage import layout
from streamlog.storage.readable_log import FetchedBatches, ReadableLog
from streamlog.storage.replay import replay_batch
from streamlog.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.storage.file_pool import FilePool
    from streamlog.storage.loader import LoadedLog
    from streamlog.storage.topic_config import TopicConfig
    from streamlog.topic import Isolation, TopicPartition

ATTEMPTS: Final = 3
"""The owner may delete and compact while the directory is being listed."""


class FollowedLog(ReadableLog):
    """Goes through the headers of what the owner has made durable, and no further.

    So it knows open and aborted transactions without the owner's indexes, which are older than
    the batches. `read` looks for more where it has nothing; `refresh` does so at once. Where the
    owner has deleted or compacted what this one knew, it begins anew with what `load` finds.
    """

    def __init__(
        self,
        topic_partition: TopicPartition,
        directory: str,
        config: TopicConfig,
        pool: FilePool,
        load: Callable[[], LoadedLog],
        durable_end: Callable[[], int],
    ) -> None:
        """`load` raises `TopicDeletedError` where the topic is gone."""
        loaded = load()
        super().__init__(
            topic_partition,
            loaded.segments,
            loaded.producers,
            log_start_offset=loaded.log_start_offset,
            log_end_offset=loaded.log_end_offset,
            high_watermark=loaded.log_end_offset,
        )
        self._directory = directory
        self._config = config
        self._pool = pool
        self._load = load
        self._durable_end = durable_end

    def read(
        self, offset: int, max_bytes: int, isolation: Isolation = "read_uncommitted"
    ) -> FetchedBatches:
        """As the owner's, after a look at what is new where `offset` is not below the bound."""
        if offset >= self.bound(isolation):
            self.refresh()
        return super().read(offset, max_bytes, isolation)

    def refresh(self, end: int | None = None) -> None:
        """Takes in what became durable since the last look; `end` is how far that is, if known.

        Raises `TopicDeletedError`, and `CorruptLogError` for what is damaged or missing.
        """
        end = self._durable_end() if end is None else end
        with self._lock:
            if self._deleted:
                raise TopicDeletedError(self.topic_partition.topic)
            self._follow_or_begin_anew(end)
            moved = self._advance(self._log_end_offset)
        if moved:
            self._notify()

    def advance_start(self, offset: int) -> None:
        """The owner has deleted what is below `offset`."""
        with self._lock:
            self._log_start_offset = max(offset, self._log_start_offset)

    def delete(self) -> None:
        """The topic is gone: who reads from here on gets `TopicDeletedError`."""
        with self._lock:
            self._deleted = True
        self._notify()

    def _check_replaced(self, segments: list[Segment], error: FileNotFoundError) -> None:
        """A file that is gone was deleted or compacted by the owner: looks what there is now."""
        if not self._deleted and self._segments is segments:
            end = self._durable_end()
            with self._lock:
                self._follow_or_begin_anew(end, anew=True)
            self.refresh(end)

    def _follow_or_begin_anew(self, end: int, *, anew: bool = False) -> None:
        """Under the lock. The owner may rename files while they are listed and opened, too."""
        for attempt in range(ATTEMPTS):
            try:
                # Or the owner has deleted what would be next.
                if anew or attempt or self._log_end_offset < self._log_start_offset:
                    self._begin_anew()
                self._follow_to(end)
                return
            except FileNotFoundError as error:
                if attempt == ATTEMPTS - 1:
                    if not self._pool.files.exists(self._directory):
                        self._deleted = True
                        raise TopicDeletedError(self.topic_partition.topic) from error
                    raise CorruptLogError(error.filename, 0, "the file is gone") from error
            except CorruptLogError:
                if attempt == ATTEMPTS - 1:
                    raise

    def _begin_anew(self) -> None:
        """Under the lock. The high watermark stays: what was durable is durable."""
        loaded = self._load()
        self._segments, self._producers = loaded.segments, loaded.producers
        self._log_start_offset = max(self._log_start_offset, loaded.log_start_offset)
        self._log_end_offset = loaded.log_end_offset
        self._cursors.clear()

    def _follow_to(self, end: int) -> None:
        while self._log_end_offset < end:
            segment = self._growing_segment()
            try:
                self._follow(segment, end)
            except CorruptLogError:
                # The zeros behind a segment that was full: its owner has begun the next one.
                if not self._has_next_segment():
                    raise

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            for segment in self._segments:
                segment.close()

    def _growing_segment(self) -> Segment:
        if not self._segments or self._has_next_segment():
            interval = self._config.index_interval_bytes
            segment = Segment(
                self._pool, self._directory, self._log_end_offset, index_interval_bytes=interval
            )
            self._segments = [*self._segments, segment]
        return self._segments[-1]

    def _has_next_segment(self) -> bool:
        end = self._log_end_offset
        if self._segments and self._segments[-1].base_offset == end:
            return False
        path = os.path.join(self._directory, layout.file_name(end, layout.LOG))
        return self._pool.files.exists(path)

    def _follow(self, segment: Segment, end: int) -> None:
        """Goes through the segment's batches below `end`."""
        start = segment.size_bytes
        for position, header in segment.walk(start, self._pool.files.size(segment.path)):
            segment.indexes.observe(header.last_offset, header.max_timestamp, position)
            aborted = replay_batch(self._producers, header, segment, position)
            if aborted is not None:
                segment.add_aborted(aborted)
            segment.size_bytes = position + header.size_bytes
            self._log_end_offset = segment.end_offset = header.next_offset
            if header.next_offset >= end:
                return
        if segment.size_bytes == start and not self._has_next_segment():
            reason = f"ends at offset {self._log_end_offset}, but is durable to {end}"
            raise CorruptLogError(segment.path, start, reason)
