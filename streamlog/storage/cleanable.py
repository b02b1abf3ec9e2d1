"""What compaction does next: which log, how far, and which segments become one. Pure.

    log start          first dirty             end of the round           log end
        │  cleaned before   │   not yet cleaned       │  left alone           │
        ├───────────────────┼─────────────────────────┼───────────────────────┤

The dirty part ends at the first segment that may still change (the active one, and what is above
the recovery point), that has a record of an open transaction, or that is younger than
`min.compaction.lag.ms`. A round reads the dirty part for the last offset of each key and then
writes everything below its end anew. It is due when enough of the log is dirty, or when the
oldest dirty record is older than `max.compaction.lag.ms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamlog.storage.topic_config import TopicConfig
    from streamlog.topic import TopicPartition

MAX_RELATIVE_OFFSET: Final = (1 << 31) - 1


class CleanableSegment(Protocol):
    """What the choice looks at."""

    base_offset: int
    size_bytes: int

    def first_timestamp(self) -> int | None:
        """The highest timestamp of the first batch."""
        ...

    def max_timestamp(self) -> int:
        """The highest timestamp; -1 without one."""
        ...


S = TypeVar("S", bound=CleanableSegment)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanableLog:
    """A log as compaction finds it: all its segments, and what may not be touched."""

    topic_partition: TopicPartition
    segments: Sequence[CleanableSegment]
    config: TopicConfig
    log_start_offset: int
    log_end_offset: int
    stable_offset: int
    """Nothing at or above it is decided, durable and done with."""
    cleaned_offset: int | None
    """From the checkpoint: where the last round ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One cleaning of one log: keys from `first_dirty_offset` on, segments below `end_offset`."""

    topic_partition: TopicPartition
    first_dirty_offset: int
    end_offset: int
    clean_bytes: int
    dirty_bytes: int
    overdue: bool

    @property
    def dirty_ratio(self) -> float:
        """The share of the bytes below the end that were never cleaned."""
        total = self.clean_bytes + self.dirty_bytes
        return self.dirty_bytes / total if total else 0.0


def choose_round(due: Iterable[Round]) -> Round | None:
    """The round of the dirtiest log; None where none is due."""
    return max(due, key=lambda each: each.dirty_ratio, default=None)


def due_round(log: CleanableLog, now_ms: int) -> Round | None:
    """What a round would clean; None where it is not due."""
    planned = plan_round(log, now_ms)
    ratio = log.config.min_cleanable_dirty_ratio
    due = planned.dirty_bytes and (planned.overdue or planned.dirty_ratio > ratio)
    return planned if due else None


def plan_round(log: CleanableLog, now_ms: int) -> Round:
    """What a round would clean, whether or not it is due."""
    first_dirty = log.cleaned_offset
    if first_dirty is None or not log.log_start_offset <= first_dirty <= log.log_end_offset:
        first_dirty = log.log_start_offset  # records were deleted, or the log was cut
    end = _end_offset(log, first_dirty, now_ms)
    clean = dirty = 0
    oldest: int | None = None
    for segment, next_base in _inactive(log.segments):
        if segment.base_offset >= end:
            break
        if next_base > first_dirty:
            dirty += segment.size_bytes
            oldest = _older(oldest, segment.first_timestamp())
        if segment.base_offset < first_dirty:
            clean += segment.size_bytes
    lag = log.config.max_compaction_lag_ms
    return Round(
        topic_partition=log.topic_partition,
        first_dirty_offset=first_dirty,
        end_offset=max(first_dirty, end),
        clean_bytes=clean,
        dirty_bytes=dirty,
        overdue=oldest is not None and oldest < now_ms - lag,
    )


def group_segments(
    segments: Sequence[S], index_sizes: Sequence[int], end_offset: int, config: TopicConfig
) -> list[list[S]]:
    """Neighbours that become one segment, so that segments do not get smaller and smaller.

    Sizes are added up as they are before cleaning: neither the batches of a group exceed
    `segment_bytes` nor its indexes `segment_index_bytes`, and offsets stay within 31 bits.
    """
    groups: list[list[S]] = []
    size = index_size = 0
    ends = [*(segment.base_offset for segment in segments), end_offset][1:]
    for segment, each_index, end in zip(segments, index_sizes, ends, strict=True):
        size += segment.size_bytes
        index_size += each_index
        if (
            groups
            and size <= config.segment_bytes
            and index_size <= config.segment_index_bytes
            and end - 1 - groups[-1][0].base_offset <= MAX_RELATIVE_OFFSET
        ):
            groups[-1].append(segment)
        else:
            groups.append([segment])
            size, index_size = segment.size_bytes, each_index
    return groups


def _end_offset(log: CleanableLog, first_dirty: int, now_ms: int) -> int:
    """The base offset of the first segment that a round leaves alone."""
    young = now_ms - log.config.min_compaction_lag_ms
    end = log.segments[0].base_offset if log.segments else 0
    for segment, next_base in _inactive(log.segments):
        if next_base > log.stable_offset:
            break
        if (
            log.config.min_compaction_lag_ms > 0
            and next_base > first_dirty
            and segment.max_timestamp() > young
        ):
            break
        end = next_base
    return end


def _inactive(
    segments: Sequence[CleanableSegment],
) -> Iterable[tuple[CleanableSegment, int]]:
    """Every segment but the last, and where the next one begins."""
    for segment, following in pairwise(segments):
        yield segment, following.base_offset


def _older(oldest: int | None, timestamp: int | None) -> int | None:
    if timestamp is None or timestamp <= 0 or (oldest is not None and oldest <= timestamp):
        return oldest
    return timestamp
