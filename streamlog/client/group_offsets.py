"""Where a group stands, and where it could be set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streamlog.client.contract import PartitionLag
from streamlog.errors import TopicError
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.client.contract import GroupDescription, OffsetChoice
    from streamlog.clock import Clock
    from streamlog.storage import ReadableLog


class Partitions(Protocol):
    """What is asked of a broker."""

    @property
    def clock(self) -> Clock: ...

    def partition(self, partition: TopicPartition, /) -> ReadableLog: ...


def measure_lag(
    partitions: Partitions, group: GroupDescription
) -> dict[TopicPartition, PartitionLag]:
    """Up to the high watermark; a partition that is gone is left out."""
    assigned = {each for member in group.members for each in member.assignment}
    lags: dict[TopicPartition, PartitionLag] = {}
    for each in sorted(assigned | group.offsets.keys()):
        try:
            log = partitions.partition(each)
        except TopicError:
            continue
        lags[each] = PartitionLag(
            committed=group.offsets.get(each),
            beginning_offset=log.log_start_offset,
            end_offset=log.high_watermark,
        )
    return lags


def choose_offsets(
    partitions: Partitions,
    committed: Mapping[TopicPartition, int],
    choice: OffsetChoice,
    chosen: Iterable[TopicPartition] | None,
) -> dict[TopicPartition, int]:
    """The offsets that `choice` means, within each partition's bounds.

    Raises what `Partitions.partition` raises, and `ValueError` for a shift of what is not
    committed.
    """
    offsets: dict[TopicPartition, int] = {}
    for each in sorted(committed) if chosen is None else chosen:
        each = TopicPartition(*each)
        log = partitions.partition(each)
        offset = _choose(log, choice, committed.get(each), partitions.clock)
        if offset is None:
            raise ValueError(f"{each}: nothing is committed that could be shifted")
        offsets[each] = min(max(offset, log.log_start_offset), log.high_watermark)
    return offsets


def _choose(
    log: ReadableLog, choice: OffsetChoice, committed: int | None, clock: Clock
) -> int | None:
    if choice.to_earliest:
        return log.log_start_offset
    if choice.to_offset is not None:
        return choice.to_offset
    if choice.shift_by is not None:
        return None if committed is None else committed + choice.shift_by
    time_ms = choice.to_time_ms
    if choice.by_duration_ms is not None:
        time_ms = clock.now_ms() - choice.by_duration_ms
    found = None if time_ms is None else log.offset_for_timestamp(time_ms)
    return log.high_watermark if found is None else found[0]
