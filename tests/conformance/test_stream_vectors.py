"""Aggregates answer what Kafka Streams answers, record by record.

Each line of vectors/streams_aggregates.jsonl is a scenario: the records that went in, and what
Kafka Streams gave after each of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processors import App
from processors.testing import TopologyTestDriver

VECTORS = Path(__file__).parents[1] / "vectors" / "streams_aggregates.jsonl"
SCENARIOS = [json.loads(line) for line in VECTORS.read_text().splitlines()]


def build(topology: str, emit: Any) -> App:
    app = App("vectors")
    left = app.stream("L", value=str)
    match topology:
        case "agg":
            grouped = left.group_by_key()
            table = grouped.aggregate(str, lambda so_far, v: so_far + v, value=str, emit=emit)
        case "reduce":
            table = left.group_by_key().reduce(lambda so_far, v: so_far + v, emit=emit)
        case _:
            right = app.stream("R", value=str)
            tagged = left.map(tag("L")).merge(right.map(tag("R")))
            grouped = tagged.group_by_key(value=str)
            table = grouped.aggregate(str, lambda so_far, v: so_far + v, value=str, emit=emit)
    table.to_stream().to("out")
    return app


def tag(topic: str) -> Any:
    return lambda value: None if value is None else topic + value


@pytest.mark.parametrize("emit", ["every", "latest"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_each_record_gives_what_kafka_streams_gives(scenario: dict[str, Any], emit: str) -> None:
    driver = TopologyTestDriver(build(scenario["topology"], emit))
    for (topic, key, value, timestamp), expected in zip(
        scenario["inputs"], scenario["expected"], strict=True
    ):
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        found = [[record.key, record.value, record.timestamp] for record in driver.records("out")]
        assert found == expected


@pytest.mark.parametrize("chunk_size", [3, 4_096])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_all_records_in_one_commit_give_the_same_updates(
    scenario: dict[str, Any], chunk_size: int
) -> None:
    app = build(scenario["topology"], "every")
    inputs = scenario["inputs"]
    driver = TopologyTestDriver(app, commit_every=len(inputs), chunk_size=chunk_size)
    # In the order of the scenario, which is not always that of its timestamps.
    one_by_one = TopologyTestDriver(app, commit_every=len(inputs), chunk_size=1)
    for topic, key, value, timestamp in inputs:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        one_by_one.pipe(topic, value, key=key, timestamp=timestamp)
    found = [(record.key, record.value, record.timestamp) for record in driver.records("out")]
    if scenario["topology"] != "cogroup":  # one topic: offsets decide
        assert found == [tuple(row) for rows in scenario["expected"] for row in rows]
    assert found == [(each.key, each.value, each.timestamp) for each in one_by_one.records("out")]
