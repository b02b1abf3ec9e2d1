"""Ticks among random records: chunks, exchanges and restarts change nothing that they must not.

With the same ticks at the same places, chunks of 1 and of 4,096 give the same output, record by
record. A restart begins to count anew how long sources are quiet; but whatever the clock does,
every record is in exactly one final result or late, and no window of a key has two.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App, Session, Tumbling
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable

PARTITIONS = 2
SECOND = 1_000


class Pipe(NamedTuple):
    topic: str
    key: str
    partition: int
    timestamp: int


class Advance(NamedTuple):
    ms: int


class Commit(NamedTuple):
    pass


class Restart(NamedTuple):
    pass


seconds = st.integers(0, 60).map(lambda number: number * SECOND)
pipes = st.builds(
    Pipe,
    st.sampled_from(["one", "two"]),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, PARTITIONS - 1),
    seconds,
)
advances = st.builds(Advance, st.sampled_from([1, 500, 1_000, 3_000, 10_000, 40_000]))
steps = st.lists(pipes | pipes | advances | st.builds(Commit), max_size=25)
steps_and_restarts = st.lists(
    pipes | pipes | pipes | advances | st.builds(Commit) | st.builds(Restart), max_size=25
)


def windows_of_both(app: App, **options: Any) -> None:
    one, two = (app.stream(topic, value=str, idle_timeout="3s") for topic in ("one", "two"))
    grouped = one.merge(two).group_by(lambda key: key, name="by-key")
    windowed = grouped.windowed_by(Tumbling("10s", grace="5s"), late_to="late", **options)
    windowed.count(name="counts", emit="final").to_stream().to("out")


def windows_of_the_clock(app: App) -> None:
    windows_of_both(app, advance="wall_clock")


def suppressed_sessions(app: App) -> None:
    stream = app.stream("one", value=str, idle_timeout="2s")
    stream = stream.merge(app.stream("two", value=str, idle_timeout="5s"))
    grouped = stream.group_by(lambda key: key, name="by-key")
    counts = grouped.windowed_by(Session("4s"), late_to="late").count(name="counts")
    counts.suppress(until="window_close", name="held").to_stream().to("out")


def joined(app: App) -> None:
    one, two = (app.stream(topic, value=str, idle_timeout="3s") for topic in ("one", "two"))
    result = one.join(two, lambda a, b: f"{a} {b}", within="5s", grace="1s", how="outer")
    result.to("out", value=str)


def windows_of_windows(app: App) -> None:
    one, two = (app.stream(topic, value=str, idle_timeout="3s") for topic in ("one", "two"))
    grouped = one.merge(two).group_by(lambda key: key, name="by-key")
    first = grouped.windowed_by(Tumbling("5s", grace="10s")).count(name="counts", emit="final")
    again = first.to_stream().map_key(lambda count: "all", key=str).group_by_key(value=int)
    again.windowed_by(Tumbling("20s"), late_to="late").sum(
        name="sums", emit="final"
    ).to_stream().to("out")


PROGRAMS: list[Callable[[App], None]] = [
    windows_of_both,
    windows_of_the_clock,
    suppressed_sessions,
    joined,
    windows_of_windows,
]


def run(program: Callable[[App], None], todo: list[Any], **options: Any) -> TopologyTestDriver:
    app = App("a")
    program(app)
    driver = TopologyTestDriver(app, partitions=PARTITIONS, commit_every=1_000, **options)
    for step in [*todo, Advance(200 * SECOND), Advance(200 * SECOND)]:
        match step:
            case Pipe(topic, key, partition, timestamp):
                driver.pipe(topic, key, key=key, timestamp=timestamp, partition=partition)
            case Advance(ms):
                driver.advance_wall_clock(ms)
            case Commit():
                driver.commit()
            case _:
                driver.restart()
    return driver


def written(driver: TopologyTestDriver, topic: str) -> list[Any]:
    records = driver.records(topic) if topic in driver.topics else []
    return [(each.partition, each.key, each.value, each.timestamp) for each in records]


@given(st.sampled_from(PROGRAMS), steps, st.sampled_from([1, 3]))
@settings(max_examples=60)
def test_chunks_of_any_size_give_the_same_between_the_same_ticks(
    program: Callable[[App], None], todo: list[Any], chunk_size: int
) -> None:
    whole, parts = run(program, todo), run(program, todo, chunk_size=chunk_size)
    for topic in ("out", "late"):
        assert written(parts, topic) == written(whole, topic)


@given(
    st.sampled_from([windows_of_both, windows_of_the_clock]),
    steps_and_restarts,
    st.sampled_from(["memory", "topic"]),
)
@settings(max_examples=60)
def test_every_record_is_in_one_final_result_or_late_over_restarts(
    program: Callable[[App], None], todo: list[Any], exchange: str
) -> None:
    driver = run(program, todo, exchange=exchange)
    results = [(key, value) for _, key, value, _ in written(driver, "out")]
    counted = Counter[Any]()
    for key, count in results:
        counted[key.key, key.start] += count
    assert len(results) == len(counted), "one final result a window and key"
    for _, key, _, timestamp in written(driver, "late"):
        counted[key, timestamp // 10_000 * 10_000] += 1
    expected = Counter(
        (step.key, step.timestamp // 10_000 * 10_000) for step in todo if isinstance(step, Pipe)
    )
    assert counted == expected


@given(steps_and_restarts, st.sampled_from(["memory", "topic"]))
@settings(max_examples=40)
def test_windows_of_windows_lose_nothing_that_was_not_late_for_the_first_ones(
    todo: list[Any], exchange: str
) -> None:
    driver = run(windows_of_windows, todo, exchange=exchange)
    late = driver.late_records()
    assert "sums" not in late
