"""Which segments of a log may go. Pure.

    log start offset      stable offset
          │                    │
    ├─────┼────────┼───────────┼────────┼──────────┤
      gone: all of    by time and by     stays: an open transaction's, above the
      it is below     size, the oldest   recovery point, or active with data
      the start       first

Only a prefix goes, so the log has no hole. A segment goes by start offset where the next one begins
at or below the start; by size where the log is larger than `retention.bytes` without it; by time
where its newest record is older than `retention.ms`. The last two are for topics whose
`cleanup.policy` has `delete`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.storage.topic_config import TopicConfig


class RetainedSegment(Protocol):
    """What the choice looks at."""

    base_offset: int
    size_bytes: int

    def max_timestamp(self) -> int:
        """The highest timestamp; -1 without one."""
        ...


def choose_deletable(
    segments: Sequence[RetainedSegment],
    config: TopicConfig,
    *,
    log_start_offset: int,
    stable_offset: int,
    now_ms: int,
) -> int:
    """How many of the first segments go. The last one, which is written to, always stays.

    Nothing that reaches `stable_offset` goes: a transaction that has its first record there is
    still undecided, or recovery would need it.
    """
    ends = [following.base_offset for _, following in pairwise(segments)]
    allowed = sum(1 for end in ends if end <= stable_offset)
    count = sum(1 for end in ends[:allowed] if end <= log_start_offset)
    if config.delete:
        count = max(count, _beyond_size(segments, config.retention_bytes))
        count = max(count, _beyond_time(segments[:allowed], config.retention_ms, now_ms))
    return min(count, allowed)


def may_roll(segments: Sequence[RetainedSegment], log_start_offset: int, log_end: int) -> bool:
    """Whether nobody can read the active segment any more, so that it may be ended and go too."""
    return bool(segments) and segments[-1].size_bytes > 0 and log_start_offset == log_end


def _beyond_size(segments: Sequence[RetainedSegment], retention_bytes: int) -> int:
    if retention_bytes < 0:
        return 0
    excess = sum(segment.size_bytes for segment in segments) - retention_bytes
    for count, segment in enumerate(segments):
        excess -= segment.size_bytes
        if excess < 0:
            return count
    return len(segments)


def _beyond_time(segments: Sequence[RetainedSegment], retention_ms: int, now_ms: int) -> int:
    """A segment whose records have no timestamps goes with the next one."""
    count = 0
    if retention_ms >= 0:
        for place, segment in enumerate(segments):
            newest = segment.max_timestamp()
            if newest < 0:
                continue
            if now_ms - newest <= retention_ms:
                break
            count = place + 1
    return count
