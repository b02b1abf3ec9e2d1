"""Timestamps that a function makes of values, before records are brought into an order by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.nodes.endpoint import SourceNode
    from streamlog.client.contract import FetchedColumns

INVALID = -1
"""What stands for a timestamp that there is none of: the source refuses it, or leaves it out."""


class TimestampReader:
    """Gives fetched records of one source the timestamps that its function makes.

    Args:
        now_ms: The wall clock, for the policy that takes it.
    """

    def __init__(self, node: SourceNode, now_ms: Callable[[], int]) -> None:
        self._function = node.timestamp
        self._serde = node.value
        self._policy = node.invalid_timestamp
        self._now_ms = now_ms
        self._partition_times: dict[int, int] = {}

    def read(self, columns: FetchedColumns) -> None:
        """Replaces the timestamps; a record whose value cannot be read keeps its own."""
        partition = columns.partition
        timestamps: list[int] = []
        highest = self._partition_times.get(partition, INVALID)
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

    def clear(self) -> None:
        """The records are read again, from where they were committed."""
        self._partition_times.clear()

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
    return time if type(time) is int and time >= 0 else INVALID
