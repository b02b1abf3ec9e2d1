"""Joins of streams: windows, order, nulls, what waits for a match, restarts, failures."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import CopartitionError, ProcessingError, TopologyError
from processors.operators.join_buffer import PIECE_ROWS
from processors.testing import TopologyTestDriver
from processors.topology.partitioning import choose_partitions

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[str, Any, Any, int]


def both(left: Any, right: Any) -> str:
    return f"{left}-{right}"


def joined(*, grace: Any = 0, how: Any = "inner", **window: Any) -> App:
    app = App("a", processing="skip")
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    left.join(right, both, grace=grace, how=how, name="j", **window).to("out", value=str)
    return app


def pipe(driver: TopologyTestDriver, rows: Iterable[Row]) -> list[tuple[Any, Any, int]]:
    for topic, key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    return taken(driver)


def taken(driver: TopologyTestDriver) -> list[tuple[Any, Any, int]]:
    return [(record.key, record.value, record.timestamp) for record in driver.records("out")]


def run(app: App, rows: Iterable[Row]) -> list[tuple[Any, Any, int]]:
    return pipe(TopologyTestDriver(app), rows)


# Windows.


def test_a_result_has_the_later_timestamp_of_its_two_records() -> None:
    found = run(joined(within=10), [("L", "k", "a", 5), ("R", "k", "x", 3), ("R", "k", "y", 9)])
    assert found == [("k", "a-x", 5), ("k", "a-y", 9)]


def test_both_ends_of_a_window_are_in_it() -> None:
    rows = [("L", "k", "A", 100), *(("R", "k", str(at), at) for at in (89, 90, 105, 106))]
    assert run(joined(before=10, after=5, grace=20), rows) == [
        ("k", "A-90", 100),
        ("k", "A-105", 105),
    ]


def test_a_window_may_lie_on_one_side_of_the_record() -> None:
    rows = [("L", "k", "A", 100), *(("R", "k", str(at), at) for at in (104, 105, 110, 111))]
    found = run(joined(before=-5, after="10ms"), rows)
    assert [value for _, value, _ in found] == ["A-105", "A-110"]
    rows = [*(("R", "k", str(at), at) for at in (89, 90, 95, 96)), ("L", "k", "A", 100)]
    found = run(joined(before=10, after=timedelta(milliseconds=-5)), rows)
    assert [value for _, value, _ in found] == ["A-90", "A-95"]


def test_matches_come_in_the_order_of_their_times_and_then_of_their_arrival() -> None:
    rows = [("R", "k", f"{at}.{n}", at) for n, at in enumerate((7, 5, 9, 5))]
    found = run(joined(within=10), [*rows, ("L", "k", "a", 9)])
    assert [value for _, value, _ in found] == ["a-5.1", "a-5.3", "a-7.0", "a-9.2"]


def test_a_late_record_meets_what_its_grace_promises() -> None:
    for before, after in ((0, 10), (10, 0), (-5, 10), (10, -5), (3, 3)):
        app = joined(before=before, after=after, grace=20)
        rows = [("L", "k", "A", 1000), ("L", "x", "-", 1000 + after + 20)]
        assert run(app, [*rows, ("R", "k", "a", 1000 + after)]) == [
            ("k", "A-a", 1000 + max(after, 0))
        ]


def test_a_key_with_very_many_records_meets_them_all() -> None:
    count = PIECE_ROWS * 3 + 5
    rows: list[Row] = [("R", "hot", str(n), 1000 + n) for n in range(count)]
    for cache_bytes in (1 << 20, 0):
        driver = TopologyTestDriver(joined(within=10_000), cache_bytes=cache_bytes)
        assert pipe(driver, rows) == []
        driver.restart()
        found = pipe(driver, [("L", "hot", "a", 1000)])
        assert [value for _, value, _ in found] == [f"a-{n}" for n in range(count)]


def test_what_no_record_can_meet_any_more_is_gone_from_the_stores() -> None:
    driver = TopologyTestDriver(joined(within=10, grace=5, how="outer"))
    pipe(driver, [("L", str(n), "v", n * 100) for n in range(200)])
    for part in ("left", "right", "unmatched"):
        assert len(list(driver.store(f"j.{part}").items())) <= 20


# Records without a match.


def test_a_record_without_a_match_leaves_when_window_and_grace_have_closed() -> None:
    driver = TopologyTestDriver(joined(before=10, after=5, grace=2, how="left"))
    assert pipe(driver, [("L", "k", "A", 100), ("R", "x", "b", 107)]) == []
    assert pipe(driver, [("R", "k", None, 150)]) == []
    assert pipe(driver, [("R", "x", "c", 120)]) == []
    assert pipe(driver, [("R", "x", "d", 151)]) == [("k", "A-None", 100)]


def test_each_side_is_judged_by_its_own_window() -> None:
    driver = TopologyTestDriver(joined(before=0, after=50, how="outer"))
    assert pipe(driver, [("L", "a", "l", 15), ("R", "b", "r", 20)]) == []
    assert pipe(driver, [("L", "c", "d", 30)]) == [("b", "None-r", 20)]
    assert pipe(driver, [("L", "c", "e", 66)]) == [("a", "l-None", 15)]


def test_unmatched_records_leave_by_time_then_side_then_key() -> None:
    rows = [("L", "b", "1", 5), ("L", "a", "2", 5), ("R", "c", "3", 5), ("R", "d", "4", 4)]
    found = run(joined(within=1, how="outer"), [*rows, ("L", "z", "-", 100)])
    assert found == [("d", "None-4", 4), ("c", "None-3", 5), ("a", "2-None", 5), ("b", "1-None", 5)]


def test_right_preserves_the_right_side_only() -> None:
    rows = [("L", "a", "1", 5), ("R", "b", "2", 6), ("L", "z", "-", 100)]
    assert run(joined(within=1, how="right"), rows) == [("b", "None-2", 6)]


def test_null_keys_go_on_at_once_where_their_side_is_preserved() -> None:
    rows = [("L", None, "l", 5), ("R", None, "r", 6)]
    assert run(joined(within=1), rows) == []
    assert run(joined(within=1, how="left"), rows) == [(None, "l-None", 5)]
    assert run(joined(within=1, how="outer"), rows) == [(None, "l-None", 5), (None, "None-r", 6)]


def test_null_keys_pass_an_exchange_where_their_side_is_preserved() -> None:
    for exchange in ("memory", "topic"):
        app = App("a")
        left = app.stream("L", value=str).map_key(lambda value: None if value == "n" else value)
        left.join(app.stream("R", value=str), both, within=5, how="left").to("out", value=str)
        driver = TopologyTestDriver(app, partitions=3, exchange=exchange)
        found = pipe(driver, [("L", "k", "n", 5), ("L", "k", "m", 6), ("R", "m", "x", 7)])
        assert found == [(None, "n-None", 5), ("m", "m-x", 7)]


def test_a_match_that_comes_after_a_restart_still_counts() -> None:
    driver = TopologyTestDriver(joined(within=10, grace=5, how="outer"))
    assert pipe(driver, [("L", "a", "1", 5), ("L", "b", "2", 6), ("R", "c", "3", 7)]) == []
    driver.restart()
    assert pipe(driver, [("R", "a", "4", 8)]) == [("a", "1-4", 8)]
    driver.restart()
    assert pipe(driver, [("R", "z", "-", 100)]) == [("b", "2-None", 6), ("c", "None-3", 7)]
    driver.restart()
    assert pipe(driver, [("R", "z", "-", 500)]) == [("z", "None--", 100)]


# A stream with itself.


def self_joined(
    *,
    how: Any = "inner",
    single: bool = True,
    changed: bool = False,
    twice: bool = False,
    **window: Any,
) -> App:
    app = App("a", optimize={"single_store_self_joins": single})
    stream = app.stream("L", value=str)
    if twice:  # one record becomes two rows
        stream = stream.flat_map(lambda value: [f"{value}x", value])
    if changed:
        stream = stream.map_key(lambda value: value[-1])
    stream.join(stream, both, how=how, name="j", **window).to("out", value=str)
    return app


def two_stores(*, how: Any = "inner", **window: Any) -> App:
    """The same join, of two streams that have the same records."""
    app = App("a")
    stream = app.stream("L", value=str)
    stream.map(str).join(stream.map(str), both, how=how, **window).to("out", value=str)
    return app


def test_a_stream_that_meets_itself_has_one_store() -> None:
    driver = TopologyTestDriver(self_joined(within=10))
    assert [store.name for store in driver.plan.stores] == ["j.rows"]
    driver = TopologyTestDriver(self_joined(within=10, changed=True))
    assert [store.name for store in driver.plan.stores] == ["j.rows"]
    assert list(driver.plan.repartition_topics) == ["a-j.left-repartition"]
    driver = TopologyTestDriver(self_joined(within=10, single=False))
    assert [store.name for store in driver.plan.stores] == ["j.left", "j.right"]


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("window", [(5, 5), (0, 7), (-2, 8), (8, -2), (0, 0)])
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_the_rule_that_makes_it_one_store_changes_no_result(
    how: str, window: tuple[int, int], changed: bool, twice: bool
) -> None:
    before, after = window
    times = (3, 9, 8, 12, 1, 11, 20, 19, 4, 18, 40, 20, 38, 60, 60)
    rows: list[Row] = [("L", "ab"[n % 3 // 2], str(n), at) for n, at in enumerate(times)]
    rows.insert(5, ("L", None, "null", 11))
    options: Any = {"before": before, "after": after, "grace": 4, "how": how}
    options |= {"changed": changed, "twice": twice}
    for driving in ({}, {"commit_every": 100, "chunk_size": 4}):
        one = TopologyTestDriver(self_joined(**options), **driving)
        two = TopologyTestDriver(self_joined(**options, single=False), **driving)
        assert pipe(one, rows) == pipe(two, rows)
        one.commit()
        two.commit()
        assert taken(one) == taken(two)


def test_a_record_meets_the_earlier_ones_both_ways_and_itself() -> None:
    rows = [("L", "k", value, at) for value, at in (("A", 2), ("B", 3), ("C", 5))]
    values = [value for _, value, _ in run(self_joined(within=10), rows)]
    assert values == ["A-A", "B-A", "A-B", "B-B", "C-A", "C-B", "A-C", "B-C", "C-C"]


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("window", [(5, 5), (0, 7), (-2, 8), (8, -2)])
def test_one_store_gives_what_two_give(how: str, window: tuple[int, int]) -> None:
    before, after = window
    rows: list[Row] = [
        ("L", "ab"[number % 3 // 2], str(number), at)
        for number, at in enumerate((3, 9, 8, 12, 11, 20, 19, 18, 40, 38, 60))
    ]
    options: Any = {"before": before, "after": after, "grace": 4, "how": how}
    assert run(self_joined(**options), rows) == run(two_stores(**options), rows)


# Tasks, serdes, failures.


def test_keys_that_were_changed_meet_in_their_task() -> None:
    app = App("a")
    left = app.stream("L", value=str).map_key(str.lower)
    left.join(app.stream("R", value=str), both, within=5).to("out", value=str)
    driver = TopologyTestDriver(app, partitions={"L": 2, "R": 4})
    rows: list[Row] = [("L", None, key.upper(), 5) for key in "abcdef"]
    found = pipe(driver, [*rows, *(("R", key, "r", 6) for key in "abcdef")])
    assert found == [(key, f"{key.upper()}-r", 6) for key in "abcdef"]


def test_topics_that_meet_must_have_equal_partitions() -> None:
    with pytest.raises(CopartitionError, match="'L' has 2, 'R' has 3"):
        choose_partitions(joined(within=5).plan().topology, {"L": 2, "R": 3})


def test_a_value_looks_the_same_whether_it_comes_first_or_second() -> None:
    app = App("a")
    left = app.stream("L", value=str).map(lambda value: (value, 1))
    left.join(app.stream("R", value=str), lambda pair, _: repr(pair), within=5).to("out", value=str)
    found = run(app, [("L", "k", "a", 1), ("R", "k", "r", 2), ("L", "k", "b", 3)])
    assert [value for _, value, _ in found] == ["['a', 1]", "['b', 1]"]


def test_a_value_that_cannot_be_kept_fails_where_it_stands() -> None:
    app = App("a", production="skip")
    left = app.stream("L", value=str).map(lambda value: object() if value == "b" else value)
    left.join(app.stream("R", value=str), both, within=9, how="left").to("out", value=str)
    driver = TopologyTestDriver(app)
    found = pipe(driver, [("L", "k", value, 1) for value in "abc"])
    assert pipe(driver, [("R", "k", "r", 2)]) == [("k", "a-r", 2), ("k", "c-r", 2)]
    assert found == []
    assert sum(driver.skipped().values()) == 1


@pytest.mark.parametrize("bad", ["x", "z"])
def test_a_joiner_that_raises_loses_its_result_only(bad: str) -> None:
    def picky(left: str, right: str | None) -> str:
        if right == bad:
            raise StopIteration
        return both(left, right)

    app = App("a", processing="skip")
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    left.join(right, picky, within=5, how="left").to("out", value=str)
    driver = TopologyTestDriver(app, commit_every=100)
    rows: list[Row] = [("R", "k", value, 1) for value in "xyz"]
    pipe(driver, [*rows, ("L", "k", "a", 2), ("L", "q", "b", 100)])
    driver.commit()
    assert [value for _, value, _ in taken(driver)] == [
        f"a-{value}" for value in "xyz" if value != bad
    ]


def test_a_joiner_that_raises_names_its_record() -> None:
    app = App("a")
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    left.join(right, lambda left, right: 1 // 0, within=5).to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("L", "a", key="k", timestamp=1)
    with pytest.raises(ProcessingError, match=r"L\.join.*R"):
        driver.pipe("R", "b", key="k", timestamp=1)


def test_results_have_the_headers_of_the_record_that_caused_them() -> None:
    driver = TopologyTestDriver(joined(within=5, how="left"))
    driver.pipe("L", "a", key="k", timestamp=1, headers=[("side", b"left")])
    driver.pipe("R", "b", key="k", timestamp=1, headers=[("side", b"right")])
    driver.pipe("L", "c", key=None, timestamp=1, headers=[("null", b"")])
    assert [record.headers for record in driver.records("out")] == [
        [("side", b"right")],
        [("null", b"")],
    ]


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"L\.join: a join of streams needs a bound"),
        ({"within": 5, "before": 3}, "not both"),
        ({"before": 3, "after": -5}, r"before \+ after is negative"),
        ({"before": "-3s"}, r"before \+ after is negative"),
        ({"within": 5, "grace": -1}, r"L\.join: grace=-1"),
        ({"within": -5}, r"L\.join: within=-5"),
        ({"within": 5, "how": "cross"}, "how='cross': choose 'inner', 'left', 'right' or 'outer'"),
        ({"within": "soon"}, r"L\.join: within='soon'"),
    ],
)
def test_a_join_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    app = App("a")
    with pytest.raises(ValueError, match=message):
        app.stream("L").join(app.stream("R"), both, **options)


def test_a_stream_of_another_application_is_refused() -> None:
    with pytest.raises(TopologyError, match="belongs to another App"):
        App("a").stream("L").join(App("b").stream("R"), both, within=5)


def test_keys_of_two_kinds_are_refused() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="keys are str here and int there"):
        app.stream("L").join(app.stream("R", key=int), both, within=5)


def test_a_joiner_is_a_plain_function() -> None:
    app = App("a")

    async def later(left: Any, right: Any) -> Any:
        return left, right

    with pytest.raises(TopologyError, match="async"):
        app.stream("L").join(app.stream("R"), later, within=5)
    with pytest.raises(TypeError, match="joiner must be a function"):
        app.stream("A").join(app.stream("B"), "both", within=5)  # type: ignore[arg-type] # the misuse
