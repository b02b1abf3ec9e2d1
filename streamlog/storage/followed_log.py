"""A partition read beside its owner, in another process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streamlog.errors import CorruptLogError
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


class FollowedLog(ReadableLog):
    """Goes through the headers of what the owner has made durable, and no further.

    So it knows open and aborted transactions without the owner's indexes, which are older than
    the batches. `read` looks for more where it has nothing; `refresh` does so at once.
    """

    def __init__(
        self,
        topic_partition: TopicPartition,
        directory: str,
        config: TopicConfig,
        pool: FilePool,
        loaded: LoadedLog,
        durable_end: Callable[[], int],
    ) -> None:
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
        self._durable_end = durable_end

    def read(
        self, offset: int, max_bytes: int, isolation: Isolation = "read_uncommitted"
    ) -> FetchedBatches:
        """As the owner's, after a look at what is new where `offset` is not below the bound."""
        if offset >= self.bound(isolation):
            self.refresh()
        return super().read(offset, max_bytes, isolation)

    def refresh(self) -> None:
        """Takes in what became durable since the last look."""
        end = self._durable_end()
        with self._lock:
            while self._log_end_offset < end:
                segment = self._growing_segment()
                try:
                    self._follow(segment, end)
                except CorruptLogError:
                    # The zeros behind a segment that was full: its owner has begun the next one.
                    if not self._has_next_segment():
                        raise
            moved = self._advance(self._log_end_offset)
        if moved:
            self._notify()

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
            self._log_end_offset = header.next_offset
            if header.next_offset >= end:
                return
        if segment.size_bytes == start and not self._has_next_segment():
            reason = f"ends at offset {self._log_end_offset}, but is durable to {end}"
            raise CorruptLogError(segment.path, start, reason)
