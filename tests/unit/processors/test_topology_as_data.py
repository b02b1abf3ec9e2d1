"""The topology as data and as drawings, and the rules that rewrite it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors import App
from processors.errors import CopartitionError, TopologyError
from processors.testing import TopologyTestDriver


def first_letter(word: str) -> str:
    return word[:1]


def two_views(**options: Any) -> App:
    """One key, two aggregates."""
    app = App("a", **options)
    words = app.stream("words", value=str)
    words.group_by(first_letter, name="g1").count(name="n", emit="every").to_stream().to("n")
    longest = words.group_by(first_letter, name="g2").reduce(max, name="last", emit="every")
    longest.to_stream().to("last")
    return app


def test_a_topology_is_data() -> None:
    app = two_views()
    data = json.loads(app.describe("json"))
    assert data["application"] == "a"
    assert [sub["name"] for sub in data["subtopologies"]] == ["words", "g1"]
    nodes = {node["path"]: node for sub in data["subtopologies"] for node in sub["nodes"]}
    assert nodes["words"]["topics"] == ["words"]
    assert nodes["g1"]["topics"] == ["a-g1-repartition"]
    assert nodes["g1"]["parents"] == ["g1.key"]
    assert nodes["n"]["parents"] == ["g1"]
    assert nodes["n"]["stores"] == [
        {"name": "n", "kind": "count", "key": "str", "value": "int", "changelog": "a-n-changelog"}
    ]
    paths = set(nodes)
    assert all(paths.issuperset(node["parents"]) for node in nodes.values())
    assert data["agents"] == data["stores"] == []


def test_a_topology_is_drawn_for_tools() -> None:
    app = App('a"b'.replace('"', "-"))
    app.stream("lines", value=str).filter(bool, name="kept").to("out")
    assert app.describe("mermaid").splitlines() == [
        "flowchart LR",
        '  subgraph s0["lines"]',
        '    n0["lines<br/>source: topic lines, key str, value str"]',
        '    n1["kept<br/>filter"]',
        '    n2["kept.to.out<br/>to: topic out, key str, value str"]',
        "  end",
        "  n0 --> n1",
        "  n1 --> n2",
    ]
    assert app.describe("dot").splitlines() == [
        'digraph "a-b" {',
        "  rankdir=LR; node [shape=box];",
        '  subgraph cluster_0 { label="lines";',
        '    "lines" [label="lines\\nsource: topic lines, key str, value str", shape=cds];',
        '    "kept" [label="kept\\nfilter", shape=box];',
        '    "kept.to.out" [label="kept.to.out\\nto: topic out, key str, value str", shape=cds];',
        "  }",
        '  "lines" -> "kept";',
        '  "kept" -> "kept.to.out";',
        "}",
    ]
    wrong: Any = "svg"
    with pytest.raises(ValueError, match="'svg': choose 'text', 'dot', 'mermaid' or 'json'"):
        app.describe(wrong)


def test_an_exchange_within_a_sub_topology_is_drawn_once() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by(first_letter, name="g").count(name="n")
    again = counts.to_stream().group_by(str, key=str, name="h").count(name="m")
    again.to_stream().merge(counts.to_stream()).to("out")
    data = json.loads(app.describe("json"))
    paths = [node["path"] for sub in data["subtopologies"] for node in sub["nodes"]]
    assert len(paths) == len(set(paths))
    assert {"g", "h"} <= set(paths)


@pytest.mark.parametrize("optimize", [True, False, ["merge_repartitions"], ["drop_groupings"]])
@pytest.mark.parametrize("partitions", [1, 3])
def test_no_rule_changes_a_result(optimize: Any, partitions: int) -> None:
    app = two_views(optimize=optimize)
    app.stream("clicks", value=str).group_by_key().count(name="c", emit="every").to_stream().to("c")
    driver = TopologyTestDriver(app, partitions=partitions, commit_every=100, chunk_size=7)
    driver.run("words", ["to", "be", "or", "not", "to", "bee", "", "owl"])
    driver.run("clicks", [("ann", "/"), ("bob", "/"), ("ann", "/a")])
    assert driver.items("n") == [
        ("t", 1), ("b", 1), ("o", 1), ("n", 1), ("t", 2), ("b", 2), ("", 1), ("o", 2),
    ]  # fmt: skip
    assert driver.read_map("last") == {"t": "to", "b": "bee", "o": "owl", "n": "not", "": ""}
    assert driver.items("c") == [("ann", 1), ("bob", 1), ("ann", 2)]


def test_what_is_moved_by_one_key_is_moved_once() -> None:
    def topics(app: App) -> set[str]:
        return set(TopologyTestDriver(app).plan.repartition_topics)

    assert topics(two_views()) == {"a-g1-repartition"}
    assert topics(two_views(optimize={"merge_repartitions": False})) == {
        "a-g1-repartition",
        "a-g2-repartition",
    }
    app = App("a")
    words = app.stream("words", value=str)
    words.group_by(first_letter, name="g1").count()
    words.group_by(first_letter, partitions=5, name="g2").count()
    words.group_by(lambda word: word[:1], name="g3").count()
    words.map(str.upper).group_by(first_letter, name="g4").count()
    assert len(topics(app)) == 4


def test_exchanges_that_meet_different_topics_stay_apart() -> None:
    app = App("a")
    words = app.stream("words", value=str)
    for name, topic in (("g1", "three"), ("g2", "four")):
        moved = words.map_key(first_letter, name=f"k{name}").repartition(name=name)
        moved.merge(app.stream(topic, value=str)).group_by_key().count(name=f"n{name}")
    driver = TopologyTestDriver(app, partitions={"words": 2, "three": 3, "four": 4})
    assert driver.plan.repartition_topics == {"a-g1-repartition": 3, "a-g2-repartition": 4}


def test_a_needless_grouping_is_an_exchange_only_where_the_rule_is_off() -> None:
    def build(optimize: Any) -> set[str]:
        app = App("a", optimize=optimize)
        app.stream("clicks", value=str).group_by_key(name="g").count()
        return set(TopologyTestDriver(app).plan.repartition_topics)

    assert build(True) == build(["drop_groupings"]) == set()
    assert build(False) == build({"drop_groupings": False}) == {"a-g-repartition"}


def test_a_rule_that_is_not_there_is_refused() -> None:
    with pytest.raises(TopologyError, match="no rule 'magic'; there are 'drop_groupings', 'merge"):
        App("a", optimize=["magic"])
    with pytest.raises(TopologyError, match=r"give a list of rules: \['drop_groupings'\]"):
        App("a", optimize="drop_groupings")


def test_topics_that_meet_are_named_with_their_counts_and_the_remedy() -> None:
    app = App("a")
    both = app.stream("l", value=str).merge(app.stream("r", value=str))
    both.group_by_key().count(name="n")
    with pytest.raises(CopartitionError, match=r"'l' has 2, 'r' has 3\. Create the topics"):
        TopologyTestDriver(app, partitions={"l": 2, "r": 3})
