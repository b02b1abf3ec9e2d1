"""Filters that run where an exchange sends: the same rows, values, nulls and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors import App, Tumbling
from processors.errors import ProcessingError
from processors.testing import TopologyTestDriver


def moved(app: App, topic: str, **options: Any) -> Any:
    return (
        app.stream(topic, value=str).map_key(lambda word: word[:1] or None).repartition(**options)
    )


def pushed(app: App) -> dict[str, list[str]]:
    subs = json.loads(app.describe("json"))["subtopologies"]
    return {
        node["path"]: node["filters"]
        for sub in subs
        for node in sub["nodes"]
        if node.get("filters")
    }


def test_filters_behind_an_exchange_and_a_merge_of_exchanges_are_pushed() -> None:
    app = App("a")
    rows = moved(app, "x", name="mx").merge(moved(app, "y", name="my"))
    rows.filter(bool, name="f").filter_not(str.isupper, name="g").group_by_key().count()
    assert pushed(app) == {"mx": ["f", "g"], "my": ["f", "g"]}
    assert "f at its start, g at its start" in app.describe()
    assert pushed(App("b")) == {}


def test_filters_behind_a_merge_of_several_are_pushed_into_all_or_none() -> None:
    app = App("a")
    three = [moved(app, topic, name=f"m{topic}") for topic in ("x", "y", "z")]
    three[0].merge(*three[1:]).filter(bool, name="f").to("out")
    assert pushed(app) == {"mx": ["f"], "my": ["f"], "mz": ["f"]}
    app = App("a")
    three = [moved(app, topic, name=f"m{topic}") for topic in ("x", "y")]
    three[0].merge(three[1], app.stream("z", value=str)).filter(bool, name="f").to("out")
    assert pushed(app) == {}


@pytest.mark.parametrize(
    "why", ["other child", "a topic is merged", "merged with itself", "partitioner", "switched off"]
)
def test_what_other_rows_or_readers_need_stays(why: str) -> None:
    app = App("a", optimize={"push_filters": why != "switched off"})
    options: dict[str, Any] = {}
    if why == "partitioner":
        options["partitioner"] = lambda key, value, count: 0
    rows = moved(app, "x", **options)
    if why == "other child":
        rows.to("all")
    if why == "merged with itself":
        rows = rows.merge(rows)
    if why == "a topic is merged":
        rows = rows.merge(app.stream("y", value=str))
    rows.filter(bool).to("out")
    assert pushed(app) == {}


@pytest.mark.parametrize("exchange", ["memory", "topic"])
@pytest.mark.parametrize("optimize", [True, False])
def test_it_sees_what_it_would_see_behind_the_exchange(exchange: Any, optimize: bool) -> None:
    seen: list[Any] = []

    def look(value: Any) -> bool:
        seen.append(value)
        return value != ["b", 1]

    app = App("a", optimize={"push_filters": optimize})
    pairs = app.stream("in", value=str).map(lambda word: (word, 1) if word else None)
    keyed = pairs.map_items(lambda key, value: (key and "k", value))
    keyed.repartition(partitions=3).filter(look).to("out")
    driver = TopologyTestDriver(app, exchange=exchange, commit_every=9)
    driver.pipe("in", "a", key="x")
    driver.pipe("in", "b", key="x")
    driver.pipe("in", "no key is left out before it is asked", key=None)
    driver.pipe("in", "", key="x")
    driver.commit()
    assert seen == [["a", 1], ["b", 1], None]
    assert driver.items("out") == [("k", ["a", 1]), ("k", None)]


@pytest.mark.parametrize("optimize", [True, False])
def test_its_errors_are_where_they_were(optimize: bool) -> None:
    def build(**options: Any) -> App:
        app = App("a", optimize={"push_filters": optimize}, **options)
        moved(app, "in").filter(lambda word: 1 // (len(word) - 1), name="f").to("out")
        return app

    with pytest.raises(ProcessingError, match=r"^f: .* record of in-0 at offset 1"):
        TopologyTestDriver(build(), commit_every=9).run("in", ["aa", "b"])
    driver = TopologyTestDriver(build(processing="dead_letter"), commit_every=9)
    driver.run("in", ["aa", "b", "", "cc"])
    assert driver.values("out") == ["aa", "cc"]
    assert driver.values("a-dead-letters", value=str) == ["b"]
    assert driver.skipped() == {"dead_letters": 1}


@pytest.mark.parametrize("exchange", ["memory", "topic"])
@pytest.mark.parametrize("optimize", [True, False])
def test_windows_behind_it_are_the_same(exchange: Any, optimize: bool) -> None:
    app = App("a", optimize={"push_filters": optimize})
    words = moved(app, "in", partitions=2).filter(lambda word: len(word) > 1)
    counts = words.group_by_key().windowed_by(Tumbling("1s")).count(emit="every")
    counts.to_stream().map_key(lambda _: "w").to("out", value=int)
    driver = TopologyTestDriver(app, exchange=exchange, commit_every=4, chunk_size=3)
    for time, word in enumerate(["aa", "b", "ab", "c", "ba", "bb", "x", "aaa"]):
        driver.pipe("in", word, timestamp=time * 300)
    driver.commit()
    assert driver.values("out") == [1, 2, 1, 2, 1]
