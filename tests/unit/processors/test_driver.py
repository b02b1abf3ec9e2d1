"""The test driver: what goes in, what comes out, and when it commits."""

from __future__ import annotations

from typing import Any

import pytest

from processors import App
from processors.errors import DeserializationError, ProcessingError
from processors.testing import TopologyTestDriver
from streamlog.errors import SerializationError, UnknownTopicError


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
