"""Tables: read from topics, made of streams, derived, kept under a name."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from processors import Aggregator, App, Tumbling
from processors.errors import CopartitionError, ProcessingError, ProductionError, TopologyError
from processors.testing import TopologyTestDriver

Rows = list[tuple[Any, Any]]


def add(so_far: str, value: int) -> str:
    return f"{so_far}+{value}"


PRICES: Rows = [("tea", 3), ("rum", 9), ("tea", 4), ("rum", None), (None, 1), ("tea", 5)]


def run(app: App, rows: Rows, **options: Any) -> TopologyTestDriver:
    return TopologyTestDriver(app, **options).run("prices", rows)


def test_a_table_without_a_store_passes_its_rows_on_but_those_without_a_key() -> None:
    app = App("a")
    app.table("prices", value=int).to_stream().to("out")
    assert not app.plan().topology.subtopologies[0].stores
    assert run(app, PRICES, commit_every=9).items("out") == [PRICES[i] for i in (0, 1, 2, 3, 5)]


def test_latest_gives_the_last_value_of_a_key_once_a_commit() -> None:
    app = App("a")
    app.table("prices", value=int, name="now").to_stream().to("out")
    driver = run(app, PRICES, commit_every=9)
    assert driver.items("out") == [("tea", 5), ("rum", None)]
    assert dict(driver.store("now").items()) == {"tea": 5}


def test_records_apply_in_the_order_of_their_offsets_and_keep_their_times() -> None:
    app = App("a")
    app.table("prices", value=int, name="now", emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("prices", 1, key="tea", timestamp=50)
    driver.pipe("prices", 2, key="tea", timestamp=10)
    assert [(r.value, r.timestamp) for r in driver.records("out")] == [(1, 50), (2, 10)]
    assert driver.store("now")["tea"] == 2
    assert driver.store("now").timestamp("tea") == 10


@pytest.mark.parametrize("emit", ["every", "latest"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_changes_follow_each_other_without_a_gap(emit: Any, size: int) -> None:
    app = App("a")
    table = app.table("prices", value=int, emit=emit)
    table.filter(lambda n: n != 4).map(str, value=str).changes().to("out")
    driver = run(app, PRICES, commit_every=size)
    held: dict[str, Any] = {}
    for key, (old, new) in driver.items("out"):
        assert held.get(key) == old
        held[key] = new
    assert held["tea"] == "5"
    assert held.get("rum") is None


def test_a_filter_deletes_nothing_that_was_not_there() -> None:
    app = App("a")
    app.table("prices", value=int, emit="every").filter_not(lambda n: n > 3).to_stream().to("out")
    assert run(app, PRICES).items("out") == [("tea", 3), ("tea", None)]


def test_a_key_for_which_the_function_fails_has_no_value() -> None:
    app = App("a", processing="skip")
    table = app.table("prices", value=int, emit="every")
    table.map(lambda n: 12 // (n - 4), value=int).changes().to("out")
    driver = run(app, [("tea", 3), ("tea", 4), ("tea", 5), ("tea", 6)])
    assert driver.values("out") == [[None, -12], [-12, None], [None, 12], [12, 6]]
    assert sum(driver.skipped().values()) == 1


def test_a_function_that_fails_ends_the_application_where_nothing_else_is_said() -> None:
    app = App("a")
    app.table("prices", value=int).map(lambda n: 1 // n).to_stream().to("out")
    with pytest.raises(ProcessingError, match=r"prices\.table\.map"):
        run(app, [("tea", 0)])


def test_a_named_result_has_a_store_of_its_own() -> None:
    app = App("a")
    app.table("prices", value=int).map(lambda n: {"n": n}, name="boxed").to_stream().to("out")
    driver = run(app, PRICES)
    assert dict(driver.store("boxed").items()) == {"tea": {"n": 5}}


def test_a_stream_with_another_key_becomes_a_table_in_the_task_of_that_key() -> None:
    app = App("a")
    names = app.stream("prices", value=str).map_key(lambda name: name[0])
    names.to_table(name="by-letter").to_stream().to("out")
    rows: Rows = [(None, "ann"), (None, "bob"), (None, "abe")]
    driver = run(app, rows, partitions=3)
    assert dict(driver.store("by-letter").items()) == {"a": "abe", "b": "bob"}


def test_one_topic_is_one_table_and_two_kinds_of_it_need_a_name() -> None:
    app = App("a")
    first = app.table("prices", value=int)
    assert first.to_stream()._node is app.table("prices", value=int).to_stream()._node  # pyright: ignore[reportPrivateUsage] # nodes are what is shared
    with pytest.raises(TopologyError, match="name="):
        app.table("prices", value=int, emit="every")
    app.table("prices", value=int, emit="every", name="others")


def test_an_emission_that_is_none_is_refused() -> None:
    wrong: Any = "final"
    with pytest.raises(ValueError, match="'latest' or 'every'"):
        App("a").table("prices", emit=wrong)
    with pytest.raises(ValueError, match="'latest' or 'every'"):
        App("a").stream("prices").to_table(emit=wrong)


def test_an_entry_that_stays_in_its_group_is_one_change_of_it() -> None:
    app = App("a")
    table = app.table("prices", value=str, emit="every")
    grouped = table.group_by(lambda value: value[0])
    grouped.reduce(
        lambda a, b: f"{a}+{b}", remove=lambda a, b: f"{a}-{b}", emit="every"
    ).to_stream().to("out")
    driver = run(app, [("a", "x1"), ("a", "x2"), ("b", "x3"), ("b", "y4"), ("a", None)])
    assert driver.items("out") == [
        ("x", "x1"),
        ("x", "x1-x1+x2"),
        ("x", "x1-x1+x2+x3"),
        ("x", "x1-x1+x2+x3-x3"),
        ("y", "y4"),
        ("x", "x1-x1+x2+x3-x3-x2"),
    ]


def test_a_value_whose_function_fails_is_in_no_group() -> None:
    app = App("a", processing="skip")
    table = app.table("prices", value=int, emit="every")
    grouped = table.group_by(lambda n: str(12 // n), select=lambda n: n, value=int)
    grouped.sum(name="sums")
    driver = run(app, [("a", 12), ("b", 12), ("a", 0), ("b", 6), ("a", 3)])
    assert dict(driver.store("sums").items()) == {"1": 0, "2": 6, "4": 3}
    assert driver.skipped() == {"skipped": 1}, "what has failed does not fail again when it leaves"


def test_an_aggregate_of_a_table_that_cannot_take_back_is_refused() -> None:
    grouped = App("a").table("prices", value=int).group_by(str)
    with pytest.raises(TopologyError, match=r"prices\.table\.group_by\.reduce: .*remove="):
        grouped.reduce(max)
    with pytest.raises(TopologyError, match=r"remove=.*to_stream\(\)"):
        grouped.aggregate("", add)
    wrong: Any = 3
    with pytest.raises(TypeError, match="remove=3 is no function"):
        grouped.aggregate("", add, remove=wrong)


def test_tables_that_cannot_meet_are_refused() -> None:
    app = App("a")
    table = app.table("prices", value=int)
    with pytest.raises(TopologyError, match="another App"):
        table.join(App("b").table("others", value=int), max)
    with pytest.raises(TopologyError, match=r"keys are str in .* and int in"):
        table.join(app.table("others", key=int, value=int), max)
    wrong: Any = "cross"
    with pytest.raises(ValueError, match="choose 'inner', 'left', 'right' or 'outer'"):
        table.join(app.table("names", value=int), max, how=wrong)
    table.join(app.table("names", value=int), max)
    with pytest.raises(CopartitionError, match=r"'names' has 2, 'prices' has 3") as caught:
        TopologyTestDriver(app, partitions={"prices": 3, "names": 2})
    assert caught.value.operator == "prices.table.join"


def test_a_versioned_table_knows_what_its_keys_had() -> None:
    app = App("a")
    table = app.table("prices", value=str, versioned="10s", name="versions")
    table.to_stream().to("out")
    driver = TopologyTestDriver(app)
    for value, timestamp in [("a", 5_000), ("b", 20_000), ("old", 12_000), ("lost", 9_999)]:
        driver.pipe("prices", value, key="k", timestamp=timestamp)
    assert driver.values("out") == ["a", "b"]


# Expiry.


def test_an_entry_is_deleted_when_it_has_not_changed_for_the_time() -> None:
    app = App("a")
    app.table("prices", value=int, emit="every").expire(10, name="fresh").changes().to("out")
    driver = TopologyTestDriver(app)
    rows = [("a", 1, 0), ("b", 2, 4), ("a", 3, 6), ("c", 4, 14), ("c", 5, 16), ("a", 6, 5)]
    for key, value, timestamp in rows:
        driver.pipe("prices", value, key=key, timestamp=timestamp)
    assert [(r.key, r.value, r.timestamp) for r in driver.records("out")] == [
        ("a", [None, 1], 0),
        ("b", [None, 2], 4),
        ("a", [1, 3], 6),
        ("b", [2, None], 14),
        ("c", [None, 4], 14),
        ("a", [3, None], 16),
        ("c", [4, 5], 16),
    ]
    assert dict(driver.store("fresh").items()) == {"c": 5}


def test_a_row_that_is_due_when_it_comes_deletes_what_it_replaces() -> None:
    app = App("a")
    app.table("prices", value=int, emit="every").expire(10).to_stream().to("out")
    driver = TopologyTestDriver(app)
    for key, value, timestamp in [("a", 1, 20), ("a", 2, 5), ("b", 3, 5)]:
        driver.pipe("prices", value, key=key, timestamp=timestamp)
    assert driver.items("out") == [("a", 1), ("a", None)]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_expiry_gives_the_same_in_chunks_of_any_size_and_after_a_restart(size: int) -> None:
    outputs: list[Any] = []
    for chunk, restarts in ((1, False), (size, False), (size, True)):
        app = App("a")
        table = app.table("prices", value=int, emit="every").expire(30)
        table.filter(lambda n: n % 5 != 0).changes().to("out")
        driver = TopologyTestDriver(app, commit_every=20, chunk_size=chunk)
        for number in range(200):
            if restarts and number % 60 == 0:
                driver.restart()
            time = number + (number * 7919) % 40
            driver.pipe("prices", number, key=str(number * 31 % 17), timestamp=time)
        driver.commit()
        outputs.append([(row.key, row.value, row.timestamp) for row in driver.records("out")])
    assert outputs[0] == outputs[1] == outputs[2]
    assert any(value[1] is None for _, value, _ in outputs[0])


def test_a_time_in_which_nothing_stays_is_refused() -> None:
    table = App("a").table("prices", value=int)
    with pytest.raises(ValueError, match="after=0: nothing would stay"):
        table.expire(0)
    with pytest.raises(ValueError, match="unknown unit"):
        table.expire("3 moons")


def test_a_record_that_deletes_both_sides_deletes_the_result() -> None:
    app = App("a")
    names = app.table("names", value=str, emit="every")
    prices = app.table("prices", value=str, emit="every")
    joined = names.join(prices, "{}-{}".format, how="outer", value=str)
    joined.join(prices, "{}-{}".format, value=str).to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("prices", "1", key="tea")
    driver.pipe("prices", None, key="tea")
    assert driver.items("out") == [("tea", "None-1-1"), ("tea", None)]


# Look-ups by joins of streams.


def test_a_stream_sees_what_tables_have_and_not_only_what_they_have_given_on() -> None:
    app = App("a")
    prices, names = app.table("prices", value=str), app.table("names", value=str)
    joined = prices.join(names, "{}+{}".format, how="left", value=str)
    shown = joined.map(str.upper, value=str, name="shown").filter(lambda value: "X" not in value)
    app.stream("asks", value=str).join(shown, "{}/{}".format).to("out", value=str)
    driver = TopologyTestDriver(app, commit_every=100)
    moves = [("prices", "p"), ("asks", "1"), ("names", "n"), ("asks", "2"), ("names", "x")]
    for timestamp, (topic, value) in enumerate([*moves, ("asks", "3")]):
        driver.pipe(topic, value, key="k", timestamp=timestamp)
    driver.commit()
    assert driver.values("out") == ["1/P+NONE", "2/P+N"]


def test_results_of_windows_are_joined_where_somebody_keeps_them() -> None:
    app = App("a")
    clicks = app.stream("clicks", value=str).group_by_key().windowed_by(Tumbling(10)).count()
    views = app.stream("views", value=str).group_by_key().windowed_by(Tumbling(10)).count()
    with pytest.raises(TopologyError, match=r"clicks\..*to_stream\(\)\.to_table\(\)\.expire"):
        clicks.filter(bool).join(views, max)
    keyed = clicks.to_stream()
    with pytest.raises(TopologyError, match=r"to_stream\(\)\.to_table\(\)\.expire"):
        keyed.join(views, max)
    kept = [each.to_stream().to_table().expire("1m") for each in (clicks, views)]
    kept[0].join(kept[1], lambda clicked, seen: f"{clicked}/{seen}", value=str).to_stream().to(
        "out"
    )
    driver = TopologyTestDriver(app)
    for topic in ("views", "clicks", "views"):
        driver.pipe(topic, "x", key="k", timestamp=1)
    assert driver.values("out") == ["1/1", "1/2"]


class Spread(Aggregator[int, list[int], int]):
    """The difference of the largest and the smallest value."""

    def start(self) -> list[int]:
        return []

    def add(self, kept: list[int], value: int) -> list[int]:
        return sorted([*kept, value])

    def result(self, kept: list[int]) -> int:
        return kept[-1] - kept[0]


class SpreadOfNow(Spread):
    def remove(self, kept: list[int], value: int) -> list[int] | None:
        kept.remove(value)
        return kept or None


def test_an_aggregator_serves_a_table_where_it_can_take_back() -> None:
    app = App("a")
    grouped = app.table("prices", value=int, emit="every").group_by(lambda _: "all", value=int)
    with pytest.raises(TopologyError, match="an Aggregator has it as a method"):
        grouped.aggregate(Spread())
    grouped.aggregate(SpreadOfNow(), emit="every").to_stream().to("out")
    driver = run(app, [("tea", 3), ("rum", 9), ("tea", 8), ("tea", None), ("rum", None)])
    assert driver.values("out") == [0, 6, 1, 0, None]


def test_of_values_of_a_group_that_are_equal_in_python_the_one_of_its_own_kind_leaves() -> None:
    app = App("a")
    grouped = app.table("rows").group_by(lambda value: "all", select=lambda value: value["is"])
    grouped.collect(name="all").to_stream().to("out")
    grouped.count_distinct(name="kinds").to_stream().to("different")
    driver = TopologyTestDriver(app)
    for key, value in {"a": 1, "b": True, "c": 1.0, "d": [1], "e": [True], "f": "1"}.items():
        driver.pipe("rows", {"is": value}, key=key)
    driver.pipe("rows", None, key="b")
    driver.pipe("rows", None, key="e")
    assert repr(driver.map("out")["all"]) == "[1, 1.0, [1], '1']"
    assert driver.map("different") == {"all": 4}


def test_a_group_that_has_lost_all_is_deleted_where_nothing_can_be_made_of_it() -> None:
    app = App("a")
    grouped = app.table("rows", value=int).group_by(lambda value: "all")
    for kind in ("mean", "min", "max", "sum", "collect", "count_distinct"):
        made: Any = getattr(grouped, kind)()
        made.to_stream().to(kind)
    driver = TopologyTestDriver(app).run("rows", [("a", 5), ("a", None), ("b", 7)])
    assert driver.values("mean") == [5.0, None, 7.0]
    assert driver.values("min") == driver.values("max") == [5, None, 7]
    assert driver.values("sum") == [5, 0, 7]
    assert driver.values("collect") == [[5], [], [7]]
    assert driver.values("count_distinct") == [1, 0, 1]


def test_a_function_that_changes_its_mind_about_a_value_is_told() -> None:
    answers = iter([1, 2])
    app = App("a")
    grouped = app.table("rows", value=int).group_by(lambda value: "all")
    grouped.collect(lambda value: next(answers)).to_stream().to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("rows", 5, key="a")
    with pytest.raises(ProcessingError, match=r"\[2\] leaves a group that it was never in"):
        driver.pipe("rows", None, key="a")


class Offer(msgspec.Struct, order=True):
    price: Decimal


def grouped_as(value: Any, **options: Any) -> tuple[App, Any]:
    app = App("a", **options)
    return app, app.table("rows", value=value).group_by(lambda value: "all")


@pytest.mark.parametrize("emit", ["latest", "every"])
@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (Decimal, [Decimal(9), Decimal(10)]),
        (timedelta, [timedelta(9), timedelta(10)]),
        (Offer, [Offer(Decimal(9)), Offer(Decimal(10))]),
        (bytes, [b"\xff", b"\xff\x00"]),
        (float, [1.0, math.inf]),
    ],
)
def test_extremes_are_those_of_the_values_and_not_of_how_they_are_kept(
    kind: type, rows: list[Any], emit: Any
) -> None:
    app, grouped = grouped_as(kind)
    grouped.max(emit=emit).to_stream().to("max")
    grouped.min(emit=emit).to_stream().to("min")
    driver = TopologyTestDriver(app)
    for key, value in zip("ab", rows, strict=True):
        driver.pipe("rows", value, key=key)
    driver.pipe("rows", None, key="b")
    assert driver.values("max") == [rows[0], rows[1], rows[0]]
    assert driver.values("min") == [rows[0]] * 3


def test_extremes_of_what_a_function_makes_are_kept_by_the_serde_of_results() -> None:
    app, grouped = grouped_as(Offer)
    grouped.max(lambda offer: offer.price, value=Decimal).to_stream().to("out")
    driver = TopologyTestDriver(app)
    for price in (9, 10):
        driver.pipe("rows", Offer(Decimal(price)), key=str(price))
    assert driver.values("out") == [Decimal(9), Decimal(10)]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("max", {}),
        ("min", {}),
        ("top_n", {"n": 2}),
        ("top_n", {"n": 2, "by": lambda offer: timedelta(1)}),
        ("sum", {}),
        ("mean", {}),
    ],
)
def test_what_json_gives_back_as_something_else_is_not_compared_or_added(
    kind: str, given: dict[str, Any]
) -> None:
    app, grouped = grouped_as(Offer)
    getattr(grouped, kind)(of=lambda offer: offer.price, **given).to_stream().to("out")
    with pytest.raises(ProcessingError, match=r"json gives back .* as str '.*; choose value="):
        TopologyTestDriver(app).pipe("rows", Offer(Decimal(9)), key="a")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", [1, 0, 10, 100, 107]),
        ("mean", [1.0, None, 10.0, 100.0, 53.5]),
        ("min", [1, None, 10, 100, 7]),
        ("max", [1, None, 10, 100, 100]),
        ("collect", [[1], [], [10], [100], [100, 7]]),
        ("top_n", [[1], [], [10], [100], [100, 7]]),
        ("count_distinct", [1, 0, 1, 1, 2]),
    ],
)
def test_a_value_of_which_nothing_can_be_made_is_in_no_group(
    kind: str, expected: list[Any]
) -> None:
    app, grouped = grouped_as("json", processing="skip")
    given: dict[str, Any] = {"n": 2} if kind == "top_n" else {}
    made = getattr(grouped, kind)(of=lambda value: value["x"] + 0, **given)
    made.to_stream().to("out")
    driver = TopologyTestDriver(app)
    rows = [("a", 1), ("a", "one"), ("b", None), ("a", 10), ("b", "two"), ("a", 100), ("b", 7)]
    for key, value in rows:
        driver.pipe("rows", {"x": value}, key=key)
    assert driver.values("out") == expected
    assert driver.skipped() == {"skipped": 3}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_what_is_not_finite_is_not_added_as_it_could_not_be_taken_back(
    kind: str, value: float
) -> None:
    app, grouped = grouped_as(float, processing="skip")
    getattr(grouped, kind)().to_stream().to("out")
    driver = TopologyTestDriver(app)
    for each in (3.0, value, 4.0):
        driver.pipe("rows", each, key="a")
    assert driver.values("out") == [3.0, 0.0 if kind == "sum" else None, 4.0]
    assert driver.skipped() == {"skipped": 1}


def test_sets_are_the_same_value_whatever_their_order() -> None:
    app, grouped = grouped_as("json")
    grouped.count_distinct(set).to_stream().to("out")
    driver = TopologyTestDriver(app)
    for key, value in {"a": [0, 8], "b": [8, 0], "c": ["x", "y"], "d": ["y", "x"]}.items():
        driver.pipe("rows", value, key=key)
    assert driver.values("out") == [1, 1, 2, 2]


class Prices(Aggregator[Offer, Any, Any]):
    def start(self) -> list[Any]:
        return []

    def add(self, kept: list[Any], value: Offer) -> list[Any]:
        return [*kept, value.price]

    def remove(self, kept: list[Any], value: Offer) -> list[Any]:
        return [each for each in kept if each != value.price]


def test_what_an_aggregator_keeps_of_a_group_is_looked_at_once() -> None:
    app, grouped = grouped_as(Offer)
    grouped.aggregate(Prices()).to_stream().to("out")
    with pytest.raises(ProductionError, match=r"json gives back Decimal .* as str '9'"):
        TopologyTestDriver(app).pipe("rows", Offer(Decimal(9)), key="a")
