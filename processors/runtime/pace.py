"""When to commit, and how much to run at once: pure."""

from __future__ import annotations

from typing import Final

LINGER_MS: Final = 20
"""While agents or calls are busy and all else is drained, so long what they finish is collected."""

ROUND_S: Final = 0.25
"""So long a round may take; the loop runs nothing else meanwhile, no stop and no other target."""

FIRST_ROUND: Final = 16
"""The records of the first round, before anything is known of how long the functions take."""


def choose_commit_at(
    *,
    first_pending_ms: int,
    last_commit_ms: int,
    commit_interval_ms: int,
    drained: bool,
    busy: bool,
    must_commit: bool,
) -> int:
    """The time from which a commit is due, given that something is pending.

    Args:
        first_pending_ms: When the first of what is pending was processed.
        last_commit_ms: When the last commit began.
        drained: All sources are read to their ends and nothing waits to run.
        busy: Events of agents or calls of operators are in flight or waiting.
        must_commit: Only a commit can make room in memory.
    """
    if must_commit or (drained and not busy):
        return first_pending_ms
    latest_ms = max(first_pending_ms, last_commit_ms) + commit_interval_ms
    if drained:
        return min(first_pending_ms + LINGER_MS, latest_ms)
    return latest_ms


def choose_round_size(size: int, *, ran: int, took_s: float, chunk_size: int) -> int:
    """The most records of the next round, after one of at most `size`."""
    if ran < size and took_s <= ROUND_S:
        return size
    in_time = int(ran * ROUND_S / max(took_s, 1e-9))
    return max(1, min(in_time, 2 * size, chunk_size))
