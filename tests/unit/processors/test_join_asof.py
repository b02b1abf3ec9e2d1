"""As-of joins, and joins of many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App
from processors.errors import TopologyError
from processors.testing import TopologyTestDriver
from processors.topology.tuple_serde import TupleSerde
from streamlog.errors import SerializationError
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[str, Any, Any, int]


def both(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def as_of(*, how: Any = "inner", grace: Any = 0) -> App:
    app = App("a")
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    left.join_asof(right, both, how=how, grace=grace).to("out", value=str)
    return app


def pipe(driver: TopologyTestDriver, rows: Iterable[Row]) -> list[tuple[Any, Any, int]]:
    for topic, key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    return [(record.key, record.value, record.timestamp) for record in driver.records("out")]


def test_a_row_meets_the_latest_one_up_to_its_time() -> None:
    rows: list[Row] = [("R", "k", "a", 1), ("R", "k", "b", 5), ("R", "k", "c", 9)]
    found = pipe(
        TopologyTestDriver(as_of(grace=10)), [*rows, ("L", "k", "x", 8), ("L", "z", "-", 99)]
    )
    assert found == [("k", "x-b", 8)]


def test_it_does_not_matter_which_arrives_first_within_grace() -> None:
    driver = TopologyTestDriver(as_of(grace=10))
    assert pipe(driver, [("R", "k", "a", 1), ("L", "k", "x", 20), ("R", "k", "c", 25)]) == []
    driver.restart()
    assert pipe(driver, [("R", "k", "b", 15), ("R", "z", "-", 29)]) == []
    assert pipe(driver, [("R", "z", "-", 30)]) == [("k", "x-b", 20)]


def test_a_leap_of_the_other_stream_does_not_end_the_history_that_rows_wait_for() -> None:
    driver = TopologyTestDriver(as_of(grace=10))
    rows: list[Row] = [("R", "k", "a", 1), ("L", "k", "x", 20), ("R", "k", "b", 100_000)]
    assert pipe(driver, rows) == [("k", "x-a", 20)]


def test_left_keeps_rows_that_nothing_came_before() -> None:
    rows: list[Row] = [
        ("L", "k", "x", 5),
        ("L", None, "n", 6),
        ("R", "k", "a", 7),
        ("L", "k", "y", 8),
    ]
    assert pipe(TopologyTestDriver(as_of(how="left")), rows) == [
        ("k", "x-None", 5),
        (None, "n-None", 6),
        ("k", "y-a", 8),
    ]
    assert pipe(TopologyTestDriver(as_of()), rows) == [("k", "y-a", 8)]


@pytest.mark.parametrize("optimize", [True, False])
def test_null_values_of_the_other_stream_are_left_out_and_delete_nothing(optimize: bool) -> None:
    app = App("a", optimize=optimize)
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    left.join_asof(right, both).to("out", value=str)
    rows: list[Row] = [("R", "k", "a", 1), ("R", "k", None, 3), ("L", "k", "x", 5)]
    assert pipe(TopologyTestDriver(app), rows) == [("k", "x-a", 5)]


def test_the_value_found_is_as_its_serde_reads_it() -> None:
    app = App("a")
    right = app.stream("R", value=str).map(lambda value: (value, 1))
    app.stream("L", value=str).join_asof(right, lambda _, pair: repr(pair)).to("out", value=str)
    found = pipe(TopologyTestDriver(app), [("R", "k", "a", 1), ("L", "k", "x", 2)])
    assert found == [("k", "['a', 1]", 2)]


ROWS = st.lists(
    st.tuples(
        st.sampled_from("LR"), st.sampled_from("ab"), st.sampled_from([0, 1, 3]), st.integers(0, 4)
    ),
    max_size=25,
)


@settings(max_examples=100)
@given(ROWS, st.integers(0, 4))
def test_the_result_is_what_the_definition_says(
    moves: list[tuple[str, str, int, int]], grace: int
) -> None:
    now = 10
    rows: list[Row] = []
    for number, (topic, key, step, late) in enumerate(moves):
        now += step
        at = now - min(late, max(grace - 1, 0))  # a row that is late by the grace is too late
        if any(row[:2] == (topic, key) and row[3] == at for row in rows):
            continue
        rows.append((topic, key, f"{topic}{number}", at))
    if grace == 0:
        rows.sort(key=lambda row: row[3])  # of one time, what comes first counts
        rows = [
            row
            for row in rows
            if row[0] == "R"
            or not any(other[:2] == ("R", row[1]) and other[3] == row[3] for other in rows)
        ]
    end: Row = ("L", "end", "end", 1_000)
    wanted: list[tuple[Any, Any, int]] = []
    for _, key, value, at in (row for row in rows if row[0] == "L"):
        before = [row for row in rows if row[:2] == ("R", key) and row[3] <= at]
        latest = max(before, key=lambda row: row[3])[2] if before else None
        wanted.append((key, f"{value}-{latest}", at))
    found = pipe(TopologyTestDriver(as_of(how="left", grace=grace)), [*rows, end])
    assert sorted(row for row in found if row[0] != "end") == sorted(wanted)
    for options in ({"commit_every": 100}, {"commit_every": 5, "chunk_size": 2, "cache_bytes": 0}):
        driver = TopologyTestDriver(as_of(how="left", grace=grace), **options)
        assert pipe(driver, [*rows, end]) == found


def test_what_it_cannot_do_is_refused() -> None:
    app = App("a")
    left = app.stream("L")
    with pytest.raises(ValueError, match=r"L\.join_asof: how='outer'"):
        left.join_asof(app.stream("R"), both, how="outer")
    with pytest.raises(ValueError, match=r"L\.join_asof: grace=-1"):
        left.join_asof(app.stream("R"), both, grace=-1)
    with pytest.raises(TypeError, match="joiner must be a function"):
        left.join_asof(app.stream("R"), None)  # type: ignore[arg-type] # the misuse
    with pytest.raises(TopologyError, match="keys are str here and int there"):
        left.join_asof(app.stream("N", key=int), both)


# Many at once.


def three(*parts: Any) -> str:
    return "-".join(map(str, parts))


def test_streams_are_joined_one_after_the_other() -> None:
    app = App("a")
    left, right, more = (app.stream(topic, value=str) for topic in "LRM")
    left.join([right, more], three, within=10).to("out", value=str)
    driver = TopologyTestDriver(app)
    rows: list[Row] = [
        ("M", "k", "m", 1),
        ("R", "k", "r", 2),
        ("L", "k", "l", 3),
        ("M", "k", "n", 4),
    ]
    assert pipe(driver, rows) == [("k", "l-r-m", 3), ("k", "l-r-n", 4)]


def test_missing_ones_are_none() -> None:
    app = App("a")
    left, right, more = (app.stream(topic, value=str) for topic in "LRM")
    left.join([right, more], three, within=10, how="outer").to("out", value=str)
    driver = TopologyTestDriver(app)
    rows: list[Row] = [("L", "a", "l", 1), ("R", "b", "r", 2), ("M", "c", "m", 3)]
    driver_rows = [*rows, *((topic, "z", "-", at) for at in (100, 200) for topic in "LRM")]
    found = [row for row in pipe(driver, driver_rows) if row[0] != "z"]
    assert sorted(found) == [
        ("a", "l-None-None", 1),
        ("b", "None-r-None", 2),
        ("c", "None-None-m", 3),
    ]


def test_streams_and_tables_may_be_mixed() -> None:
    app = App("a")
    table, regions = app.table("T", value=str), app.global_table("G", value=str)
    app.stream("L", value=str).join([table, regions], three, how="left").to("out", value=str)
    rows: list[Row] = [
        ("G", "k", "g", 1),
        ("L", "k", "1", 2),
        ("T", "k", "t", 3),
        ("L", "k", "2", 4),
    ]
    assert pipe(TopologyTestDriver(app), rows) == [("k", "1-None-g", 2), ("k", "2-t-g", 4)]


def test_nothing_to_join_with_is_refused() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="at least one"):
        app.stream("L").join([], three)


def test_parts_of_a_tuple_come_back() -> None:
    serde = TupleSerde([STRING, LONG])
    for value in (("a", 1), (None, 2), ("", None), (None, None)):
        assert serde.deserialize(serde.serialize(value)) == value
    data = serde.serialize(("abc", 7))
    for bad in (data[:-1], data[:3], data + b"x", b"\xff\xff\xff\xf0" + data[4:]):
        with pytest.raises(SerializationError):
            serde.deserialize(bad)
