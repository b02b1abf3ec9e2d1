"""The view in a terminal: redrawn in place a few times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamlog.cli.view.snapshot import short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from streamlog.cli.view.snapshot import Snapshot
    from streamlog.client.contract import TopicPartition
    from streamlog.targets import RestoreProgress, TargetStatus

SHOWN_PARTITIONS = 12
"""Of more partitions, those that lag most are shown."""
_BAR_WIDTH = 20


class LiveView:
    """Draws on a console until closed; the last picture is wiped, since a summary follows."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        self._live.update(picture(snapshot), refresh=True)

    def close(self) -> None:
        self._live.stop()


def picture(snapshot: Snapshot) -> RenderableType:
    """One moment of a run as Rich draws it."""
    below = [part for part in (_lag(snapshot), _top(snapshot)) if part is not None]
    parts: list[RenderableType] = [_heading(snapshot), _targets(snapshot)]
    parts += [*_counters(snapshot), *_restores(snapshot)]
    if below:
        parts += ["", Columns(below, padding=(0, 4))]
    return Group(*parts)


def _heading(snapshot: Snapshot) -> RenderableType:
    return Text.assemble(
        ("streamlog run", "bold"), f"  {snapshot.elapsed_s:.1f} s  ", (snapshot.doing, "cyan")
    )


def _targets(snapshot: Snapshot) -> RenderableType:
    table = _table()
    table.add_column("target", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("in/s", "out/s", "in", "out", "commit ms", "lag"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, status in snapshot.statuses.items():
        table.add_row(*_target_cells(name, status, snapshot))
    return table


def _target_cells(name: str, status: TargetStatus, snapshot: Snapshot) -> Iterator[str | Text]:
    yield Text(name)
    yield "exhausted" if _rests(status) else status.state
    yield short(snapshot.rates.per_second(f"{name}/in"))
    yield short(snapshot.rates.per_second(f"{name}/out"))
    yield short(status.records_in)
    yield short(status.records_out)
    yield "" if status.commit_latency_ms is None else f"{status.commit_latency_ms:.1f}"
    yield short(sum(status.lag.values())) if status.lag else ""


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _counters(snapshot: Snapshot) -> Iterator[RenderableType]:
    for name, status in snapshot.statuses.items():
        for counter, value in status.counters.items():
            rate = short(snapshot.rates.per_second(f"{name}/{counter}"))
            yield Text.assemble(f"{name}: ", (f"{counter} {rate}/s", "bold"), f", {value:,} so far")


def _rests(status: TargetStatus) -> bool:
    return status.kind == "source" and status.state == "running" and status.exhausted


def _restores(snapshot: Snapshot) -> Iterator[RenderableType]:
    for name, status in snapshot.statuses.items():
        if status.restore is not None:
            yield _restore(name, status.restore, snapshot.rates.per_second(f"{name}/restored"))


def _restore(name: str, progress: RestoreProgress, rate: float) -> RenderableType:
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_row(
        Text(f"{name} restores", style="yellow"),
        ProgressBar(total=max(progress.total, 1), completed=progress.records, width=30),
        f"{progress.records:,} of {progress.total:,} ({short(rate)}/s)",
    )
    return row


def _lag(snapshot: Snapshot) -> RenderableType | None:
    """How far behind each partition is; bars are relative to the one furthest behind."""
    lags = [item for status in snapshot.statuses.values() for item in status.lag.items()]
    if not lags:
        return None
    shown = sorted(sorted(lags, key=_furthest_first)[:SHOWN_PARTITIONS])
    longest = max(1, *(behind for _, behind in lags))
    table = _table()
    table.add_column("lag", no_wrap=True)
    table.add_column("", justify="right")
    # Always as wide as the longest bar: a column that may be empty is measured too narrow, and
    # what stands beside it would move with the lag.
    table.add_column("", min_width=_BAR_WIDTH)
    for partition, behind in shown:
        table.add_row(str(partition), f"{behind:,}", "▇" * round(_BAR_WIDTH * behind / longest))
    if len(lags) > len(shown):
        table.add_row(f"and {len(lags) - len(shown)} more", "", "")
    return table


def _furthest_first(item: tuple[TopicPartition, int]) -> tuple[int, TopicPartition]:
    return -item[1], item[0]


def _top(snapshot: Snapshot) -> RenderableType | None:
    if snapshot.top is None or not snapshot.top[1]:
        return None
    name, entries = snapshot.top
    table = _table()
    table.add_column(f"top {len(entries)} of {name}")
    table.add_column("", justify="right")
    for key, value in entries:
        table.add_row(Text(str(key)), f"{value:,}" if isinstance(value, int) else str(value))
    return table
