"""Global tables: seen whole by every task, loaded first, kept over restarts; nulls and misuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App
from processors.errors import TopologyError
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.client.contract import Log

Row = tuple[str, Any, Any, int]


def both(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def behind_the_bar(value: str) -> str | None:
    return value.partition("|")[2] or None


def looked_up(*, how: Any = "inner") -> App:
    app = App("a")
    table = app.global_table("R", value=str, name="regions")
    left = app.stream("L", value=str)
    left.join(table, both, key=behind_the_bar, how=how).to("out", value=str)
    return app


def pipe(driver: TopologyTestDriver, rows: Iterable[Row]) -> list[tuple[Any, Any, int]]:
    for topic, key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    return [(record.key, record.value, record.timestamp) for record in driver.records("out")]


ROWS: list[Row] = [
    ("L", "k", "1|x", 5),
    ("R", "x", "a", 9),
    ("L", None, "2|x", 3),
    ("L", "k", "3", 3),
    ("L", "k", None, 3),
    ("R", "x", None, 2),
    ("L", "k", "4|x", 4),
]


@pytest.mark.parametrize("commit_every", [1, 3, 100])
def test_nulls_find_nothing_and_rows_see_the_table_as_it_is_then(commit_every: int) -> None:
    driver = TopologyTestDriver(looked_up(), commit_every=commit_every)
    assert pipe(driver, ROWS) == [(None, "2|x-a", 3)]
    driver = TopologyTestDriver(looked_up(how="left"), commit_every=commit_every)
    assert pipe(driver, ROWS) == [
        ("k", "1|x-None", 5),
        (None, "2|x-a", 3),
        ("k", "3-None", 3),
        ("k", "4|x-None", 4),
    ]


def test_every_task_sees_every_partition() -> None:
    driver = TopologyTestDriver(looked_up(), partitions={"L": 3, "R": 4})
    rows: list[Row] = [("R", key, key.upper(), 1) for key in "abcdefgh"]
    found = pipe(
        driver, [*rows, *(("L", str(n), f"{n}|{key}", 2) for n, key in enumerate("abcdefgh"))]
    )
    assert found == [(str(n), f"{n}|{key}-{key.upper()}", 2) for n, key in enumerate("abcdefgh")]


def test_a_row_may_look_up_its_own_key() -> None:
    app = App("a")
    app.stream("L", value=str).join(app.global_table("R", value=str), both).to("out", value=str)
    assert pipe(TopologyTestDriver(app), [("R", "k", "a", 1), ("L", "k", "1", 1)]) == [
        ("k", "1-a", 1)
    ]


def test_it_is_there_after_a_restart() -> None:
    driver = TopologyTestDriver(looked_up())
    pipe(driver, [("R", "x", "a", 1)])
    driver.restart()
    assert pipe(driver, [("L", "k", "1|x", 0)]) == [("k", "1|x-a", 0)]
    assert dict(driver.store("regions").items()) == {"x": "a"}


def test_a_key_function_that_raises_or_gives_another_kind_of_key_loses_its_row_only() -> None:
    def odd(value: str) -> Any:
        return {"b": 1, "c": "x"}[value]

    app = App("a", processing="skip")
    table = app.global_table("R", value=str)
    app.stream("L", value=str).join(table, both, key=odd).to("out", value=str)
    driver = TopologyTestDriver(app, commit_every=100)
    found = pipe(driver, [("R", "x", "a", 0), *(("L", "k", value, 1) for value in "abcd")])
    assert found == [("k", "c-a", 1)]
    assert sum(driver.skipped().values()) == 3


# On a log.


def write(log: Log, topic: str, rows: Iterable[tuple[str, str]], timestamp: int) -> None:
    with log.producer() as producer:
        for key, value in rows:
            producer.send(topic, key=key, value=value, timestamp=timestamp)


def results(log: Log, count: int) -> list[str]:
    found: list[str] = []
    with log.consumer("out", value=str) as consumer:
        while len(found) < count:
            found += [record.value for record in consumer.poll(5)]
    return sorted(found)


def test_it_is_loaded_before_the_first_record_runs_at_every_start() -> None:
    with streamlog.open(":memory:") as log:
        log.create_topic("L", partitions=2)
        log.create_topic("R", partitions=3)
        write(log, "L", [(str(n), f"{n}|{n}") for n in range(20)], timestamp=1)
        write(log, "R", [(str(n), "first") for n in range(20)], timestamp=1_000)
        looked_up().run(log=log, until_idle=True)
        assert results(log, 20) == sorted(f"{n}|{n}-first" for n in range(20))
        write(log, "L", [("k", f"again|{n}") for n in range(20)], timestamp=2)
        write(log, "R", [(str(n), "second") for n in range(20)], timestamp=2_000)
        looked_up().run(log=log, until_idle=True)
        assert [value for value in results(log, 40) if "again" in value] == sorted(
            f"again|{n}-second" for n in range(20)
        )


# Bad input.


def test_what_a_global_table_cannot_do_is_refused() -> None:
    app = App("a")
    left, table = app.stream("L"), app.global_table("R", key=int)
    with pytest.raises(ValueError, match="choose 'inner' or 'left'"):
        left.join(table, both, key=len, how="outer")
    with pytest.raises(ValueError, match="keeps no history"):
        left.join(table, both, key=len, grace=5)
    with pytest.raises(ValueError, match="a table has one value a key"):
        left.join(table, both, key=len, within=5)
    with pytest.raises(TypeError, match="key must be a function"):
        left.join(table, both, key="zip")  # type: ignore[arg-type] # the misuse
    with pytest.raises(TopologyError, match="keys are str here and int there"):
        left.join(table, both)
    with pytest.raises(ValueError, match="key= looks up a global table"):
        left.join(app.stream("M"), both, key=len, within=5)


def test_a_topic_is_either_a_global_table_or_something_else() -> None:
    app = App("a")
    app.stream("L")
    app.global_table("R")
    with pytest.raises(TopologyError, match="reads its topic alone"):
        app.global_table("L")
    with pytest.raises(TopologyError, match="reads its topic alone"):
        app.global_table("R")
    with pytest.raises(TopologyError, match="global table already"):
        app.stream("R")
    with pytest.raises(TopologyError, match="global table already"):
        app.table("R")
