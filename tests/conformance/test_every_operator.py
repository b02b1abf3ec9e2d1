"""What every operator of the language promises, held against each of them.

The operators and their records are those of tests/streams/operators.py.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from operators import MARK, OPERATORS, Given, Piped, Refused, Scenario, node_types

from processors import App
from processors.errors import RecordError
from processors.runtime.build.task import BUILDERS
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD = f"z{MARK}|k1"
ROLES = [(scenario, role) for scenario in OPERATORS for role in scenario.roles()]


class Ran(NamedTuple):
    given: Given
    driver: TopologyTestDriver
    out: list[tuple[Any, ...]]


def run(
    scenario: Scenario,
    rows: Sequence[Piped] | None = None,
    *,
    chunk_size: int = 4_096,
    partitions: int = 1,
    given: dict[str, Any] | None = None,
    **policies: Any,
) -> Ran:
    """Commits the setup, and then the rows together."""
    made = Given(App("a", **policies), **(given or {}))
    scenario.build(made)
    driver = TopologyTestDriver(
        made.app,
        partitions=partitions,
        commit_every=1_000_000,
        chunk_size=chunk_size,
        topics=scenario.topics,
    )
    for part in (scenario.setup, scenario.rows if rows is None else rows, scenario.tail):
        for topic, key, value, timestamp in part:
            driver.pipe(topic, value, key=key, timestamp=timestamp)
        driver.commit()
    return Ran(made, driver, rows_of(driver))


def rows_of(driver: TopologyTestDriver) -> list[tuple[Any, ...]]:
    """What is new in "out"."""
    if "out" not in driver.topics:
        return []
    return [
        (each.partition, each.key, each.value, each.timestamp, each.headers)
        for each in driver.records("out")
    ]


def every(scenarios: Sequence[Scenario] = OPERATORS) -> Any:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.name)


def every_role() -> Any:
    ids = [f"{scenario.name}-{role}" for scenario, role in ROLES]
    return pytest.mark.parametrize(("scenario", "role"), ROLES, ids=ids)


def test_every_operator_has_a_scenario() -> None:
    seen = set().union(*map(node_types, OPERATORS))
    missing = [node.__name__ for node in BUILDERS if node not in seen]
    assert not missing, f"tests/streams/operators.py has no scenario for {missing}"


@every()
def test_every_scenario_gives_something(scenario: Scenario) -> None:
    assert run(scenario).out


# Rule 8: errors count from the input.


def with_bad(scenario: Scenario, place: int, value: str | None = BAD) -> list[Piped]:
    """The rows with a marked one, or another, before those from `place` on."""
    rows = scenario.rows
    timestamp = rows[min(place, len(rows) - 1)][3]
    return [*rows[:place], ("A", scenario.bad_key, value, timestamp), *rows[place:]]


def places(scenario: Scenario) -> list[int]:
    """The first, one in the middle and the last of a chunk."""
    return [0, len(scenario.rows) // 2, len(scenario.rows)]


def offset_of(scenario: Scenario, place: int) -> int:
    return place + sum(topic == "A" for topic, *_ in scenario.setup)


@every_role()
def test_rule_8_a_failing_function_fails_at_its_record_and_names_it(
    scenario: Scenario, role: str
) -> None:
    for place in places(scenario):
        with pytest.raises(RecordError) as caught:
            run(scenario, with_bad(scenario, place), given={"fails": role})
        error = caught.value
        assert isinstance(error.error, Refused)
        assert error.key == scenario.bad_key.encode()
        if scenario.waits:
            assert error.topic.endswith("-changelog"), "it says where the record has waited"
        else:
            assert (error.topic, error.partition) == ("A", 0)
            assert error.offset == offset_of(scenario, place)


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
@every_role()
def test_rule_8_a_failing_function_loses_its_own_record_and_nothing_runs_twice(
    scenario: Scenario, role: str, policy: str
) -> None:
    for place in places(scenario):
        for chunk_size in (1, 4_096):
            found = run(
                scenario,
                with_bad(scenario, place),
                chunk_size=chunk_size,
                given={"fails": role},
                processing=policy,
                production=policy,
            )
            failures = check_others(scenario, role, found, place)
            check_told(scenario, found.driver, policy, place, failures)


def check_others(scenario: Scenario, role: str, found: Ran, place: int) -> int:
    """The other records are as if there had not been this one, or a deletion in its place.

    Returns how often the function failed.
    """
    if scenario.deletes:
        clean = run(scenario, with_bad(scenario, place, None))
        assert latest(found) == latest(clean)
    else:
        clean = run(scenario)
        assert found.out == clean.out
    if scenario.asks_again:
        return 1
    asked = [call for call in found.given.calls if MARK not in call[1]]
    assert Counter(asked) == Counter(clean.given.calls)
    failing = [call for call in found.given.calls if call[0] == role and MARK in call[1]]
    assert 1 <= len(failing) <= scenario.failures
    return len(failing)


def latest(ran: Ran) -> dict[Any, Any]:
    """What each key has in the end."""
    last = {row[1]: row[2:4] for row in ran.out}
    return {key: row for key, row in last.items() if row[0] is not None}


def check_told(
    scenario: Scenario, driver: TopologyTestDriver, policy: str, place: int, failures: int
) -> None:
    if policy == "skip":
        assert driver.skipped() == {"skipped": failures}
        return
    letters = driver.records("a-dead-letters", key=str, value=str)
    assert len(letters) == failures
    for letter in letters:
        said = dict(letter.headers)
        assert (letter.key, letter.value) == (scenario.bad_key, BAD)
        offset = b"" if scenario.waits else b"%d" % offset_of(scenario, place)
        assert said["__streams.errors.offset"] == offset
        assert (said["__streams.errors.topic"] == b"A") != scenario.waits


# Rule 9: tickets and marks.

BESIDE = [scenario for scenario in OPERATORS if not scenario.without_beside]


def test_every_operator_but_these_has_a_branch_beside_it() -> None:
    assert {each.name: each.without_beside for each in OPERATORS if each not in BESIDE} == {
        "pattern": "a pattern and a topic that it matches are one source",
        "lookups_with_grace": "a table of a stream has no versions",
    }


@pytest.mark.parametrize("chunk_size", [1, 4_096])
@every(BESIDE)
def test_rule_9_a_filter_that_drops_everything_stops_nothing_and_moves_no_time(
    scenario: Scenario, chunk_size: int
) -> None:
    """Every stream has another one merged to it, of which nothing comes: records of far away."""
    rows: list[Piped] = []
    for topic, key, value, timestamp in scenario.rows:
        rows += [("N", key, value, timestamp + 3_600_000), (topic, key, value, timestamp)]
    for partitions in (1, 2):
        plain = run(scenario, chunk_size=chunk_size, partitions=partitions)
        found = run(
            scenario, rows, chunk_size=chunk_size, partitions=partitions, given={"beside": "N"}
        )
        assert found.out == plain.out


@pytest.mark.parametrize("topic", ["A", "B"])
@every([each for each in BESIDE if len(each.topics) > 1 and each.name != "global_lookups"])
def test_rule_9_a_topic_of_which_everything_is_dropped_is_like_an_empty_one(
    scenario: Scenario, topic: str
) -> None:
    def without(rows: list[Piped]) -> list[Piped]:
        return [row for row in rows if row[0] != topic]

    empty = dataclasses.replace(
        scenario,
        setup=without(scenario.setup),
        rows=without(scenario.rows),
        tail=without(scenario.tail),
    )
    for chunk_size in (1, 4_096):
        expected = run(empty, chunk_size=chunk_size)
        found = run(scenario, chunk_size=chunk_size, given={"dropped": frozenset([topic])})
        assert found.out == expected.out


@every()
def test_rule_9_records_that_come_late_and_together_give_the_same_in_chunks_of_any_size(
    scenario: Scenario,
) -> None:
    """Over two partitions, out of order: what is late for a window is late in any chunk."""
    rng = Random(scenario.name)
    rows = [
        (topic, key, value, max(0, timestamp + 120 * cycle - rng.choice((0, 0, 30, 90))))
        for cycle in range(20)
        for topic, key, value, timestamp in scenario.rows + scenario.setup
    ]
    expected = run(scenario, rows, chunk_size=1, partitions=2)
    for chunk_size in (7, 4_096):
        found = run(scenario, rows, chunk_size=chunk_size, partitions=2)
        assert found.out == expected.out
        assert found.driver.late_records() == expected.driver.late_records()


# Rule 10: time is state.


@every([scenario for scenario in OPERATORS if scenario.late is not None])
def test_rule_10_a_restart_between_a_result_and_a_late_record_gives_no_second_result(
    scenario: Scenario,
) -> None:
    assert scenario.late is not None
    topic, key, value, timestamp = scenario.late
    ran, restarted = run(scenario), run(scenario)
    restarted.driver.restart()
    for driver in (ran.driver, restarted.driver):
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        driver.commit()
    late = rows_of(restarted.driver)
    assert late == rows_of(ran.driver)
    # One that is later than its own window in a join goes on at once, alone.
    assert late == ([(0, key, f"{value}+None", timestamp, [])] if scenario.waits else [])
    if "late" in restarted.driver.topics:
        assert restarted.driver.items("late") == [(key, value)]


NEVER_LATE = {
    "count_windows": "they go by numbers",
    "suppresses_for_a_time": "it gives every last update, however late",
    "expires": "a late record deletes",
    "self_joins": "a record meets itself however late it is",
    "stream_joins": "a late record leaves without a match, of which nothing comes",
    "lookups_with_grace": "a late record looks up the version of its time",
    "as_of_joins": "a late record looks up what was there at its time",
    "processes_with_stores": "what is late is its own affair",
    "processes_values_with_stores": "what is late is its own affair",
    "built_on_processors": "what is late for them is in tests/unit/processors/test_beyond.py",
    "foreign_key_joins": "it is no matter of time",
    "map_async": "it is no matter of time",
}


def test_rule_10_every_operator_with_a_sense_of_time_but_these_has_a_late_record() -> None:
    timed = {
        scenario.name
        for scenario in OPERATORS
        if any(node.per_task for node in node_types(scenario))
    }
    assert timed - {each.name for each in OPERATORS if each.late is not None} == set(NEVER_LATE)


@every()
def test_rule_10_a_restart_behind_every_record_changes_nothing(scenario: Scenario) -> None:
    expected = run(scenario, chunk_size=1)
    made = Given(App("a"))
    scenario.build(made)
    driver = TopologyTestDriver(made.app, topics=scenario.topics)
    for topic, key, value, timestamp in scenario.setup + scenario.rows + scenario.tail:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        driver.restart()
    assert rows_of(driver) == expected.out
