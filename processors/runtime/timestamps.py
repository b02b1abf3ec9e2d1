"""Timestamps that a function makes of values, before records are brought into an order by them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any

from processors.topology.timestamp import is_timestamp
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.nodes.endpoint import SourceNode
    from streamlog.client.contract import FetchedColumns

INVALID = -1
"""What stands for a timestamp that there is none of: the source refuses it, or leaves it out."""


class TimestampReader:
    """Gives fetched records of one source the timestamps that its function makes.

    What is read here is processed later. So where the time of a partition stands in for a missing
    one, the runs are remembered until they are processed: the time that is committed is the highest
    of what was, not of what was read.

    Args:
        now_ms: The wall clock, for the policy that takes it.
        kept_time: The committed time of a topic's partition, None where there is none.
    """

    def __init__(
        self,
        node: SourceNode,
        now_ms: Callable[[], int],
        kept_time: Callable[[str, int], int | None] = lambda topic, partition: None,
    ) -> None:
        self._topic = node.topic
        self._function = node.timestamp
        self._serde = node.value
        self._policy = node.invalid_timestamp
        self._now_ms = now_ms
        self._kept_time = kept_time
        self._partition_times: dict[int, int] = {}
        self._runs: dict[int, deque[tuple[int, FetchedColumns]]] = {}

    def read(self, columns: FetchedColumns) -> None:
        """Replaces the timestamps; a record whose value cannot be read keeps its own."""
        partition = columns.partition
        timestamps: list[int] = []
        highest = before = self._time(partition)
        for data, own in zip(columns.values, columns.timestamps, strict=True):
            time = self._read_one(data, own)
            if time < 0 and self._policy == "partition_time":
                time = highest
            elif time < 0 and self._policy == "wall_clock":
                time = self._now_ms()
            timestamps.append(time)
            highest = max(highest, time)
        self._partition_times[partition] = highest
        columns.timestamps = timestamps
        if self._policy == "partition_time" and timestamps:
            self._runs.setdefault(partition, deque()).append((before, columns))

    def time_before(self, partition: int, position: int) -> int | None:
        """The highest timestamp before this offset, None without any; older runs are forgotten."""
        runs = self._runs.get(partition, deque())
        while runs and runs[0][1].offsets[-1] < position:
            runs.popleft()
        if not runs:
            time = self._time(partition)
        else:
            before, columns = runs[0]
            processed = columns.timestamps[: bisect_left(columns.offsets, position)]
            time = max(before, max(processed, default=INVALID))
        return None if time < 0 else time

    def clear(self) -> None:
        """The records are read again, from where they were committed."""
        self._partition_times.clear()
        self._runs.clear()

    def _time(self, partition: int) -> int:
        """The highest timestamp of what was read, in this run or an earlier one."""
        time = self._partition_times.get(partition)
        if time is None:
            time = self._kept_time(self._topic, partition)
        return INVALID if time is None else time

    def _read_one(self, data: bytes | None, own: int) -> int:
        if self._function is None:
            return own
        try:
            value = None if data is None else self._serde.deserialize(data)
        except SerializationError:
            return own
        try:
            return checked(self._function(value))
        except Exception:  # what it was, the source finds out where the policy is to say so
            return INVALID


def checked(time: Any) -> int:
    """A timestamp, or -1 for what is none."""
    return time if is_timestamp(time) else INVALID
