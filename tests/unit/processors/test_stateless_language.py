"""What streams say without state: branches, routes, headers, times, repartitioning, misuse."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest

from processors import App, Row
from processors.errors import ProcessingError, ProductionError, TopologyError
from processors.testing import TopologyTestDriver


def numbers(**options: Any) -> tuple[App, Any]:
    app = App("a", **options)
    return app, app.stream("numbers", value=int)


def test_the_first_predicate_that_holds_takes_a_record() -> None:
    app, stream = numbers()
    asked: list[int] = []

    def is_small(n: int) -> bool:
        asked.append(n)
        return n < 10

    even, small, rest = stream.branch(lambda n: n % 2 == 0, is_small, default=True)
    for name, branch in (("even", even), ("small", small), ("rest", rest)):
        branch.to(name)
    driver = TopologyTestDriver(app, commit_every=100).run("numbers", [1, 2, 13, 14, 5])
    assert driver.values("even") == [2, 14]
    assert driver.values("small") == [1, 5]
    assert driver.values("rest") == [13]
    assert asked == [1, 13, 5]


def test_branches_have_names_and_what_fits_none_goes_nowhere() -> None:
    app, stream = numbers()
    parts = stream.branch(large=lambda n: n > 100, medium=lambda n: n > 10)
    assert list(parts) == ["large", "medium"]
    parts["large"].merge(parts["medium"]).to("out")
    driver = TopologyTestDriver(app, commit_every=100).run("numbers", [500, 1, 50, 600])
    assert driver.values("out") == [500, 50, 600]
    assert "numbers.branch.large" in app.describe()


def test_a_record_that_fails_in_a_predicate_is_in_no_branch() -> None:
    app, stream = numbers(processing="skip")
    first, rest = stream.branch(lambda n: 1 // n, default=True)
    first.to("first")
    rest.to("rest")
    driver = TopologyTestDriver(app, commit_every=100).run("numbers", [1, 0, 2])
    assert (driver.values("first"), driver.values("rest")) == ([1], [2])
    assert driver.skipped() == {"skipped": 1}


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((), {}, "numbers.branch: give predicates"),
        ((bool,), {"big": bool}, "one of the two"),
        ((), {"big": bool, "default": "big"}, "'big' is the name of a branch already"),
        ((5,), {}, "5 cannot be called; give a function"),
    ],
)
def test_branches_that_make_no_sense_are_refused(
    arguments: Any, named: dict[str, Any], message: str
) -> None:
    _, stream = numbers()
    with pytest.raises(TopologyError, match=message):
        stream.branch(*arguments, **named)


def test_what_is_filtered_out_failed_or_not() -> None:
    app, stream = numbers(processing="skip")
    stream.filter_not(lambda n: 10 // n > 5).to("out")
    driver = TopologyTestDriver(app, commit_every=100).run("numbers", [1, 0, 5])
    assert driver.values("out") == [5]
    assert driver.skipped() == {"skipped": 1}


def test_key_and_value_are_made_of_both() -> None:
    app, stream = numbers()
    stream.map_items(lambda key, n: (n, key), key=int).to("out", value=str)
    driver = TopologyTestDriver(app).run("numbers", [("a", 1), (None, 2)])
    assert driver.items("out") == [(1, "a"), (2, None)]


def test_a_pair_is_wanted_where_both_are_made() -> None:
    app, stream = numbers()
    stream.map_items(lambda key, n: n).to("out")
    with pytest.raises(ProcessingError, match=r"numbers\.map_items"):
        TopologyTestDriver(app).run("numbers", [1])


@dataclass
class Order:
    user: str
    amount: int


def test_fields_are_selected_of_mappings_and_of_objects() -> None:
    app = App("a")
    app.stream("orders", value=Order).select("user", twice=lambda o: o.amount * 2).to("out")
    app.stream("dicts").select("user", cents="amount").to("out")
    driver = TopologyTestDriver(app)
    driver.run("orders", [Order("ann", 3)]).run("dicts", [{"user": "bob", "amount": 5}, None])
    assert driver.values("out") == [
        {"user": "ann", "twice": 6},
        {"user": "bob", "cents": 5},
        None,
    ]
    with pytest.raises(TopologyError, match=r"name fields|no field is named"):
        app.stream("orders", value=Order).select()
    with pytest.raises(TopologyError, match="x=5: give the name of a field"):
        app.stream("orders", value=Order).select(x=5)


def test_looks_change_nothing() -> None:
    app, stream = numbers()
    seen: list[int] = []
    shown = io.StringIO()
    stream.peek(seen.append).print("n", file=shown).to("out")
    driver = TopologyTestDriver(app).run("numbers", [("a", 1), ("b", 2)])
    assert driver.values("out") == seen == [1, 2]
    assert shown.getvalue() == "[n]: a, 1\n[n]: b, 2\n"


def test_a_function_chooses_the_topic_of_each_record() -> None:
    app, stream = numbers()
    stream.to(lambda row: f"of-{row.key}", topics=["of-a", "of-b"], partitions=2)
    driver = TopologyTestDriver(app, commit_every=100)
    driver.run("numbers", [("a", 1), ("b", 2), ("a", 3)])
    assert (driver.values("of-a"), driver.values("of-b")) == ([1, 3], [2])


def test_a_topic_that_does_not_exist_fails_in_production() -> None:
    app, stream = numbers(production="skip")
    stream.to(lambda row: f"of-{row.key}", topics=["of-a"])
    driver = TopologyTestDriver(app, commit_every=100)
    driver.run("numbers", [("x", 1), ("a", 2)])
    assert driver.values("of-a") == [2]
    assert driver.skipped() == {"skipped": 1}
    app, stream = numbers()
    stream.to(lambda row: "off", topics=["of"])
    with pytest.raises(ProductionError, match=r"'off'(.|\n)*topics=\[\.\.\.\]"):
        TopologyTestDriver(app).run("numbers", [1])


def test_a_function_chooses_the_partitions_of_each_record() -> None:
    app, stream = numbers()

    def place(row: Row, count: int) -> Any:
        return {1: 2, 2: [0, 2], 3: [], 4: None}[row.value]

    stream.to("out", partition=place, partitions=3)
    driver = TopologyTestDriver(app, commit_every=100)
    driver.run("numbers", [("k", n) for n in (1, 2, 3, 4)])
    found = sorted((record.value, record.partition) for record in driver.records("out"))
    assert found[:3] == [(1, 2), (2, 0), (2, 2)]
    assert [value for value, _ in found] == [1, 2, 2, 4]


@pytest.mark.parametrize("place", [3, -1, True, "0", [1, 3]])
def test_a_partition_that_is_not_there_has_failed(place: Any) -> None:
    app, stream = numbers()
    stream.to("out", partition=lambda row, count: place, partitions=3)
    with pytest.raises(ProcessingError, match="there are 3, from 0 to 2"):
        TopologyTestDriver(app).run("numbers", [1])


def test_a_record_that_cannot_be_written_is_reported_once_though_it_has_many_partitions() -> None:
    app, stream = numbers(production="dead_letter")
    stream.map(lambda n: "x" if n == 1 else n).to(
        "out", value=int, partition=lambda row, count: range(count), partitions=3
    )
    driver = TopologyTestDriver(app, commit_every=100).run("numbers", [1, 2])
    assert driver.values("out", value=int) == [2, 2, 2]
    assert driver.skipped() == {"dead_letters": 1}


def test_headers_are_added_or_made_of_the_row() -> None:
    app, stream = numbers()
    stream.to("out", headers={"a": b"1", "b": "2"})
    stream.to("made", headers=lambda row: {"n": str(row.value), "at": str(row.timestamp)})
    driver = TopologyTestDriver(app)
    driver.pipe("numbers", 7, timestamp=5, headers=[("was", None)])
    assert driver.records("out")[0].headers == [("was", None), ("a", b"1"), ("b", b"2")]
    assert driver.records("made")[0].headers == [("n", b"7"), ("at", b"5")]


@pytest.mark.parametrize("headers", [5, [("a", 1)], {1: b"x"}, ["ab", "c"]])
def test_what_are_no_headers_has_failed(headers: Any) -> None:
    app, stream = numbers()
    stream.with_headers(lambda row: headers).to("out")
    with pytest.raises(ProcessingError, match=r"numbers\.with_headers"):
        TopologyTestDriver(app).run("numbers", [1])


def test_timestamps_are_made_of_values() -> None:
    app, stream = numbers(processing="skip")
    stream.with_timestamp(lambda n: n * 1000).to("out")
    driver = TopologyTestDriver(app).run("numbers", [1, -1, 2])
    assert [record.timestamp for record in driver.records("out")] == [1000, 2000]
    assert driver.skipped() == {"skipped": 1}
    app, stream = numbers()
    stream.with_timestamp(lambda n: n / 2).to("out")
    with pytest.raises(ProcessingError, match=r"0\.5 is no timestamp: give milliseconds"):
        TopologyTestDriver(app).run("numbers", [1])


def test_headers_that_a_function_changes_in_place_are_its_own() -> None:
    app, stream = numbers()

    def mark(row: Row) -> Any:
        row.headers.append(("seen", b"1"))
        return row.headers

    stream.with_headers(mark).to("marked")
    stream.to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("numbers", 1, headers=[("h", b"0")])
    assert driver.records("marked")[0].headers == [("h", b"0"), ("seen", b"1")]
    assert driver.records("out")[0].headers == [("h", b"0")]


def test_a_timestamp_that_no_record_can_have_is_a_failure_of_its_record() -> None:
    app, stream = numbers(processing="skip")
    stream.with_timestamp(lambda n: 1 << 60 + n).to("out")
    stream.process(lambda row, _: row.replace(timestamp=1 << 60 + row.value)).to("rows")
    driver = TopologyTestDriver(app).run("numbers", [0, 1, 2])
    assert [record.timestamp for record in driver.records("out")] == [1 << 60, 1 << 61]
    assert [record.timestamp for record in driver.records("rows")] == [1 << 60, 1 << 61]
    assert driver.skipped() == {"skipped": 2}


def test_through_goes_on_with_what_the_topic_has() -> None:
    app, stream = numbers()
    stream.map(lambda n: n + 1).through("middle", value=int).map(lambda n: n * 10).to(
        "out", value=int
    )
    driver = TopologyTestDriver(app).run("numbers", [1])
    driver.pipe("middle", 5)
    assert driver.values("out") == [20, 50]


@pytest.mark.parametrize("exchange", ["memory", "topic"])
def test_records_are_repartitioned_by_key_or_by_a_function(exchange: Any) -> None:
    app, stream = numbers()

    def by_value(key: str, n: int, count: int) -> int:
        return n % count

    spread = stream.repartition(partitions=3, partitioner=by_value, name="spread")
    spread.group_by_key().count(name="counts", emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=100, exchange=exchange)
    driver.run("numbers", [("a", 1), ("a", 4), ("a", 2), ("b", 1), (None, 1)])
    assert sorted(driver.items("out")) == [("a", 1), ("a", 1), ("a", 2), ("b", 1)]
    assert "a-spread-repartition" in driver.plan.repartition_topics
    assert driver.plan.repartition_topics == {"a-spread-repartition": 3}


def test_null_values_are_repartitioned_too() -> None:
    app = App("a")
    app.stream("lines", value=str).repartition(partitions=2).to("out")
    driver = TopologyTestDriver(app).run("lines", [("a", "x"), ("a", None), (None, "y")])
    assert driver.items("out") == [("a", "x"), ("a", None)]


def test_a_partitioner_gives_partitions_that_are_there() -> None:
    app, stream = numbers()
    stream.repartition(partitions=2, partitioner=lambda key, n, count: 2).to("out")
    with pytest.raises(ProcessingError, match="there are 2, from 0 to 1"):
        TopologyTestDriver(app).run("numbers", [("a", 1)])


def test_keys_have_the_serde_of_what_the_function_says_it_returns() -> None:
    app, stream = numbers()

    def half(n: int) -> int:
        return n // 2

    stream.group_by(half).count(name="halves").to_stream().to("halves")
    stream.map_key(float).to("floats")
    stream.map_key(str).to("texts")
    stream.map_key(half, key=str).map(str)
    driver = TopologyTestDriver(app).run("numbers", [4, 5])
    assert driver.map("halves") == {2: 2}
    assert driver.items("floats") == [(4.0, 4), (5.0, 5)]
    assert driver.items("texts") == [("4", 4), ("5", 5)]


def test_what_cannot_be_called_is_refused_where_it_is_written() -> None:
    _, stream = numbers()
    for build in (stream.map, stream.filter, stream.peek, stream.with_timestamp):
        with pytest.raises(TopologyError, match=r"at 'numbers\.\w+': 'x' cannot be called"):
            build("x")
    with pytest.raises(TopologyError, match="cannot be called"):
        stream.repartition(partitioner=3)
