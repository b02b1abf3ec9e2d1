"""The test driver: what goes in, what comes out, and when it commits."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from processors import App, CountWindow, Session, Sliding
from processors.errors import DeserializationError, ProcessingError
from processors.testing import TopologyTestDriver
from streamlog.errors import SerializationError, UnknownTopicError

if TYPE_CHECKING:
    from pathlib import Path


def counting(emit: Any = "latest") -> App:
    app = App("a")
    counts = app.stream("clicks", value=str).group_by_key().count(name="counts", emit=emit)
    counts.to_stream().to("out")
    return app


def test_every_record_is_committed_so_latest_gives_every_update() -> None:
    driver = TopologyTestDriver(counting())
    driver.run("clicks", [("a", "1"), ("a", "2"), ("b", "1")])
    assert driver.items("out") == [("a", 1), ("a", 2), ("b", 1)]


def test_commit_every_holds_back_until_so_many_or_until_told() -> None:
    driver = TopologyTestDriver(counting(), commit_every=3)
    clicks = driver.input_topic("clicks")
    clicks.pipe_all([("a", "1"), ("a", "2")])
    assert driver.items("out") == []
    clicks.pipe("1", key="b")
    assert driver.items("out") == [("a", 2), ("b", 1)]
    clicks.pipe("3", key="a")
    driver.commit()
    assert driver.items("out") == [("a", 3)]


def test_reading_takes_what_is_new() -> None:
    driver = TopologyTestDriver(counting())
    driver.run("clicks", [("a", "1")])
    assert driver.values("out") == [1]
    assert driver.values("out") == []
    driver.run("clicks", [("a", "1")])
    assert driver.map("out") == {"a": 2}


def test_records_have_coordinates_timestamps_and_headers() -> None:
    app = App("a")
    app.stream("in", value=str).filter(bool).to("out")
    driver = TopologyTestDriver(app, partitions=2)
    driver.pipe("in", "v", key="k", timestamp=42, headers=[("h", b"1"), ("h", None)], partition=1)
    driver.pipe("in", "w", key="k", timestamp=43, partition=1)
    first, second = driver.records("out")
    assert (first.key, first.value, first.timestamp) == ("k", "v", 42)
    assert first.headers == [("h", b"1"), ("h", None)]
    assert (second.partition, second.offset, second.headers) == (first.partition, 1, [])


def test_time_goes_on_by_itself_where_it_is_told_to() -> None:
    driver = TopologyTestDriver(counting())
    clicks = driver.input_topic("clicks", start=100, advance=10)
    clicks.pipe("x", key="a")
    clicks.pipe("x", key="a", timestamp=5)
    clicks.pipe("x", key="a")
    assert [record.timestamp for record in driver.records("out")] == [100, 100, 110]
    assert driver.stream_time == 110


def test_stores_can_be_read() -> None:
    driver = TopologyTestDriver(counting(), partitions=4)
    driver.run("clicks", [("a", "1"), ("b", "1"), ("a", "2")])
    store = driver.store("counts")
    assert store["a"] == 2
    assert store.get("c") is None
    assert store.timestamp("a") == 2
    assert dict(store.items()) == {"a": 2, "b": 1}
    assert len(store) == 2
    with pytest.raises(KeyError):
        store["c"]
    with pytest.raises(KeyError, match="no store 'count'; there are \\['counts'\\]"):
        driver.store("count")


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Session("5ms", grace="1m"), [(1, 4, 2), (20, 20, 1)]),
        (Sliding("3ms", grace="1m"), [(0, 3, 1), (1, 4, 2), (2, 5, 1), (17, 20, 1)]),
        (CountWindow(2), [(2, 4, 1)]),
    ],
)
def test_sessions_and_their_kin_are_read_by_start_and_end(
    window: Any, expected: list[tuple[int, int, int]]
) -> None:
    app = App("a")
    app.stream("in", value=str).group_by_key().windowed_by(window).count(name="n")
    driver = TopologyTestDriver(app, partitions=2)
    for time in (1, 4, 20):
        driver.pipe("in", "x", key="a", timestamp=time)
    driver.pipe("in", "x", key="b", timestamp=20)
    store = driver.store("n")
    assert [each for each in store.fetch("a") if each[1] < 100] == expected
    start, end, value = expected[0]
    assert store["a", start, end] == value
    assert store.get("a", 0, 9) is None
    assert {key for (key, _, _), _ in store.items()} == {"a", "b"}
    assert len(store) == len(list(store.items()))
    with pytest.raises(KeyError):
        store["a", 0, 9]


def test_stores_of_sessions_and_of_values_over_time_are_read_as_what_they_hold() -> None:
    app = App("a")
    visits = app.state_store("visits", kind="session", value=int)
    prices = app.state_store("prices", kind="versioned", value=int)

    def keep(record: Any, context: Any) -> None:
        time = record.timestamp
        context.store("visits").put(record.key, time - 2, time, record.value)
        context.store("prices").put(record.key, record.value)

    app.stream("in", value=int).process(keep, stores=[visits, prices]).to("out")
    app.table("rates", value=int, versioned="1h", name="kept-rates")
    driver = TopologyTestDriver(app)
    for time, value in ((10, 1), (20, 2)):
        driver.pipe("in", value, key="a", timestamp=time)
        driver.pipe("rates", 10 * value, key="eur", timestamp=time)
    assert driver.store("visits").fetch("a") == [(8, 10, 1), (18, 20, 2)]
    assert driver.store("visits")["a", 18, 20] == 2
    found = driver.store("prices")
    assert (found["a"], found.get("a", as_of=15), found.get("a", as_of=5)) == (2, 1, None)
    assert found.history("a") == [(1, 10), (2, 20)]
    assert found.timestamp("a") == 20
    assert "b" not in found
    rates = driver.store("kept-rates")
    assert dict(rates.items()) == {"eur": 20}
    assert rates.history("eur") == [(10, 10), (20, 20)]


def test_the_changelog_is_a_topic_like_others() -> None:
    driver = TopologyTestDriver(counting())
    driver.run("clicks", [("a", "1"), ("a", "2")])
    assert driver.items("a-counts-changelog") == [("a", 1), ("a", 2)]
    assert driver.topics == {"clicks", "out", "a-counts-changelog"}


def test_a_topic_that_is_written_and_read_goes_round() -> None:
    app = App("a")
    app.stream("in", value=int).map(lambda n: n + 1).to("middle", value=int)
    app.stream("middle", value=int).map(lambda n: n * 10).to("out", value=int)
    assert TopologyTestDriver(app).run("in", [1, 2]).values("out") == [20, 30]


def test_an_unknown_topic_gets_the_near_miss() -> None:
    driver = TopologyTestDriver(counting())
    with pytest.raises(UnknownTopicError, match="did you mean 'clicks'"):
        driver.pipe("click", "x")
    with pytest.raises(UnknownTopicError):
        driver.records("nowhere")


def test_a_value_that_the_source_could_not_read_is_refused_or_piped_as_bytes() -> None:
    driver = TopologyTestDriver(counting())
    with pytest.raises(SerializationError):
        driver.pipe("clicks", 5, key="a")
    with pytest.raises(DeserializationError, match="clicks-0 at offset 0"):
        driver.pipe_bytes("clicks", b"\xff", key=b"a")


def test_an_error_comes_out_of_the_call_and_what_was_not_committed_is_forgotten() -> None:
    app = App("a")
    checked = app.stream("in", value=int).filter(lambda n: 1 // n)
    checked.group_by(lambda n: "all").count(name="n").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=2)
    driver.run("in", [1, 1])
    driver.pipe("in", 1)
    with pytest.raises(
        ProcessingError, match=r"in.filter: the function raised .*ZeroDivisionError"
    ):
        driver.pipe("in", 0)
    driver.run("in", [1])
    assert driver.items("out") == [("all", 2), ("all", 3)]


def test_partitions_and_topics_that_are_not_there_are_refused() -> None:
    app = App("a")
    app.stream("lines", value=str).to("out", value=str)
    with pytest.raises(UnknownTopicError, match=r"'line'.*did you mean 'lines'"):
        TopologyTestDriver(app, partitions={"line": 2})
    with pytest.raises(ValueError, match="partitions=0"):
        TopologyTestDriver(app, partitions=0)
    driver = TopologyTestDriver(app, partitions=2)
    for partition in (2, -1):
        with pytest.raises(ValueError, match="'lines' has 2 partitions"):
            driver.pipe("lines", "x", partition=partition)
    wrongs: list[Any] = ["0", True, 0.0]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=f"pipe to 'lines': partition={wrong!r}: give a whole"):
            driver.pipe("lines", "x", partition=wrong)


def test_records_run_in_the_order_in_which_they_were_piped() -> None:
    app = App("a")
    app.stream("l", value=str).merge(app.stream("r", value=str)).to("out")
    for options in ({}, {"commit_every": 4, "chunk_size": 1}, {"commit_every": 4}):
        driver = TopologyTestDriver(app, **options)
        for topic, timestamp in (("l", 9), ("r", 1), ("l", 3), ("r", 0)):
            driver.pipe(topic, f"{topic}{timestamp}", timestamp=timestamp)
        assert driver.values("out") == ["l9", "r1", "l3", "r0"]
    driver = TopologyTestDriver(app, commit_every=2, order="timestamps")
    driver.pipe("l", "l9", timestamp=9)
    driver.pipe("r", "r1", timestamp=1)
    assert driver.values("out") == ["r1", "l9"]


@pytest.mark.parametrize("state", ["memory", "rocksdb"])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_restart_finds_everything_in_the_changelogs(state: Any, cache_bytes: int) -> None:
    with TopologyTestDriver(
        counting(), partitions=2, state=state, cache_bytes=cache_bytes
    ) as driver:
        driver.run("clicks", [("a", "1"), ("b", "1"), ("a", "2")])
        driver.restart()
        assert dict(driver.store("counts").items()) == {"a": 2, "b": 1}
        assert driver.store("counts").timestamp("a") == 2
        driver.run("clicks", [("a", "3"), ("c", "1")])
        driver.assert_output("out", [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 1)])


def test_what_was_not_committed_at_a_restart_is_processed_by_the_new_one() -> None:
    driver = TopologyTestDriver(counting(), commit_every=2)
    driver.pipe("clicks", "1", key="a")
    driver.restart()
    driver.pipe("clicks", "2", key="a")
    assert driver.items("out") == [("a", 2)]


def test_an_output_topic_gives_one_record_after_the_other() -> None:
    driver = TopologyTestDriver(counting())
    out = driver.output_topic("out")
    driver.run("clicks", [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")])
    assert (out.read().value, out.read().value) == (1, 2)
    assert out.read_map() == {"b": 2}
    assert out.records() == []
    with pytest.raises(LookupError, match="'out': everything has been read"):
        out.read()
    with pytest.raises(UnknownTopicError, match="did you mean 'out'"):
        driver.output_topic("outt")


def test_an_output_that_is_not_as_expected_is_shown_beside_it() -> None:
    driver = TopologyTestDriver(counting())
    clicks = driver.input_topic("clicks", advance=10)
    for _ in range(12):
        clicks.pipe("x", key="a")
    clicks.pipe("x", key="b")
    expected = [("a", n, 10 * n - 10) for n in range(1, 12)]
    with pytest.raises(AssertionError) as caught:
        driver.assert_output("out", [*expected, ("a", 13, 110), ("b", 1, 120)])
    assert str(caught.value).splitlines() == [
        "topic 'out': output differs: 13 rows expected, 13 found",
        "     0  ('a', 1, 0)",
        "     1  ('a', 2, 10)",
        "     2  ('a', 3, 20)",
        "        ... 5 equal rows ...",
        "     8  ('a', 9, 80)",
        "     9  ('a', 10, 90)",
        "    10  ('a', 11, 100)",
        "-   11  ('a', 13, 110)                            expected",
        "+   11  ('a', 12, 110)                            found",
        "    12  ('b', 1, 120)",
    ]


def test_an_output_is_compared_as_values_or_pairs_or_with_times_or_in_any_order() -> None:
    driver = TopologyTestDriver(counting())
    driver.run("clicks", [("a", "1")]).assert_output("out", [1])
    driver.run("clicks", [("a", "1")]).assert_output("out", [("a", 2)])
    driver.run("clicks", [("a", "1")]).assert_output("out", [("a", 3, 2)])
    driver.run("clicks", [("a", "1"), ("b", "1")])
    driver.assert_output("out", [("b", 1), ("a", 4)], any_order=True)
    driver.assert_output("out", [])
    driver.run("clicks", [("a", "1")])
    with pytest.raises(AssertionError, match="0 rows expected, 1 found"):
        driver.assert_output("out", [])


def test_time_only_goes_forward() -> None:
    driver = TopologyTestDriver(counting(), wall_clock_ms=1_000)
    clicks = driver.input_topic("clicks", advance=1)
    clicks.pipe("x", key="a")
    clicks.advance_time(99)
    clicks.pipe("x", key="a")
    assert driver.stream_time == 100
    with pytest.raises(ValueError, match="must not be negative"):
        clicks.advance_time(-1)
    driver.advance_wall_clock(500)
    assert driver.wall_clock_ms == 1_500
    with pytest.raises(ValueError, match="must not be negative"):
        driver.advance_wall_clock(-1)


def test_times_of_tests_are_durations_and_rows_may_have_times_of_their_own() -> None:
    driver = TopologyTestDriver(counting())
    clicks = driver.input_topic("clicks", advance="1s")
    clicks.pipe_all(["x", ("a", "x"), ("a", "x", 5)])
    clicks.advance_time("1m")
    clicks.pipe("x", key="b")
    driver.advance_wall_clock(timedelta(minutes=2))
    assert driver.wall_clock_ms == 120_000
    assert [row.timestamp for row in driver.records("out")] == [1_000, 1_000, 62_000]
    with pytest.raises(ValueError, match=r"give \(key, value\) or \(key, value, timestamp\)"):
        driver.run("clicks", [("a", "x", 5, None)])


def test_a_timer_of_the_wall_clock_counts_from_where_the_clock_was() -> None:
    class Timed:
        def init(self, context: Any) -> None:
            context.schedule(1_000, lambda now: context.forward(now, key="timer"), wall_clock=True)

        def process(self, row: Any) -> None: ...

    app = App("a")
    app.stream("in", value=str).process(Timed).to("out")
    driver = TopologyTestDriver(app, wall_clock_ms=500)
    driver.advance_wall_clock("999ms")
    assert driver.values("out") == []
    driver.advance_wall_clock("1ms")
    assert driver.values("out") == [1_500]


@pytest.mark.parametrize("options", [{"order": "time"}, {"commit_every": 0}, {"chunk_size": 0}])
def test_options_that_cannot_be_are_refused(options: Any) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        TopologyTestDriver(counting(), **options)


def test_a_kind_of_state_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="state='disk': choose 'memory' or 'rocksdb'"):
        TopologyTestDriver(counting(), state="disk")  # type: ignore[arg-type]


def test_a_driver_that_cannot_be_made_leaves_nothing_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def init(self, context: Any) -> None:
            raise RuntimeError("no")

        def process(self, row: Any) -> None: ...

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = App("a")
    app.stream("in", value=str).process(Broken).to("out")
    with pytest.raises(RuntimeError):
        TopologyTestDriver(app, state="rocksdb")
    assert list(tmp_path.iterdir()) == []


def test_a_record_may_have_the_time_of_a_datetime_and_headers_of_a_mapping() -> None:
    app = App("a")
    app.stream("in", value=str).to("out")
    driver = TopologyTestDriver(app)
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    driver.pipe("in", "x", timestamp=noon, headers={"h": "1", "n": None})
    driver.input_topic("in", start=noon, advance="1s").pipe_all(["y", ("k", "z", noon)])
    first, second, third = driver.records("out")
    assert first.timestamp == second.timestamp == third.timestamp == 1_714_564_800_000
    assert first.headers == [("h", b"1"), ("n", None)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timestamp": 1.5}, "pipe to 'clicks': timestamp=1.5: give milliseconds"),
        ({"timestamp": True}, "timestamp=True: give milliseconds"),
        ({"timestamp": datetime(2024, 5, 1)}, "has no time zone; give it one"),
        ({"headers": {"n": 5}}, r"give \(name, .*header 'n': its value is 5"),
        ({"headers": [(b"n", b"5")]}, "pipe to 'clicks': headers=.*: give .* names are texts"),
        ({"headers": [b"n"]}, "give \\(name, value\\) pairs or a mapping"),
    ],
)
def test_times_and_headers_that_cannot_be_are_refused_and_nothing_is_piped(
    given: Any, said: str
) -> None:
    driver = TopologyTestDriver(counting())
    with pytest.raises((TypeError, ValueError), match=said):
        driver.pipe("clicks", "x", key="a", **given)
    driver.run("clicks", [("a", "x")])
    assert driver.items("out") == [("a", 1)]


def test_where_time_begins_is_looked_at_too() -> None:
    with pytest.raises(TypeError, match="input_topic of 'clicks': start='1s': give milliseconds"):
        TopologyTestDriver(counting()).input_topic("clicks", start="1s")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"wall_clock_ms=0\.5: give milliseconds"):
        TopologyTestDriver(counting(), wall_clock_ms=0.5)  # type: ignore[arg-type]


def test_an_output_topic_says_how_much_is_left() -> None:
    driver = TopologyTestDriver(counting())
    out = driver.output_topic("out")
    assert out.is_empty
    driver.run("clicks", [("a", "1"), ("a", "2")])
    assert (len(out), out.is_empty) == (2, False)
    out.read()
    assert len(out) == 1
    driver.values("out")
    assert not out
