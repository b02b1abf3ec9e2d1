"""Rules 9 and 10, over a real log, for every operator of the language.

The operators and their records are those of tests/streams/operators.py; what needs no log is in
tests/conformance/test_every_operator.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from log_machine import LogMachine
from operators import OPERATORS, Clock, Given, Piped, Scenario

from processors import App

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from log_machine import Life

HOUR_MS = 3_600_000
GO_ON_WITH_TIME = {
    "tumbling_final",
    "hopping_final",
    "sessions_final",
    "sliding_final",
    "suppresses_until_closed",
    "suppresses_for_a_time",
    "expires",
    "stream_joins_without_match",
    "lookups_with_grace",
    "as_of_joins",
}
"""Scenarios in which something waits for time behind the last record."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogMachine]:
    with LogMachine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture
def log(shared: LogMachine) -> Iterator[LogMachine]:
    yield shared
    shared.clear()


def every(scenarios: list[Scenario] = OPERATORS) -> Any:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.name)


def start(
    log: LogMachine,
    scenario: Scenario,
    name: str,
    *,
    partitions: int = 2,
    idle_timeout: str | None = None,
    **options: Any,
) -> Life:
    given = Given(App(name), idle_timeout=idle_timeout)
    scenario.build(given)
    for topic in {"out", "late", *scenario.topics}:
        log.log.create_topic(topic, partitions, exist_ok=True)
    return log.start(given.app, partitions=partitions, **options)


def send(log: LogMachine, rows: list[Piped]) -> None:
    for topic, key, value, timestamp in rows:
        log.send(topic, key, value, timestamp)
    log.flush()


class Written(NamedTuple):
    """What is new in the topics of results, a list a partition."""

    out: list[Any]
    late: list[Any]


def written(log: LogMachine) -> Written:
    found = [
        [(each.partition, each.key, each.value, each.timestamp, each.headers) for each in records]
        for records in (log.read("out"), log.read("late"))
    ]
    return Written(*found)


def hour(scenario: Scenario) -> list[Piped]:
    """What came while the application was down: no two records of one time."""
    rows: list[Piped] = []
    for cycle in range(5):
        for topic, key, value, timestamp in scenario.rows + scenario.setup:
            rows.append((topic, key, value, timestamp + 150 * cycle))
    rows = sorted(rows, key=lambda row: row[3])
    return [(*row[:3], row[3] + number * 2 + 1_000) for number, row in enumerate(rows)]


@every()
def test_rule_9_an_hours_downtime_gives_in_chunks_of_any_size_what_no_downtime_gives(
    scenario: Scenario, log: LogMachine
) -> None:
    rows = hour(scenario)
    live = start(log, scenario, "live")
    send(log, scenario.setup)
    live.work()
    for row in rows:
        send(log, [row])
        live.work()
    expected = written(log)
    assert expected.out
    for chunk_size in (1, 4_096):
        log.clear()
        life = start(log, scenario, f"down-{chunk_size}", chunk_size=chunk_size)
        send(log, scenario.setup)
        life.work()
        life.die()
        log.clock.advance(HOUR_MS)
        send(log, rows)
        life.restart()
        life.work()
        assert written(log) == expected


@every()
def test_rule_10_ticks_before_in_and_behind_a_backlog_move_nothing(
    scenario: Scenario, log: LogMachine
) -> None:
    """The wall clock is hours ahead of the records, and of what the state has seen."""
    rows = hour(scenario)

    def run(name: str, tick: Callable[[Life], None]) -> Written:
        life = start(log, scenario, name, chunk_size=7)
        send(log, scenario.setup + rows[:20])
        life.work()
        tick(life)
        life.restart()
        send(log, rows[20:])
        tick(life)
        while life.run(rounds=1):
            tick(life)
        life.work()
        tick(life)
        life.work()
        found = written(log)
        log.clear()
        return found

    def tick(life: Life) -> None:
        log.clock.advance(HOUR_MS)
        life.tick()

    assert run("ticking", tick) == run("still", lambda life: None)


@every()
def test_rule_10_where_sources_may_be_idle_ticks_in_a_backlog_make_nothing_late(
    scenario: Scenario, log: LogMachine
) -> None:
    """Behind it, time goes on without records: what waits is given, once, over a restart too."""
    rows = scenario.setup + hour(scenario)

    def run(name: str, tick: Callable[[Life], None]) -> tuple[list[Written], Written]:
        life = start(log, scenario, name, chunk_size=7, partitions=1, idle_timeout="1s")
        send(log, rows)
        tick(life)
        while life.run(rounds=1):
            if life.tasks.poll():
                tick(life)
        life.work()
        backlog = written(log)
        life.tick()  # idleness is counted from here
        tick_by_an_hour(life)
        life.work()
        rest = written(log)
        life.restart()
        life.tick()
        tick_by_an_hour(life)
        life.work()
        again = written(log)
        log.clear()
        return [backlog, rest], again

    def tick_by_an_hour(life: Life) -> None:
        log.clock.advance(HOUR_MS)
        life.tick()

    ticking, nothing = run("ticking", tick_by_an_hour)
    assert ticking == run("still", lambda life: None)[0]
    assert nothing == Written([], [])
    assert bool(ticking[1].out) == (scenario.name in GO_ON_WITH_TIME)


@every()
def test_rule_10_a_death_in_any_transaction_gives_nothing_twice(
    scenario: Scenario, log: LogMachine
) -> None:
    rows = scenario.setup + scenario.rows + scenario.tail
    expected = start(log, scenario, "whole", partitions=1)
    for row in rows:
        send(log, [row])
        expected.work()
    whole = written(log)
    log.clear()
    life = start(log, scenario, "dying", partitions=1)
    for row in rows:
        send(log, [row])
        life.run()
        life.send()
        life.restart()
        life.work()
    assert written(log) == whole
    if scenario.late is not None:
        send(log, [scenario.late])
        life.restart()
        life.work()
        assert len(written(log).out) == scenario.waits


def test_rule_10_a_timer_of_the_wall_clock_is_called_once_behind_an_hour(
    log: LogMachine,
) -> None:
    app = App("clock")
    app.stream("A", value=str).process(Clock, value=str).to("out", value=str)
    life = log.start(app)
    life.tick()  # it is counted from here
    for _ in range(3):
        log.clock.advance(HOUR_MS)
        life.tick()
        life.tick()
        life.commit()
    assert len(log.read("out")) == 3
