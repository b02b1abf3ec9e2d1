"""Aggregators on plain groups and in every kind of window; cogroup; count windows."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import (
    Aggregator,
    App,
    CountWindow,
    Hopping,
    Session,
    Sliding,
    Tumbling,
    Unlimited,
)
from processors.errors import ProcessingError, ProductionError, TopologyError
from processors.testing import TopologyTestDriver

ROWS = [("k", 3, 0), ("k", 1, 2), ("j", 9, 3), ("k", 3, 4), ("k", 8, 5)]


def pipe(driver: TopologyTestDriver, rows: Any, topic: str = "in") -> None:
    for key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)


EXPECTED: dict[str, Any] = {
    "count": (4, 1),
    "sum": (15, 9),
    "min": (1, 9),
    "max": (8, 9),
    "mean": (3.75, 9.0),
    "first": (3, 9),
    "last": (8, 9),
    "collect": ([3, 1, 3, 8], [9]),
    "count_distinct": (3, 1),
}


@pytest.mark.parametrize(
    "window", [None, Tumbling(10), Hopping(20, advance=10), Session(5), Sliding(10), Unlimited()]
)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_built_in_aggregate_gives_the_same_in_every_window(name: str, window: Any) -> None:
    app = App("a")
    group: Any = app.stream("in", value=int).group_by_key()
    if window is not None:
        group = group.windowed_by(window)
    getattr(group, name)().to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, ROWS)
    last: dict[str, Any] = {}
    for record in driver.records("out"):
        if window is None:
            last[record.key] = record.value
        elif record.value is not None and (not isinstance(window, Sliding) or not record.key.start):
            last[record.key.key] = record.value
    assert last == {"k": EXPECTED[name][0], "j": EXPECTED[name][1]}


@pytest.mark.parametrize("name", ["sum", "min", "max", "mean", "first", "last", "collect"])
def test_an_aggregate_of_a_part_of_the_value(name: str) -> None:
    app = App("a")
    group: Any = app.stream("in").group_by_key()
    getattr(group, name)(lambda value: value["n"]).to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, [(key, {"n": value}, timestamp) for key, value, timestamp in ROWS])
    assert driver.map("out") == {"k": EXPECTED[name][0], "j": EXPECTED[name][1]}


def test_the_top_n_keep_the_first_of_equal_ones() -> None:
    app = App("a")
    group = app.stream("in").group_by_key()
    top = group.top_n(2, lambda row: row["name"], by=lambda row: row["points"])
    top.to_stream().to("out")
    rows = [("a", 5), ("b", 7), ("c", 5), ("d", 7)]
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", {"name": name, "points": points}, 0) for name, points in rows])
    assert driver.values("out") == [["a"], ["b", "a"], ["b", "a"], ["b", "d"]]


def test_sessions_merge_what_the_aggregators_kept() -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key().windowed_by(Session(5))
    group.collect(limit=3).to_stream().to("lists")
    group.count_distinct().to_stream().to("distinct")
    group.mean().to_stream().to("means")
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", 1, 0), ("k", 2, 1), ("k", 1, 8), ("k", 5, 5)])
    assert driver.values("lists")[-1] == [2, 1, 5]
    assert driver.values("distinct")[-1] == 3
    assert driver.values("means")[-1] == 2.25


class Spread(Aggregator[int, list[int], int]):
    def start(self) -> list[int]:
        return []

    def add(self, kept: list[int], value: int) -> list[int]:
        return [min([*kept, value]), max([*kept, value])]

    def merge(self, earlier: list[int], later: list[int]) -> list[int]:
        return [min(earlier + later), max(earlier + later)]

    def result(self, kept: list[int]) -> int:
        return kept[-1] - kept[0]


@pytest.mark.parametrize(
    "window",
    [None, Tumbling(10), Hopping(20, advance=10), Session(5), Sliding(10), Unlimited()],
)
def test_one_aggregator_serves_every_window(window: Any) -> None:
    app = App("a")
    group: Any = app.stream("in", value=int).group_by_key()
    if window is not None:
        group = group.windowed_by(window)
    group.aggregate(Spread()).to_stream().to("out", value=int)
    driver = TopologyTestDriver(app)
    pipe(driver, ROWS)
    spreads = {
        record.value
        for record in driver.records("out")
        if (record.key if window is None else record.key.key) == "k"
    }
    assert max(value for value in spreads if value is not None) == 7


class HalfMade(Aggregator[Any, Any, Any]):
    def start(self) -> int:
        return 0


class NoMerge(HalfMade):
    def add(self, kept: int, value: Any) -> int:
        return kept + 1


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda group: group.aggregate(HalfMade()), TypeError, "HalfMade lacks start or add"),
        (
            lambda group: group.aggregate(NoMerge(), lambda a, b: a),
            TypeError,
            "an Aggregator has its own functions",
        ),
        (
            lambda group: group.windowed_by(Session(1)).aggregate(NoMerge()),
            TopologyError,
            "sessions that come to touch become one",
        ),
        (lambda group: group.aggregate(list), TypeError, "function: None is no function"),
        (lambda group: group.top_n(0), ValueError, "n=0: must be at least 1"),
        (lambda group: group.collect(limit=0), ValueError, "limit=0: must be at least 1"),
        (
            lambda group: group.windowed_by(CountWindow(2), late_to="late").count(),
            ValueError,
            "no record is late; leave it out",
        ),
        (lambda group: group.cogroup(3), TypeError, "cogroup at 'in.group_by_key.cogroup'"),
        (
            lambda group: group.cogroup(max, (App("b").stream("x").group_by_key(), max)),
            TopologyError,
            "group 1 belongs to another App",
        ),
    ],
)
def test_misuse_is_refused_when_the_graph_is_built(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build(App("a").stream("in", value=int).group_by_key())
    assert said in str(caught.value)


@pytest.mark.parametrize("window", [None, Tumbling(10), Session(5)])
def test_cogroup_makes_one_result_of_several_streams(window: Any) -> None:
    app = App("a")
    groups = [app.stream(topic, value=str).group_by_key() for topic in ("one", "two", "three")]
    both: Any = groups[0].cogroup(
        lambda seen, value: [*seen, value],
        (groups[1], lambda seen, value: [*seen, value.upper()]),
        (groups[2], lambda seen, value: seen[:-1]),
    )
    if window is not None:
        both = both.windowed_by(window)
    both.aggregate(list, merge=lambda a, b: a + b).to_stream().to("out")
    driver = TopologyTestDriver(app)
    for time, (topic, value) in enumerate(
        [("one", "a"), ("two", "b"), ("two", "c"), ("three", "")]
    ):
        driver.pipe(topic, value, key="k", timestamp=time)
    assert [value for value in driver.values("out") if value is not None] == [
        ["a"], ["a", "B"], ["a", "B", "C"], ["a", "B"],
    ]  # fmt: skip


def count_windows(values: list[str], size: int, advance: int) -> list[tuple[int, str]]:
    return [
        (start, "".join(values[start : start + size]))
        for start in range(0, len(values), advance)
        if start + size <= len(values)
    ]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=25),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_count_windows_are_those_of_the_definition(
    records: list[tuple[str, str]], size: int, advance: int
) -> None:
    advance = min(size, advance)

    def run(emit: Any, commit_every: int, restart: int = 0) -> list[Any]:
        app = App("a")
        group = app.stream("in", value=str).group_by_key()
        windows = group.windowed_by(CountWindow(size, advance=advance))
        windows.reduce(lambda a, b: a + b, emit=emit).to_stream().to("out")
        driver = TopologyTestDriver(app, commit_every=commit_every, cache_bytes=0)
        for place, (key, value) in enumerate(records):
            if restart and place % restart == 0:
                driver.commit()
                driver.restart()
            driver.pipe("in", value, key=key, timestamp=100 - place)
        driver.commit()
        return driver.items("out") if "out" in driver.topics else []

    finals = run("final", 1)
    for key in "ab":
        values = [value for each, value in records if each == key]
        found = [(w.start, text) for w, text in finals if w.key == key]
        assert found == count_windows(values, size, advance)
    assert run("final", 7) == run("final", 1, restart=3) == finals
    every = run("every", 1)
    assert run("every", 7) == run("every", 1, restart=3) == every
    assert dict(run("latest", 5)) == dict(every)


def test_a_record_that_fails_is_in_no_count_window() -> None:
    app = App("a", processing="skip")
    group = app.stream("in", value=int).group_by_key().windowed_by(CountWindow(2))
    group.aggregate(0, lambda kept, value: kept + 1 // value, emit="final").to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", 1, 0), ("k", 0, 1), ("k", 1, 2)])
    assert driver.values("out") == [2]


@dataclass
class Seen:
    pages: int = 0


class Limits(NamedTuple):
    low: int = 0
    high: int = 0


def add_in(kept: set[int], value: int) -> set[int]:
    kept.add(value)
    return kept


@pytest.mark.parametrize(
    ("initial", "function", "result"),
    [
        (set, add_in, {1, 2}),
        (frozenset, lambda kept, value: kept | {value}, {1, 2}),
        ({9}, add_in, {1, 2, 9}),
        (Seen, lambda kept, value: Seen(kept.pages + 1), Seen(3)),
        (Seen(5), lambda kept, value: Seen(kept.pages + 1), Seen(8)),
        (Limits, lambda kept, value: kept._replace(high=value), Limits(0, 2)),
        (bytes, lambda kept, value: kept + b"%d" % value, b"122"),
        (tuple, lambda kept, value: (*kept, value), (1, 2, 2)),
        ((0, 0), lambda kept, value: (kept[0] + value, kept[1] + 1), (5, 3)),
        (lambda: (), lambda kept, value: kept + (value,), (1, 2, 2)),  # noqa: RUF005 - no list
        (int, lambda kept, value: kept + value, 5),
        (dict, lambda kept, value: kept | {str(value): 1}, {"1": 1, "2": 1}),
    ],
)
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_what_a_key_starts_with_comes_back_as_what_it_is(
    initial: Any, function: Any, result: Any, cache_bytes: int
) -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key()
    group.aggregate(initial, function, name="kept", emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app, cache_bytes=cache_bytes)
    pipe(driver, [("k", 1, 0), ("k", 2, 1)])
    driver.restart()
    pipe(driver, [("k", 2, 2)])
    assert driver.store("kept")["k"] == result
    assert driver.values("out")[-1] == result


@dataclass
class Untyped:
    seen: object = field(default_factory=set[int])


@pytest.mark.parametrize(
    "initial",
    [
        *(Counter, OrderedDict, deque, object, FunctionType, Untyped, Untyped()),
        *(float("inf"), float("nan"), [1.0, float("-inf")], {"seen": {1}}, ({1},), {5: 1}, [b"5"]),
    ],
)
def test_a_start_that_no_text_gives_back_is_refused_when_the_graph_is_built(initial: Any) -> None:
    group = App("a").stream("in", value=int).group_by_key()
    said = "aggregate of 'in.*choose value=, a serde that does"
    with pytest.raises(TypeError, match=said):
        group.aggregate(initial, max)
    with pytest.raises(TypeError, match=said):
        group.windowed_by(Tumbling(10)).aggregate(initial, max)
    with pytest.raises(TypeError, match=said):
        group.cogroup(max).aggregate(initial)


@dataclass
class Unresolved:
    paid: Money = 0  # type: ignore[name-defined] # pyright: ignore # noqa: F821 - as is meant


def test_a_start_whose_annotations_nobody_knows_is_refused_when_the_graph_is_built() -> None:
    group = App("a").stream("in", value=int).group_by_key()
    said = "aggregate of 'in.*name 'Money' is not defined; choose value=, a serde that does"
    for initial in (Unresolved, Unresolved()):
        with pytest.raises(TypeError, match=said):
            group.aggregate(initial, lambda kept, value: kept)


class Range(Aggregator[int, tuple[int, ...], int]):
    def start(self) -> tuple[int, ...]:
        return ()

    def add(self, kept: tuple[int, ...], value: int) -> tuple[int, ...]:
        seen = sorted(kept + (value,))  # noqa: RUF005 - no list
        return (seen[0], seen[-1])


def test_an_aggregator_that_starts_with_a_tuple_is_given_tuples() -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key()
    group.aggregate(Range(), name="ranges")
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", 2, 0), ("k", 1, 1), ("k", 3, 2)])
    assert driver.store("ranges")["k"] == (1, 3)


class Different(Aggregator[int, set[int], int]):
    def start(self) -> set[int]:
        return set()

    def add(self, kept: set[int], value: int) -> set[int]:
        return add_in(kept, value)


@pytest.mark.parametrize(
    "arguments",
    [
        (lambda: set[int](), add_in),
        (lambda: {"seen": set[int]()}, add_in),
        (lambda: (0, [Limits()]), add_in),
        (lambda: float("inf"), min),
        (Different(),),
        (lambda: Counter[int](), add_in),
    ],
)
def test_a_start_that_a_function_makes_is_refused_at_the_first_record(arguments: Any) -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key()
    group.aggregate(*arguments, name="refused").to_stream().to("out")
    said = "aggregate at 'refused': a key starts with a .*, and json gives back .* as "
    with pytest.raises(ProcessingError, match=f"refused: .*{said}"):
        TopologyTestDriver(app).pipe("in", 1, key="k")


class Bytes(Aggregator[bytes, list[bytes], int]):
    def start(self) -> list[bytes]:
        return []

    def add(self, kept: list[bytes], value: bytes) -> list[bytes]:
        return [*kept, value]


def count_in(kept: dict[Any, int], key: Any) -> dict[Any, int]:
    return {**kept, key: kept.get(key, 0) + 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            (set, lambda kept, value: {*kept, value}),
            r"json\[set\] gives back set \{b'5'\} as set \{",
        ),
        (
            (set, lambda kept, value: {*kept, (value, 1)}),
            r"json\[set\] cannot keep it .*unhashable",
        ),
        ((list, lambda kept, value: [*kept, {value}]), r"json gives back set \{b'5'\} as list \["),
        (
            (dict, lambda kept, value: count_in(kept, len(value))),
            "gives back dict {1: 1} as dict {'",
        ),
        ((dict, count_in), "gives back dict {b'5': 1} as dict {'NQ==': 1}"),
        ((0.5, lambda kept, value: float("inf")), "json gives back float inf as NoneType None"),
        (
            (Untyped(None), lambda kept, value: Untyped(value)),
            "gives back bytes b'5' as str 'NQ=='",
        ),
        ((Bytes(),), "json gives back bytes b'5' as str 'NQ=='"),
    ],
)
def test_a_result_that_json_changes_is_refused_at_the_first_one(arguments: Any, said: str) -> None:
    app = App("a")
    app.stream("in", value=bytes).group_by_key().aggregate(*arguments, name="refused")
    driver = TopologyTestDriver(app)
    said = f"aggregate at 'refused': it keeps a .*{said}.*; choose value=, a serde that does"
    for _ in range(2):
        with pytest.raises(ProductionError, match=said):
            driver.pipe("in", b"5", key="k")


def test_results_that_are_empty_or_kept_as_asked_are_not_refused() -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key()
    group.aggregate(dict, count_in, value=dict[int, int], name="counted")
    group.aggregate(dict, count_in, value="json", name="texts")
    group.aggregate((), lambda kept, value: (*kept, (value,)), name="lists")
    group.aggregate(list, lambda kept, value: kept if value == 5 else [{value}], name="refused")
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", 5, 0), ("k", 5, 1)])
    assert driver.store("counted")["k"] == {5: 2}
    assert driver.store("texts")["k"] == {"5": 1}
    assert driver.store("lists")["k"] == ([5], [5])
    with pytest.raises(
        ProductionError, match=r"'refused': it keeps a list, and json gives back set"
    ):
        driver.pipe("in", 6, key="k")


def test_a_serde_that_is_asked_for_has_the_last_word() -> None:
    app = App("a")
    group = app.stream("in", value=int).group_by_key()
    group.aggregate(Different(), value=set, name="sets")
    group.aggregate(set, lambda kept, value: sorted({*kept, value}), value="json", name="lists")
    driver = TopologyTestDriver(app)
    pipe(driver, [("k", 2, 0), ("k", 1, 1)])
    assert driver.store("sets")["k"] == {1, 2}
    assert driver.store("lists")["k"] == [1, 2]
