"""Every operator answers what Kafka Streams answers, record by record.

Each scenario of tests/streams/vectors.py runs record by record over memory and over RocksDB with
empty caches, in chunks of 7 and 4,096 records, where the concatenation of the outputs is compared,
and through restarts, which drop the state and restore it from the changelogs: before three of the
records, chosen by hash, or before every one (`--all-restarts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from one_family import OneFamily
from vectors import BUILD, SCENARIOS, build, choose_restarts, every

from processors.state.rocksdb import RocksDB
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def rocksdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneFamily]:
    database = RocksDB(tmp_path_factory.mktemp("vectors"))
    yield OneFamily(database.store("all"))
    database.close()


def start(scenario: dict[str, Any], **options: Any) -> TopologyTestDriver:
    return TopologyTestDriver(build(scenario), **options)


def check_each(driver: TopologyTestDriver, scenario: dict[str, Any], restarts: set[int]) -> None:
    """Pipes one record after the other and compares what comes out after each."""
    steps = zip(scenario["inputs"], scenario["expected"], strict=True)
    for number, ((topic, key, value, timestamp), expected) in enumerate(steps):
        if number in restarts:
            driver.restart()
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        found = [[record.key, record.value, record.timestamp] for record in driver.records("out")]
        assert found == expected, f"after input {number}: {scenario['inputs'][number]}"


def test_all_scenarios_run() -> None:
    assert len(SCENARIOS) == 766
    assert {scenario["topology"] for scenario in SCENARIOS} == set(BUILD)


@every(SCENARIOS)
def test_each_record_gives_what_is_expected(scenario: dict[str, Any]) -> None:
    check_each(start(scenario), scenario, set())


@every(SCENARIOS)
def test_each_record_gives_what_is_expected_over_rocksdb(
    scenario: dict[str, Any], rocksdb: OneFamily
) -> None:
    with start(scenario, state=rocksdb, cache_bytes=0) as driver:
        check_each(driver, scenario, set())


@pytest.mark.parametrize("size", [7, 4_096])
@every(SCENARIOS)
def test_chunks_give_the_same_outputs(scenario: dict[str, Any], size: int) -> None:
    driver = start(scenario, commit_every=size, chunk_size=size)
    for topic, key, value, timestamp in scenario["inputs"]:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    driver.assert_output("out", [tuple(row) for rows in scenario["expected"] for row in rows])


@every(SCENARIOS)
def test_restarts_change_nothing(scenario: dict[str, Any], pytestconfig: pytest.Config) -> None:
    check_each(start(scenario), scenario, choose_restarts(scenario, pytestconfig))
