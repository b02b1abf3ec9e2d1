"""Time without traffic on a real log: backlogs, restarts, a tick at every turn of the worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from processors import App, Tumbling
from processors.runtime import work
from streamlog.client.contract import TopicPartition
from streamlog.targets import RunContext
from streamlog.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.runtime.worker import Worker

    from .conftest import Bench

MINUTE = 60_000
START = 1_000 * MINUTE
PARTITIONS = [TopicPartition("in", 0), TopicPartition("in", 1)]


class Timed:
    """A bench with a clock to turn by hand; every turn of the worker is a tick."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.clock = ManualClock(START)
        monkeypatch.setattr(work, "TICK_MS", 0)
        monkeypatch.setattr(bench, "context", self.context)
        for topic in ("in", "other"):
            bench.log.create_topic(topic, 2)
        bench.log.create_topic("out", 1)
        bench.log.create_topic("late", 1)

    def context(self) -> RunContext:
        return RunContext(
            log=self.bench.log,
            until_idle=True,
            clock=self.clock,
            stopping=asyncio.Event(),
            state_dir=self.bench.state_dir,
        )

    def send(self, topic: str, *rows: tuple[str, int], partition: int | None = None) -> None:
        with self.bench.log.producer() as producer:
            for key, timestamp in rows:
                producer.send(topic, key, "x", timestamp=timestamp, partition=partition)

    def results(self, topic: str = "out") -> list[tuple[Any, Any, int]]:
        return sorted(
            (record.key, record.timestamp, record.value)
            for record in self.bench.records(topic, value=str)
        )

    def run(self, app: App, *scripts: Callable[[Worker], Any]) -> Worker:
        async def script(worker: Worker) -> None:
            await self.bench.wait_idle(worker)
            for each in scripts:
                await each(worker)
                await self.bench.wait_idle(worker)

        return self.bench.drive(app, script)

    async def advance(self, ms: int) -> None:
        """Moves the clock, with ticks before and after."""
        for step in (ms - 1, 1):
            await asyncio.sleep(0.01)
            self.clock.advance(step)
        await asyncio.sleep(0.01)

    async def wait_for(self, worker: Worker, count: int, topic: str = "out") -> None:
        at = TopicPartition(topic, 0)
        await self.bench.wait(worker, lambda: self.bench.log.end_offsets([at])[at] >= count)


@pytest.fixture
def timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Timed:
    return Timed(bench, monkeypatch)


def count_app(*, advance: Any = "stream_time", chunk_size: int = 1, **source: Any) -> App:
    app = App("a", chunk_size=chunk_size, commit_interval_ms=1)
    grouped = app.stream("in", value=str, **source).group_by(lambda value: value, name="g")
    windowed = grouped.windowed_by(Tumbling("1m"), late_to="late", advance=advance)
    counts = windowed.count(name="counts", emit="final").to_stream()
    counts.map_items(lambda key, count: (key.key, f"{key.start // MINUTE}: {count}")).to(
        "out", value=str
    )
    return app


@pytest.mark.parametrize("chunk_size", [1, 4_096])
@pytest.mark.parametrize(
    "options", [{"advance": "wall_clock"}, {"idle_timeout": "1s"}], ids=["wall_clock", "idle"]
)
def test_a_backlog_is_not_late_whatever_the_clock_says_and_each_result_comes_once(
    timed: Timed, chunk_size: int, options: dict[str, Any]
) -> None:
    rows = [("k", START - 120 * MINUTE + second * 10_000) for second in range(60)]
    timed.clock.set(START)
    timed.send("in", *rows, partition=0)
    timed.send("in", *rows, partition=1)

    async def behind(worker: Worker) -> None:
        await timed.advance(5 * MINUTE)
        await timed.wait_for(worker, 10)

    worker = timed.run(count_app(chunk_size=chunk_size, **options), behind)
    values = [value for _, _, value in timed.results()]
    first = (START - 120 * MINUTE) // MINUTE
    assert sorted(values) == sorted(f"{first + minute}: 12" for minute in range(10))
    assert worker.status().counters.get("late", 0) == 0
    assert timed.results("late") == []


@pytest.mark.parametrize(
    "options", [{"advance": "wall_clock"}, {"idle_timeout": "1s"}], ids=["wall_clock", "idle"]
)
def test_a_restart_between_a_final_result_and_a_late_record_changes_nothing(
    timed: Timed, options: dict[str, Any]
) -> None:
    timed.send("in", ("k", START), partition=0)
    expected = [("x", START, f"{START // MINUTE}: 1")]

    async def close(worker: Worker) -> None:
        await timed.advance(2 * MINUTE)
        await timed.wait_for(worker, 1)

    timed.run(count_app(**options), close)
    assert timed.results() == expected
    timed.send("in", ("k", START + 1), partition=1)

    async def late(worker: Worker) -> None:
        await timed.advance(2 * MINUTE)

    timed.run(count_app(**options), late)
    assert timed.results() == expected
    assert timed.results("late") == [("x", START + 1, "x")]


def test_rows_without_a_match_leave_where_nothing_arrives(timed: Timed) -> None:
    app = App("a")
    left = app.stream("in", value=str, idle_timeout="1s")
    right = app.stream("other", value=str, idle_timeout="1s")
    left.join(right, lambda a, b: f"{a} {b}", within="10s", how="left").to("out", value=str)
    timed.send("in", ("k", START))

    async def close(worker: Worker) -> None:
        await timed.advance(2 * MINUTE)
        await timed.wait_for(worker, 1)

    timed.run(app, close)
    assert timed.results() == [("k", START, "x None")]


def test_a_source_may_get_an_idle_timeout_and_lose_it(timed: Timed) -> None:
    timed.send("in", ("k", START))
    timed.run(count_app())
    timed.run(count_app(idle_timeout="1s"))
    timed.run(count_app())
    assert timed.results() == []
