"""Every operator over a real log: processes die with their state, and the answers stay the same.

The scenarios of tests/streams/vectors.py, as tests/conformance runs them on the test driver. The
process dies before three of the records, chosen by hash, or before every one (`--all-restarts`):
between two commits, or with a transaction open that has the results of the next record. The next
one has nothing but the log. There are no exceptions: no scenario needs anything that a log does
not have, such as a wall clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from log_machine import LogMachine
from vectors import SCENARIOS, build, by_hash, choose_restarts, every

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processors import App


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogMachine]:
    """To open a log takes as long as a scenario."""
    with LogMachine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture
def log(shared: LogMachine) -> Iterator[LogMachine]:
    yield shared
    shared.clear()


def choose_compacted(scenario: dict[str, Any], app: App) -> set[str]:
    """Half of the tables are restored from their topics; a compacted one takes no null keys."""
    keyless = {topic for topic, key, *_ in scenario["inputs"] if key is None}
    found = set(app.plan().topology.reusable.values()) - keyless
    return {topic for topic in found if by_hash(scenario, topic) % 2}


def test_tables_are_restored_from_changelogs_and_from_their_topics() -> None:
    tables = [scenario for scenario in SCENARIOS if build(scenario).plan().topology.reusable]
    reused = [scenario for scenario in tables if choose_compacted(scenario, build(scenario))]
    assert 100 < len(reused) < len(tables) - 100


@every(SCENARIOS)
def test_the_death_of_the_process_with_its_state_changes_no_answer(
    scenario: dict[str, Any], log: LogMachine, pytestconfig: pytest.Config
) -> None:
    restarts = choose_restarts(scenario, pytestconfig)
    app = build(scenario, f"vector-{SCENARIOS.index(scenario)}")
    life = log.start(app, compacted=choose_compacted(scenario, app))
    expected: list[list[Any]] = []
    for number, (topic, key, value, timestamp) in enumerate(scenario["inputs"]):
        dies, is_clean = number in restarts, by_hash(scenario, "between", number) % 2
        if dies:
            life.commit()
        if dies and is_clean:
            life.restart()
        log.send(topic, key, value, timestamp)
        log.flush()
        life.run()
        if dies and not is_clean:
            life.send()
            life.restart()
            life.run()
        expected += scenario["expected"][number]
        if by_hash(scenario, "commit", number) % 4 == 0:
            life.commit()
            assert log.rows("out") == expected, f"after input {number}"
            expected = []
    life.work()
    assert log.rows("out") == expected, "at the end"
