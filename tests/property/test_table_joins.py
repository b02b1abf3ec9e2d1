"""Joins of tables end where the batch join ends, however rows come and commits fall."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App
from processors.testing import TopologyTestDriver

KEYS = st.sampled_from("abc")
VALUES = st.one_of(st.none(), st.sampled_from(["1", "2", "3"]))
INPUTS = st.lists(st.tuples(st.sampled_from("LR"), KEYS, VALUES), max_size=25)
EMIT = st.sampled_from(["every", "latest"])
HOW = st.sampled_from(["inner", "left", "right", "outer"])
SIZES = st.sampled_from([1, 2, 7, 100])


def show(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def batch(rows: list[tuple[str, str, Any]], how: str) -> dict[str, str]:
    """The join of what is left at the end."""
    tables: dict[str, dict[str, Any]] = {"L": {}, "R": {}}
    for topic, key, value in rows:
        tables[topic][key] = value
    joined: dict[str, str] = {}
    for key in "abc":
        left, right = tables["L"].get(key), tables["R"].get(key)
        if (left is None and how not in ("right", "outer")) or (left is None and right is None):
            continue
        if right is None and how not in ("left", "outer"):
            continue
        joined[key] = show(left, right)
    return joined


def pipe(driver: TopologyTestDriver, rows: list[tuple[str, str, Any]]) -> None:
    for timestamp, (topic, key, value) in enumerate(rows):
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()


def last(rows: list[tuple[Any, Any]]) -> dict[Any, Any]:
    return {key: value for key, value in dict(rows).items() if value is not None}


@settings(max_examples=150, deadline=None)
@given(INPUTS, HOW, EMIT, EMIT, SIZES, SIZES, st.booleans())
def test_the_last_results_are_those_of_the_batch_join(
    rows: list[tuple[str, str, Any]],
    how: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
    chunk_size: int,
    named: bool,
) -> None:
    app = App("a")
    left = app.table("L", value=str, emit=left_emit)
    right = app.table("R", value=str, emit=right_emit)
    joined = left.join(right, show, how=how, value=str, name="joined" if named else None)
    joined.to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=commit_every, chunk_size=chunk_size)
    pipe(driver, rows)
    assert last(driver.items("out")) == batch(rows, how)
    if named:
        assert dict(driver.store("joined").items()) == batch(rows, how)


@settings(max_examples=100, deadline=None)
@given(INPUTS, HOW, HOW, EMIT, EMIT, SIZES)
def test_what_a_join_calls_old_is_what_it_gave_last(
    rows: list[tuple[str, str, Any]],
    how: Any,
    how_again: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
) -> None:
    app = App("a")
    left = app.table("L", value=str, emit=left_emit)
    right = app.table("R", value=str, emit=right_emit)
    joined = left.join(right, show, how=how, value=str)
    again = joined.join(right, show, how=how_again, value=str, name="again")
    again.map(str.upper, value=str).changes().to("out")
    driver = TopologyTestDriver(app, commit_every=commit_every)
    pipe(driver, rows)
    held: dict[str, Any] = {}
    for key, (old, new) in driver.items("out"):
        assert held.get(key) == old
        held[key] = new
    first = batch(rows, how)
    replayed = [row for row in rows if row[0] == "R"] + [
        ("L", key, first.get(key)) for key in "abc"
    ]
    expected = batch(replayed, how_again)
    assert last(list(held.items())) == {key: value.upper() for key, value in expected.items()}


@settings(max_examples=100, deadline=None)
@given(INPUTS, HOW, EMIT, EMIT, SIZES, SIZES)
def test_the_size_of_chunks_changes_no_output(
    rows: list[tuple[str, str, Any]],
    how: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
    chunk_size: int,
) -> None:
    outputs: list[Any] = []
    for size in (1, chunk_size):
        app = App("a")
        left = app.table("L", value=str, emit=left_emit)
        right = app.table("R", value=str, emit=right_emit)
        left.join(right, show, how=how, value=str).changes().to("out")
        driver = TopologyTestDriver(app, commit_every=commit_every, chunk_size=size)
        pipe(driver, rows)
        outputs.append(driver.items("out"))
    assert outputs[0] == outputs[1]
