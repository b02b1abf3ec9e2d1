"""Tables that are grouped again hold what their entries hold, however rows come."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App
from processors.testing import TopologyTestDriver

KEYS = st.sampled_from("abcd")
VALUES = st.one_of(st.none(), st.sampled_from(["x1", "x2", "y1", "y2", "z", "-"]))
INPUTS = st.lists(st.tuples(KEYS, VALUES), max_size=30)
EMIT = st.sampled_from(["every", "latest"])
SIZES = st.sampled_from([1, 2, 7, 100])


def group_of(value: str) -> str | None:
    return None if value == "-" else value[0]


def groups(rows: list[tuple[str, Any]]) -> dict[str, list[str]]:
    """What is in each group at the end."""
    found: dict[str, list[str]] = defaultdict(list)
    for value in dict(rows).values():
        if value is not None and (group := group_of(value)):
            found[group].append(value)
    return {group: sorted(values) for group, values in found.items()}


def put_in(values: list[str], value: str) -> list[str]:
    values.append(value)
    return sorted(values)


def take_out(values: list[str], value: str) -> list[str] | None:
    values.remove(value)
    return values or None


@settings(max_examples=150, deadline=None)
@given(INPUTS, EMIT, EMIT, SIZES, SIZES, st.integers(1, 3), st.sampled_from(["memory", "topic"]))
def test_a_group_holds_what_its_entries_hold(
    rows: list[tuple[str, Any]],
    table_emit: Any,
    emit: Any,
    commit_every: int,
    chunk_size: int,
    partitions: int,
    exchange: Any,
) -> None:
    app = App("a")
    table = app.table("rows", value=str, emit=table_emit)
    grouped = table.group_by(group_of)
    grouped.aggregate(list, put_in, remove=take_out, name="all", emit=emit).changes().to("out")
    grouped.count(name="counts", emit=emit)
    driver = TopologyTestDriver(
        app,
        partitions=partitions,
        commit_every=commit_every,
        chunk_size=chunk_size,
        exchange=exchange,
    )
    driver.run("rows", rows)
    expected = groups(rows)
    assert dict(driver.store("all").items()) == expected
    counts = {key: count for key, count in driver.store("counts").items() if count}
    assert counts == {group: len(values) for group, values in expected.items()}
    held: dict[str, Any] = {}
    for key, (old, new) in driver.items("out"):
        assert held.get(key) == old
        held[key] = new
    assert {key: value for key, value in held.items() if value is not None} == expected


@settings(max_examples=60, deadline=None)
@given(INPUTS, EMIT, EMIT, SIZES, SIZES)
def test_the_size_of_chunks_changes_no_output(
    rows: list[tuple[str, Any]], table_emit: Any, emit: Any, commit_every: int, chunk_size: int
) -> None:
    outputs: list[Any] = []
    for size in (1, chunk_size):
        app = App("a")
        table = app.table("rows", value=str, emit=table_emit)
        made = table.group_by(group_of).reduce(
            lambda a, b: a + b, remove=lambda a, b: a.replace(b, "", 1) or None, emit=emit
        )
        made.to_stream().to("out")
        driver = TopologyTestDriver(app, commit_every=commit_every, chunk_size=size)
        driver.run("rows", rows)
        outputs.append(driver.items("out"))
    assert outputs[0] == outputs[1]
