"""Keys that their serde reads and does not write: failures of their records, by the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from users_serdes import Picky

from processors import App, CountWindow, Hopping, Session, Sliding, Tumbling
from processors.errors import ProductionError, StateError
from processors.testing import TopologyTestDriver
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = [
    (b"good", b"1", 0),
    (b"ok", b"2", 1),
    (b"bad", b"3", 1),
    (b"good", b"4", 2),
    (b"bad", b"5", 3),
    (b"late", b"6", 200),
]


class Inputs:
    """What an operator is built on: the topic with the records, and one beside it."""

    def __init__(self, app: App, key: Any) -> None:
        self.app = app
        self.key = key

    def stream(self, topic: str = "in") -> Any:
        return self.app.stream(topic, key=self.key, value=str)

    def group(self) -> Any:
        return self.stream().group_by_key()

    def table(self, topic: str = "in", **options: Any) -> Any:
        return self.app.table(topic, key=self.key, value=str, **options)

    def global_table(self, topic: str) -> Any:
        return self.app.global_table(topic, key=self.key, value=str)


def pair(left: Any, right: Any) -> list[Any]:
    return [left, right]


def self_join(given: Inputs) -> Any:
    stream = given.stream()
    return stream.join(stream, pair, within=10)


OPERATORS: dict[str, Callable[[Inputs], Any]] = {
    "count": lambda given: given.group().count(),
    "count, every": lambda given: given.group().count(emit="every"),
    "reduce": lambda given: given.group().reduce(max),
    "aggregate": lambda given: given.group().aggregate(list, lambda kept, value: [*kept, value]),
    "cogroup": lambda given: given.group().cogroup(lambda kept, value: kept + 1).aggregate(0),
    "tumbling": lambda given: given.group().windowed_by(Tumbling(10)).count(),
    "final": lambda given: given.group().windowed_by(Tumbling(1)).count(emit="final"),
    "hopping": lambda given: given.group().windowed_by(Hopping(10, advance=5)).reduce(max),
    "session": lambda given: given.group().windowed_by(Session(10)).count(),
    "session, reduce": lambda given: given.group().windowed_by(Session(10)).reduce(max),
    "sliding": lambda given: given.group().windowed_by(Sliding(10)).count(),
    "count window": lambda given: given.group().windowed_by(CountWindow(2)).count(),
    "table": lambda given: given.table(name="t"),
    "to_table": lambda given: given.stream().to_table(name="t"),
    "table, filter": lambda given: given.table().filter(bool),
    "table, map": lambda given: given.table().map(str.upper, value=str, name="t"),
    "expire": lambda given: given.table().expire(1_000),
    "versioned": lambda given: given.table(versioned=1_000, name="t"),
    "suppress": lambda given: given.table().suppress(1),
    "table, group_by": lambda given: given.table().group_by(lambda value: value).count(),
    "join": lambda given: given.stream().join(given.stream("o"), pair, within=9, how="left"),
    "join, other side": lambda given: given.stream("o").join(given.stream(), pair, within=9),
    "join, itself": self_join,
    "join_asof": lambda given: given.stream().join_asof(given.stream("o"), pair, how="left"),
    "join, table": lambda given: given.stream().join(given.table("o"), pair, how="left"),
    "join, table's side": lambda given: given.stream("o").join(given.table(), pair),
    "join, versioned": lambda given: given.stream().join(
        given.table("o", versioned=9), pair, how="left"
    ),
    "join, grace": lambda given: given.stream().join(
        given.table("o", versioned=9), pair, how="left", grace=1
    ),
    "join, global": lambda given: given.stream().join(given.global_table("o"), pair, how="left"),
    "join, global table's side": lambda given: given.stream("o").join(
        given.global_table("in"), pair
    ),
    "join of tables": lambda given: given.table().join(given.table("o"), pair, how="left"),
    "join by foreign key": lambda given: given.table().join(
        given.table("o"), pair, foreign_key=lambda value: value, how="left"
    ),
    "join by foreign key, other side": lambda given: given.table("o").join(
        given.table(), pair, foreign_key=lambda value: value
    ),
    "repartition": lambda given: given.stream().repartition(),
}


def run(
    operator: str, rows: list[tuple[bytes, bytes, int]], *, exact: bool, chunk: int, policy: Any
) -> TopologyTestDriver:
    app = App("a", production=policy)
    made = OPERATORS[operator](Inputs(app, Picky(exact_keys=exact)))
    (made.to_stream() if hasattr(made, "to_stream") else made).to("out")
    driver = TopologyTestDriver(app, commit_every=100, chunk_size=chunk)
    for key, value, timestamp in rows:
        driver.pipe_bytes("in", value, key=key, timestamp=timestamp)
    if "o" in driver.topics:
        driver.pipe_bytes("o", b"9", key=b"good", timestamp=201)
    driver.commit()
    return driver


def outputs(driver: TopologyTestDriver) -> list[tuple[Any, Any, int]]:
    found = driver.records("out", key=bytes, value=bytes)
    return [(record.key, record.value, record.timestamp) for record in found]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("chunk", [1, 100])
def test_the_record_fails_by_the_policy_of_production(
    operator: str, exact: bool, chunk: int
) -> None:
    with pytest.raises(ProductionError, match="picky: a bad one") as caught:
        run(operator, ROWS, exact=exact, chunk=chunk, policy="fail")
    assert "for the record of in-0 at offset 2 with key 'bad'" in str(caught.value)
    good = [row for row in ROWS if row[0] != b"bad"]
    wanted = outputs(run(operator, good, exact=exact, chunk=chunk, policy="fail"))
    for policy, counter in (("skip", "skipped"), ("dead_letter", "dead_letters")):
        driver = run(operator, ROWS, exact=exact, chunk=chunk, policy=policy)
        assert outputs(driver) == wanted
        assert driver.skipped() == {counter: 2}


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("fails", ["key", "value"])
def test_a_stream_joined_with_itself_reports_a_row_once_in_one_store_or_two(
    fails: str, single: bool
) -> None:
    app = App("a", production="dead_letter", optimize={"single_store_self_joins": single})
    picky = Picky(exact_keys=False)
    stream = app.stream("in", key=picky if fails == "key" else str, value=str)
    if fails == "value":
        stream = stream.map(lambda value: object() if value == "bad" else value)
    stream.join(stream, pair, within=5, name="j").to("out")
    driver = TopologyTestDriver(app, commit_every=9)
    for text in (b"a", b"bad", b"b"):
        driver.pipe_bytes("in", text, key=text)
    driver.commit()
    assert driver.values("out") == [["a", "a"], ["b", "b"]]
    assert driver.skipped() == {"dead_letters": 1}


def test_what_a_table_holds_and_nobody_can_read_is_no_failure_of_the_row_that_looks_it_up() -> None:
    class Forgetful(Picky):
        forgot = False

        def deserialize(self, data: bytes) -> str:
            if self.forgot:
                raise SerializationError(self.name, "what is this?")
            return data.decode()

    values = Forgetful(exact_keys=False)
    app = App("a", production="skip")
    table = app.table("t", value=values)
    app.stream("in", value=str).join(table, pair, name="j").to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("t", "x", key="k")
    driver.restart()
    values.forgot = True
    with pytest.raises(StateError, match=r"j: what the table holds cannot be read: .* what is"):
        driver.pipe("in", "y", key="k")
