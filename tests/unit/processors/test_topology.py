"""The graph: names, exchanges, sub-topologies, columns, partition counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import CopartitionError, TopologyError
from processors.topology import manifest
from processors.topology.columns import Reads
from processors.topology.partitioning import PartitionedTopology, choose_partitions

if TYPE_CHECKING:
    from processors.topology.subtopology import Topology


def compiled(app: App) -> Topology:
    return app.plan().topology


def planned(app: App, **partitions: int) -> PartitionedTopology:
    return choose_partitions(compiled(app), partitions)


def word_count() -> App:
    app = App("wc")
    words = app.stream("lines", value=str).flat_map(str.split)
    words.group_by(lambda word: word).count(name="counts").to_stream().to("word-counts")
    return app


def reads_of(app: App, path: str) -> Reads:
    topology = compiled(app)
    return next(reads for node, reads in topology.reads.items() if node.path == path)


# Names.


def test_an_operator_is_found_by_its_path() -> None:
    app = App("a")
    app.stream("lines", value=str).flat_map(str.split).group_by(str.lower).count()
    assert [store.path for sub in compiled(app).subtopologies for store in sub.stores] == [
        "lines.flat_map.group_by.count"
    ]


def test_an_operator_added_elsewhere_renames_nothing() -> None:
    def stores(app: App) -> list[str]:
        return [store.path for sub in compiled(app).subtopologies for store in sub.stores]

    def build(*, more: bool) -> App:
        app = App("a")
        if more:
            app.stream("clicks").filter(bool).group_by_key().count()
        lines = app.stream("lines")
        if more:
            lines.filter(bool).to("others")
        lines.flat_map(str.split).group_by(str.lower).count()
        return app

    assert set(stores(build(more=False))) <= set(stores(build(more=True)))


def test_two_stateless_operators_of_one_parent_are_told_apart() -> None:
    app = App("a")
    lines = app.stream("lines")
    lines.map(str).to("x")
    lines.map(str).to("y")
    paths = [node.path for sub in compiled(app).subtopologies for node in sub.nodes]
    assert paths == ["lines.map", "lines.map.to.x", "lines.map~2", "lines.map~2.to.y"]


def test_state_below_an_ambiguous_path_must_be_named() -> None:
    app = App("a")
    lines = app.stream("lines")
    lines.map(str).group_by(str).count()
    other = lines.map(str)
    with pytest.raises(TopologyError, match=r"group_by at 'lines.map~2.group_by'.*name it"):
        other.group_by(str)
    other.group_by(str, name="others").count()


def test_two_aggregates_of_one_kind_must_be_named() -> None:
    app = App("a")
    grouped = app.stream("lines").group_by_key()
    grouped.count()
    with pytest.raises(TopologyError, match="name it"):
        grouped.count()
    grouped.count(name="again")


def test_names_are_unique_and_fit_into_topic_names() -> None:
    app = App("a")
    app.stream("lines").map(str, name="texts")
    with pytest.raises(TopologyError, match="two operators are named 'texts'"):
        app.stream("lines").filter(bool, name="texts")
    with pytest.raises(ValueError, match="become part of topic names"):
        app.stream("lines").map(str, name="two words")
    app.store("balances")
    with pytest.raises(TopologyError, match="two operators are named 'balances'"):
        app.stream("lines").group_by_key().count(name="balances")


def test_an_async_function_is_refused_where_it_is_given() -> None:
    async def look_up(value: str) -> str:
        return value

    texts = App("app").stream("texts", value=str)
    with pytest.raises(TopologyError, match=r"map at 'texts\.map': .*look_up is an async function"):
        texts.map(look_up)
    with pytest.raises(TopologyError, match=r"map_async\(\) or an @app\.agent"):
        texts.group_by(look_up).count()


def test_a_topic_is_read_once_however_often_it_is_asked_for() -> None:
    app = App("a")
    app.stream("lines", value=str).to("x")
    app.stream("lines", value=str).to("y")
    assert len(compiled(app).sources) == 1
    with pytest.raises(TopologyError, match="'lines' is read with key str and value str already"):
        app.stream("lines", value=bytes)


# Exchanges and sub-topologies.


def test_a_grouping_below_a_changed_key_becomes_an_exchange() -> None:
    first, second = compiled(word_count()).subtopologies
    assert [node.kind for node in first.nodes] == ["flat_map", "map_key", "group_by"]
    assert [node.kind for node in second.nodes] == ["count", "to"]
    assert first.sends == second.receives


def test_a_grouping_by_the_key_of_the_topic_vanishes() -> None:
    app = App("a")
    app.stream("lines").filter(bool).group_by_key().count()
    (only,) = compiled(app).subtopologies
    assert [node.kind for node in only.nodes] == ["filter", "count"]


def test_a_changed_key_is_changed_until_it_is_grouped() -> None:
    app = App("a")
    changed = app.stream("lines").map_key(str).map(str)
    counts = changed.group_by_key().count()
    counts.to_stream().group_by_key().reduce(max)
    assert len(compiled(app).exchanges) == 1
    assert len(compiled(app).subtopologies) == 2


def test_a_merge_with_a_changed_key_repartitions() -> None:
    app = App("a")
    app.stream("l").merge(app.stream("r").map_key(str)).group_by_key().count()
    assert len(compiled(app).exchanges) == 1


def test_one_grouping_is_one_exchange_for_several_aggregates() -> None:
    app = App("a")
    grouped = app.stream("lines", value=str).group_by(str.lower)
    grouped.count()
    grouped.reduce(max)
    assert len(compiled(app).exchanges) == 1


def test_streams_that_never_meet_are_sub_topologies_of_their_own() -> None:
    app = App("a")
    app.stream("l").to("x")
    app.stream("r").to("y")
    assert [sub.name for sub in compiled(app).subtopologies] == ["l", "r"]


def test_levels_say_when_whatever_was_written_first() -> None:
    app = App("a")
    late, early = app.stream("late"), app.stream("early")
    regrouped = early.group_by(str, name="regrouped").count().to_stream()
    late.merge(regrouped).group_by_key().count(name="n")
    levels = {node.path: level for node, level in compiled(app).levels.items()}
    assert levels["late"] == levels["early"] == 0
    assert levels["regrouped"] == levels["regrouped.count"] == levels["n"] == 1


def test_a_sub_topology_may_receive_from_itself() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by(str, name="g", partitions=4).count().to_stream()
    again = counts.group_by(str, name="h", partitions=3).count(name="n").to_stream()
    again.merge(counts).to("out")
    first, second = compiled(app).subtopologies
    assert [node.path for node in second.receives] == ["g", "h"]
    assert [node.path for node in second.sends] == ["h"]
    assert not first.receives
    plan = planned(app, **{"in": 2})
    assert plan.tasks == (2, 4)
    assert {store.name: store.partitions for store in plan.stores} == {"g.count": 4, "n": 3}


# Columns.


def test_keys_that_nobody_reads_are_not_decoded() -> None:
    assert reads_of(word_count(), "lines") == Reads(values=True)


def test_an_exchange_carries_what_its_receivers_read() -> None:
    assert reads_of(word_count(), "lines.flat_map.group_by") == Reads(keys=True)
    app = App("a")
    grouped = app.stream("lines", value=str).group_by(str, name="g")
    grouped.count()
    assert not reads_of(app, "g").values
    grouped.reduce(max)
    assert reads_of(app, "g") == Reads(keys=True, values=True)


def test_headers_are_carried_to_where_they_come_out() -> None:
    app = App("a")
    grouped = app.stream("lines", value=str).group_by(str, name="g")
    grouped.count(emit="every").to_stream().to("out")
    assert reads_of(app, "lines").headers
    app = App("a")
    app.stream("lines", value=str).group_by(str).count().to_stream().to("out")
    assert not reads_of(app, "lines").headers


# Partition counts.


def test_tasks_and_exchanges_follow_the_input() -> None:
    plan = planned(word_count(), lines=3)
    assert plan.tasks == (3, 3)
    assert plan.repartition_topics == {"wc-lines.flat_map.group_by-repartition": 3}
    assert plan.sink_topics == {"word-counts": 3}
    assert [(store.changelog, store.partitions) for store in plan.stores] == [
        ("wc-counts-changelog", 3)
    ]


def test_partitions_can_be_asked_for() -> None:
    app = App("a")
    counts = app.stream("lines").group_by(str, partitions=7).count()
    counts.to_stream().to("out", partitions=2)
    plan = planned(app, lines=3)
    assert plan.tasks == (3, 7)
    assert plan.sink_topics == {"out": 2}


def test_topics_that_meet_in_state_need_equal_counts() -> None:
    app = App("a")
    app.stream("l").merge(app.stream("r")).group_by_key().count(name="n")
    assert planned(app, l=3, r=3).tasks == (3,)
    with pytest.raises(CopartitionError) as caught:
        planned(app, l=3, r=4)
    message = str(caught.value)
    assert all(part in message for part in ("n:", "'l' has 3", "'r' has 4", "group_by"))


def test_topics_that_meet_without_state_may_differ() -> None:
    app = App("a")
    app.stream("l").merge(app.stream("r")).to("out")
    assert planned(app, l=3, r=4).tasks == (4,)


def test_an_exchange_takes_the_count_of_the_topic_that_it_meets() -> None:
    app = App("a")
    regrouped = app.stream("l").group_by(str, name="g").count().to_stream()
    regrouped.merge(app.stream("r")).group_by_key().count(name="n")
    assert planned(app, l=3, r=8).tasks == (3, 8)
    app = App("a")
    regrouped = app.stream("l").group_by(str, name="g", partitions=3).count().to_stream()
    regrouped.merge(app.stream("r")).group_by_key().count(name="n")
    with pytest.raises(CopartitionError, match="'a-g-repartition' has 3, 'r' has 8"):
        planned(app, l=3, r=8)


def test_exchanges_that_meet_take_the_higher_count() -> None:
    app = App("a")
    left = app.stream("l").group_by(str).count().to_stream()
    right = app.stream("r").group_by(str).count().to_stream()
    left.merge(right).group_by_key().count()
    plan = planned(app, l=3, r=5)
    assert set(plan.repartition_topics.values()) == {5}


def test_a_sink_asked_for_with_two_counts_is_refused() -> None:
    app = App("a")
    app.stream("l").to("out", partitions=2)
    app.stream("l").filter(bool).to("out", partitions=3)
    with pytest.raises(TopologyError, match="with 3 and with 2 partitions"):
        _ = planned(app, l=1).sink_topics


# Manifest and drawing.


def test_the_manifest_knows_what_state_depends_on() -> None:
    plan = planned(word_count(), lines=3)
    assert manifest.sources_of_state(plan) == {"lines": {"partitions": 3}}
    assert manifest.exchanges(plan) == {
        "lines.flat_map.group_by": {"partitions": 3, "key": "str", "value": None}
    }
    assert manifest.stores(plan.stores) == {
        "counts": {"kind": "count", "key": "str", "value": "int", "partitions": 3}
    }


def test_stateless_operators_and_sinks_are_not_in_the_manifest() -> None:
    def facts(app: App) -> tuple[Any, ...]:
        plan = planned(app, lines=3, other=2)
        return (
            manifest.sources_of_state(plan),
            manifest.exchanges(plan),
            manifest.stores(plan.stores),
        )

    more = word_count()
    more.stream("lines", value=str).map(str.upper).to("loud")
    more.stream("other").to("copy")
    assert facts(more) == facts(word_count())


def test_describe_draws_a_merge_of_several_below_each() -> None:
    app = App("a")
    one, two, three = (app.stream(topic, value=str) for topic in ("1", "2", "3"))
    one.merge(two, three).to("all")
    drawn = app.describe()
    assert drawn.count("1.merge  ") == 3
    assert drawn.count("(see above)") == 2
    assert app.describe("mermaid").count("--> ") == 4


def test_describe_draws_the_topology() -> None:
    app = App("a")
    left = app.stream("l", value=str)
    left.merge(app.stream("r", value=str)).to("both")
    left.group_by(str).count(name="n").to_stream().to("counts")
    assert (
        app.describe()
        == """\
application a

sub-topology 0: l (no state: one task for all partitions)
l                      source: topic l, key str, value str
├─ l.merge             merge
│  └─ l.merge.to.both  to: topic both, key str, value str
└─ l.group_by.key      map_key
   └─ l.group_by       to exchange: topic a-l.group_by-repartition, key str, value not carried
r                      source: topic r, key str, value str
└─ l.merge             (see above)

sub-topology 1: l.group_by (one task a partition)
l.group_by         from exchange: topic a-l.group_by-repartition, key str, value not carried
└─ n               count: emits latest, key str, value int, changelog a-n-changelog
   └─ n.to.counts  to: topic counts, key str, value int"""
    )


def test_describe_lists_agents_and_their_stores() -> None:
    app = App("a")
    app.store("totals", default=int)

    @app.agent("orders", to="settled")
    async def settle(orders: Any) -> Any:
        async for order in orders:
            yield order

    assert settle.name == "settle"
    assert (
        app.describe()
        == """\
application a
agent settle: topic orders, key str, value json, to topic settled
store totals: key str, value int, changelog a-totals-changelog"""
    )


def test_a_second_join_of_a_stream_is_named_by_what_it_is_with() -> None:
    app = App("a")
    orders = app.stream("orders")
    payments, refunds = app.stream("payments"), app.stream("refunds")
    users = app.table("users")

    def both(left: object, right: object) -> object:
        return left, right

    orders.join(payments, both, within=5).to("1")
    orders.join(refunds.map(str), both, within=5).to("2")
    orders.join(users, both).to("3")
    orders.join_asof(payments, both).to("4")
    orders.join_asof(refunds, both).to("5")
    with pytest.raises(TopologyError, match=r"there is a join with payments already.*name one"):
        orders.join(payments.filter(bool), both, within=9)
    with pytest.raises(TopologyError, match=r"there is a join with refunds already.*name one"):
        orders.join(refunds, both, within=9)
    orders.join(payments, both, within=9, name="slow").to("6")
    joins = [
        node.path
        for sub in compiled(app).subtopologies
        for node in sub.nodes
        if node.kind in ("join", "join_asof")
    ]
    assert joins == [
        "orders.join",
        "orders.join.with.refunds",
        "orders.join.with.users",
        "orders.join_asof",
        "orders.join_asof.with.refunds",
        "slow",
    ]


def test_a_second_join_of_several_and_by_foreign_key_needs_no_name() -> None:
    app = App("a")
    orders, users, lots = app.stream("orders"), app.table("users"), app.table("lots")

    def three(*values: object) -> object:
        return values

    orders.join([users, lots], three).to("1")
    orders.join([lots, users], three).to("2")
    homes = app.table("homes")
    homes.join(users, three, foreign_key=str).to_stream().to("3")
    homes.join(lots, three, foreign_key=str).to_stream().to("4")
    paths = {node.path for sub in compiled(app).subtopologies for node in sub.nodes}
    assert {"orders.join.1", "orders.join.with.lots.users.1"} <= paths
    assert {"homes.table.join", "homes.table.join.with.lots"} <= paths
