"""Foreign-key joins end where the batch join ends, however rows and messages interleave."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App
from processors.testing import TopologyTestDriver

Rows = list[tuple[str, str, Any]]

LEFT = st.tuples(
    st.just("L"),
    st.sampled_from(["k1", "k2", "k3"]),
    st.one_of(st.none(), st.sampled_from(["v|a", "w|a", "v|b", "w|b", "v|c", "v"])),
)
RIGHT = st.tuples(
    st.just("R"), st.sampled_from("abc"), st.one_of(st.none(), st.sampled_from(["1", "2"]))
)
INPUTS = st.lists(st.one_of(LEFT, RIGHT), max_size=30)
HOW = st.sampled_from(["inner", "left"])
EMIT = st.sampled_from(["every", "latest"])
SIZES = st.sampled_from([1, 2, 7, 100])


def refers_to(value: str) -> str | None:
    return value.partition("|")[2] or None


def show(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def batch(rows: Rows, how: str) -> dict[str, str]:
    """The join of what is left at the end."""
    tables: dict[str, dict[str, Any]] = {"L": {}, "R": {}}
    for topic, key, value in rows:
        tables[topic][key] = value
    joined: dict[str, str] = {}
    for key, value in tables["L"].items():
        if value is None:
            continue
        found = tables["R"].get(refers_to(value) or "")
        if found is not None or how == "left":
            joined[key] = show(value, found)
    return joined


def pipe(driver: TopologyTestDriver, rows: Rows) -> None:
    for timestamp, (topic, key, value) in enumerate(rows):
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()


def last(rows: list[tuple[Any, Any]]) -> dict[Any, Any]:
    return {key: value for key, value in dict(rows).items() if value is not None}


def build(how: Any, left_emit: Any, right_emit: Any, name: str | None = None) -> App:
    app = App("a")
    left = app.table("L", value=str, emit=left_emit)
    right = app.table("R", value=str, emit=right_emit)
    joined = left.join(right, show, foreign_key=refers_to, how=how, value=str, name=name)
    joined.to_stream().to("out")
    return app


@settings(max_examples=250, deadline=None)
@given(
    INPUTS,
    HOW,
    EMIT,
    EMIT,
    SIZES,
    SIZES,
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["memory", "topic"]),
)
def test_the_last_results_are_those_of_the_batch_join(
    rows: Rows,
    how: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
    chunk_size: int,
    left_partitions: int,
    right_partitions: int,
    exchange: Any,
) -> None:
    driver = TopologyTestDriver(
        build(how, left_emit, right_emit, "joined"),
        partitions={"L": left_partitions, "R": right_partitions},
        commit_every=commit_every,
        chunk_size=chunk_size,
        exchange=exchange,
    )
    pipe(driver, rows)
    assert last(driver.items("out")) == batch(rows, how)
    assert dict(driver.store("joined").items()) == batch(rows, how)


@settings(max_examples=100, deadline=None)
@given(INPUTS, HOW, EMIT, EMIT, SIZES, SIZES, st.integers(1, 3))
def test_the_size_of_chunks_changes_no_output(
    rows: Rows,
    how: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
    chunk_size: int,
    right_partitions: int,
) -> None:
    outputs: list[Any] = []
    for size in (1, chunk_size):
        driver = TopologyTestDriver(
            build(how, left_emit, right_emit),
            partitions={"L": 2, "R": right_partitions},
            commit_every=commit_every,
            chunk_size=size,
        )
        pipe(driver, rows)
        outputs.append(
            [(row.key, row.value, row.timestamp, row.partition) for row in driver.records("out")]
        )
    assert outputs[0] == outputs[1]


@settings(max_examples=100, deadline=None)
@given(INPUTS, HOW, HOW, EMIT, EMIT, SIZES, st.sampled_from(["memory", "topic"]))
def test_a_join_may_be_joined_again_and_what_it_calls_old_is_what_it_gave_last(
    rows: Rows,
    how: Any,
    how_again: Any,
    left_emit: Any,
    right_emit: Any,
    commit_every: int,
    exchange: Any,
) -> None:
    app = App("a")
    left = app.table("L", value=str, emit=left_emit)
    right = app.table("R", value=str, emit=right_emit)
    joined = left.join(right, show, foreign_key=refers_to, how=how, value=str)
    again = joined.join(
        right,
        show,
        foreign_key=lambda value: "a" if "v" in value else "b",
        how=how_again,
        value=str,
    )
    again.changes().to("out")
    driver = TopologyTestDriver(app, commit_every=commit_every, exchange=exchange)
    pipe(driver, rows)
    held: dict[str, Any] = {}
    for key, (old, new) in driver.items("out"):
        assert held.get(key) == old
        held[key] = new
    found: dict[str, Any] = {key: value for topic, key, value in rows if topic == "R"}
    expected: dict[str, str] = {}
    for key, value in batch(rows, how).items():
        partner = found.get("a" if "v" in value else "b")
        if partner is not None or how_again == "left":
            expected[key] = show(value, partner)
    assert last(list(held.items())) == expected
