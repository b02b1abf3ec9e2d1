"""What a person sees of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from streamlog.cli.view.live import picture
from streamlog.cli.view.plain import PlainView, plain_line
from streamlog.cli.view.rates import Rates
from streamlog.cli.view.snapshot import Snapshot, short, short_bytes, totals
from streamlog.cli.view.summary import summary_json, summary_lines
from streamlog.client.contract import TopicPartition
from streamlog.targets import RestoreProgress, TargetStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

TOP: tuple[str, Sequence[tuple[str, Any]]] = ("counts", [("the", 12_345), ("[bold]", 7)])


def statuses(seconds: int) -> dict[str, TargetStatus]:
    return {
        "files": TargetStatus(
            kind="source",
            state="running",
            records_in=1000 * seconds,
            records_out=1000 * seconds,
            exhausted=False,
        ),
        "count": TargetStatus(
            kind="app",
            state="running",
            records_in=900 * seconds,
            records_out=500 * seconds,
            counters={"words": 7000 * seconds},
            commits=seconds,
            commit_latency_ms=4.25,
            lag={TopicPartition("lines", number): 100 * number for number in range(4)},
        ),
    }


def snapshot(doing: str = "running", elapsed_s: float = 2.0) -> Snapshot:
    rates = Rates()
    rates.observe(0.0, totals(statuses(0)))
    rates.observe(2.0, totals(statuses(2)))
    return Snapshot(elapsed_s=elapsed_s, doing=doing, statuses=statuses(2), rates=rates, top=TOP)


def restoring() -> Snapshot:
    status = TargetStatus(
        kind="app", state="restoring", restore=RestoreProgress(records=1_500_000, total=2_000_000)
    )
    rates = Rates()
    rates.observe(0.0, {"count/restored": 0})
    rates.observe(1.0, {"count/restored": 1_500_000})
    return Snapshot(elapsed_s=1.0, doing="running", statuses={"count": status}, rates=rates)


def drawn(moment: Snapshot, width: int = 120) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(moment))
    return capture.get()


def test_a_plain_line_has_rates_counters_latency_and_lag() -> None:
    assert plain_line(snapshot()) == (
        "2.0 s running | files: in 1.00 k/s, out 1.00 k/s | count: in 900/s, out 500/s, "
        "words 7.00 k/s, commit 4.2 ms, lag 600"
    )


def test_a_plain_line_shows_how_a_restore_gets_on() -> None:
    assert plain_line(restoring()) == (
        "1.0 s running | count: restoring 1,500,000 of 2,000,000 (1.50 M/s)"
    )


def test_plain_lines_come_every_period_and_when_what_is_done_changes() -> None:
    written: list[str] = []
    view = PlainView(written.append, period_s=2.0)
    for elapsed_s, doing in [
        (0.0, "running"),
        (1.0, "running"),
        (1.5, "stopping"),
        (3.5, "stopping"),
    ]:
        view.show(snapshot(doing, elapsed_s))
    assert [line.split(" |")[0] for line in written] == [
        "0.0 s running",
        "1.5 s stopping",
        "3.5 s stopping",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_picture_has_targets_lags_and_the_top(width: int) -> None:
    text = drawn(snapshot(), width)
    for part in ("count", "7.00 k/s", "lines-3", "the", "12,345", "[bold]", "4.2"):
        assert part in text


def test_partitions_have_their_whole_names_though_nothing_lags() -> None:
    lag = {TopicPartition("word-counts", number): 0 for number in range(4)}
    status = TargetStatus(kind="app", state="running", lag=lag)
    quiet = Snapshot(elapsed_s=0, doing="running", statuses={"a": status}, rates=Rates(), top=TOP)
    for partition in lag:
        assert str(partition) in drawn(quiet)


def test_the_live_picture_shows_restores_and_the_partitions_that_lag_most() -> None:
    lag = {TopicPartition("lines", number): number for number in range(40)}
    status = TargetStatus(kind="app", state="running", lag=lag)
    many = Snapshot(elapsed_s=0, doing="running", statuses={"app": status}, rates=Rates())
    assert "lines-39" in drawn(many)
    assert "and 28 more" in drawn(many)
    assert "1,500,000 of 2,000,000 (1.50 M/s)" in drawn(restoring())


def test_the_summary_has_totals_and_the_top() -> None:
    assert summary_lines(snapshot("idle")) == [
        "idle after 2.0 s",
        "  files  source  2,000 in, 2,000 out, 0 commits",
        "  count  app     1,800 in, 1,000 out, 14,000 words, 2 commits, commit 4.2 ms, lag 600",
        "top 2 of counts",
        "  12,345  the",
        "       7  [bold]",
    ]


def test_the_summary_as_json_is_one_object() -> None:
    parsed = json.loads(json.dumps(summary_json(snapshot("idle"))))
    assert parsed["result"] == "idle"
    assert parsed["targets"]["count"]["counters"] == {"words": 14_000}
    assert parsed["targets"]["count"]["lag"]["lines-3"] == 300
    assert parsed["top"] == {"the": 12_345, "[bold]": 7}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (999_400, "999 k"),
        (999_600, "1.00 M"),
        (2.5e9, "2.50 G"),
        (2.5e12, "2500 G"),
    ],
)
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text


def test_sizes_have_their_unit_apart() -> None:
    assert [short_bytes(size) for size in (0, 999, 20_480)] == ["0 B", "999 B", "20.5 kB"]
