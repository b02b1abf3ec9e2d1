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


NUMBERS = st.one_of(st.none(), st.integers(-4, 9))
BUILT_IN: dict[str, Any] = {
    "count": len,
    "sum": sum,
    "mean": lambda values: sum(values) / len(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "collect": sorted,
    "top_n": lambda values: sorted(values, reverse=True)[:2],
    "count_distinct": lambda values: len(set(values)),
}


def first(value: list[int]) -> int:
    return value[0]


def parity(value: list[int]) -> str | None:
    return None if value[0] == 9 else str(value[0] % 2)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(BUILT_IN)),
    st.lists(st.tuples(KEYS, NUMBERS), max_size=25),
    st.booleans(),
    EMIT,
    EMIT,
    st.sampled_from([1, 3, 100]),
    st.sampled_from([0, 1 << 20]),
    st.sampled_from(["memory", "topic"]),
)
def test_what_is_made_of_a_group_is_at_each_commit_what_its_entries_make(
    kind: str,
    rows: list[tuple[str, Any]],
    selects: bool,
    table_emit: Any,
    emit: Any,
    commit_every: int,
    cache_bytes: int,
    exchange: Any,
) -> None:
    app = App("a")
    table = app.table("rows", emit=table_emit)
    grouped: Any = table.group_by(parity, select=first if selects else None)
    given: dict[str, Any] = {"n": 2} if kind == "top_n" else {}
    if not selects and kind != "count":
        given["of"] = first
    getattr(grouped, kind)(**given, emit=emit).to_stream().to("out")
    driver = TopologyTestDriver(
        app, partitions=2, commit_every=commit_every, cache_bytes=cache_bytes, exchange=exchange
    )
    held: dict[str, int] = {}
    found: dict[str, Any] = {}
    groups: set[str] = set()
    for number, (key, value) in enumerate(rows, 1):
        driver.pipe("rows", None if value is None else [value], key=key, timestamp=number)
        held.pop(key, None)
        if value is not None and value != 9:
            held[key] = value
            groups.add(str(value % 2))
        if number == len(rows):
            driver.commit()
        elif number % commit_every:
            continue
        found |= driver.map("out")
        for group in groups:
            expected = BUILT_IN[kind]([each for each in held.values() if str(each % 2) == group])
            result = found.get(group)
            if kind == "collect" and result is not None:
                result.sort()
            if result is None and not expected:
                continue  # the group came and went within a commit
            assert result == expected
