"""Random topologies give what Kafka Streams gives, record by record.

The programs are made from seeds (stream_programs.py) and run on Kafka Streams' own
TopologyTestDriver, without caching, and on ours. `--programs N` runs more of them.
"""

from __future__ import annotations

import json
import subprocess
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker import java
from stream_programs import build, make_scenario

from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PROGRAMS = Path(__file__).with_name("StreamPrograms.java")


def answers(scenarios: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Kafka Streams gives for each, after every input."""
    lines = "".join(json.dumps(scenario) + "\n" for scenario in scenarios)
    command = java(str(PROGRAMS), heap="512m")
    run = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def run(scenario: dict[str, Any]) -> list[list[list[Any]]]:
    """What ours gives after every input."""
    driver = TopologyTestDriver(build(scenario["program"]))
    found: list[list[list[Any]]] = []
    for topic, key, value, timestamp in scenario["inputs"]:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        found.append([[row.key, row.value, row.timestamp] for row in driver.records("out")])
    return found


def is_equal(scenario: dict[str, Any], found: list[Any], expected: list[Any]) -> bool:
    if scenario["ordered"]:
        return found == expected
    return in_any_order(found) == in_any_order(expected)


def in_any_order(rows: list[Any]) -> list[str]:
    return sorted(map(json.dumps, chain.from_iterable(rows)))


def describe(scenario: dict[str, Any], found: list[Any], expected: list[Any]) -> str:
    """The first input after which the two differ."""
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if ours != theirs:
            row = scenario["inputs"][number]
            words = json.dumps(scenario["program"])
            return f"{scenario['name']} {words}: after input {number} {row}: {ours} for {theirs}"
    raise AssertionError("they are equal")


def test_random_topologies_give_what_kafka_streams_gives(
    once: Callable[[str, Callable[[Path], None]], Path], request: pytest.FixtureRequest
) -> None:
    count: int = request.config.getoption("--programs")
    scenarios = [make_scenario(seed) for seed in range(count)]

    def ask(folder: Path) -> None:
        (folder / "answers.json").write_text(json.dumps(answers(scenarios)))

    expected = json.loads((once(f"programs-{count}", ask) / "answers.json").read_text())
    assert len(expected) == count
    assert not [answer["error"] for answer in expected if "error" in answer]
    wrong: list[str] = []
    for scenario, answer in zip(scenarios, expected, strict=True):
        found = run(scenario)
        if not is_equal(scenario, found, answer["expected"]):
            wrong.append(describe(scenario, found, answer["expected"]))
    assert not wrong, f"{len(wrong)} of {count} differ\n" + "\n".join(wrong[:20])
