"""What a producer is given, checked and cut into batches. Pure, apart from whose turn it is."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from streamlog.client.kernel import (
    MAX_TIMESTAMP,
    ROW_OVERHEAD,
    Queue,
    Rows,
    are_small_times,
    cut_rows,
    scatter,
)
from streamlog.errors import UnknownPartitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.client.contract import Headers


def cut_columns(
    queue: Queue,
    keys: Sequence[bytes | None] | None,
    values: Sequence[bytes | None],
    timestamps: Sequence[int] | None,
    headers: Sequence[Headers] | None,
    partition: int | None,
    *,
    now_ms: int,
) -> list[Rows]:
    """The columns as batches of one partition each, in order; keyless ones all for partition 0.

    Raises:
        ValueError: columns of unequal length, or a timestamp out of range.
        TypeError: a value that is not of its column's type.
        RecordTooLargeError: a row that no batch can hold.
        UnknownPartitionError: the topic has no such partition.
    """
    count = len(values)
    for name, column in (("keys", keys), ("timestamps", timestamps), ("headers", headers)):
        if column is not None and len(column) != count:
            raise ValueError(f"{len(column)} {name} for {count} values")
    times = None if timestamps is None else check_timestamps(timestamps)
    heads = None if headers is None else [check_headers(each) for each in headers]
    if partition is not None:
        check_partition(queue, partition)
    rows, key_list = _as_list(values), None if keys is None else _as_list(keys)
    if key_list is not None and partition is None and queue.partitions > 1:
        parts = scatter(key_list, rows, times, heads, now_ms, queue.partitions, queue.sticky)
    else:
        part = Rows(partition or 0)
        part.keys = [None] * count if key_list is None else key_list
        part.values, part.headers = rows, heads
        part.timestamps = [now_ms] * count if times is None else times
        parts = [part]
    return [batch for part in parts for batch in _cut(queue, part)]


def spread(queue: Queue, batches: list[Rows]) -> None:
    """Gives each keyless batch to the partition whose turn it is."""
    for batch in batches:
        size = sum(len(value) + ROW_OVERHEAD for value in batch.values if value is not None)
        batch.partition = queue.stick(size)


def check_partition(queue: Queue, partition: int) -> None:
    """Raises `UnknownPartitionError`, or `TypeError` for what is no integer."""
    if not 0 <= index(partition) < queue.partitions:
        raise UnknownPartitionError(queue.topic, partition, queue.partitions)


def check_timestamp(timestamp: int) -> int:
    """Raises `ValueError`, or `TypeError` for what is no integer."""
    timestamp = index(timestamp)
    if not 0 <= timestamp <= MAX_TIMESTAMP:
        raise ValueError(f"timestamp {timestamp} is not in milliseconds since 1970")
    return timestamp


def check_timestamps(timestamps: Sequence[int]) -> list[int]:
    times = timestamps if isinstance(timestamps, list) else list(timestamps)
    if are_small_times(times):
        return times
    return [check_timestamp(each) for each in times]


def check_headers(headers: Headers) -> Headers:
    """A copy, as the caller may go on changing the list; raises `TypeError`."""
    for header in headers:
        if not _is_header(header):
            raise TypeError(f"a header is a pair of str and bytes or None, not {header!r}")
    return list(headers)


def _is_header(header: object) -> bool:
    match header:
        case (str(), bytes() | None):
            return True
        case _:
            return False


def _cut(queue: Queue, part: Rows) -> list[Rows]:
    """One partition's rows as batches."""
    large: list[int] = []
    ends = cut_rows(part.keys, part.values, part.headers, queue.batch_bytes, large)
    for row in large:
        headers = None if part.headers is None else part.headers[row]
        queue.check_size(part.keys[row], part.values[row], headers, part.partition)
    if len(ends) <= 1:
        return [part] if ends else []
    batches: list[Rows] = []
    for start, end in zip([0, *ends], ends, strict=False):
        batch = Rows(part.partition)
        batch.keys, batch.values = part.keys[start:end], part.values[start:end]
        batch.timestamps = part.timestamps[start:end]
        batch.headers = None if part.headers is None else part.headers[start:end]
        batches.append(batch)
    return batches


def _as_list(column: Sequence[bytes | None]) -> list[bytes | None]:
    return column if isinstance(column, list) else list(column)
