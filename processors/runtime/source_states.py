"""What sources keep: positions that no consumer group commits, and the time of a partition.

Both are entries of keyed stores, written at the flush, and so in the transaction of the records
that they are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processors.runtime.timestamps import TimestampReader
from processors.state.cached import KeyValueState
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.local import IterableNode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processors.state.state import State
    from processors.topology.partitioning import PartitionedTopology
    from streamlog.client.contract import TopicPartition

POSITION: Final = "position"
TIME: Final = "time"


class SourceStates:
    """Of all sources of one engine. Owned by its thread.

    Attributes:
        readers: Those that make timestamps, by topic.
    """

    def __init__(
        self,
        plan: PartitionedTopology,
        stores: Mapping[tuple[str, int], State],
        now_ms: Callable[[], int],
    ) -> None:
        self.readers: dict[str, TimestampReader] = {}
        self._positions: dict[str, KeyValueState] = {}
        self._times: dict[tuple[str, int], KeyValueState] = {}
        for entry, partitions in plan.partitions.items():
            if not isinstance(entry, SourceNode):
                continue
            if isinstance(entry, IterableNode):
                self._positions[entry.topic] = _keyed(stores[entry.position_store, 0])
            if entry.invalid_timestamp == "partition_time":
                for partition in range(partitions):
                    state = _keyed(stores[entry.time_store, partition])
                    self._times[entry.topic, partition] = state
            if entry.timestamp or entry.invalid_timestamp in ("partition_time", "wall_clock"):
                self.readers[entry.topic] = TimestampReader(entry, now_ms, self._kept_time)

    def position(self, topic: str) -> int:
        """How many rows of an iterable are committed."""
        return self._positions[topic].get(POSITION) or 0

    def keep(self, positions: Mapping[TopicPartition, int]) -> None:
        """Notes what belongs to these positions, which a transaction is about to commit."""
        for at, position in positions.items():
            if at.topic in self._positions:
                _put(self._positions[at.topic], POSITION, position)
            if (at.topic, at.partition) in self._times:
                time = self.readers[at.topic].time_before(at.partition, position)
                _put(self._times[at.topic, at.partition], TIME, time)

    def clear(self) -> None:
        """An abort: records are read again, from where they were committed."""
        for reader in self.readers.values():
            reader.clear()

    def _kept_time(self, topic: str, partition: int) -> int | None:
        state = self._times.get((topic, partition))
        return None if state is None else state.get(TIME)


def _keyed(state: State) -> KeyValueState:
    assert isinstance(state, KeyValueState)
    return state


def _put(state: KeyValueState, key: str, number: int | None) -> None:
    if number is not None and number != state.get(key):
        state.put(key, number, 0)
        state.flush()
