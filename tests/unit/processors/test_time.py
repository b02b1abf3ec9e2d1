"""Time without records: idle sources, windows that go by the wall clock, in the driver."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from processors import (
    App,
    Calendar,
    Context,
    CountWindow,
    Hopping,
    Session,
    Sliding,
    Tumbling,
    Unlimited,
    Windowed,
)
from processors.errors import ProcessingError, TopologyError
from processors.testing import TopologyTestDriver
from processors.topology.timestamp import MAX_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60_000
IDLE = "30s"


def count_app(
    window: Any = None,
    *,
    idle_timeout: Any = None,
    advance: Any = "stream_time",
    emit: Any = "final",
    exchange: bool = False,
) -> App:
    app = App("a")
    stream = app.stream("in", value=str, idle_timeout=idle_timeout)
    grouped = stream.group_by(lambda value: value) if exchange else stream.group_by_key()
    window = window or Tumbling("1m", grace="10s")
    windowed = grouped.windowed_by(window, late_to="late", advance=advance)
    windowed.count(name="counts", emit=emit).to_stream().to("out")
    return app


def results(driver: TopologyTestDriver) -> list[tuple[Any, int]]:
    """Key and start of the windows of the results that are new, and the results."""
    return [((key.key, key.start), value) for key, value in driver.items("out")]


@pytest.mark.parametrize("window", [Tumbling("1m", grace=1 << 60), Session("1m", grace=1 << 60)])
def test_a_window_whose_close_is_later_than_times_go_waits(window: Any) -> None:
    driver = TopologyTestDriver(count_app(window, idle_timeout=IDLE))
    driver.pipe("in", "x", key="k", timestamp=MAX_TIMESTAMP)
    driver.advance_wall_clock(1 << 59)
    assert results(driver) == []


# Idle sources.


def test_without_an_idle_timeout_time_stands_still_where_nothing_arrives() -> None:
    driver = TopologyTestDriver(count_app())
    driver.pipe("in", "x", key="k", timestamp=5_000)
    driver.advance_wall_clock(100 * MINUTE)
    assert results(driver) == []


def test_an_idle_source_goes_on_with_the_wall_clock_from_its_last_record() -> None:
    driver = TopologyTestDriver(count_app(idle_timeout=IDLE), wall_clock_ms=7_000_000)
    driver.pipe("in", "x", key="k", timestamp=5_000)
    driver.advance_wall_clock(64_999)
    assert results(driver) == []
    driver.advance_wall_clock(1)
    assert results(driver) == [(("k", 0), 1)]


def test_a_source_is_not_idle_before_its_timeout_is_over() -> None:
    app = count_app(Tumbling("1s"), idle_timeout=IDLE)
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k", timestamp=0)
    driver.advance_wall_clock(29_999)
    driver.pipe("in", "x", key="k", timestamp=500)
    driver.advance_wall_clock(29_999)
    assert results(driver) == []
    driver.advance_wall_clock(1)
    assert results(driver) == [(("k", 0), 2)]


@pytest.mark.parametrize("chunk_size", [1, 4_096])
def test_a_record_behind_a_final_result_of_time_is_late_also_after_a_restart(
    chunk_size: int,
) -> None:
    driver = TopologyTestDriver(count_app(idle_timeout=IDLE), chunk_size=chunk_size)
    driver.pipe("in", "x", key="k", timestamp=5_000)
    driver.advance_wall_clock(65_000)
    assert results(driver) == [(("k", 0), 1)]
    driver.restart()
    driver.pipe("in", "late", key="k", timestamp=6_000)
    driver.pipe("in", "y", key="k", timestamp=70_000)
    driver.advance_wall_clock(10 * MINUTE)
    assert results(driver) == [(("k", MINUTE), 1)]
    assert driver.values("late", value=str) == ["late"]


def test_a_tick_that_closes_nothing_leaves_no_trace() -> None:
    driver = TopologyTestDriver(count_app(idle_timeout=IDLE))
    driver.pipe("in", "x", key="k", timestamp=200_000)
    before = [len(driver.records(topic, key=bytes, value=bytes)) for topic in driver.topics]
    driver.advance_wall_clock(31_000)
    assert [len(driver.records(topic, key=bytes, value=bytes)) for topic in driver.topics] == [
        0 for _ in before
    ]
    driver.pipe("in", "y", key="k", timestamp=185_000)  # of the same window, which is open
    driver.advance_wall_clock(60_000)
    assert results(driver)[-1] == (("k", 180_000), 2)


def test_time_goes_on_where_it_was_after_a_restart_and_the_backlog_is_not_late() -> None:
    app = count_app(idle_timeout=IDLE)
    driver = TopologyTestDriver(app, commit_every=100)
    driver.pipe("in", "x", key="k", timestamp=5_000)
    driver.advance_wall_clock(65_000)  # told: 70 s
    assert len(results(driver)) == 1
    driver.wall_clock_ms += 120 * MINUTE  # nobody was there
    driver.restart()
    driver.advance_wall_clock(0)
    for minute in range(1, 121):
        driver.pipe("in", "x", key="k", timestamp=5_000 + minute * MINUTE)
    driver.advance_wall_clock(0)
    assert [start for (_, start), _ in results(driver)] == [
        minute * MINUTE for minute in range(1, 119)
    ]
    driver.advance_wall_clock(10 * MINUTE)
    assert [start for (_, start), _ in results(driver)] == [119 * MINUTE, 120 * MINUTE]
    assert driver.late_records() == {}


def test_quiet_partitions_follow_those_that_are_not() -> None:
    driver = TopologyTestDriver(count_app(idle_timeout=IDLE), partitions=3)
    driver.pipe("in", "x", key="quiet", timestamp=5_000, partition=0)
    driver.pipe("in", "x", key="busy", timestamp=5_000, partition=1)
    driver.advance_wall_clock(20_000)
    driver.pipe("in", "x", key="busy", timestamp=69_999, partition=1)
    driver.advance_wall_clock(20_000)  # partitions 0 and 2 are idle, 1 is not
    assert results(driver) == []
    driver.pipe("in", "x", key="busy", timestamp=70_000, partition=1)
    assert results(driver) == [(("busy", 0), 1)]
    driver.advance_wall_clock(0)
    assert results(driver) == [(("quiet", 0), 1)]


def test_a_partition_that_is_not_idle_holds_idle_ones_back() -> None:
    driver = TopologyTestDriver(count_app(idle_timeout=IDLE), partitions=2)
    driver.pipe("in", "x", key="a", timestamp=5_000, partition=0)
    driver.advance_wall_clock(20_000)
    driver.pipe("in", "x", key="b", timestamp=1_000, partition=1)
    driver.advance_wall_clock(25_000)
    driver.pipe("in", "x", key="b", timestamp=2_000, partition=1)
    driver.advance_wall_clock(25_000)  # for the first one it is 75 s now, for the other 2 s
    assert results(driver) == []
    driver.advance_wall_clock(5_000)
    assert sorted(results(driver)) == [(("a", 0), 1), (("b", 0), 2)]


@pytest.mark.parametrize("exchange", ["memory", "topic"])
@pytest.mark.parametrize("chunk_size", [1, 4_096])
def test_behind_an_exchange_time_is_what_all_senders_know(exchange: Any, chunk_size: int) -> None:
    app = count_app(idle_timeout=IDLE, exchange=True)
    driver = TopologyTestDriver(app, partitions=3, exchange=exchange, chunk_size=chunk_size)
    driver.pipe("in", "a", timestamp=5_000, partition=0)
    driver.pipe("in", "b", timestamp=6_000, partition=1)
    driver.advance_wall_clock(29_999)
    driver.pipe("in", "c", timestamp=90_000, partition=2)
    driver.advance_wall_clock(1)  # only partition 2 is active, and it is at 90 s
    assert sorted(results(driver)) == [(("a", 0), 1), (("b", 0), 1)]
    driver.advance_wall_clock(39_998)
    assert results(driver) == []
    driver.advance_wall_clock(20_000)
    assert results(driver) == [(("c", MINUTE), 1)]
    assert driver.late_records() == {}


def test_where_inputs_come_together_all_need_a_timeout() -> None:
    app = App("a")
    one = app.stream("one", value=str, idle_timeout=IDLE)
    merged = one.merge(app.stream("two", value=str))
    merged.group_by_key().windowed_by(Tumbling("1s")).count(emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("one", "x", key="k")
    driver.advance_wall_clock(10 * MINUTE)
    assert driver.items("out") == []


def test_a_source_that_never_had_a_record_holds_nothing_back() -> None:
    app = App("a")
    streams = [app.stream(topic, value=str, idle_timeout=IDLE) for topic in ("one", "two")]
    merged = streams[0].merge(streams[1])
    merged.group_by_key().windowed_by(Tumbling("1s")).count(emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("one", "x", key="k")
    driver.advance_wall_clock(1 * MINUTE)
    assert driver.values("out") == [1]


def test_a_source_that_goes_on_moves_what_stands_behind_a_filter_that_drops_everything() -> None:
    app = App("a")
    stream = app.stream("in", value=int, idle_timeout=IDLE).filter(lambda n: n > 0)
    stream.group_by_key().windowed_by(Tumbling("1s")).count(emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", 1, key="k", timestamp=0)
    driver.pipe("in", 0, key="k", timestamp=5_000)
    assert driver.values("out") == []
    driver.advance_wall_clock(0)
    assert driver.values("out") == [1]


def test_behind_with_timestamp_time_is_that_of_records() -> None:
    app = App("a")
    stream = app.stream("in", value=int, idle_timeout=IDLE).with_timestamp(lambda n: n)
    stream.group_by_key().windowed_by(Tumbling("1s")).count(emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", 1, key="k", timestamp=0)
    driver.advance_wall_clock(10 * MINUTE)
    assert driver.values("out") == []


@pytest.mark.parametrize("topics", [["one", "two"], re.compile("one|two")])
def test_all_topics_of_a_stream_of_several_have_its_timeout(topics: Any) -> None:
    app = App("a")
    grouped = app.stream(topics, value=str, idle_timeout=IDLE).group_by_key()
    grouped.windowed_by(Tumbling("1s")).count(name="c", emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app, topics=["one", "two"])
    driver.pipe("one", "x", key="k")
    driver.advance_wall_clock(MINUTE)
    assert driver.values("out") == [1]


def test_topics_that_come_together_may_have_different_numbers_of_partitions() -> None:
    app = App("a")
    one, two = (app.stream(topic, value=str, idle_timeout=IDLE) for topic in ("one", "two"))
    grouped = one.merge(two).group_by(lambda value: value)
    grouped.windowed_by(Tumbling("1s")).count(name="c", emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app, partitions={"one": 2, "two": 4})
    for partition in range(4):
        driver.pipe("two", "x", partition=partition)
    driver.pipe("one", "x", partition=1)
    driver.advance_wall_clock(MINUTE)
    assert driver.values("out") == [5]


# What goes by time.


@pytest.mark.parametrize("chunk_size", [1, 4_096])
def test_a_window_held_back_by_suppress_comes_once_with_its_last_update(chunk_size: int) -> None:
    app = App("a")
    grouped = app.stream("in", value=str, idle_timeout=IDLE).group_by_key()
    counts = grouped.windowed_by(Tumbling("1m", grace="10s")).count(name="counts")
    counts.suppress(until="window_close").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)
    for timestamp in (1_000, 2_000, 3_000):
        driver.pipe("in", "x", key="k", timestamp=timestamp)
    driver.advance_wall_clock(66_999)
    driver.pipe("in", "x", key="k", timestamp=4_000)  # in time, and not committed yet
    driver.commit()
    driver.advance_wall_clock(66_000)
    assert results(driver) == [(("k", 0), 4)]
    driver.pipe("in", "late", key="k", timestamp=5_000)
    driver.advance_wall_clock(10 * MINUTE)
    assert results(driver) == []
    assert driver.late_records() == {"counts": 1}


def test_suppress_for_a_time_lets_go_with_time() -> None:
    app = App("a")
    counts = app.stream("in", value=str, idle_timeout=IDLE).group_by_key().count(name="counts")
    counts.suppress(until="1m").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k", timestamp=1_000)
    driver.advance_wall_clock(59_999)
    assert driver.items("out") == []
    driver.advance_wall_clock(1)
    assert driver.items("out") == [("k", 1)]
    driver.restart()
    driver.advance_wall_clock(10 * MINUTE)
    assert driver.items("out") == []


@pytest.mark.parametrize(
    ("window", "closes_ms"),
    [
        (Tumbling("1m", grace="5s"), 65_000),
        (Hopping("1m", advance="30s"), 60_000),
        (Session("20s", grace="5s"), 26_001),
        (Sliding("20s", grace="5s"), 6_001),
        (Calendar("hour"), 3_600_000),
    ],
)
def test_windows_of_every_kind_close_with_time(window: Any, closes_ms: int) -> None:
    driver = TopologyTestDriver(count_app(window, idle_timeout=1))
    driver.pipe("in", "x", key="k", timestamp=1_000)
    driver.advance_wall_clock(closes_ms - 1_001)
    before = results(driver)
    driver.advance_wall_clock(1)
    first = results(driver)
    assert (before, len(first)) == ([], 1) or isinstance(window, Session | Sliding)
    driver.advance_wall_clock(10_000_000)
    expected = TopologyTestDriver(count_app(window))
    expected.pipe("in", "x", key="k", timestamp=1_000)
    expected.pipe("in", "x", key="other", timestamp=100_000_000)
    assert before + first + results(driver) == results(expected)


@pytest.mark.parametrize("how", ["left", "right", "outer"])
def test_rows_without_a_match_leave_with_time_as_they_do_with_a_record(how: Any) -> None:
    def run(**options: Any) -> TopologyTestDriver:
        app = App("a")
        left, right = (app.stream(t, value=str, **options) for t in ("left", "right"))
        joined = left.join(right, lambda a, b: [a, b], within="10s", grace="5s", how=how)
        joined.to("out")
        driver = TopologyTestDriver(app)
        driver.pipe("left", "l1", key="a", timestamp=1_000)
        driver.pipe("right", "r1", key="b", timestamp=2_000)
        driver.pipe("left", "l2", key="c", timestamp=3_000)
        driver.pipe("right", "r2", key="c", timestamp=4_000)
        return driver

    with_time = run(idle_timeout="1s")
    with_time.advance_wall_clock(MINUTE)
    with_record = run()
    topic = "right" if how == "left" else "left"
    with_record.pipe(topic, "far", key="far", timestamp=MINUTE)
    found, expected = with_time.records("out"), with_record.records("out")
    assert [(r.key, r.value, r.timestamp) for r in found] == [
        (r.key, r.value, r.timestamp) for r in expected
    ]
    assert len(found) == (3 if how == "outer" else 2)
    with_time.restart()
    with_time.advance_wall_clock(MINUTE)
    assert with_time.records("out") == []


def test_a_joiner_that_fails_for_a_row_that_time_let_go_goes_by_the_policy() -> None:
    app = App("a", processing="dead_letter", dead_letters="letters")
    left, right = (app.stream(t, value=str, idle_timeout="1s") for t in ("left", "right"))

    def joiner(one: str, other: str | None) -> str:
        return f"{one}{1 // (one != 'bad')}"

    left.join(right, joiner, within="10s", how="left", name="joined").to("out", value=str)
    driver = TopologyTestDriver(app)
    for place, value in enumerate(["bad", "a", "bad", "b"]):
        driver.pipe("left", value, key=str(place), timestamp=place)
    driver.advance_wall_clock(MINUTE)
    assert driver.values("out") == ["a1", "b1"]
    letters = driver.records("letters")
    assert [(letter.key, letter.value) for letter in letters] == [(b"0", b"bad"), (b"2", b"bad")]
    topic = dict(letters[0].headers)["__streams.errors.topic"]
    assert topic == b"a-joined.unmatched-changelog"


def test_what_fails_behind_a_row_that_time_let_go_is_reported_with_where_it_waited() -> None:
    app = App("a")
    stream = app.stream("in", value=str, idle_timeout="1s")
    counts = stream.group_by_key().windowed_by(Tumbling("1s")).count(name="counts", emit="final")
    counts.to_stream().map(lambda count: 1 // 0).to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k")
    with pytest.raises(ProcessingError, match="a-counts-changelog"):
        driver.advance_wall_clock(MINUTE)


def test_joins_with_the_past_of_a_table_and_as_of_joins_go_on_with_time() -> None:
    app = App("a")
    orders = app.stream("orders", value=str, idle_timeout="1s")
    prices = app.table("prices", value=int, versioned="1h", idle_timeout="1s")
    orders.join(prices, lambda o, p: [o, p], grace="10s", name="priced").to("priced")
    quotes = app.stream("quotes", value=int, idle_timeout="1s")
    orders.join_asof(quotes, lambda o, q: [o, q], grace="10s", name="quoted").to("quoted")
    driver = TopologyTestDriver(app)
    driver.pipe("prices", 3, key="tea", timestamp=500)
    driver.pipe("orders", "a cup", key="tea", timestamp=1_000)
    driver.pipe("prices", 4, key="tea", timestamp=900)
    driver.pipe("quotes", 7, key="tea", timestamp=800)
    assert driver.values("priced") == driver.values("quoted") == []
    driver.advance_wall_clock(MINUTE)
    assert driver.values("priced") == [["a cup", 4]]
    assert driver.values("quoted") == [["a cup", 7]]


def test_timers_in_stream_time_go_on_with_time() -> None:
    class Beat:
        def init(self, context: Context) -> None:
            self.context = context
            context.schedule(10_000, self.beat)

        def process(self, row: Any) -> None:
            pass

        def beat(self, now: int) -> None:
            self.context.forward(now, key="beat")

    app = App("a")
    app.stream("in", value=str, idle_timeout="1s").process(Beat, name="p").to("out", value=int)
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", timestamp=3_000)
    driver.advance_wall_clock(6_999)
    driver.advance_wall_clock(1)
    driver.advance_wall_clock(35_000)
    assert driver.values("out") == [3_000, 10_000, 45_000]


def test_entries_expire_and_collections_end_with_time() -> None:
    app = App("a")
    app.table("prices", value=int, idle_timeout="1s").expire("1m").to_stream().to("out")
    stream = app.stream("in", value=str, idle_timeout="1s")
    stream.take(5, within="10s").to("taken")
    driver = TopologyTestDriver(app)
    driver.pipe("prices", 3, key="tea", timestamp=0)
    driver.pipe("in", "x", key="k", timestamp=0)
    driver.advance_wall_clock(2 * MINUTE)
    assert driver.items("out") == [("tea", 3), ("tea", None)]
    assert driver.items("taken") == [("k", ["x"])]


def test_windows_of_windows_are_not_closed_before_those_that_they_are_made_of() -> None:
    app = App("a")
    stream = app.stream("in", value=str, idle_timeout="1s")
    minutes = stream.group_by_key().windowed_by(Tumbling("1m", grace="5m")).count(emit="final")
    per_key = minutes.to_stream().map_key(lambda count: "all", key=str).group_by_key(value=int)
    per_key.windowed_by(Tumbling("2m"), late_to="late").sum(emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app, partitions=2)
    for second in (1, 2, 61, 100):
        driver.pipe("in", "x", key=f"k{second % 3}", timestamp=second * 1_000)
    for _ in range(60):
        driver.advance_wall_clock(20_000)
    assert results(driver) == [(("all", 0), 4)]
    assert driver.late_records() == {}


def test_rows_that_wait_for_an_answer_hold_time_back() -> None:
    import asyncio

    closed = [True]

    async def look_up(value: str) -> str:
        if closed[0]:
            await asyncio.get_running_loop().create_future()
        return value

    app = App("a")
    asked = app.stream("in", value=str, idle_timeout="1s").map_async(look_up, name="asked")
    windowed = asked.group_by_key().windowed_by(Tumbling("1m"), advance="wall_clock")
    windowed.count(name="counts", emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k", timestamp=5_000)
    driver.advance_wall_clock(10 * MINUTE)
    closed[0] = False
    driver.restart()
    driver.commit()
    assert (results(driver), driver.late_records()) == ([], {})
    driver.advance_wall_clock(1_000)
    assert results(driver) == [(("k", 0), 1)]


# The wall clock.


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("chunk_size", [1, 4_096])
def test_windows_close_by_the_wall_clock_where_nothing_arrives(
    exchange: bool, chunk_size: int
) -> None:
    app = count_app(advance="wall_clock", exchange=exchange)
    driver = TopologyTestDriver(app, wall_clock_ms=5_000, partitions=2, chunk_size=chunk_size)
    driver.pipe("in", "k", key="k", timestamp=5_000)
    driver.advance_wall_clock(64_999)
    assert results(driver) == []
    driver.advance_wall_clock(1)
    assert results(driver) == [(("k", 0), 1)]
    driver.pipe("in", "k", key="k", timestamp=59_999)
    driver.restart()
    driver.pipe("in", "k", key="k", timestamp=59_999)
    driver.pipe("in", "k", key="k", timestamp=60_000)
    driver.advance_wall_clock(MINUTE)
    assert results(driver) == [(("k", MINUTE), 1)]
    assert driver.values("late", value=str) == ["k", "k"]


def test_suppress_behind_windows_of_the_wall_clock_goes_by_it_too() -> None:
    app = App("a")
    grouped = app.stream("in", value=str).group_by_key()
    windowed = grouped.windowed_by(Session("1m"), advance="wall_clock")
    windowed.count(name="counts").suppress(until="window_close").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k", timestamp=1_000)
    driver.advance_wall_clock(61_000)
    assert driver.items("out") == []
    driver.advance_wall_clock(1)
    assert driver.items("out") == [(Windowed("k", 1_000, 1_000), 1)]


def test_cogrouped_windows_close_by_the_wall_clock() -> None:
    app = App("a")
    one, two = (app.stream(t, value=int).group_by_key() for t in ("one", "two"))
    both = one.cogroup(lambda sum, n: sum + n, (two, lambda sum, n: sum - n))
    windowed = both.windowed_by(Tumbling("1m"), advance="wall_clock")
    windowed.aggregate(0, value=int, emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("one", 5, key="k", timestamp=1)
    driver.pipe("two", 2, key="k", timestamp=2)
    driver.advance_wall_clock(MINUTE)
    assert driver.values("out") == [3]


def test_no_tick_leaves_a_trace_where_time_has_closed_everything() -> None:
    app = App("a")
    one, two = (app.stream(topic, value=str, idle_timeout="1s") for topic in ("one", "two"))
    grouped = one.group_by_key()
    grouped.windowed_by(Session("5s", grace="10s")).count(emit="final").to_stream().to("sessions")
    counts = grouped.windowed_by(Tumbling("5s"), advance="wall_clock").count(name="counts")
    counts.suppress(until="window_close").to_stream().to("counted")
    one.join(two, lambda a, b: f"{a} {b}", within="5s", how="outer").to("joined", value=str)
    one.take(5, within="10s").to("taken")
    driver = TopologyTestDriver(app)
    for timestamp in (1_000, 30_000, 14_000, 18_000, 23_000, 2_000):
        driver.pipe("one", "x", key="k", timestamp=timestamp)
    for _ in range(100):
        driver.advance_wall_clock(1_000)
    for topic in list(driver.topics):
        driver.records(topic, key=bytes, value=bytes)
    for _ in range(19):
        driver.advance_wall_clock(300)
    found = {topic: driver.records(topic, key=bytes, value=bytes) for topic in driver.topics}
    beats = "a-one.take.time-changelog", "a-one.idle-time-changelog"  # a timer every 10 s
    assert {topic for topic, records in found.items() if records} <= set(beats)


# Misuse, and what is drawn.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: count_app(idle_timeout=0), ValueError, "idle_timeout=0: must be longer"),
        (lambda: count_app(idle_timeout="soon"), ValueError, "idle_timeout='soon'"),
        (lambda: count_app(advance="10s"), ValueError, "choose 'stream_time' or 'wall_clock'"),
        (
            lambda: count_app(CountWindow(3), advance="wall_clock"),
            ValueError,
            "no time closes such windows",
        ),
        (
            lambda: count_app(Unlimited(), advance="wall_clock", emit="latest"),
            ValueError,
            "no time closes such windows",
        ),
    ],
)
def test_options_that_cannot_be_are_refused_at_build(
    make: Callable[[], App], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_topic_that_is_read_again_is_read_with_the_same_timeout() -> None:
    app = App("a")
    app.stream("in", idle_timeout="1s")
    app.stream("in")
    with pytest.raises(TopologyError, match="idle_timeout="):
        app.stream("in", idle_timeout="2s")


def test_the_drawing_says_what_goes_by_the_clock() -> None:
    told = count_app(idle_timeout="2s", advance="wall_clock").describe()
    assert "idle after 2000 ms" in told
    assert "emits final, advances by the wall clock" in told
