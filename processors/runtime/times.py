"""The times of sources with an idle timeout: what is known of time where nothing arrives.

    active ── no record for the timeout, read to the end ──> idle
       ▲                                                      │
       └────────────────── a record, or more to be read ──────┘

A partition that is active has the highest timestamp that it gave. Idle ones have the lowest time of
the active partitions of their topic; where none is active, time goes on with the wall clock from
the highest that they had, counted from when the last record came, or the start. It never goes back.

Times are state, a number a partition in a store of the source: a restart goes on from them. How
long a partition has been quiet is counted from the start, so a backlog is never idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processors.operators.mark import UNKNOWN, Mark
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from processors.state.cached import KeyValueState
    from processors.topology.nodes.endpoint import SourceNode
    from streamlog.client.contract import TopicPartition

TIME: Final = "time"


class PartitionTime:
    """What is known of one partition of a source.

    Args:
        state: Where its time is kept; None without an idle timeout.
    """

    def __init__(self, source: TopicPartition, state: KeyValueState | None) -> None:
        self.source = source
        self.state = state
        self.time = UNKNOWN
        self.base = UNKNOWN
        self.is_ended = False
        self.is_idle = False
        self.position: int | None = None
        self.since_ms: int | None = None
        self.load()

    def load(self) -> None:
        """As it was committed."""
        found = None if self.state is None else self.state.get(TIME)
        self.time = self.base = UNKNOWN if found is None else found
        self.since_ms = None
        self.is_idle = False

    def look(
        self, now_ms: int, position: int | None, timeout_ms: int | None, *, is_ended: bool
    ) -> None:
        was_ended, self.is_ended = self.is_ended, is_ended
        if not (was_ended and is_ended) or self.since_ms is None or position != self.position:
            self.position = position
            self.since_ms = now_ms
            self.base = self.time
        quiet_ms = now_ms - self.since_ms
        self.is_idle = is_ended and timeout_ms is not None and quiet_ms >= timeout_ms

    def pace(self, now_ms: int) -> int:
        """Its time, gone on with the wall clock."""
        if self.base < 0 or self.since_ms is None:
            return UNKNOWN
        return max(self.time, self.base + now_ms - self.since_ms)


class SourceTimes:
    """The times of all partitions of the sources. Owned by the engine.

    Args:
        sources: The partitions of each source, in order, and the stores of their times.
    """

    def __init__(
        self, sources: Mapping[SourceNode, list[tuple[TopicPartition, KeyValueState | None]]]
    ) -> None:
        self._sources = {
            node: [PartitionTime(source, state) for source, state in partitions]
            for node, partitions in sources.items()
        }

    def note(self, node: SourceNode, partition: int, timestamps: list[int]) -> None:
        """Records have been taken."""
        found = self._sources[node][partition]
        if found.state is not None and timestamps:
            found.time = max(found.time, max(timestamps))

    def look(
        self,
        now_ms: int,
        at_end: Collection[TopicPartition],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Sees which partitions are quiet.

        Args:
            at_end: Those that have been read to their ends, with nothing that waits to run.
        """
        for node, partitions in self._sources.items():
            for each in partitions:
                position, is_ended = positions.get(each.source), each.source in at_end
                each.look(now_ms, position, node.idle_timeout_ms, is_ended=is_ended)

    def marks(self, now_ms: int) -> dict[tuple[SourceNode, int], Mark]:
        """What each partition says of time."""
        found: dict[tuple[SourceNode, int], Mark] = {}
        for node, partitions in self._sources.items():
            active = [each.time for each in partitions if not each.is_idle]
            if active:
                goes_on = min(active)
            else:
                goes_on = max((each.pace(now_ms) for each in partitions), default=UNKNOWN)
            for number, each in enumerate(partitions):
                clock = now_ms if each.is_ended else UNKNOWN
                if each.is_idle:
                    mark = Mark(NEVER, max(each.time, goes_on), clock)
                else:
                    mark = Mark(each.time, UNKNOWN, clock)
                found[node, number] = mark
        return found

    def apply(self, marks: Mapping[tuple[SourceNode, int], Mark]) -> None:
        """Time has come so far: operators have been told."""
        for (node, number), mark in marks.items():
            found = self._sources[node][number]
            found.time = max(found.time, mark.idle)

    def flush(self) -> None:
        """Keeps the times, in the open transaction."""
        for partitions in self._sources.values():
            for each in partitions:
                if each.state is not None and each.time >= 0:
                    if each.state.get(TIME) != each.time:
                        each.state.put(TIME, each.time, 0)
                    each.state.flush()

    def clear(self) -> None:
        """An abort: as it was committed. The states have been put back."""
        for partitions in self._sources.values():
            for each in partitions:
                each.load()
