"""Joins of a stream with a table: as of the row, by time, after a wait; nulls, failures, misuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import CopartitionError, TopologyError
from processors.testing import TopologyTestDriver
from processors.topology.partitioning import choose_partitions

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[str, Any, Any, int]


def both(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def looked_up(*, how: Any = "inner", versioned: Any = None, grace: Any = None) -> App:
    app = App("a")
    table = app.table("R", value=str, versioned=versioned)
    app.stream("L", value=str).join(table, both, how=how, grace=grace).to("out", value=str)
    return app


def pipe(driver: TopologyTestDriver, rows: Iterable[Row]) -> list[tuple[Any, Any, int]]:
    for topic, key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    return [(record.key, record.value, record.timestamp) for record in driver.records("out")]


ROWS: list[Row] = [
    ("L", "k", "1", 5),
    ("R", "k", "a", 9),
    ("L", "k", "2", 3),
    ("R", "k", "b", 2),
    ("L", "k", None, 4),
    ("L", None, "3", 4),
    ("L", "k", "4", 4),
    ("R", "k", None, 4),
    ("L", "k", "5", 4),
]


@pytest.mark.parametrize("commit_every", [1, 4, 100])
@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_a_row_sees_the_table_as_it_is_then(commit_every: int, chunk_size: int) -> None:
    options = {"commit_every": commit_every, "chunk_size": chunk_size}
    assert pipe(TopologyTestDriver(looked_up(), **options), ROWS) == [
        ("k", "2-a", 3),
        ("k", "4-b", 4),
    ]
    assert pipe(TopologyTestDriver(looked_up(how="left"), **options), ROWS) == [
        ("k", "1-None", 5),
        ("k", "2-a", 3),
        (None, "3-None", 4),
        ("k", "4-b", 4),
        ("k", "5-None", 4),
    ]


def test_an_aggregate_is_seen_as_it_is_then_though_it_emits_at_the_commit() -> None:
    app = App("a")
    clicks = app.stream("clicks", value=str)
    counts = clicks.group_by_key().count()
    clicks.join(counts, lambda page, n: [page, n]).to("out")
    driver = TopologyTestDriver(app, commit_every=100)
    driver.run("clicks", [("ann", "/"), ("bob", "/"), ("ann", "/a"), ("ann", "/b")])
    assert driver.values("out") == [["/", 1], ["/", 1], ["/a", 2], ["/b", 3]]


def test_a_derived_table_is_looked_up_through_its_functions() -> None:
    app = App("a")
    table = app.table("R", value=str).filter(lambda value: value != "b").map(str.upper)
    app.stream("L", value=str).join(table, both, how="left").to("out", value=str)
    found = [value for _, value, _ in pipe(TopologyTestDriver(app, commit_every=100), ROWS)]
    assert found == ["1-None", "2-A", "3-None", "4-None", "5-None"]


def test_rows_that_wait_find_the_version_of_their_time() -> None:
    driver = TopologyTestDriver(looked_up(versioned=100, grace=10, how="left"))
    assert pipe(driver, [("R", "k", "a", 1), ("L", "k", "x", 20), ("R", "k", "c", 25)]) == []
    driver.restart()
    assert pipe(driver, [("R", "k", "b", 15), ("L", "k", "y", 26)]) == []
    assert pipe(driver, [("L", None, "n", 27)]) == [(None, "n-None", 27)]
    assert pipe(driver, [("L", "k", "late", 10)]) == [("k", "late-a", 10)]
    assert pipe(driver, [("L", "q", "z", 36)]) == [("k", "x-b", 20), ("k", "y-c", 26)]


def test_rows_that_waited_are_gone_from_the_store() -> None:
    driver = TopologyTestDriver(looked_up(versioned="1h", grace="1m"))
    pipe(driver, [("L", str(n), "v", n * 1_000) for n in range(300)])
    assert len(list(driver.store("L.join.waiting").items())) <= 61


def test_a_changed_key_goes_to_the_task_of_its_table() -> None:
    app = App("a")
    orders = app.stream("L", value=str).map_key(str.lower)
    orders.join(app.table("R", value=str), both).to("out", value=str)
    driver = TopologyTestDriver(app, partitions={"L": 2, "R": 5})
    rows: list[Row] = [("R", key, "r", 1) for key in "abcdef"]
    found = pipe(driver, [*rows, *(("L", "x", key.upper(), 2) for key in "abcdef")])
    assert found == [(key, f"{key.upper()}-r", 2) for key in "abcdef"]


def test_a_table_and_a_stream_must_have_equal_partitions() -> None:
    with pytest.raises(CopartitionError, match="'L' has 2, 'R' has 3"):
        choose_partitions(looked_up().plan().topology, {"L": 2, "R": 3})


def test_a_joiner_that_raises_loses_its_row_only() -> None:
    app = App("a", processing="skip")
    rows: list[Row] = [("R", "k", "a", 1), *(("L", "k", str(n), n) for n in range(3))]
    table = app.table("R", value=str)
    app.stream("L", value=str).join(table, lambda left, _: 1 // (int(left) - 1)).to("out")
    found = pipe(TopologyTestDriver(app, commit_every=100), rows)
    assert found == [("k", -1, 0), ("k", 1, 2)]


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "right"}, "a table does not cause results"),
        ({"how": "outer"}, r"join table\.to_stream\(\)"),
        ({"how": "any"}, "choose 'inner' or 'left'"),
        ({"grace": 5}, r"R\.table keeps no history: read it with app\.table"),
        ({"grace": -5}, r"L\.join: grace=-5"),
        ({"within": 5}, "a table has one value a key"),
    ],
)
def test_what_a_table_cannot_do_is_refused(options: dict[str, Any], message: str) -> None:
    app = App("a")
    with pytest.raises(ValueError, match=message):
        app.stream("L").join(app.table("R"), both, **options)


def test_a_grace_longer_than_the_history_is_refused() -> None:
    app = App("a")
    with pytest.raises(ValueError, match=r"keeps 5000 ms"):
        app.stream("L").join(app.table("R", versioned="5s"), both, grace="6s")


def test_a_table_of_another_application_or_with_other_keys_is_refused() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="another App"):
        app.stream("L").join(App("b").table("R"), both)
    with pytest.raises(TopologyError, match="keys are str here and int there"):
        app.stream("L").join(app.table("R", key=int), both)
