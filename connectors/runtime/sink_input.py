"""What a sink reads: its partitions, where it stands in them, and what is committed."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import TYPE_CHECKING

from connectors.errors import DestinationAheadError
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamlog.client.contract import Consumer, FetchedColumns, Log


class SinkInput:
    """A consumer that starts where the destination says. Owned by its task.

    The group's committed offsets lie at or behind what the destination holds; for a
    transactional sink they are only what others see of its progress.
    """

    def __init__(
        self, log: Log, consumer: Consumer, connector: str, partitions: Sequence[TopicPartition]
    ) -> None:
        self._log = log
        self._consumer = consumer
        self._connector = connector
        self._partitions = list(partitions)
        self.positions: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}

    async def start(self, held: Mapping[TopicPartition, int] | None) -> None:
        """Begins at what the destination holds, or where it keeps nothing at what is committed.

        Raises:
            DestinationAheadError: the destination holds what the log does not have.
        """
        self._consumer.assign(self._partitions)
        committed = await asyncio.to_thread(self._consumer.committed, self._partitions)
        starts = self._log.beginning_offsets(self._partitions)
        ends = self._log.end_offsets(self._partitions, isolation="read_uncommitted")
        for partition, start in starts.items():
            known = committed.get(partition) if held is None else held.get(partition)
            position = start if known is None else known
            if position > ends[partition]:
                raise DestinationAheadError(
                    self._connector, str(partition), held=position, end=ends[partition]
                )
            self._consumer.seek(partition, position)
            self.positions[partition] = position
        self.committed = {p: committed.get(p) or starts[p] for p in self._partitions}
        if held is not None and self.committed != self.positions:
            await self.commit(self.positions)

    def poll(self) -> list[FetchedColumns]:
        """What there is, without what the destination holds already."""
        return [self._trim(columns) for columns in self._consumer.poll_columns(0.0)]

    def _trim(self, columns: FetchedColumns) -> FetchedColumns:
        position = self.positions[TopicPartition(columns.topic, columns.partition)]
        if not columns.offsets or columns.offsets[0] >= position:
            return columns
        first = bisect_left(columns.offsets, position)
        return type(columns)(
            columns.topic,
            columns.partition,
            columns.keys[first:],
            columns.values[first:],
            columns.timestamps[first:],
            columns.offsets[first:],
            None if columns.headers is None else columns.headers[first:],
            columns.next_offset,
        )

    def moved(self, columns: FetchedColumns) -> None:
        """The sink has taken these."""
        partition = TopicPartition(columns.topic, columns.partition)
        self.positions[partition] = columns.next_offset

    @property
    def is_pending(self) -> bool:
        """Whether anything was taken that is not committed."""
        return self.positions != self.committed

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Makes known that the destination is durable up to `offsets`."""
        durable = dict(offsets)
        await asyncio.to_thread(self._consumer.commit, durable)
        self.committed |= durable

    def lag(self) -> dict[TopicPartition, int]:
        ends = self._log.end_offsets(self._partitions, isolation="read_committed")
        return {p: max(0, ends[p] - position) for p, position in self.positions.items()}

    def on_available(self, callback: Callable[[], None] | None) -> None:
        self._consumer.on_available(callback)
