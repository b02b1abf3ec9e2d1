"""A scenario for every operator of the language, to hold promises against that all of them keep.

    for scenario in OPERATORS:
        given = Given(App("a"))
        scenario.build(given)                    # its rows go to "out"
        rows = scenario.setup + scenario.rows    # topic, key, value, timestamp

`node_types` says which nodes the scenarios have; a builder of the runtime that none of them has is
an operator that nobody has held these promises against.

Every function of a user goes through `given(role, function)`, which notes what it was asked, and
can be made to fail for marked records.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from processors import App, CountWindow, Hopping, Session, Sliding, Tumbling

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.processor_kernel import Context
    from processors.topology.row import Row

Piped = tuple[str, str | None, str | None, int]
"""Topic, key, value and timestamp."""

MARK: Final = "!"
"""Stands in the values of the records for which a function fails."""


class Refused(Exception):
    """What a function raises for a marked record."""


@dataclass
class Given:
    """What a scenario is built from.

    Attributes:
        fails: The role that fails for marked records.
        beside: A topic that every stream has beside its own, behind a filter that drops everything.
        dropped: Topics of which nothing passes.
        idle_timeout: Of every source, where time is to go on without records.
        calls: Role and arguments of all calls of the user's functions.
    """

    app: App
    fails: str | None = None
    beside: str | None = None
    dropped: frozenset[str] = frozenset()
    idle_timeout: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    def __call__(self, role: str, function: Callable[..., Any]) -> Callable[..., Any]:
        self.roles.append(role)

        def watched(*arguments: Any) -> Any:
            asked = repr([each for each in arguments if not hasattr(each, "forward")])
            self.calls.append((role, asked))
            if role == self.fails and MARK in asked:
                raise Refused(asked)
            return function(*arguments)

        return watched

    def stream(self, topic: str, **options: Any) -> Any:
        found = self.app.stream(topic, value=str, idle_timeout=self.idle_timeout, **options)
        if topic in self.dropped:
            found = found.filter(lambda _: False)
        if self.beside is not None:
            nothing = self.app.stream(self.beside, value=str).filter(lambda _: False)
            found = found.merge(nothing)
        return found

    def table(self, topic: str, **options: Any) -> Any:
        if topic in self.dropped or self.beside is not None:
            return self.stream(topic).to_table(value=str, emit="every", **options)
        timeout = self.idle_timeout
        return self.app.table(topic, value=str, emit="every", idle_timeout=timeout, **options)


def _rows(start: int = 0) -> list[Piped]:
    """Records of topic A: three keys, and two words behind a bar, ten milliseconds apart."""
    return [("A", f"k{n % 3}", f"a{n}|k{n % 2}", start + 10 * n) for n in range(12)]


FIRST: Final[list[Piped]] = [("A", f"k{number}", f"a|k{number}", 0) for number in range(3)]
TAIL: Final[list[Piped]] = [("A", "k0", "end|k0", 500)]
SETUP: Final[list[Piped]] = [("B", f"k{number}", f"b{number}", 0) for number in range(3)]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An operator, and records for it.

    Attributes:
        setup: Records that are committed before the others come.
        rows: Records of topic A.
        tail: Records that are committed behind them, and let go what still waits.
        bad_key: The key of a marked record; with those of the setup, it meets one of them.
        failures: In how many windows a marked record is, at most.
        asks_again: Whether the functions are asked more than once by design: for columns, and for
            what a table had before.
        deletes: Whether a key of which a value cannot be had has nothing then, as tables do it.
        waits: Whether a record waits, and is in a store when the function is asked.
        late: A record that comes too late for all results, behind the tail.
        without_beside: Why nothing can be merged into its sources, where that is so.
    """

    name: str
    build: Callable[[Given], None]
    setup: list[Piped] = field(default_factory=list)
    rows: list[Piped] = field(default_factory=_rows)
    tail: list[Piped] = field(default_factory=list)
    bad_key: str = "k1"
    failures: int = 1
    asks_again: bool = False
    deletes: bool = False
    waits: bool = False
    late: Piped | None = None
    without_beside: str = ""

    @property
    def topics(self) -> set[str]:
        return {topic for topic, *_ in self.setup + self.rows + self.tail}

    def roles(self) -> list[str]:
        given = Given(App("roles"))
        self.build(given)
        return list(dict.fromkeys(given.roles))


OPERATORS: Final[list[Scenario]] = []


def scenario(**options: Any) -> Callable[[Callable[[Given], None]], Callable[[Given], None]]:
    def add(build: Callable[[Given], None]) -> Callable[[Given], None]:
        OPERATORS.append(Scenario(name=build.__name__, build=build, **options))
        return build

    return add


def node_types(made: Scenario) -> set[type]:
    """The nodes of a scenario as written and as the compiler has made them."""
    given = Given(App("types"))
    made.build(given)
    topology = given.app.plan(made.topics).topology
    compiled = {type(node) for sub in topology.subtopologies for node in sub.nodes}
    return compiled | {type(node) for node in given.app._graph.nodes}


def out(stream: Any, **options: Any) -> None:
    stream.to("out", value=str, **options)


def word(value: str) -> str:
    """What stands behind the bar, without a mark."""
    return value.partition("|")[2].replace(MARK, "")


def pair(left: str | None, right: str | None) -> str:
    return f"{left}+{right}"


def chain(so_far: str, value: str) -> str:
    return f"{so_far},{value}"


# Without state.


@scenario()
def map_values(given: Given) -> None:
    out(given.stream("A").map(given("map", str.upper)))


@scenario()
def map_key(given: Given) -> None:
    out(given.stream("A").map_key(given("map_key", word)))


@scenario()
def map_items(given: Given) -> None:
    out(given.stream("A").map_items(given("map_items", lambda key, value: (key + "x", value))))


@scenario()
def select(given: Given) -> None:
    selected = given.stream("A").map(lambda value: {"v": value})
    out(selected.select(w=given("select", lambda item: item["v"])).map(str))


@scenario()
def filters(given: Given) -> None:
    kept = given.stream("A").filter(given("filter", lambda value: "k1" in value))
    out(kept.filter_not(given("filter_not", lambda value: "a5" in value)))


@scenario()
def peeks(given: Given) -> None:
    out(given.stream("A").peek(given("peek", len)).print("seen", file=io.StringIO()))


@scenario()
def timestamps_and_headers(given: Given) -> None:
    stream = given.stream("A").with_timestamp(given("timestamp", len))
    out(stream.with_headers(given("headers", lambda row: [("v", row.value.encode())])))


@scenario()
def flat_map(given: Given) -> None:
    out(given.stream("A").flat_map(given("flat_map", lambda value: value.split("|"))))


@scenario()
def items(given: Given) -> None:
    out(given.stream("A").items().map(given("items", "".join)))


@scenario()
def records(given: Given) -> None:
    check = given("records", str.upper)
    stream = given.stream("A").records()
    out(stream.map(lambda record: check(f"{record.topic}{record.value}")))


@scenario(setup=SETUP)
def merge(given: Given) -> None:
    out(given.stream("A").merge(given.stream("B")).map(given("map", str.upper)))


@scenario(asks_again=True)
def map_batch(given: Given) -> None:
    def double(values: list[str]) -> list[str]:
        return list(map(one, values))

    one = given("batch", lambda value: value * 2)
    out(given.stream("A").map_batch(double))


@scenario()
def branch(given: Given) -> None:
    first, second = given.stream("A").branch(given("branch", lambda v: "k1" in v), default=True)
    out(first.map(str.upper))
    out(second)


@scenario()
def routes(given: Given) -> None:
    route = given("route", lambda row: "out")
    given.stream("A").to(route, value=str, topics=["out"])


@scenario()
def partitions(given: Given) -> None:
    out(given.stream("A"), partition=given("partition", lambda row, count: 0))


@scenario(without_beside="a pattern and a topic that it matches are one source")
def pattern(given: Given) -> None:
    out(given.app.stream(re.compile("A"), value=str, name="all").map(given("map", str.upper)))


# Groups and their aggregates.


@scenario()
def counts(given: Given) -> None:
    counted = given.stream("A").group_by(given("key", word)).count(emit="every")
    out(counted.to_stream().map(str))


@scenario(setup=FIRST)
def reduces(given: Given) -> None:
    out(given.stream("A").group_by_key().reduce(given("reduce", chain), emit="every").to_stream())


@scenario()
def aggregates(given: Given) -> None:
    grouped = given.stream("A").group_by_key()
    made = grouped.aggregate("", given("aggregate", chain), value=str, emit="every")
    out(made.to_stream())


@scenario()
def aggregates_of_lists(given: Given) -> None:
    """The function changes what it has in place before it fails."""

    def append(so_far: list[str], value: str) -> list[str]:
        so_far.append(value)
        return check(so_far, value)

    check = given("append", lambda so_far, value: so_far)
    grouped = given.stream("A").group_by_key()
    out(grouped.aggregate(list, append, emit="every").to_stream().map("".join))


@scenario()
def repartitions(given: Given) -> None:
    chosen = given("partitioner", lambda key, value, count: len(value) % count)
    out(given.stream("A").repartition(partitioner=chosen).map(given("map", str.upper)))


@scenario(setup=SETUP)
def cogroups(given: Given) -> None:
    left, right = given.stream("A").group_by_key(), given.stream("B").group_by_key()
    both = left.cogroup(given("cogroup", chain), (right, chain))
    out(both.aggregate("", value=str, emit="every").to_stream())


# Windows.


def windowed(given: Given, window: Any, emit: Any, **options: Any) -> Any:
    grouped = given.stream("A").group_by_key().windowed_by(window, late_to="late")
    role = given("aggregate", chain)
    return grouped.aggregate("", role, value=str, emit=emit, **options)


def out_windows(table: Any) -> None:
    named = table.to_stream().items().map_key(lambda item: f"{item[0].key}@{item[0].start}")
    out(named.map(lambda item: item[1]))


LATE: Final[Piped] = ("A", "k1", "late|k1", 5)


@scenario(tail=TAIL, late=LATE)
def tumbling(given: Given) -> None:
    out_windows(windowed(given, Tumbling(40, grace=15), "every"))


@scenario(tail=TAIL, late=LATE)
def tumbling_final(given: Given) -> None:
    out_windows(windowed(given, Tumbling(40, grace=15), "final"))


@scenario(rows=_rows(40), tail=TAIL, late=LATE, failures=2)
def hopping_final(given: Given) -> None:
    out_windows(windowed(given, Hopping(40, advance=20, grace=15), "final"))


@scenario(tail=TAIL, late=LATE)
def sessions_final(given: Given) -> None:
    out_windows(windowed(given, Session(25, grace=5), "final", merge=chain))


@scenario(tail=TAIL, late=LATE)
def sessions(given: Given) -> None:
    out_windows(windowed(given, Session(35), "every", merge=chain))


@scenario(tail=TAIL, late=LATE)
def sliding_final(given: Given) -> None:
    out_windows(windowed(given, Sliding(15, grace=5), "final"))


@scenario()
def count_windows(given: Given) -> None:
    grouped = given.stream("A").group_by_key().windowed_by(CountWindow(3, advance=1))
    made = grouped.aggregate("", given("aggregate", chain), value=str, emit="every")
    out_windows(made)


@scenario(tail=TAIL, late=LATE)
def suppresses_until_closed(given: Given) -> None:
    out_windows(windowed(given, Tumbling(40, grace=15), "every").suppress("window_close"))


@scenario(tail=TAIL)
def suppresses_for_a_time(given: Given) -> None:
    grouped = given.stream("A").group_by_key()
    made = grouped.aggregate("", given("aggregate", chain), value=str, emit="every")
    out(made.suppress(25, max_records=2).to_stream())


# Tables.


@scenario(deletes=True, asks_again=True)
def tables(given: Given) -> None:
    table = given.table("A", name="kept")
    mapped = table.map(given("map", str.upper)).filter(given("filter", lambda v: "7" not in v))
    out(mapped.items().map(given("items", "".join)).to_stream())


@scenario()
def changes(given: Given) -> None:
    news = given.table("A").changes().map(lambda change: change.new)
    out(news.map(given("map", str.upper)))


@scenario()
def tables_of_streams(given: Given) -> None:
    keyed = given.stream("A").map_key(given("key", word))
    out(keyed.to_table(value=str, emit="every").to_stream())


@scenario()
def expires(given: Given) -> None:
    out(given.table("A").expire(64).to_stream())


@scenario(deletes=True, asks_again=True)
def regroups(given: Given) -> None:
    grouped = given.table("A").group_by(
        given("group", word), select=given("select", lambda value: value[:2]), value=str
    )
    made = grouped.aggregate(
        "",
        lambda so_far, value: f"{so_far}+{value}",
        remove=lambda so_far, value: f"{so_far}-{value}",
        value=str,
        emit="every",
    )
    out(made.to_stream())


@scenario(setup=SETUP, deletes=True, asks_again=True)
def table_joins(given: Given) -> None:
    joined = given.table("A").join(given.table("B"), given("join", pair), value=str)
    out(joined.to_stream())


@scenario(setup=SETUP, deletes=True, asks_again=True)
def table_joins_regrouped(given: Given) -> None:
    """Old values are asked of what functions have made."""
    mapped = given.table("A").map(given("map", str.upper), value=str)
    joined = mapped.join(given.table("B"), given("join", pair), value=str)
    grouped = joined.group_by(given("group", lambda value: value[-2:]))
    out(grouped.count(emit="every").to_stream().map(str))


@scenario(setup=SETUP, deletes=True, asks_again=True)
def foreign_key_joins(given: Given) -> None:
    key = given("foreign key", word)
    joined = given.table("A").join(
        given.table("B"), given("join", pair), foreign_key=key, value=str
    )
    out(joined.to_stream())


# Joins of streams.


@scenario(setup=SETUP)
def stream_joins(given: Given) -> None:
    left, right = given.stream("A"), given.stream("B")
    joined = left.join(right, given("join", pair), before=200, after=0, grace=5)
    out(joined)


@scenario(
    setup=SETUP, rows=_rows(20), tail=TAIL, bad_key="k9", waits=True, late=("A", "k9", "z|k1", 5)
)
def stream_joins_without_match(given: Given) -> None:
    left, right = given.stream("A"), given.stream("B")
    out(left.join(right, given("join", pair), within=8, grace=5, how="outer"))


@scenario()
def self_joins(given: Given) -> None:
    stream = given.stream("A")
    out(stream.join(stream, given("join", pair), before=0, after=0))


@scenario(setup=SETUP)
def lookups(given: Given) -> None:
    out(given.stream("A").join(given.table("B"), given("join", pair), how="left"))


@scenario(
    setup=SETUP,
    tail=TAIL,
    waits=True,
    without_beside="a table of a stream has no versions",
)
def lookups_with_grace(given: Given) -> None:
    table = given.app.table("B", value=str, versioned=1_000, idle_timeout=given.idle_timeout)
    out(given.stream("A").join(table, given("join", pair), how="left", grace=25))


@scenario(setup=SETUP, tail=TAIL, waits=True)
def as_of_joins(given: Given) -> None:
    joined = given.stream("A").join_asof(given.stream("B"), given("join", pair), grace=25)
    out(joined)


@scenario(setup=SETUP)
def global_lookups(given: Given) -> None:
    table = given.app.global_table("B", value=str)
    out(given.stream("A").join(table, given("join", pair), key=given("key", word), how="left"))


# Processors, and what is made of them.


@scenario()
def processes(given: Given) -> None:
    shout = given("process", lambda row: (row.key, row.value.upper()))
    stream = given.stream("A").process(lambda row, context: shout(row), value=str)
    echo = given("values", lambda value: value * 2)
    out(stream.process_values(lambda value, context: echo(value), value=str))


@scenario()
def processes_with_stores(given: Given) -> None:
    seen = given.app.state_store("seen", value=str)
    check = given("process", lambda value: value)

    def remember(row: Row, context: Context) -> Any:
        store = context.store("seen")
        store.put(row.key, store.get(row.key, "") + row.value)
        context.forward()
        return (row.key, check(row.value) + store.get(row.key))

    out(given.stream("A").process(remember, stores=[seen], value=str))


@scenario()
def processes_values_with_stores(given: Given) -> None:
    kept = given.app.state_store("kept", value=str)
    check = given("process", lambda value: value)

    def keep(value: str, context: Context) -> Any:
        store = context.store("kept")
        before = store.get(context.key, "")
        store.put(context.key, value)
        return check(value) + before

    out(given.stream("A").process_values(keep, stores=[kept], value=str))


@scenario()
def built_on_processors(given: Given) -> None:
    stream = given.stream("A").dedupe(given("identify", lambda value: value[1:]), within=50)
    stream.rate_limit(2, per=60).take(2, within=40).map(str).to("out", value=str)


@scenario()
def map_async(given: Given) -> None:
    check = given("ask", str.upper)

    async def ask(value: str) -> str:
        return check(value)

    out(given.stream("A").map_async(ask, value=str))


class Clock:
    """Sends the time when its wall clock says so."""

    def init(self, context: Context) -> None:
        self.context = context
        context.schedule(1_000, self.tick, wall_clock=True)

    def process(self, row: Row) -> None:
        self.context.forward()

    def tick(self, now: int) -> None:
        self.context.send("clock", str(now), now, [])
