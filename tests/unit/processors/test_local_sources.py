"""Sources in the process: channels and iterables, in the test driver."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from processors import App, Channel, Tumbling
from processors.errors import ChannelFullError, CopartitionError, IterableError, TopologyError
from processors.testing import TopologyTestDriver
from streamlog.client.contract import Record
from streamlog.errors import SerializationError


def test_a_channel_is_read_as_a_stream_beside_topics() -> None:
    app = App("a")
    channel = app.channel("clicks", value=str)
    channel.stream().merge(app.stream("topic", value=str)).to("out", value=str)
    driver = TopologyTestDriver(app)
    channel.send("one", key="k", timestamp=5, headers=[("h", b"x")])
    driver.pipe("topic", "two", timestamp=3)
    channel.send("three", timestamp=9)
    driver.commit()
    found = driver.records("out")
    assert [(each.key, each.value, each.timestamp) for each in found] == [
        ("k", "one", 5),
        (None, "two", 3),
        (None, "three", 9),
    ]
    assert found[0].headers == [("h", b"x")]


def test_channels_and_iterables_are_in_the_drawings() -> None:
    app = App("a")
    app.channel("clicks", value=str).stream().to("out", value=str)
    app.from_iterable([1], name="numbers", value=int).to("out2", value=int)
    text = app.describe()
    assert "channel: key str, value str" in text
    assert "iterable: key str, value int, changelog a-numbers.position-changelog" in text
    assert '"channel:clicks"' in app.describe("json")
    assert "numbers.position" in app.describe("mermaid")
    assert "channel" in app.describe("dot")


def test_what_a_channel_cannot_write_fails_where_it_is_sent() -> None:
    channel = App("a").channel("numbers", value=int)
    with pytest.raises(SerializationError):
        channel.send("x")
    with pytest.raises(ValueError, match="give milliseconds"):
        channel.send(1, timestamp=-1)
    with pytest.raises(ValueError, match="timestamp=9223372036854775808: give milliseconds"):
        channel.send(1, timestamp=1 << 63)
    assert channel.backlog() == 0


def test_names_are_unique_over_channels_iterables_and_topics() -> None:
    app = App("a")
    app.channel("x")
    with pytest.raises(TopologyError, match="two operators are named 'x'"):
        app.stream("x")
    with pytest.raises(TopologyError, match="two operators are named 'x'"):
        app.from_iterable([], name="x")
    with pytest.raises(ValueError, match="max_records=0"):
        app.channel("y", max_records=0)


def test_a_full_channel_refuses_where_nobody_would_make_room() -> None:
    channel = App("a").channel("x", value=int, max_records=2)
    channel.send(1)
    channel.send(2)
    with pytest.raises(ChannelFullError, match="no application takes from it now"):
        channel.send(3)
    with pytest.raises(ChannelFullError, match="it stayed full"):
        channel.send(3, timeout_ms=1)
    with pytest.raises(ChannelFullError, match="no application takes from it now"):
        asyncio.run(channel.send_async(3))
    channel.attach(lambda: None)

    async def send() -> None:
        channel.send(3)

    with pytest.raises(ChannelFullError, match="await send_async"):
        asyncio.run(send())
    with pytest.raises(ChannelFullError, match="it stayed full"):
        channel.send(3, timeout_ms=1)


def test_whoever_waits_goes_on_when_there_is_room_or_nobody_reads() -> None:
    channel: Channel[Any, Any] = App("a").channel("x", value=int, max_records=1)
    woken = threading.Semaphore(0)
    channel.attach(woken.release)
    channel.send(1)
    sender = threading.Thread(target=channel.send, args=(2,))
    sender.start()
    taken = channel.take()
    assert taken is not None
    assert channel.is_full()  # until it is committed
    channel.on_committed(taken.next_offset)
    sender.join()
    assert channel.backlog() == 1
    assert woken.acquire()
    assert woken.acquire()

    async def wait() -> None:
        waiting = asyncio.create_task(channel.send_async(3))
        await asyncio.sleep(0)
        channel.detach()
        with pytest.raises(ChannelFullError, match="no application takes from it now"):
            await waiting

    asyncio.run(wait())


def test_a_channel_gives_again_what_was_not_committed() -> None:
    channel = App("a").channel("x", value=int)
    for number in range(5):
        channel.send(number, timestamp=number)
    first = channel.take()
    assert first is not None
    channel.on_committed(2)
    channel.rewind()
    again = channel.take()
    assert again is not None
    assert (again.offsets, again.timestamps) == ([2, 3, 4], [2, 3, 4])
    assert channel.take() is None


def test_rows_are_values_pairs_triples_or_records() -> None:
    app = App("a")
    rows = [
        "v",
        ("k", "v"),
        ("k", None),
        ("k", "v", 7),
        Record("other", 3, 9, 8, "k", "r", [("h", b"x")]),
    ]
    app.from_iterable(rows, name="rows", value=str).to("out", value=str)
    driver = TopologyTestDriver(app, wall_clock_ms=5)
    driver.commit()
    found = driver.records("out")
    assert [(each.key, each.value, each.timestamp) for each in found] == [
        (None, "v", 5),
        ("k", "v", 5),
        ("k", None, 5),
        ("k", "v", 7),
        ("k", "r", 8),
    ]
    assert found[-1].headers == [("h", b"x")]


@pytest.mark.parametrize("time", [0.5, "2026-11-21", True, 1 << 63])
def test_a_time_in_an_iterable_that_is_none_is_told_with_its_row(time: Any) -> None:
    app = App("a")
    app.from_iterable([("k", 1, 5), ("k", 2, time)], name="rows", value=int).to("out", value=int)
    with pytest.raises(IterableError, match=r"'rows' at row 1: .*timestamp"):
        TopologyTestDriver(app).commit()


def test_an_iterable_has_timestamps_of_its_values() -> None:
    app = App("a")
    rows = [("k", {"at": time}) for time in (1_000, 61_000, 2_000)]
    stream = app.from_iterable(lambda: iter(rows), name="rows", timestamp=lambda row: row["at"])
    counts = stream.group_by_key().windowed_by(Tumbling("1m")).count(emit="final")
    counts.to_stream().map_key(lambda _: "w").to("out", value=int)
    driver = TopologyTestDriver(app)
    driver.commit()
    assert driver.values("out") == [1]
    assert sum(driver.late_records().values()) == 1


def test_what_is_no_iterable_or_can_be_read_once_is_refused() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="can be read once only"):
        app.from_iterable((n for n in range(3)), name="x")
    with pytest.raises(TopologyError, match="neither an iterable nor a function"):
        app.from_iterable(3, name="x")  # type: ignore[arg-type] # what is wrong


def test_an_iterable_that_fails_names_the_row() -> None:
    def rows() -> Any:
        yield 1
        raise OSError("gone")

    app = App("a")
    app.from_iterable(rows, name="x", value=int).to("out", value=int)
    driver = TopologyTestDriver(app)
    with pytest.raises(IterableError, match="iterable 'x' at row 1: OSError: gone"):
        driver.commit()
    assert driver.values("out") == [1]
    app = App("a")
    app.from_iterable([1, "a"], name="x", value=int).to("out", value=int)
    driver = TopologyTestDriver(app)
    with pytest.raises(IterableError, match="iterable 'x' at row 1"):
        driver.commit()
    assert driver.values("out") == [1]


@pytest.mark.parametrize("commit_every", [1, 2])
def test_what_is_piped_beside_an_iterable_that_fails_is_processed(commit_every: int) -> None:
    app = App("a")
    app.from_iterable(["row", 1], name="x", value=str).to("rows", value=str)
    app.stream("in", value=str).to("out", value=str)
    driver = TopologyTestDriver(app, commit_every=commit_every)
    with pytest.raises(IterableError, match="iterable 'x' at row 1"):
        driver.pipe("in", "x")
    driver.pipe("in", "y")
    assert (driver.values("rows"), driver.values("out")) == (["row"], ["x", "y"])


def test_a_channel_meets_a_topic_of_several_partitions_behind_a_repartition() -> None:
    def app(*, moved: bool) -> App:
        app = App("a")
        stream = app.channel("c", value=str).stream()
        if moved:
            stream = stream.repartition()
        stream.join(app.table("t", value=str), lambda left, right: left + right).to(
            "out", value=str
        )
        return app

    with pytest.raises(CopartitionError, match="'channel:c' has 1, 't' has 4"):
        TopologyTestDriver(app(moved=False), partitions=4)
    made = app(moved=True)
    driver = TopologyTestDriver(made, partitions=4)
    driver.run("t", [(f"k{number}", str(number)) for number in range(9)])
    channel = made.plan().channels[0]
    for number in range(9):
        channel.send("v", key=f"k{number}", timestamp=99)
    driver.commit()
    assert sorted(driver.values("out")) == [f"v{number}" for number in range(9)]
