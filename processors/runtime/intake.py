"""What was fetched and waits to run, a source partition each."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from processors.runtime.block import block_of_arrivals, next_block
from processors.runtime.round import Round
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processors.runtime.block import Block
    from streamlog.client.contract import FetchedColumns


ORDERED_AHEAD: Final = 8_192
"""The order is chosen for at most so many records of a source at once."""


class SourceBuffer:
    """The fetched runs of one source partition. `head` is the next row of the first run."""

    def __init__(self, topic_partition: TopicPartition) -> None:
        self.topic_partition = topic_partition
        self.runs: deque[FetchedColumns] = deque()
        self.head = 0
        self.position: int | None = None

    def feed(self, columns: FetchedColumns) -> None:
        if columns.offsets:
            self.runs.append(columns)
        elif self.runs:
            self.runs[-1].next_offset = columns.next_offset
        else:
            self.position = columns.next_offset

    def advance(self, head: int) -> None:
        """Rows before `head` of the first run have been taken."""
        if head == self.head:
            return
        run = self.runs[0]
        if head < len(run.offsets):
            self.head = head
            self.position = run.offsets[head - 1] + 1
        else:
            self.head = 0
            self.position = run.next_offset
            self.runs.popleft()

    def rows(self) -> int:
        return sum(len(run.offsets) for run in self.runs) - self.head

    def clear(self, position: int | None) -> None:
        self.runs.clear()
        self.head = 0
        self.position = position


class Intake:
    """All source partitions; makes the rounds.

    Args:
        sources: In the order that breaks ties.
        drain: Those that are read to an offset first and never again.
        preload: Those that are read to an offset first.
    """

    def __init__(
        self,
        sources: Sequence[TopicPartition],
        drain: Mapping[TopicPartition, int],
        preload: Mapping[TopicPartition, int],
    ) -> None:
        self.buffers = [SourceBuffer(source) for source in sources]
        self._by_source = {buffer.topic_partition: buffer for buffer in self.buffers}
        self._drain = dict(drain)
        self._first = {**drain, **preload}
        self.committed: dict[TopicPartition, int] = {}
        # All rounds of a block are over the same sources, as none of them runs out before its end.
        self._block: Block | None = None
        self._taken = 0

    def feed(self, columns: FetchedColumns) -> None:
        buffer = self._by_source[TopicPartition(columns.topic, columns.partition)]
        if columns.offsets and not buffer.runs:
            self._forget_order()  # of the order that was chosen without it, the rest is void
        buffer.feed(columns)

    def wants(self) -> list[TopicPartition]:
        """The source partitions that have nothing waiting."""
        draining = self.is_draining()
        return [
            buffer.topic_partition
            for buffer in self.buffers
            if not buffer.runs and (self._drains(buffer) if draining else self._follows(buffer))
        ]

    def is_draining(self) -> bool:
        return any(self._drains(buffer) for buffer in self.buffers)

    def _drains(self, buffer: SourceBuffer) -> bool:
        end = self._first.get(buffer.topic_partition)
        return end is not None and (buffer.position is None or buffer.position < end)

    def _follows(self, buffer: SourceBuffer) -> bool:
        return buffer.topic_partition not in self._drain

    def rows(self) -> int:
        return sum(buffer.rows() for buffer in self.buffers)

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of every source partition that has moved."""
        return {
            buffer.topic_partition: buffer.position
            for buffer in self.buffers
            if buffer.position is not None
        }

    def clear(self) -> None:
        """Drops what waits; positions are the committed ones again."""
        self._forget_order()
        for buffer in self.buffers:
            buffer.clear(self.committed.get(buffer.topic_partition))

    def next_round(
        self,
        first_ticket: int,
        max_records: int,
        arrivals: Sequence[TopicPartition] | None = None,
    ) -> tuple[Round, list[int]] | None:
        """The next records, and the numbers of the sources that they come from; None without any.

        The round ends early where a fetched run does: only then is the next head known.

        Args:
            arrivals: The sources to take the next records from, in this order, whatever their
                timestamps say; all of these records have been fed, a run a source.
        """
        active = [number for number, buffer in enumerate(self.buffers) if buffer.runs]
        if not active:
            return None
        buffers = [self.buffers[number] for number in active]
        block, start = self._block, self._taken
        if arrivals is not None:
            places = {buffer.topic_partition: place for place, buffer in enumerate(buffers)}
            order = [places[source] for source in arrivals[:max_records]]
            block, start = block_of_arrivals(*_heads_of(buffers), order), 0
        elif block is None:
            block, start = next_block(*_heads_of(buffers), ORDERED_AHEAD), 0
        end = min(start + max_records, len(block))
        for buffer, head in zip(buffers, block.heads(end), strict=True):
            buffer.advance(head)
        self._block, self._taken = (block, end) if end < len(block) else (None, 0)
        return Round(first_ticket, block, start, end), active

    def _forget_order(self) -> None:
        self._block = None
        self._taken = 0


def _heads_of(buffers: Sequence[SourceBuffer]) -> tuple[list[FetchedColumns], list[int]]:
    """The first run of each, and where it stands there."""
    return [buffer.runs[0] for buffer in buffers], [buffer.head for buffer in buffers]
