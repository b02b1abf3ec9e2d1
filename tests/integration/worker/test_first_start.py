"""Where an application begins to read a topic that it has never read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from processors import App


@pytest.mark.parametrize(
    ("start", "seen"),
    [
        (None, ["a", "b", "c"]),
        ("earliest", ["a", "b", "c"]),
        ("latest", []),
        (datetime.fromtimestamp(2, UTC), ["b", "c"]),
        (datetime.fromtimestamp(100, UTC), []),
        ("1h", []),
    ],
)
def test_it_begins_where_it_is_told_to_and_then_goes_on(bench, start: Any, seen: list[str]) -> None:
    for topic in ("in", "out"):
        bench.log.create_topic(topic, config={"retention.ms": "-1"})
    with bench.log.producer() as producer:
        for second, value in enumerate(["a", "b", "c"], 1):
            producer.send("in", value=value, timestamp=second * 1_000)

    def make() -> App:
        app = App("late")
        app.stream("in", value=str, start=start).to("out")
        return app

    bench.run(make())
    assert [record.value for record in bench.records("out", str)] == seen
    bench.send("in", "d")
    bench.run(make())
    assert [record.value for record in bench.records("out", str)] == [*seen, "d"]


def test_topics_that_match_are_found_at_every_start(bench) -> None:
    def make() -> App:
        app = App("all")
        app.stream(re.compile("in-.*"), value=str).group_by_key().count(name="n").to_stream().to(
            "out"
        )
        return app

    for topics, counts in ((["in-a"], {"k0": 1}), (["in-a", "in-b"], {"k0": 3})):
        for topic in topics:
            bench.log.create_topic(topic, exist_ok=True)
            bench.send(topic, "x")
        bench.run(make())
        assert bench.table("out") == counts
