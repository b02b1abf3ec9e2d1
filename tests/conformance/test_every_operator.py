"""What every operator of the language promises, held against each of them.

The operators and their records are those of tests/streams/operators.py.
"""

from __future__ import annotations

from collections import Counter
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
    found = [
        (each.partition, each.key, each.value, each.timestamp, each.headers)
        for each in (driver.records("out") if "out" in driver.topics else [])
    ]
    return Ran(made, driver, found)


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
        assert (error.topic, error.partition) == ("A", 0)
        if scenario.waits:
            assert error.offset > offset_of(scenario, place), "it names the one that let it go"
        else:
            assert error.offset == offset_of(scenario, place)
            assert error.key == scenario.bad_key.encode()


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
        assert said["__streams.errors.topic"] == b"A"
        if not scenario.waits:
            assert said["__streams.errors.offset"] == b"%d" % offset_of(scenario, place)
            assert (letter.key, letter.value) == (scenario.bad_key, BAD)
