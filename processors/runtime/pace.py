"""When to commit: pure."""

from __future__ import annotations

from typing import Final

LINGER_MS: Final = 20
"""While agents are busy and all else is drained, so long their finished events are collected."""


def choose_commit_at(
    *,
    first_pending_ms: int,
    last_commit_ms: int,
    commit_interval_ms: int,
    drained: bool,
    agents_busy: bool,
    must_commit: bool,
) -> int:
    """The time from which a commit is due, given that something is pending.

    Args:
        first_pending_ms: When the first of what is pending was processed.
        last_commit_ms: When the last commit began.
        drained: All sources are read to their ends and nothing waits to run.
        agents_busy: Agents have events in flight or waiting.
        must_commit: Only a commit can make room in memory.
    """
    if must_commit or (drained and not agents_busy):
        return first_pending_ms
    latest_ms = max(first_pending_ms, last_commit_ms) + commit_interval_ms
    if drained:
        return min(first_pending_ms + LINGER_MS, latest_ms)
    return latest_ms
