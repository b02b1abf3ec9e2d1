"""What is printed when a run has ended: totals and the top of the table, as text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.cli.view.snapshot import Snapshot
    from streamlog.targets import TargetStatus


def summary_lines(snapshot: Snapshot) -> list[str]:
    """The summary as text: one line a target, then the top entries."""
    lines = [f"{snapshot.doing} after {snapshot.elapsed_s:.1f} s"]
    rows = [(name, status.kind, _totals(status)) for name, status in snapshot.statuses.items()]
    width = max((len(name) for name, _, _ in rows), default=0)
    lines += [f"  {name:<{width}}  {kind:<6}  {text}" for name, kind, text in rows]
    if snapshot.top is not None and snapshot.top[1]:
        name, entries = snapshot.top
        lines.append(f"top {len(entries)} of {name}")
        width = max(
            len(f"{value:,}" if isinstance(value, int) else str(value)) for _, value in entries
        )
        lines += [
            f"  {f'{value:,}' if isinstance(value, int) else str(value):>{width}}  {key}"
            for key, value in entries
        ]
    return lines


def summary_json(snapshot: Snapshot) -> dict[str, Any]:
    """The same as a JSON object."""
    return {
        "result": snapshot.doing,
        "elapsed_s": round(snapshot.elapsed_s, 3),
        "targets": {name: _as_json(status) for name, status in snapshot.statuses.items()},
        "top": None if snapshot.top is None else dict(snapshot.top[1]),
    }


def _totals(status: TargetStatus) -> str:
    return ", ".join(_total_parts(status))


def _total_parts(status: TargetStatus) -> Iterator[str]:
    yield f"{status.records_in:,} in"
    yield f"{status.records_out:,} out"
    for counter, value in status.counters.items():
        yield f"{value:,} {counter}"
    yield f"{status.commits:,} commits"
    if status.commit_latency_ms is not None:
        yield f"commit {status.commit_latency_ms:.1f} ms"
    if behind := sum(status.lag.values()):
        yield f"lag {behind:,}"


def _as_json(status: TargetStatus) -> dict[str, Any]:
    return {
        "kind": status.kind,
        "records_in": status.records_in,
        "records_out": status.records_out,
        "counters": status.counters,
        "commits": status.commits,
        "commit_latency_ms": status.commit_latency_ms,
        "lag": {str(partition): behind for partition, behind in status.lag.items()},
    }
