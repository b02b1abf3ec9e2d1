"""Random topologies with every rewrite rule on and off: no rule changes a result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App, Tumbling
from processors.testing import TopologyTestDriver
from processors.topology.rules import RULES

TOPICS = ("x", "y")

Row = tuple[str, str | None, str | None, int]
Program = list[Any]

rows = st.lists(
    st.tuples(
        st.sampled_from(TOPICS),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["ab", "ba", "bbb", "c", "", None]),
        st.integers(0, 9),
    ),
    max_size=25,
)

stateless = st.sampled_from(
    ["filter", "filter_not", "map_key", "map", "repartition", "repartition", "merge", "fails"]
)

programs = st.tuples(
    st.lists(stateless, max_size=5),
    st.sampled_from(["none", "count", "reduce", "windowed", "two groups", "self join", "table"]),
)


def no_nulls(function: Any) -> Any:
    return lambda value: None if value is None else function(value)


def first_letter(value: str | None) -> str | None:
    return value[:1] if value else None


def concatenate(one: str, other: str) -> str:
    return one + other


def build(program: Program, emit: Any, optimize: Any) -> App:
    words, end = program
    app = App("a", optimize=optimize, processing="dead_letter")
    stream: Any = app.stream("x", value=str)
    for number, word in enumerate(words):
        stream = apply(app, stream, word, number)
    grouped = stream.group_by_key(value=str, name="g")
    if end == "none":
        stream.to("out", value=str)
    elif end == "count":
        grouped.count(name="n", emit=emit).to_stream().to("out")
    elif end == "reduce":
        grouped.reduce(concatenate, name="r", emit=emit).to_stream().to("out", value=str)
    elif end == "windowed":
        counts = grouped.windowed_by(Tumbling(4)).count(name="w", emit=emit)
        named = counts.to_stream().items().map_key(lambda item: f"{item[0].key}{item[0].start}")
        named.map(lambda item: item[1]).to("out", value=int)
    elif end == "two groups":
        for name in ("one", "two"):
            by = stream.filter(lambda value: value is not None, name=f"f-{name}")
            by.group_by(first_letter, name=name).count(name=f"n-{name}", emit=emit).to_stream().to(
                f"out{name}"
            )
    elif end == "self join":
        joined = stream.join(stream, concatenate, within=2, name="j", value=str, other_value=str)
        joined.to("out", value=str)
    else:
        stream.to_table(name="t", value=str, emit=emit).to_stream().to("out", value=str)
    return app


def apply(app: App, stream: Any, word: str, number: int) -> Any:
    match word:
        case "filter":
            return stream.filter(lambda value: value != "c", name=f"f{number}")
        case "filter_not":
            return stream.filter_not(no_nulls(lambda value: "bb" in value), name=f"g{number}")
        case "map_key":
            return stream.map_key(first_letter, name=f"k{number}")
        case "map":
            return stream.map(no_nulls(lambda value: value + "z"), name=f"m{number}")
        case "merge":
            other = app.stream("y", value=str)
            return stream.merge(
                other.repartition(name=f"y{number}"),
                *([other.repartition(name=f"z{number}")] if number % 2 else []),
                name=f"u{number}",
            )
        case "fails":
            return stream.filter(no_nulls(lambda value: value[0]), name=f"e{number}")
        case _:
            return stream.repartition(name=f"p{number}", value=str)


def outputs(
    program: Program, emit: Any, optimize: Any, piped: list[Row], **options: Any
) -> dict[str, list[Any]]:
    app = build(program, emit, optimize)
    driver = TopologyTestDriver(app, partitions=2, **options)
    for topic, key, value, timestamp in piped:
        if topic in {source.topic for source in driver.plan.topology.topics}:
            driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    topics = {*driver.plan.sink_topics, "a-dead-letters"} & driver.topics
    found: dict[str, list[Any]] = {
        topic: [
            (row.key, row.value, row.timestamp, row.headers)
            for row in driver.records(topic, value=bytes)
        ]
        for topic in topics
    }
    found["late"] = sorted(driver.late_records().values())
    return found


CHOICES: list[Any] = [False, *({name: False} for name in RULES), *([name] for name in RULES)]


@pytest.mark.parametrize("optimize", CHOICES, ids=str)
@settings(max_examples=25)
@given(program=programs, piped=rows, commit_every=st.sampled_from([1, 7]))
def test_no_rule_changes_what_every_gives(
    optimize: Any, program: Program, piped: list[Row], commit_every: int
) -> None:
    expected = outputs(program, "every", True, piped, commit_every=commit_every)
    found = outputs(program, "every", optimize, piped, commit_every=commit_every)
    assert found == expected


@pytest.mark.parametrize("optimize", CHOICES, ids=str)
@settings(max_examples=25)
@given(program=programs, piped=rows, chunk_size=st.sampled_from([1, 3, 100]))
def test_no_rule_changes_what_latest_ends_with(
    optimize: Any, program: Program, piped: list[Row], chunk_size: int
) -> None:
    expected = outputs(program, "latest", True, piped, commit_every=9)
    found = outputs(program, "latest", optimize, piped, commit_every=9, chunk_size=chunk_size)
    assert last_by_key(found) == last_by_key(expected)


def last_by_key(found: dict[str, list[Any]]) -> dict[str, Any]:
    return {
        topic: rows if topic == "late" else {row[0]: row[1:] for row in rows}
        for topic, rows in found.items()
    }
