"""What the language refuses when the graph is built: the operator, what is wrong, the remedy."""

from __future__ import annotations

import operator
import re
from collections import Counter
from functools import lru_cache, partial, wraps
from inspect import signature
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest

from processors import Aggregator, App, Session, Tumbling
from processors.errors import TopologyError
from processors.testing import TopologyTestDriver


async def later(*values: Any) -> Any:
    return values


def stream(app: App | None = None) -> Any:
    return (App("doc") if app is None else app).stream("in", value=str)


def table(app: App | None = None) -> Any:
    return (App("doc") if app is None else app).table("in", value=str)


def group() -> Any:
    return stream().group_by_key()


def pair(left: Any, right: Any) -> list[Any]:
    return [left, right]


def _of_three(joiner: Any) -> Any:
    app = App("doc")
    return stream(app).join([app.table("one"), app.table("two")], joiner)


def _as_of(how: Any) -> Any:
    app = App("doc")
    return stream(app).join_asof(app.stream("other"), pair, how=how)


BUILT_IN = ["sum", "min", "max", "mean", "first", "last", "collect", "count_distinct"]


@pytest.mark.parametrize("kind", BUILT_IN)
@pytest.mark.parametrize("of", ["amount", 3, 0])
def test_a_built_in_aggregate_wants_a_function_of_the_value(kind: str, of: Any) -> None:
    with pytest.raises(TopologyError, match=f"{kind} of 'in.group_by_key': {of!r} cannot be calle"):
        getattr(group(), kind)(of)


@pytest.mark.parametrize(
    "build",
    [
        lambda: group().sum(later),
        lambda: group().top_n(2, by=later),
        lambda: group().reduce(later),
        lambda: stream().map(AsyncMock()),
        lambda: group().windowed_by(Session("1s")).aggregate(0, pair, merge=later),
        lambda: group().cogroup(later),
        lambda: stream().select(who=later),
        lambda: stream().dedupe(later, within="1s"),
        lambda: _of_three(later),
        lambda: table().group_by(str, select=later),
    ],
)
def test_async_functions_are_refused_wherever_plain_ones_are_called(build: Any) -> None:
    with pytest.raises(TopologyError, match=r"(later|AsyncMock.*) is an async function"):
        build()


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: group().top_n(2, by="n"), TopologyError, "top_n of 'in.group_by_key': 'n' cannot"),
        (lambda: group().reduce(None), TypeError, "function=None is no function"),
        (
            lambda: group().windowed_by(Tumbling("1s")).reduce(None),
            TypeError,
            "function=None is no function",
        ),
        (lambda: table().group_by(str).reduce(None, remove=pair), TypeError, "None is no function"),
        (lambda: stream().group_by("user"), TopologyError, "group_by at 'in.group_by': 'user' can"),
        (lambda: group().cogroup(pair, group()), TypeError, "give pairs of a group"),
        (lambda: group().cogroup(pair, (stream(), pair)), TypeError, "give pairs of a group"),
        (lambda: group().collect(limit="3"), TypeError, "limit='3': give a whole number"),
        (lambda: group().top_n(True), TypeError, "n=True: give a whole number"),
        (lambda: stream().group_by(len, partitions="4"), TypeError, "partitions='4': give a whole"),
        (lambda: stream().repartition(partitions=2.0), TypeError, "partitions=2.0: give a whole"),
        (lambda: stream().rate_limit("5", per="1s"), TypeError, "limit='5': give a whole number"),
        (lambda: stream().take("3"), TypeError, "n='3': give a whole number"),
        (
            lambda: group().count().suppress("1s", max_bytes="1MB"),
            TypeError,
            "max_bytes='1MB': give a whole number",
        ),
        (lambda: group().count().suppress("close"), ValueError, "or until='window_close'"),
        (lambda: stream().branch(**{"a b": len}), ValueError, "in.branch: branch 'a b': names are"),
        (
            lambda: stream().map_async(later, retry_on=3),
            TypeError,
            "retry_on=3: give classes of exceptions",
        ),
        (
            lambda: _as_of("outer"),
            ValueError,
            "choose 'inner' or 'left': the other stream's records",
        ),
        (lambda: group().count(name=3), TypeError, "operator name 3: give a text"),
        (lambda: stream().branch(None), TopologyError, "branch at 'in.branch': None cannot be"),
        (lambda: stream().branch(a=len, b=None), TopologyError, "None cannot be called"),
        (lambda: stream().dedupe(None, within=5), TopologyError, "dedupe at 'in.dedupe': None"),
        (
            lambda: group().windowed_by(Tumbling(5), late_to=later),
            TopologyError,
            "windowed_by at 'in.group_by_key.windowed_by': late_to: later is an async function",
        ),
        (
            lambda: group().windowed_by(Tumbling(5), late_to=pair),
            TopologyError,
            "late_to: pair(left, right) is called with (late records): missing",
        ),
        (
            lambda: group().windowed_by(Session(5)).aggregate(Total()),
            TopologyError,
            "give merge=a function of both, the earlier one first (an Aggregator has it as a",
        ),
        (lambda: App(None), TypeError, "application name None: give a text"),
        (lambda: App("a").stream("in", start=5.5), TypeError, "start is 'earliest', 'latest'"),
        (lambda: App("a").from_iterable("xyz", name="x"), TopologyError, "give a list, ['xyz']"),
        (lambda: App("a").from_iterable(later, name="x"), TopologyError, "is an async function"),
        (lambda: App("a").from_iterable(pair, name="x"), TopologyError, "is called with ()"),
        (lambda: App("a").agent("in")("x"), TypeError, "agent of 'in': 'x' has no name: give an"),
        (
            lambda: stream().map(len).to("out", value=Total),
            TypeError,
            "Total'>: no serde: JSON is not read as a Total, which is no dataclass, msgspec.Struct",
        ),
    ],
)
def test_misuse_is_refused_when_the_graph_is_built(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: stream().merge(table()), "in.merge: .* is no stream; give its changes: table.to_"),
        (lambda: stream().merge(None), "in.merge: None is no stream"),
        (lambda: stream().join(None, pair), "in.join: None is no stream or table"),
        (lambda: stream().join("orders", pair), "in.join: 'orders' is no stream or table"),
        (lambda: stream().join([group()], pair, within=1), "give the stream before the grouping"),
        (
            lambda: stream().join_asof(table(), pair),
            "in.join_asof: .* is no stream; give its chang",
        ),
        (lambda: table().join(stream(), pair), r"in.table.join: .* stream.join\(table, ...\)"),
        (lambda: table().join(App("doc").global_table("g"), pair), "global tables are for streams"),
        (lambda: table().join([table()], pair), "is no table"),
    ],
)
def test_a_join_or_merge_says_what_the_other_side_may_be(build: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        build()


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: App("doc").stream(None), TypeError, "give a topic's name, several, or a compiled"),
        (lambda: App("doc").stream(["a", 3]), TypeError, "topic 3: give its name"),
        (lambda: App("doc").table(["a", "b"]), TypeError, "topic ['a', 'b']: give its name"),
        (lambda: App("doc").global_table(None), TypeError, "topic None: give its name"),
        (lambda: stream().to("a b"), ValueError, "to at 'in.to.a b': topic 'a b': names are"),
        (lambda: stream().to(""), ValueError, "topic '': names are"),
        (lambda: stream().to("__offsets"), ValueError, "is one of the log's own"),
        (lambda: stream().to(None), TopologyError, "to at 'in.to': topic: None cannot be called"),
        (lambda: stream().to(len, topics="out"), TypeError, "topics='out': give a list"),
        (lambda: stream().to(len, topics=["a b"]), ValueError, "topic 'a b': names are"),
        (
            lambda: group().windowed_by(Tumbling("1s"), late_to="too late"),
            ValueError,
            "late_to: topic 'too late': names are",
        ),
        (lambda: stream().to("out", headers={"n": 5}), TypeError, "header 'n': 5: give bytes"),
        (
            lambda: App("doc").stream("in", timestamp="wallclock"),
            ValueError,
            "timestamp='wallclock': give a function of the value, or 'wall_clock'",
        ),
    ],
)
def test_topics_headers_and_times_are_looked_at_when_the_graph_is_built(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build()
    assert said in str(caught.value)


class Echo:
    def process(self, row: Any) -> Any:
        return row


class Later:
    async def process(self, row: Any) -> Any:
        return row


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: stream().process(Echo()), TopologyError, "give the class, Echo"),
        (lambda: stream().process(Later), TopologyError, "Later.process is an async function"),
        (lambda: stream().process(lambda: Echo()), TopologyError, "is called with (row, context)"),
        (lambda: stream().process(str.upper), TopologyError, "is called with (row, context)"),
        (
            lambda: stream().process_values(lambda value: value),
            TopologyError,
            "process_values at 'in.process_values': the function is called with (value, context)",
        ),
        (lambda: stream().process(pair, stores="seen"), TypeError, "stores='seen': give a list"),
        (
            lambda: stream().process(pair, stores=App("doc").state_store("seen")),
            TypeError,
            "give a list",
        ),
    ],
)
def test_a_processor_says_how_it_is_called_and_made(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("build", "at"),
    [
        (lambda: App("doc").stream("in", value="jsno"), "topic 'in': value"),
        (lambda: App("doc").table("in", key="jsno"), "topic 'in': key"),
        (lambda: App("doc").global_table("in", value="jsno"), "global table 'in': value"),
        (lambda: App("doc").from_iterable([1], name="in", value="jsno"), "iterable 'in': value"),
        (lambda: App("doc").channel("in", key="jsno"), "channel 'in': key"),
        (lambda: App("doc").state_store("seen", value="jsno"), "state_store('seen'): value"),
        (lambda: stream().map_key(len, key="jsno"), "in.map_key: key"),
        (lambda: stream().map_items(pair, key="jsno"), "in.map_items: key"),
        (lambda: stream().group_by(len, key="jsno"), "in.group_by: key"),
        (lambda: stream().group_by_key(value="jsno"), "in.group_by_key: value"),
        (lambda: stream().to("out", value="jsno"), "in.to.out: value"),
        (lambda: stream().repartition(key="jsno"), "in.repartition: key"),
        (lambda: stream().process(pair, value="jsno"), "in.process: value"),
        (lambda: stream().take(2, value="jsno"), "in.take: value"),
        (lambda: stream().to_table(value="jsno"), "in.to_table: value"),
        (lambda: group().reduce(pair, value="jsno"), "reduce of 'in.group_by_key': value"),
        (lambda: group().sum(value="jsno"), "sum of 'in.group_by_key': value"),
        (lambda: group().aggregate(0, pair, value="jsno"), "aggregate of 'in.group_by_key': value"),
        (lambda: table().map(len, value="jsno"), "map of 'in.table': value"),
        (lambda: table().group_by(str, value="jsno"), "in.table.group_by: value"),
    ],
)
def test_what_is_no_serde_is_named_with_its_operator(build: Any, at: str) -> None:
    with pytest.raises(ValueError, match="did you mean 'json'") as caught:
        build()
    assert f"{at}='jsno': unknown serde" in str(caught.value)


def test_a_serde_of_ones_own_that_is_none_says_what_it_lacks() -> None:
    class Half:
        name = "half"

        def serialize_column(self, values: Any) -> Any: ...
        def deserialize_column(self, column: Any) -> Any: ...

    lacking = "Half lacks exact_keys, immutable, serialize, deserialize"
    with pytest.raises(TypeError, match=f"topic 'in': key=.*: no serde: .*{lacking}"):
        App("doc").stream("in", key=Half())


class Total(Aggregator[int, int, int]):
    def start(self) -> int:
        return 0

    def add(self, kept: int, value: int) -> int:
        return kept + value


@pytest.mark.parametrize("grouped", [group, lambda: table().group_by(str)])
def test_an_aggregate_says_what_its_start_may_be(grouped: Any) -> None:
    with pytest.raises(TypeError, match=r"Total is a class: give Total\(\)"):
        grouped().aggregate(Total)
    with pytest.raises(TypeError, match=r"aggregate of .*: initial=.* a function that makes it"):
        grouped().aggregate([object()], pair, value="json")
    with pytest.raises(
        TypeError, match=r"aggregate of .*: a key starts with a list, and json cannot"
    ):
        grouped().aggregate([object()], pair)


def test_an_application_names_all_options_that_cannot_be_at_once() -> None:
    options: Any = {"commit_interval_ms": "5s", "chunk_size": 0, "exchange": "disk"}
    with pytest.raises(ValueError, match="commit_interval_ms='5s': give a whole number") as caught:
        App("doc", **options)
    assert "chunk_size=0: must be at least 1" in str(caught.value)
    assert "exchange='disk': choose 'memory' or 'topic'" in str(caught.value)


@pytest.mark.parametrize("size", ["512 megabytes", "512xb", "much", "-5MB", 0.5, True])
def test_a_size_says_which_units_there_are(size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"memory=.*units are B, KB, MB, GB and TB"):
        App("doc", memory=size)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda app: app.store("s", value="jsno"), "store('s'): value='jsno': unknown serde"),
        (lambda app: app.store("s", key=5), "store('s'): key=5: no serde"),
        (lambda app: app.store("s", default=Counter), "store('s'): default: a key starts with a"),
        (lambda app: app.agent("in", key=5), "agent of 'in': key=5: no serde"),
        (lambda app: app.agent("in", name="a", value="jsno"), "agent 'a': value='jsno': unknown"),
        (lambda app: app.agent("in", to="out", to_value=5), "agent of 'in': to_value=5: no serde"),
        (lambda app: app.agent("in", to="out", to_key=5), "agent of 'in': to_key=5: no serde"),
        (lambda app: app.agent("in", to="out", partitions=0), "agent of 'in': partitions=0: must"),
        (lambda app: app.agent("in", to=5), "agent of 'in': to: topic 5: give its name"),
        (lambda app: app.agent("in", to="a b"), "agent of 'in': to: topic 'a b': names are"),
        (lambda app: app.agent("in", to="__x"), "to: topic '__x' is one of the log's own"),
        (lambda app: app.agent(["in"]), "agent of ['in']: topic ['in']: give its name"),
    ],
)
def test_agents_and_their_stores_say_what_is_wrong_where_they_are_declared(
    build: Any, said: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        build(App("doc"))


def test_a_store_of_agents_keeps_what_its_default_is() -> None:
    assert App("doc").store("s", default=set).value_serde.name == "json[set]"
    assert App("doc").store("s", default=list).value_serde.name == "json"
    assert App("doc").store("s", default=int).value_serde.name == "int"
    assert App("doc").store("s", default={"n": 0}).value_serde.name == "json"


def test_a_grouping_of_a_table_takes_the_keys_that_its_function_says_it_makes() -> None:
    def size(city: str) -> int:
        return len(city)

    app = App("doc")
    table(app).group_by(size).count().to_stream().to("sizes")
    rows = [("ann", "Bern"), ("bob", "Genf"), ("cid", "Basel")]
    assert TopologyTestDriver(app).run("in", rows).map("sizes") == {4: 2, 5: 1}


def one(value: Any) -> Any:
    return value


class Called:
    def __call__(self, left: Any, right: Any = None) -> Any:
        return left

    def method(self, left: Any, right: Any) -> Any:
        return left


class Delegate:
    """Has the attributes of a function, and is called with a value all the same."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __call__(self, value: Any) -> Any:
        return value


class Falsy(Called):
    def __call__(self, left: Any, right: Any) -> Any:
        return left

    def __bool__(self) -> bool:
        return False


def signed(left: Any, right: Any) -> Any:
    return left


signed.__signature__ = signature(pair)  # type: ignore[attr-defined] # as decorators set it


def passed_on(function: Any) -> Any:
    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments, 5)

    return call


OF_ONE = "is called with (value): missing a required argument: 'right'"


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: stream().map(pair), f"map at 'in.map': pair(left, right) {OF_ONE}"),
        (lambda: stream().map(pair, name="m"), "map at 'm': pair("),
        (lambda: stream().map(lambda: 1), "<lambda>() is called with (value): too many"),
        (lambda: stream().map(Called().method), f"Called.method(left, right) {OF_ONE}"),
        (lambda: stream().map(partial(pair)), "(left, right) is called"),
        (lambda: stream().map(partial(one, 1)), "map at 'in.map': functools.partial("),
        (lambda: stream().filter(pair), "filter at 'in.filter': pair("),
        (lambda: stream().map_items(one), "one(value) is called with (key, value)"),
        (lambda: stream().branch(pair), "branch at 'in.branch': pair("),
        (lambda: stream().branch(Falsy()), f"(left, right) {OF_ONE}"),
        (lambda: stream().select(two=pair), "in.select: two: pair("),
        (lambda: stream().with_headers(pair), "is called with (row): missing"),
        (lambda: stream().to("out", partition=one), "is called with (row, partitions): too many"),
        (lambda: stream().to(pair), "to at 'in.to': topic: pair("),
        (lambda: stream().repartition(partitioner=pair), "is called with (key, value, partitions)"),
        (lambda: stream().group_by(pair), "group_by at 'in.group_by': pair("),
        (lambda: stream().dedupe(pair, within="1m"), "dedupe at 'in.dedupe': pair("),
        (lambda: App("a").stream("in", timestamp=pair), "source at 'in': pair("),
        (
            lambda: group().reduce(one),
            "reduce at 'in.group_by_key.reduce': one(value) is called with (result, value)",
        ),
        (lambda: group().windowed_by(Tumbling(5)).reduce(one, name="r"), "reduce at 'r': one("),
        (lambda: group().aggregate(0, one), "aggregate of 'in.group_by_key': function: one("),
        (lambda: group().aggregate(one, pair), "initial: one(value) is called with ()"),
        (
            lambda: group().windowed_by(Session(5)).aggregate(0, pair, merge=one),
            "is called with (earlier, later)",
        ),
        (lambda: group().cogroup(one), "cogroup at 'in.group_by_key.cogroup': one("),
        (lambda: group().sum(pair), "sum of 'in.group_by_key': pair("),
        (lambda: table().filter(pair, name="low"), "filter at 'low': pair("),
        (lambda: table().map(pair, name="low"), "map at 'low': pair("),
        (lambda: table().group_by(pair), "group_by at 'in.table.group_by': pair("),
        (lambda: table().group_by(str).reduce(pair, remove=one, name="r"), "reduce at 'r': one("),
        (
            lambda: _joined(one),
            "join at 'in.join': joiner: one(value) is called with (value, other)",
        ),
        (lambda: _of_three(pair), "is called with (value, other 1, other 2): too many"),
        (lambda: _tables(one, name="both"), "join at 'both': one("),
        (lambda: _tables(pair, foreign_key=pair, name="both"), "join at 'both': pair("),
        (lambda: stream().map_async(later_pair), "map_async at 'in.map_async': later_pair("),
        (
            lambda: App("a").agent("in")(nothing),
            "agent 'nothing': nothing() is called with (events)",
        ),
    ],
)
def test_a_function_of_another_number_of_arguments_is_refused(build: Any, said: str) -> None:
    with pytest.raises(TopologyError, match=re.escape(said)):
        build()


async def later_pair(left: Any, right: Any) -> Any:
    return left


async def nothing() -> None: ...


def _joined(joiner: Any) -> Any:
    app = App("doc")
    return stream(app).join(app.table("other"), joiner)


def _tables(joiner: Any, **options: Any) -> Any:
    app = App("doc")
    return table(app).join(app.table("other"), joiner, **options)


@pytest.mark.parametrize(
    "function",
    [
        str.upper,
        "{}".format,
        [].append,
        max,
        str,
        dict,
        print,
        operator.itemgetter(0),
        Called(),
        partial(pair, 1),
        partial(pair, right=1),
        partial(Called().method, 1),
        lambda *values: values,
        lambda value, i=5: (value, i),
        lambda value, **named: value,
        passed_on(pair),
        passed_on(signed),
        Delegate(signed),
        Delegate(pair),
        Mock(),
        Mock(spec=one),
        create_autospec(one),
        lru_cache(one),
        Counter,
    ],
)
def test_a_function_that_can_be_called_or_does_not_say_is_taken(function: Any) -> None:
    stream().map(function).to("out")
