"""Changelogs and repartition topics hold what docs/formats.md says: bytes that a driver wrote."""

from __future__ import annotations

from struct import pack
from typing import Any

from processors import App, CountWindow, Hopping, Session, Sliding, Tumbling
from processors.testing import TopologyTestDriver


def number(value: int) -> bytes:
    return pack(">q", value)


def sized(data: bytes) -> bytes:
    return pack(">i", len(data)) + data


def rows_of(app: App, topic: str, *piped: tuple[str, str, str | None, int]) -> dict[Any, Any]:
    """The last value of each key, tombstones left out."""
    driver = TopologyTestDriver(app, exchange="topic" if "repartition" in topic else "memory")
    for name, key, value, timestamp in piped:
        driver.pipe(name, value, key=key, timestamp=timestamp)
    found = driver.read_map(topic, key=bytes, value=bytes)
    return {key: value for key, value in found.items() if value is not None}


def grouped(app: App) -> Any:
    return app.stream("in", value=str).group_by_key()


def test_time_windows_stand_under_their_start() -> None:
    app = App("a")
    grouped(app).windowed_by(Tumbling(10, grace=5)).reduce(max, name="w")
    assert rows_of(app, "a-w-changelog", ("in", "k", "x", 23)) == {
        number(20) + b"k": b"x",
        b"\xffstream_time": number(23),
        b"\xffclosed": number(18),
    }


def test_sessions_of_a_key_are_one_entry() -> None:
    app = App("a")
    grouped(app).windowed_by(Session(5, grace=100)).reduce(max, name="w")
    rows = [("in", "k", "x", 20), ("in", "k", "yy", 24), ("in", "k", "z", 2)]
    found = rows_of(app, "a-w-changelog", *rows)
    sessions = number(2) + number(2) + sized(b"z") + number(20) + number(24) + sized(b"yy")
    assert found[number(0) + b"k"] == sessions
    assert found[b"\xffstream_time"] == number(24)


def test_sliding_and_count_windows_are_kept_as_sessions() -> None:
    app = App("a")
    grouped(app).windowed_by(Sliding(10, grace=100)).reduce(max, name="w")
    found = rows_of(app, "a-w-changelog", ("in", "k", "x", 20))
    assert found[number(0) + b"k"] == number(10) + number(20) + sized(b"x")
    app = App("a")
    grouped(app).windowed_by(CountWindow(3)).reduce(max, name="w")
    found = rows_of(app, "a-w-changelog", ("in", "k", "x", 20), ("in", "k", "y", 22))
    assert found[number(0) + b"k"] == number(2) + number(0) + number(22) + sized(b"y")


def test_windowed_keys_are_those_of_kafka_streams_where_they_move() -> None:
    for window, tail in (
        (Hopping(10, advance=10), number(20)),
        (Session(5), number(23) + number(23)),
    ):
        app = App("a")
        counts = grouped(app).windowed_by(window).reduce(max, name="w")
        counts.to_stream().repartition(name="moved", value=str).to("out")
        assert rows_of(app, "a-moved-repartition", ("in", "k", "x", 23)) == {b"k" + tail: b"x"}


def test_updates_that_are_held_back() -> None:
    app = App("a")
    app.table("in", value=str).suppress(128_000, name="s")
    found = rows_of(app, "a-s-changelog", ("in", "k", "x", 5_000), ("in", "j", None, 5_001))
    assert found == {
        number(0) + b"k": number(5_000) + b"\1x",
        number(1 + 5_000 // 2_000) + b"k": number(5_000) + b"\0",
        number(0) + b"j": number(5_001) + b"\0",
        number(1 + 5_001 // 2_000) + b"j": number(5_001) + b"\0",
        b"\xffstream_time": number(5_001),
        b"\xffrecords": number(2),
        b"\xffbytes": number(9 + 1 + 1 + 8 + 9 + 1 + 8),
    }
    app = App("a")
    counts = grouped(app).windowed_by(Tumbling(10_000, grace=3_000)).reduce(max, name="w")
    counts.suppress("window_close", name="s")
    found = rows_of(app, "a-s-changelog", ("in", "k", "x", 5_000))
    assert found[number(1 + 10) + b"k" + number(0)] == number(10_000) + b"\1x"


def test_rows_in_the_buffers_of_joins() -> None:
    def build() -> App:
        app = App("a")
        left, right = app.stream("L", value=str), app.stream("R", value=str)
        left.join(
            right, lambda one, other: one or other, within=500, how="outer", name="j", grace=100
        )
        return app

    rows = [("L", "k", "x", 1_050), ("L", "k", "yy", 1_049), ("R", "r", "z", 2_150)]
    left = rows_of(build(), "a-j.left-changelog", *rows)
    assert left == {
        number(1 * 4_096) + b"k": number(1_050) + sized(b"x") + number(1_049) + sized(b"yy"),
        b"\xffstream time": number(2_150),
        b"\xffleft time": number(1_050),
        b"\xffright time": number(2_150),
    }
    assert rows_of(build(), "a-j.right-changelog", *rows) == {
        number(2 * 4_096) + b"r": number(2_150) + sized(b"z")
    }


def test_changes_of_a_table_that_is_grouped_again() -> None:
    app = App("a")
    table = app.table("in", value=str, emit="every")
    table.group_by(lambda value: value[0], value=str, name="g").reduce(max, remove=min)
    rows = [("in", "k", "ax", 1), ("in", "k", "ay", 2)]
    found = rows_of(app, "a-g-repartition", *rows)
    assert found == {b"a": b"\2ayax\2"}
