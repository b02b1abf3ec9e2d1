"""The view where there is no terminal: one line every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.cli.view.snapshot import short

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.cli.view.rates import Rates
    from streamlog.cli.view.snapshot import Snapshot
    from streamlog.targets import TargetStatus


class PlainView:
    """Writes a line a period, and one whenever what the run does changes."""

    def __init__(self, write: Callable[[str], None], *, period_s: float = 2.0) -> None:
        self._write = write
        self._period_s = period_s
        self._due_s = 0.0
        self._doing: str = ""

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.elapsed_s < self._due_s and snapshot.doing == self._doing:
            return
        self._due_s = snapshot.elapsed_s + self._period_s
        self._doing = snapshot.doing
        self._write(plain_line(snapshot))

    def close(self) -> None:
        pass


def plain_line(snapshot: Snapshot) -> str:
    """Such as `12.0 s running | lines: in 250 k/s, ... | word-count: ..., lag 1234`."""
    parts = [f"{snapshot.elapsed_s:.1f} s {snapshot.doing}"]
    parts += [
        f"{name}: {_describe(name, status, snapshot.rates)}"
        for name, status in snapshot.statuses.items()
    ]
    return " | ".join(parts)


def _describe(name: str, status: TargetStatus, rates: Rates) -> str:
    if status.restore is not None:
        return (
            f"restoring {status.restore.records:,} of {status.restore.total:,} "
            f"({short(rates.per_second(f'{name}/restored'))}/s)"
        )
    if status.state != "running":
        return status.state
    parts = [f"in {short(rates.per_second(f'{name}/in'))}/s"]
    parts += [f"out {short(rates.per_second(f'{name}/out'))}/s"]
    parts += [
        f"{counter} {short(rates.per_second(f'{name}/{counter}'))}/s" for counter in status.counters
    ]
    if status.commit_latency_ms is not None:
        parts.append(f"commit {status.commit_latency_ms:.1f} ms")
    if status.lag:
        parts.append(f"lag {sum(status.lag.values()):,}")
    return ", ".join(parts)
