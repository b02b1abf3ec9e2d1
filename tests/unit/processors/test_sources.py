"""Sources: several topics, timestamps of values, what happens where there is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors import App, Tumbling
from processors.errors import DeserializationError, TopologyError
from processors.runtime.offsets import choose_offsets
from processors.runtime.timestamps import TimestampReader
from processors.testing import TopologyTestDriver
from streamlog.client.contract import FetchedColumns, TopicPartition
from streamlog.errors import UnknownTopicError


def at(order: Any) -> int:
    return order["at"]


def times(driver: TopologyTestDriver) -> list[int]:
    return [record.timestamp for record in driver.records("out")]


def test_several_topics_are_one_stream() -> None:
    app = App("a")
    both = app.stream(["l", "r"], value=str)
    both.group_by_key().count(name="n", emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.run("l", [("k", "1")]).run("r", [("k", "2")])
    assert driver.items("out") == [("k", 1), ("k", 2)]
    with pytest.raises(TopologyError, match="no topic is named"):
        app.stream([])
    with pytest.raises(TopologyError, match="one of them is named twice"):
        app.stream(["x", "x"])


def test_timestamps_of_values_decide_the_order() -> None:
    app = App("a")
    app.stream(["l", "r"], timestamp=at).to("out")
    driver = TopologyTestDriver(app, commit_every=4, order="timestamps")
    for topic, time in (("l", 30), ("l", 50), ("r", 10), ("r", 40)):
        driver.pipe(topic, {"at": time}, timestamp=0)
    assert times(driver) == [10, 30, 40, 50]


@pytest.mark.parametrize("time", [-1, (1 << 62) - 1])
def test_a_record_that_no_window_could_end_behind_is_refused(time: int) -> None:
    app = App("a")
    windows = app.stream("in", value=str).group_by_key().windowed_by(Tumbling("1m"))
    windows.count(emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app)
    with pytest.raises(DeserializationError, match=f"the timestamp is {time}"):
        driver.pipe("in", "x", key="k", timestamp=time)
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", key="k", timestamp=(1 << 62) - 2)
    assert [record.value for record in driver.records("out")] == [1]


@pytest.mark.parametrize(
    "wrong", [{"at": -5}, {"at": 1 << 63}, {"at": "x"}, {"at": True}, {}, None]
)
def test_a_record_without_a_timestamp_fails_or_is_skipped(wrong: Any) -> None:
    app = App("a")
    app.stream("in", timestamp=at).to("out")
    with pytest.raises(DeserializationError, match="in-0 at offset 0"):
        TopologyTestDriver(app).pipe("in", wrong, timestamp=7)
    app = App("a")
    app.stream("in", timestamp=at, invalid_timestamp="skip").to("out")
    driver = TopologyTestDriver(app)
    driver.run("in", [wrong, {"at": 5}])
    assert times(driver) == [5]
    assert driver.skipped() == {"skipped": 1}


def test_why_there_is_no_timestamp_is_told() -> None:
    app = App("a")
    app.stream("in", timestamp=at).to("out")
    for wrong, message in (
        ({"at": "x"}, "timestamp= gave 'x': milliseconds since 1970 are wanted"),
        ({"at": 1 << 63}, "the timestamp is 9223372036854775808: too late for windows"),
        ({}, "KeyError"),
        ({"at": -5}, "-5"),
    ):
        with pytest.raises(DeserializationError, match=message):
            TopologyTestDriver(app).pipe("in", wrong)


def test_the_time_of_the_partition_or_the_clock_may_stand_in() -> None:
    app = App("a")
    app.stream("in", timestamp=at, invalid_timestamp="partition_time").to("out")
    for chunk_size in (1, 100):
        driver = TopologyTestDriver(app, partitions=2, commit_every=100, chunk_size=chunk_size)
        for partition, time in ((0, 10), (1, 5), (0, 7), (0, None), (1, None)):
            driver.pipe("in", {"at": time}, partition=partition)
        driver.commit()
        assert times(driver) == [10, 5, 7, 10, 5]
    with pytest.raises(DeserializationError):
        TopologyTestDriver(app).pipe("in", {"at": None})
    app = App("a")
    app.stream("in", timestamp=at, invalid_timestamp="wall_clock").to("out")
    driver = TopologyTestDriver(app, wall_clock_ms=99)
    driver.run("in", [{"at": 1}, {"at": None}])
    assert times(driver) == [1, 99]


def test_a_records_own_time_may_be_none() -> None:
    app = App("a")
    app.stream("in", value=str, invalid_timestamp="partition_time").to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "a", timestamp=5)
    driver.pipe("in", "b", timestamp=-1)
    assert times(driver) == [5, 5]


def test_the_clock_is_the_time_on_request() -> None:
    app = App("a")
    app.stream("in", value=str, timestamp="wall_clock").to("out")
    driver = TopologyTestDriver(app, wall_clock_ms=7)
    driver.run("in", ["a"])
    driver.advance_wall_clock(5)
    driver.run("in", ["b"])
    assert times(driver) == [7, 12]


def test_a_value_that_cannot_be_read_fails_as_such() -> None:
    app = App("a", deserialization="skip")
    app.stream("in", timestamp=at).to("out")
    driver = TopologyTestDriver(app, commit_every=2)
    driver.pipe_bytes("in", b"{", timestamp=3)
    driver.pipe("in", {"at": 5})
    assert times(driver) == [5]


def test_a_topic_is_read_in_one_way() -> None:
    app = App("a")
    app.stream("in", timestamp=at)
    app.stream("in")
    with pytest.raises(TopologyError, match="'in' is read already, with another timestamp="):
        app.stream("in", start="latest")
    wrong: Any = "guess"
    with pytest.raises(ValueError, match="invalid_timestamp='guess': choose one of 'fail', 'skip'"):
        app.stream("other", invalid_timestamp=wrong)
    with pytest.raises(TopologyError, match="5 cannot be called"):
        app.stream("third", timestamp=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "where", "ms"),
    [
        ("earliest", "earliest", 0),
        ("latest", "latest", 0),
        ("2h", "ago", 7_200_000),
        (timedelta(seconds=3), "ago", 3_000),
        (datetime(1970, 1, 2, tzinfo=UTC), "time", 86_400_000),
    ],
)
def test_a_stream_begins_where_it_is_told_to(start: Any, where: str, ms: int) -> None:
    app = App("a")
    app.stream("in", start=start)
    (source,) = app.plan().topology.sources
    assert source.start is not None
    assert (source.start.where, source.start.ms) == (where, ms)


def test_a_start_that_is_none_is_refused() -> None:
    app = App("a")
    with pytest.raises(ValueError, match="start is 'earliest', 'latest', a datetime"):
        app.stream("in", start="yesterday")
    with pytest.raises(ValueError, match="no time zone"):
        app.stream("in", start=datetime(2026, 1, 1))


def test_only_what_was_never_read_begins_where_it_is_told_to() -> None:
    read, new, lost = (TopicPartition(topic, 0) for topic in ("read", "new", "lost"))
    found = choose_offsets(
        "a",
        {read: 5, new: None, lost: None},
        beginnings={read: 0, new: 0, lost: 0},
        ends={read: 9, new: 9, lost: 9},
        known_topics=["lost"],
        on_gap="earliest",
        starts={read: 7, new: 7, lost: 7},
    )
    assert found.offsets == {read: 5, new: 7, lost: 0}


def test_all_topics_that_match_are_one_stream() -> None:
    app = App("a")
    orders = app.stream(re.compile(r"orders-\w+"), value=str, timestamp=len)
    app.stream("orders-eu", value=str).to("eu")
    orders.group_by_key().count(name="n", emit="every").to_stream().to("out")
    assert "topics: those that match orders-" in app.describe()
    driver = TopologyTestDriver(app, topics=["orders-eu", "orders-us", "my-orders-us"])
    driver.run("orders-eu", [("k", "1")]).run("orders-us", [("k", "2")])
    assert driver.items("out") == [("k", 1), ("k", 2)]
    assert driver.values("eu") == ["1"]
    with pytest.raises(UnknownTopicError):
        driver.pipe("my-orders-us", "x")
    assert TopologyTestDriver(app, partitions={"orders-eu": 2, "orders-us": 2})
    with pytest.raises(TopologyError, match=r"no topic matches 'orders-\\\\w\+'; make one"):
        app.plan(["other"])


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_the_time_of_a_partition_outlives_a_restart(chunk_size: int) -> None:
    app = App("a")
    app.stream("in", timestamp=at, invalid_timestamp="partition_time").to("out")
    driver = TopologyTestDriver(app, partitions=2, commit_every=4, chunk_size=chunk_size)
    for partition, time in ((0, 10), (0, 7), (1, 3), (1, None), (0, 99)):
        driver.pipe("in", {"at": time}, partition=partition)
    assert times(driver) == [10, 7, 3, 3]
    driver.restart()  # what was not committed, the 99, is processed by the new one
    for partition in (0, 1):
        driver.pipe("in", {"at": None}, partition=partition)
    driver.commit()
    assert times(driver) == [99, 99, 3]
    assert driver.store("in.partition-time").get("time") in (99, 3)
    driver.restart()
    driver.pipe("in", {}, partition=0)
    driver.commit()
    assert times(driver) == [99]


def test_the_time_that_is_committed_is_that_of_what_was_processed() -> None:
    node = App("a").stream("in", timestamp=at, invalid_timestamp="partition_time")
    source: Any = node._node  # pyright: ignore[reportPrivateUsage] # what the reader is made for
    reader = TimestampReader(source, lambda: 0, lambda topic, partition: 4)

    def run(first: int, *made: int | None) -> FetchedColumns:
        values = [None if time is None else b'{"at": %d}' % time for time in made]
        offsets = list(range(first, first + 2 * len(made), 2))
        return FetchedColumns(
            "in", 0, [None] * len(made), values, [0] * len(made), offsets, None, offsets[-1] + 1
        )

    runs = [run(0, None, 7, 5), run(10, 9, None), run(20, 1)]
    for each in runs:
        reader.read(each)
    assert [each.timestamps for each in runs] == [[4, 7, 5], [9, 9], [1]]
    at_offsets = {0: 4, 1: 4, 2: 4, 3: 7, 5: 7, 10: 7, 11: 9, 13: 9, 21: 9}
    assert {offset: reader.time_before(0, offset) for offset in at_offsets} == at_offsets
