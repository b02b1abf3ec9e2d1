"""Streams, groupings and tables: each call adds a node to the application's graph.

Functions take the value. `.items()` makes the values `(key, value)` pairs, `.records()` makes them
records, so there is one `map` and not three.

Every operator takes `name=`: what has state or a topic of its own is found again by it after a
restart, and without a name by its path in the graph (`lines.flat_map.group_by.count`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from processors.dsl import tables
from processors.dsl.aggregates import fold_of, serde_of, tag, untagging, unwindowed, windowed
from processors.dsl.aggregators import (
    Aggregator,
    Collect,
    CountDistinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Of,
    Sum,
    TopN,
    has,
)
from processors.dsl.arguments import (
    at_least_one,
    check_function,
    check_functions,
    check_topic,
    check_written_topic,
    chosen_serde,
)
from processors.dsl.beyond import dedupe_node, rate_limit_node, take_node
from processors.dsl.foreign_key import joined as by_foreign_key
from processors.dsl.global_table import GlobalTable
from processors.dsl.joins import Joinable, JoinableTable, JoinArguments, Partner, join_asof
from processors.dsl.many_joins import join_many
from processors.dsl.map_async import map_async_node
from processors.dsl.processing import process_node
from processors.dsl.sources import check_alike, merged, pattern_node, source_options
from processors.dsl.starts import start_of
from processors.dsl.stateless import (
    branch_node,
    header_function,
    key_serde,
    printer,
    projection,
)
from processors.dsl.suppress import suppressed
from processors.dsl.table_aggregators import (
    All,
    Chosen,
    DistinctNow,
    Extreme,
    MeanNow,
    SumNow,
    TopOfAll,
)
from processors.dsl.windows import check_window
from processors.errors import TopologyError
from processors.topology.call import RESULT_AND_VALUE
from processors.topology.fold import COUNT, Fold
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.endpoint import SinkNode, SourceNode
from processors.topology.nodes.exchange import ExchangeNode, RepartitionNode
from processors.topology.nodes.global_table import GlobalSourceNode
from processors.topology.nodes.map_async import MapAsyncNode
from processors.topology.nodes.stateless import (
    BranchSideNode,
    FilterNode,
    FilterNotNode,
    FlatMapNode,
    HeadersNode,
    ItemsNode,
    MapBatchNode,
    MapItemsNode,
    MapKeyNode,
    MapNode,
    MergeNode,
    PeekNode,
    PrintNode,
    RecordsNode,
    SelectNode,
    SideNode,
    TimestampNode,
)
from processors.topology.windowed import Windowed
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from processors.topology.changes import Change
    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Emit, Node
    from processors.topology.nodes.processor import StateStore
    from processors.topology.nodes.stateless import Column
    from processors.topology.nodes.table import How
    from processors.topology.nodes.windows import WindowAdvance, WindowEmit
    from processors.topology.row import Row
    from processors.topology.windows import Windows
    from streamlog.client.contract import Record
    from streamlog.serdes import Serde

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")
A = TypeVar("A")


class Stream(Generic[K, V]):
    """Records one after the other; each stands for itself.

    Made by `App.stream` and by the methods below, which leave this stream as it is: several may
    start from one. They share value objects then, so a function changes no value in place.
    """

    def __init__(self, graph: Graph, node: Node, key: Serde[Any], value: Serde[Any] | None) -> None:
        self._graph = graph
        self._node = node
        self._key = key
        self._value = value

    def map(self, function: Callable[[V], R], *, name: str | None = None) -> Stream[K, R]:
        """Replaces each value by what `function` makes of it; keys and timestamps stay.

        >>> app = App("doc")
        >>> app.stream("lines", value=str).map(str.upper).to("loud", value=str)
        >>> TopologyTestDriver(app).run("lines", ["hello"]).values("loud")
        ['HELLO']
        """
        node = MapNode(path=self._path("map", name), parents=(self._node,), function=function)
        return self._next(node, value=None)

    def map_key(
        self, function: Callable[[V], R], *, key: Any = None, name: str | None = None
    ) -> Stream[R, V]:
        """Replaces each key by what `function` makes of the value.

        Rows stay where they are; a grouping that follows moves them to the task of the new key.

        Args:
            key: The serde of the new keys; without it, that of what `function` is annotated to
                return (`str`, `bytes`, `int` or `float`), else `str`.

            >>> app = App("doc")
            >>> app.stream("lines", value=str).map_key(lambda line: line[0]).to("by-letter")
            >>> TopologyTestDriver(app).run("lines", ["ant", "bee"]).items("by-letter")
            [('a', 'ant'), ('b', 'bee')]
        """
        node = MapKeyNode(
            path=self._path("map_key", name), parents=(self._node,), function=function
        )
        return Stream(
            self._add(node), node, key_serde(f"{node.path}: key", key, function), self._value
        )

    def map_items(
        self,
        function: Callable[[K, V], tuple[Any, Any]],
        *,
        key: Any = None,
        name: str | None = None,
    ) -> Stream[Any, Any]:
        """Replaces key and value by the pair that `function(key, value)` gives.

        Args:
            key: The serde of the new keys; `str` where it is not given.

            >>> app = App("doc")
            >>> lines = app.stream("lines", value=str)
            >>> lines.map_items(lambda user, line: (line, user)).to("users", value=str)
            >>> TopologyTestDriver(app).run("lines", [("ann", "/")]).items("users")
            [('/', 'ann')]
        """
        node = MapItemsNode(
            path=self._path("map_items", name),
            parents=(self._node,),
            function=cast("Callable[[Any], Any]", function),  # called with both
        )
        return Stream(
            self._add(node),
            node,
            chosen_serde(f"{node.path}: key", str if key is None else key),
            None,
        )

    def select(self, *fields: str, name: str | None = None, **renamed: Any) -> Stream[K, Any]:
        """Makes the values dicts of some of their fields.

        Args:
            fields: Names; of items where a value is a mapping, else of attributes.
            renamed: New names for other fields, or for what a function makes of the value.

            >>> app = App("doc")
            >>> orders = app.stream("orders")
            >>> orders.select("user", total=lambda order: order["n"] * order["price"]).to("totals")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("orders", [{"user": "ann", "n": 2, "price": 5}]).values("totals")
            [{'user': 'ann', 'total': 10}]
        """
        path = self._path("select", name)
        function = projection(fields, renamed, path)
        return self._next(
            SelectNode(path=path, parents=(self._node,), function=function), value=None
        )

    def filter(self, predicate: Callable[[V], Any], *, name: str | None = None) -> Stream[K, V]:
        """Keeps the records for whose value `predicate` gives something true.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).filter(lambda n: n > 1).to("large")
        >>> TopologyTestDriver(app).run("numbers", [1, 2, 3]).values("large")
        [2, 3]
        """
        node = FilterNode(
            path=self._path("filter", name), parents=(self._node,), function=predicate
        )
        return self._next(node, value=self._value)

    def filter_not(self, predicate: Callable[[V], Any], *, name: str | None = None) -> Stream[K, V]:
        """Leaves out the records for whose value `predicate` gives something true.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).filter_not(lambda n: n > 1).to("small")
        >>> TopologyTestDriver(app).run("numbers", [1, 2, 3]).values("small")
        [1]
        """
        node = FilterNotNode(
            path=self._path("filter_not", name), parents=(self._node,), function=predicate
        )
        return self._next(node, value=self._value)

    def peek(self, function: Callable[[V], object], *, name: str | None = None) -> Stream[K, V]:
        """Calls `function` with each value, which goes on as it is.

        It is no part of the transaction: what is processed again after a crash is seen again.

            >>> app = App("doc")
            >>> seen = []
            >>> app.stream("lines", value=str).peek(seen.append).to("out")
            >>> TopologyTestDriver(app).run("lines", ["a"]).values("out"), seen
            (['a'], ['a'])
        """
        node = PeekNode(path=self._path("peek", name), parents=(self._node,), function=function)
        return self._next(node, value=self._value)

    def print(
        self, label: str | None = None, *, file: Any = None, name: str | None = None
    ) -> Stream[K, V]:
        """Prints key and value of each record, which goes on as it is.

        Args:
            label: Stands before each line.
            file: Where to; the standard output where it is not given.

            >>> app = App("doc")
            >>> app.stream("lines", value=str).print("lines").to("out")
            >>> TopologyTestDriver(app).run("lines", [("ann", "/")]).values("out")
            [lines]: ann, /
            ['/']
        """
        node = PrintNode(
            path=self._path("print", name),
            parents=(self._node,),
            function=printer(label, file),
        )
        return self._next(node, value=self._value)

    def branch(
        self,
        *predicates: Callable[[V], Any],
        default: str | bool = False,
        name: str | None = None,
        **named: Callable[[V], Any],
    ) -> Any:
        """Splits the records: each goes to the first branch whose predicate holds for its value.

        Args:
            predicates: Branches without names: the result is a tuple of streams.
            named: Branches with names: the result is a dict of streams.
            default: A last branch for what no predicate holds for, True or its name; without one,
                such records go nowhere.

            >>> app = App("doc")
            >>> numbers = app.stream("numbers", value=int)
            >>> even, odd = numbers.branch(lambda n: n % 2 == 0, default=True)
            >>> parts = odd.branch(large=lambda n: n > 4, default="small")
            >>> parts["small"].to("small-and-odd")
            >>> TopologyTestDriver(app).run("numbers", [1, 2, 3, 5]).values("small-and-odd")
            [1, 3]
        """
        node = branch_node(self._graph, self._node, predicates, named, default, name)
        self._add(node)
        streams: dict[str, Stream[K, V]] = {}
        for side, _ in node.branches:
            path = self._graph.stateless_path(node.path, side, None)
            taken = BranchSideNode(path=path, parents=(node,), side=side)
            streams[side] = self._next(taken, value=self._value)
        return tuple(streams.values()) if predicates else streams

    def with_timestamp(
        self, function: Callable[[V], int], *, name: str | None = None
    ) -> Stream[K, V]:
        """Gives the records other timestamps: what `function` makes of the value, in milliseconds.

        The order in which records run was chosen before, by their own timestamps; a source's
        `timestamp=` changes those.

            >>> app = App("doc")
            >>> app.stream("orders").with_timestamp(lambda order: order["at"]).to("out")
            >>> TopologyTestDriver(app).run("orders", [{"at": 5}]).records("out")[0].timestamp
            5
        """
        node = TimestampNode(
            path=self._path("with_timestamp", name), parents=(self._node,), function=function
        )
        return self._next(node, value=self._value)

    def with_headers(
        self,
        headers: Mapping[str, bytes | str | None] | Callable[[Row], Any],
        *,
        name: str | None = None,
    ) -> Stream[K, V]:
        """Gives the records other headers.

        Args:
            headers: Some that are added to all; or a function of the `Row` (key, value, timestamp,
                headers) that gives all headers, as a mapping or as pairs.

            >>> app = App("doc")
            >>> lines = app.stream("lines", value=str).with_headers({"source": "web"})
            >>> lines.with_headers(lambda row: [*row.headers, ("size", row.value)]).to("out")
            >>> TopologyTestDriver(app).run("lines", ["a"]).records("out")[0].headers
            [('source', b'web'), ('size', b'a')]
        """
        node = HeadersNode(
            path=self._path("with_headers", name),
            parents=(self._node,),
            function=header_function(self._node.path + ".with_headers", headers),
        )
        return self._next(node, value=self._value)

    def flat_map(
        self, function: Callable[[V], Iterable[R]], *, name: str | None = None
    ) -> Stream[K, R]:
        """Makes any number of records of one: `function` gives their values, in order.

        >>> app = App("doc")
        >>> app.stream("lines", value=str).flat_map(str.split).to("words", value=str)
        >>> TopologyTestDriver(app).run("lines", ["to be", ""]).values("words")
        ['to', 'be']
        """
        node = FlatMapNode(
            path=self._path("flat_map", name), parents=(self._node,), function=function
        )
        return self._next(node, value=None)

    def items(self) -> Stream[K, tuple[K, V]]:
        """Makes the values `(key, value)` pairs, for functions that need both.

        >>> app = App("doc")
        >>> lines = app.stream("lines", value=str)
        >>> lines.items().map(lambda item: "{}={}".format(*item)).to("out", value=str)
        >>> TopologyTestDriver(app).run("lines", [("a", "1")]).values("out")
        ['a=1']
        """
        node = ItemsNode(path=self._path("items", None), parents=(self._node,))
        return self._next(node, value=None)

    def records(self) -> Stream[K, Record]:
        """Makes the values `Record`s: topic, partition, offset, timestamp, key, value, headers.

        Only where rows are still records of a topic: behind a grouping they are not.

            >>> app = App("doc")
            >>> stamped = app.stream("lines", value=str).records()
            >>> stamped.map(lambda record: record.offset).to("offsets", value=int)
            >>> TopologyTestDriver(app).run("lines", ["a", "b"]).values("offsets")
            [0, 1]

        Raises:
            TopologyError: the stream comes from a table or from `map_async`.
        """
        path = self._path("records", None)
        if _are_results(self._node):
            raise TopologyError(
                f"{path}: these rows are results, not records of a topic; use records() on the "
                "source, or items() for keys"
            )
        return self._next(RecordsNode(path=path, parents=(self._node,)), value=None)

    def merge(self, *others: Stream[K, V], name: str | None = None) -> Stream[K, V]:
        """The records of this stream and others, in the order in which they run.

        What one record became in several of them comes in the order in which they are written.

            >>> app = App("doc")
            >>> one, two, three = (app.stream(topic, value=str) for topic in ("1", "2", "3"))
            >>> one.merge(two, three).to("all")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("1", ["a"]).run("3", ["b"]).run("2", ["c"]).values("all")
            ['a', 'b', 'c']

        Raises:
            TopologyError: a stream belongs to another App, or has other keys; there is none.
        """
        path = self._path("merge", name)
        if not others:
            raise TopologyError(f"{path}: merge with at least one stream")
        for other in others:
            check_stream(path, other)
            if other._graph is not self._graph:
                raise TopologyError(f"{path}: the other stream belongs to another App")
            if other._key.name != self._key.name:
                raise TopologyError(
                    f"{path}: keys are {self._key.name} here and {other._key.name} in "
                    f"{other._node.path}; give all streams one kind of key with "
                    "map_key(..., key=...)"
                )
        node = MergeNode(path=path, parents=(self._node, *(other._node for other in others)))
        values = {None if each._value is None else each._value.name for each in (self, *others)}
        return self._next(node, value=self._value if len(values) == 1 else None)

    def group_by(
        self,
        function: Callable[[V], R],
        *,
        key: Any = None,
        value: Any = None,
        partitions: int | None = None,
        name: str | None = None,
    ) -> Grouped[R, V]:
        """Groups the records by what `function` makes of the value.

        Rows move to the task of their new key, in memory where one process has both tasks. Rows
        with a null key or value are left out.

        Args:
            key, value: The serdes of the exchange. Keys as with `map_key`. Values stay as they
                were read, or are JSON where a function has made them.
            partitions: How many tasks there are behind; those of the input where it is not given.

            >>> app = App("doc")
            >>> words = app.stream("lines", value=str).flat_map(str.split)
            >>> words.group_by(lambda word: word).count().to_stream().to("counts")
            >>> TopologyTestDriver(app).run("lines", ["to be or not to be"]).map("counts")
            {'to': 2, 'be': 2, 'or': 1, 'not': 1}
        """
        path = self._graph.stable_path(self._node.path, "group_by", name)
        at_least_one(f"{path}: partitions", partitions)
        check_functions(f"group_by at {path!r}", [function], "value")
        keyed = MapKeyNode(path=f"{path}.key", parents=(self._node,), function=function)
        self._add(keyed)
        node = ExchangeNode(
            path=path,
            parents=(keyed,),
            key=key_serde(f"{path}: key", key, function),
            value=self._value_serde(path, value),
            partitions=partitions,
        )
        return Grouped(self._add(node), node)

    def group_by_key(self, *, value: Any = None, name: str | None = None) -> Grouped[K, V]:
        """Groups the records by the key that they have.

        Nothing moves where the key is the one that the topic is partitioned by.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).group_by_key().count().to_stream().to("counts")
            >>> TopologyTestDriver(app).run("clicks", [("ann", "/"), ("ann", "/a")]).map("counts")
            {'ann': 2}
        """
        serde = self._value_serde(f"{self._node.path}.group_by_key", value)
        found = self._graph.find(f"{self._node.path}.group_by_key")
        if name is None and isinstance(found, ExchangeNode) and found.value.name == serde.name:
            return Grouped(self._graph, found)
        path = self._graph.stable_path(self._node.path, "group_by_key", name)
        node = ExchangeNode(path=path, parents=(self._node,), key=self._key, value=serde)
        return Grouped(self._add(node), node)

    def join(
        self,
        other: Other | Sequence[Other],
        joiner: Callable[..., R],
        *,
        how: How = "inner",
        within: Duration | None = None,
        before: Duration | None = None,
        after: Duration | None = None,
        grace: Duration | None = None,
        key: Callable[[V], Any] | None = None,
        value: Any = None,
        other_value: Any = None,
        name: str | None = None,
    ) -> Stream[K, R]:
        """Joins with what another stream, this one, or a table has for the same key.

        Two records of streams meet where the other one's timestamp is at most `before` less and at
        most `after` more than this one's: whichever comes first, a result is made when the second
        one does, with the later of both timestamps. With a table, a record meets the value that the
        table has then, of its own time where the table is versioned; nothing comes of the table's
        changes, and the result has the record's timestamp. Records with a null value are left out.

        Args:
            other: Or several, which are joined one after the other on what came so far.
            joiner: Makes the result: `joiner(value, value of the other)`, None for a missing one;
                it gets one value more for each other.
            how: `left`, `right`, `outer`: records of that side, or of both, for which there was
                none to meet go on alone, behind the end of their window and grace (without further
                records where the sources have an `idle_timeout`); those with a null key at once.
                With a table, `inner` or `left`.
            within: `before` and `after` in one; either of those may be negative, not their sum.
            grace: How late records may be; with a versioned table, how long they wait for it.
            key: For a global table, a function that makes the key to look up of the value; the
                record's own key where it is not given. None finds nothing.
            value, other_value: How both sides' records are kept while they wait. As they were
                read, or JSON where a function has made the values.

            >>> app = App("doc")
            >>> orders, paid = app.stream("orders", value=str), app.stream("paid", value=int)
            >>> orders.join(paid, lambda item, sum: [item, sum], within="1h", how="left").to("sold")
            >>> driver = TopologyTestDriver(app)
            >>> driver.pipe("orders", "a hat", key="7", timestamp=0)
            >>> driver.pipe("paid", 20, key="7", timestamp=60_000)
            >>> driver.items("sold")
            [('7', ['a hat', 20])]

            >>> app = App("doc")
            >>> clicks, homes = app.stream("clicks", value=str), app.table("homes", value=str)
            >>> clicks.join(homes, lambda page, city: f"{page} from {city}").to("out", value=str)
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("homes", [("ann", "Bern")]).run("clicks", [("ann", "/")]).values("out")
            ['/ from Bern']

        Raises:
            ValueError: no window between streams, or one that no time is in; a grace that the table
                keeps no history for.
            TopologyError: the other side belongs to another App, or has other keys.
        """
        arguments = JoinArguments(
            how=how,
            within=within,
            before=before,
            after=after,
            grace=grace,
            key=key,
            value=value,
            other_value=other_value,
            name=name,
        )
        others = other if isinstance(other, list | tuple) else [other]
        at = f"{self._node.path}.join" if name is None else name
        partners = [joinable(at, each) for each in others]
        node = join_many(self._joinable(), partners, joiner, arguments)
        return self._next(node, value=None)

    def join_asof(
        self,
        other: Stream[K, Any],
        joiner: Callable[[V, Any], R],
        *,
        how: How = "inner",
        grace: Duration | None = None,
        value: Any = None,
        other_value: Any = None,
        name: str | None = None,
    ) -> Stream[K, R]:
        """Joins each record with the latest one of another stream that is no later than itself.

        Latest by timestamp, however long ago, and whichever of the two arrives first, within grace:
        a record waits until stream time, of both streams, is past its own by `grace`. The result
        has the record's timestamp. Records with a null value are left out.

        Args:
            joiner: `joiner(value, value of the other)`.
            how: `inner`, or `left`, which keeps records that nothing came before.
            grace: The other's records may be late by less than this.
            value, other_value: As for `join`.

            >>> app = App("doc")
            >>> trades, quotes = app.stream("trades", value=str), app.stream("quotes", value=int)
            >>> trades.join_asof(quotes, lambda trade, price: [trade, price]).to("priced")
            >>> driver = TopologyTestDriver(app)
            >>> driver.pipe("quotes", 20, key="ABC", timestamp=3)
            >>> driver.pipe("trades", "buy", key="ABC", timestamp=9)
            >>> driver.items("priced")
            [('ABC', ['buy', 20])]

        Raises:
            TopologyError: the other stream belongs to another App, or has other keys.
        """
        arguments = JoinArguments(
            how=how, grace=grace, value=value, other_value=other_value, name=name
        )
        check_stream(f"{self._node.path}.join_asof" if name is None else name, other)
        node = join_asof(self._joinable(), other._joinable(), joiner, arguments)
        return self._next(node, value=None)

    def to(
        self,
        topic: str | Callable[[Row], str],
        *,
        key: Any = None,
        value: Any = None,
        headers: Mapping[str, bytes | str | None] | Callable[[Row], Any] | None = None,
        partition: Callable[[Row, int], Any] | None = None,
        partitions: int | None = None,
        topics: Iterable[str] = (),
        name: str | None = None,
    ) -> None:
        """Writes the records to a topic, with the transaction of the commit.

        Args:
            topic: Its name; or a function of the `Row` (key, value, timestamp, headers) that gives
                the name for each record.
            key, value: Serdes; without them, those that the rows were read with, and JSON for
                values that a function has made.
            headers: As for `with_headers`.
            partition: A function of the `Row` and the number of partitions: gives one of them,
                several (the record is written to each; to none where there are none), or None for
                that of the key.
            partitions: For a topic that does not exist; those of the input where it is not given.
            topics: Those that a function may give, to be made where they do not exist. A record for
                a topic that does not exist has failed in production.

            >>> app = App("doc")
            >>> app.stream("numbers", value=int).map(lambda n: {"n": n}).to("objects")
            >>> TopologyTestDriver(app).run("numbers", [1]).values("objects")
            [{'n': 1}]
        """
        if headers is not None:
            self.with_headers(headers).to(
                topic,
                key=key,
                value=value,
                partition=partition,
                partitions=partitions,
                topics=topics,
                name=name,
            )
            return
        is_known = isinstance(topic, str)
        path = self._path(f"to.{topic}" if is_known else "to", name)
        if not is_known:
            check_functions(f"to at {path!r}: topic", [topic], "row")
        if isinstance(topics, str):
            raise TypeError(f"to at {path!r}: topics={topics!r}: give a list of them")
        for written in (topic,) if is_known else topics:
            check_written_topic(f"to at {path!r}", written)
        at_least_one(f"{path}: partitions", partitions)
        node = SinkNode(
            path=path,
            parents=(self._node,),
            topics=(topic,) if is_known else tuple(topics),
            key=self._key if key is None else chosen_serde(f"{path}: key", key),
            value=self._value_serde(path, value),
            partitions=partitions,
            route=None if is_known else topic,
            partition=partition,
        )
        self._add(node)

    def process(
        self,
        processor: Callable[..., Any],
        *,
        stores: Iterable[StateStore | str] = (),
        key: Any = None,
        value: Any = None,
        name: str | None = None,
    ) -> Stream[Any, Any]:
        """Runs a processor of your own, record by record.

        A function gets the `Row` (key, value, timestamp, headers) and a `Context`: what it returns,
        a `Row` or a pair (key, value), goes on, None does not, and a generator gives any number.
        A class is made once a task; it has `process(self, row)` and, where it wants the context or
        timers, `init(self, context)`. `context.forward` sends on at any time.

        What a record that failed has written and sent is taken back, where the policy is to go on.
        A processor keeps what it remembers in stores, or it is lost at a restart.

        Args:
            stores: Of `App.state_store`; `context.store(name)` gives them. One belongs to one
                processor. A key's rows must come to one task: `repartition` behind a changed key.
            key, value: Serdes of what goes on; those of the keys here, and JSON, where not given.

            >>> app = App("doc")
            >>> seen = app.state_store("seen", value=int)
            >>> def first_of_key(row, context):
            ...     if context.store("seen").put_if_absent(row.key, 1) is None:
            ...         yield row
            >>> app.stream("lines", value=str).process(first_of_key, stores=[seen]).to("out")
            >>> rows = [("ann", "/"), ("ann", "/a"), ("bob", "/")]
            >>> TopologyTestDriver(app).run("lines", rows).items("out")
            [('ann', '/'), ('bob', '/')]
        """
        node = process_node(self._graph, self._node, processor, stores, name, values_only=False)
        key_serde_of = self._key if key is None else chosen_serde(f"{node.path}: key", key)
        value_serde = None if value is None else chosen_serde(f"{node.path}: value", value)
        return Stream(self._add(node), node, key_serde_of, value_serde)

    def process_values(
        self,
        processor: Callable[..., Any],
        *,
        stores: Iterable[StateStore | str] = (),
        value: Any = None,
        name: str | None = None,
    ) -> Stream[K, Any]:
        """As `process`, with values instead of rows: keys stay, and nothing has to be moved.

        A function gets value and context and returns a value, or None for nothing; a generator
        gives any number. The context has key, timestamp and headers.

            >>> app = App("doc")
            >>> totals = app.state_store("totals", value=int)
            >>> def running_total(amount, context):
            ...     store = context.store("totals")
            ...     store.put(context.key, store.get(context.key, 0) + amount)
            ...     return store.get(context.key)
            >>> amounts = app.stream("amounts", value=int)
            >>> amounts.process_values(running_total, stores=[totals]).to("totals-now")
            >>> TopologyTestDriver(app).run("amounts", [("a", 1), ("a", 2)]).items("totals-now")
            [('a', 1), ('a', 3)]
        """
        node = process_node(self._graph, self._node, processor, stores, name, values_only=True)
        serde = None if value is None else chosen_serde(f"{node.path}: value", value)
        return self._next(node, value=serde)

    def map_batch(
        self,
        function: Callable[[Any], Any],
        *,
        column: Column = "list",
        name: str | None = None,
    ) -> Stream[K, Any]:
        """As `map`, for a function that takes many values at once and gives as many.

        How many come together is not said and must not matter. Where the function raises, it is
        asked again for one value after the other, to find the record.

        Args:
            column: What the function takes: a `list`, a `numpy` array or an `arrow` array. It gives
                any of them.

            >>> app = App("doc")
            >>> numbers = app.stream("numbers", value=int)
            >>> numbers.map_batch(lambda values: [n * n for n in values]).to("squares", value=int)
            >>> TopologyTestDriver(app).run("numbers", [1, 2, 3]).values("squares")
            [1, 4, 9]
        """
        path = self._path("map_batch", name)
        if column not in ("list", "numpy", "arrow"):
            raise ValueError(f"{path}: column={column!r}: choose 'list', 'numpy' or 'arrow'")
        node = MapBatchNode(path=path, parents=(self._node,), function=function, column=column)
        return self._next(node, value=None)

    def map_async(
        self,
        function: Callable[[V], Coroutine[Any, Any, R]],
        *,
        concurrency: int = 100,
        ordered: bool = True,
        timeout: Duration | None = None,
        retries: int = 0,
        backoff: Duration = "100ms",
        retry_on: type[Exception] | Sequence[type[Exception]] = Exception,
        cache: int | None = None,
        cache_ttl: Duration | None = None,
        cache_key: Callable[[V], Any] | None = None,
        value: Any = None,
        name: str | None = None,
    ) -> Stream[K, R]:
        """Replaces each value by what a coroutine function answers: look-ups in other systems.

        A row waits in a store until its answer is there, so no commit waits for a slow call, and
        after a crash or a restart what waited is asked again: each row goes on exactly once, though
        the function may have been called for it more than once. While too much waits (four rows a
        call, at least 1,024), the application reads no further. Keys, timestamps and headers stay.

        Args:
            function: Is awaited in the application's loop; what blocks belongs into a thread
                (`asyncio.to_thread`). It gets the value as its serde reads it.
            concurrency: So many calls of this operator at once, in the process.
            ordered: Results come in the order of the rows, in each partition; otherwise as the
                answers do.
            timeout: Of one attempt, which is cancelled then and has failed with `TimeoutError`.
            retries: So many attempts follow one that has failed; behind the last one, the policy
                for processing errors decides.
            backoff: The pause before the first of them. It doubles with each, up to a minute, less
                a random part of up to a half.
            retry_on: The exceptions after which there is another attempt.
            cache: Keeps so many answers, those asked for last, for equal questions; equal questions
                at the same time are asked once. Failures are not kept.
            cache_ttl: How old an answer may become; any age where it is not given.
            cache_key: Makes what is one question of the value (anything that can be in a set); the
                whole value where it is not given.
            value: How values are kept while they wait. As they were read, or JSON where a function
                has made them.

            >>> import asyncio
            >>> app = App("doc")
            >>> async def capital(country):
            ...     await asyncio.sleep(0.01)
            ...     return {"CH": "Bern", "FR": "Paris"}[country]
            >>> countries = app.stream("countries", value=str)
            >>> countries.map_async(capital, concurrency=20, timeout="5s").to("out", value=str)
            >>> TopologyTestDriver(app).run("countries", ["CH", "FR"]).values("out")
            ['Bern', 'Paris']

        Raises:
            TopologyError: the function is no coroutine function.
            ValueError: a number or duration that cannot be.
        """
        node = map_async_node(
            self._graph,
            self._node,
            function,
            self._key,
            self._value_serde(f"{self._node.path}.map_async", value),
            concurrency=concurrency,
            ordered=ordered,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            retry_on=retry_on,
            cache=cache,
            cache_ttl=cache_ttl,
            cache_key=cache_key,
            name=name,
        )
        return self._next(node, value=None)

    def dedupe(
        self,
        identify: Callable[[V], Any],
        *,
        within: Duration,
        identity: Any = None,
        name: str | None = None,
    ) -> Stream[K, V]:
        """Leaves out records that were seen before, not longer than a time ago.

        `identify` tells which records are the same. Both must be in one task, as records of one key
        are. Time is that of the records.

        Args:
            within: As long an identity is remembered.
            identity: The serde of what `identify` makes, as for `map_key`.

            >>> app = App("doc")
            >>> orders = app.stream("orders").dedupe(lambda order: order["id"], within="1h")
            >>> orders.to("once")
            >>> TopologyTestDriver(app).run("orders", [{"id": "a"}, {"id": "a"}]).values("once")
            [{'id': 'a'}]
        """
        serde = key_serde(f"{self._node.path}.dedupe: identity", identity, identify)
        node = dedupe_node(self._graph, self._node, identify, within, serde, name)
        return self._next(node, value=self._value)

    def rate_limit(self, limit: int, *, per: Duration, name: str | None = None) -> Stream[K, V]:
        """Lets so many records a key and period through; the others, and null keys, are left out.

        Periods are counted from 1970 in the time of the records.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).rate_limit(1, per="1m").to("some")
            >>> TopologyTestDriver(app).run("clicks", [("a", "1"), ("a", "2")]).values("some")
            ['1']
        """
        node = rate_limit_node(self._graph, self._node, limit, per, self._key, name)
        return self._next(node, value=self._value)

    def take(
        self, n: int, *, within: Duration | None = None, value: Any = None, name: str | None = None
    ) -> Stream[K, Any]:
        """Collects the values of each key into lists of `n`; null keys and values are left out.

        Args:
            within: A list goes on although it is shorter, when its first record is so old in stream
                time. That is looked at with each record of its key, and for all keys whenever
                stream time passes a multiple of it, so the others wait for up to twice as long.
                Without it, lists wait for the n-th value.
            value: The serde of the lists; JSON where it is not given.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).take(2).to("pairs")
            >>> rows = [("a", "1"), ("b", "2"), ("a", "3")]
            >>> TopologyTestDriver(app).run("clicks", rows).items("pairs")
            [('a', ['1', '3'])]
        """
        at = f"{self._node.path}.take: value"
        serde = chosen_serde(at, "json" if value is None else value)
        node = take_node(self._graph, self._node, n, within, self._key, serde, name)
        return self._next(node, value=serde)

    def through(
        self,
        topic: str,
        *,
        key: Any = None,
        value: Any = None,
        partitions: int | None = None,
        name: str | None = None,
    ) -> Stream[K, V]:
        """Writes the records to a topic of yours and goes on with what is read from there.

        So others see them, and may add to them. They come in after the commit that wrote them;
        `repartition` is what moves records without waiting.

        Args:
            key, value, partitions: As for `to`.

            >>> app = App("doc")
            >>> loud = app.stream("lines", value=str).map(str.upper).through("loud", value=str)
            >>> loud.map(len).to("lengths", value=int)
            >>> TopologyTestDriver(app).run("lines", ["hello"]).values("lengths")
            [5]
        """
        self.to(topic, key=key, value=value, partitions=partitions, name=name)
        key_read = self._key if key is None else key
        return source(self._graph, topic, key_read, self._value_serde(topic, value))

    def repartition(
        self,
        *,
        key: Any = None,
        value: Any = None,
        partitions: int | None = None,
        partitioner: Callable[[K, V, int], int] | None = None,
        name: str | None = None,
    ) -> Stream[K, V]:
        """Moves the records to the task of their key, or to one that a function chooses.

        What follows runs in `partitions` tasks. Records with a null key are left out.

        Args:
            key, value: Serdes, as for `group_by`.
            partitions: How many there are behind; those of the input where it is not given.
            partitioner: Gives the partition: `partitioner(key, value, partitions)`. What is grouped
                behind it by other keys moves again.

            >>> app = App("doc")
            >>> lines = app.stream("lines", value=str).repartition(partitions=4)
            >>> lines.to("out")
            >>> TopologyTestDriver(app).run("lines", [("ann", "/")]).values("out")
            ['/']
        """
        path = self._graph.stable_path(self._node.path, "repartition", name)
        at_least_one(f"{path}: partitions", partitions)
        node = RepartitionNode(
            path=path,
            parents=(self._node,),
            key=self._key if key is None else chosen_serde(f"{path}: key", key),
            value=self._value_serde(path, value),
            partitions=partitions,
            always=True,
            null_values=True,
            partitioner=partitioner,
        )
        return Stream(self._add(node), node, node.key, node.value)

    def to_table(
        self, *, value: Any = None, name: str | None = None, emit: Emit = "latest"
    ) -> Table[K, V]:
        """The last value of each key; a null value deletes it, records without a key are left out.

        Rows move to the task of their key where it was changed.

        Args:
            value: The serde of the values; the stream's where it is not given.
            name: Keeps the table in a store of that name; else it has one where somebody asks.
            emit: As for a count.

            >>> app = App("doc")
            >>> names = app.stream("names", value=str).map_key(lambda name: name[0]).to_table()
            >>> names.to_stream().to("by-letter")
            >>> TopologyTestDriver(app).run("names", ["ann", "abe"]).map("by-letter")
            {'a': 'abe'}
        """
        serde = self._value_serde(f"{self._node.path}.to_table", value)
        node = tables.table_of_stream(
            self._graph, self._node, self._key, serde, name=name, emit=emit
        )
        return Table(self._graph, node)

    def _path(self, kind: str, name: str | None) -> str:
        return self._graph.stateless_path(self._node.path, kind, name)

    def _add(self, node: Node) -> Graph:
        self._graph.add(node)
        return self._graph

    def _next(self, node: Node, *, value: Serde[Any] | None) -> Stream[Any, Any]:
        return Stream(self._add(node), node, self._key, value)

    def _joinable(self) -> Joinable:
        return Joinable(self._graph, self._node, self._key, self._value)

    def _value_serde(self, path: str, chosen: Any) -> Serde[Any]:
        if chosen is not None:
            return chosen_serde(f"{path}: value", chosen)
        return self._value if self._value is not None else serde_for("json")


class Aggregates(Generic[K, V]):
    """What can be made of records by key: of all of them, or of those of each window.

    K is the key of the result: of windowed groups a `Windowed`.
    """

    def __init__(self, graph: Graph, node: ExchangeNode) -> None:
        self._graph = graph
        self._node = node

    def count(self, *, name: str | None = None, emit: WindowEmit = "latest") -> Table[K, int]:
        """Counts the records of each key; those with a null value are left out.

        Args:
            name: The store's name, and what its changelog topic is called after.
            emit: `latest` gives the last result of a key once a commit, `every` one per record,
                `final` one a window, when it is closed.

            >>> app = App("doc")
            >>> clicks = app.stream("clicks", value=str).group_by_key()
            >>> clicks.count(name="clicks-per-user", emit="every").to_stream().to("counts")
            >>> TopologyTestDriver(app).run("clicks", [("ann", "/"), ("ann", "/a")]).items("counts")
            [('ann', 1), ('ann', 2)]
        """
        return self._fold(COUNT, serde_for(int), name, emit)

    def reduce(
        self,
        function: Callable[[V, V], V | None],
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, V]:
        """Combines the values of each key: `function(result so far, value)`.

        The first value of a key is its first result. A result of None deletes the key. In session
        windows it also combines the results of sessions that become one.

        Args:
            value: The serde of results; the grouping's where it is not given.

            >>> app = App("doc")
            >>> app.stream("bids", value=int).group_by_key().reduce(max).to_stream().to("highest")
            >>> TopologyTestDriver(app).run("bids", [("lot", 5), ("lot", 3)]).map("highest")
            {'lot': 5}
        """
        at = at_of("reduce", self._node, name) + ": value"
        serde = self._node.value if value is None else chosen_serde(at, value)
        fold = Fold(kind="reduce", add=function, merge=function)
        return self._fold(fold, serde, name, emit)

    def aggregate(
        self,
        initial: Callable[[], A] | A | Aggregator[V, Any, Any],
        function: Callable[[A, V], A | None] | None = None,
        *,
        merge: Callable[[A, A], A | None] | None = None,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """Builds a result per key: `function(result so far, value)`.

        A result of None deletes the key. `function` may change the result in place and return it.

        Args:
            initial: What a key starts with: a value, or a function that makes one (`list`). Or an
                `Aggregator`, which has the functions too.
            merge: One result of two, where sessions become one: `merge(earlier, later)`.
            value: The serde of what is kept. Without it JSON, of the shape of the class that
                `initial` is or is one of (`set`, a dataclass), or of tuples where it makes one.
                What JSON changes, such as bytes in a set or keys that are numbers, is refused in
                the first result that is not empty: choose `set[bytes]`, `dict[int, int]`.

            >>> app = App("doc")
            >>> visits = app.stream("visits", value=str).group_by_key()
            >>> visits.aggregate(list, lambda seen, page: [*seen, page]).to_stream().to("paths")
            >>> TopologyTestDriver(app).run("visits", [("ann", "/"), ("ann", "/a")]).map("paths")
            {'ann': ['/', '/a']}
        """
        at = at_of("aggregate", self._node, name)
        if isinstance(initial, Aggregator):
            aggregator = cast("Aggregator[Any, Any, Any]", initial)  # of what kinds it is, it says
            fold = fold_of(at, aggregator, function=function, merge=merge, value=value)
            return self._by(aggregator, fold, value, name, emit)
        start, serde = start_of(at, initial, value)
        check_function(f"{at}: function", function, *RESULT_AND_VALUE)
        fold = Fold(kind="aggregate", initial=start, add=function, merge=merge)
        return self._fold(fold, serde, name, emit)

    def sum(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """Adds up the values of each key, or what `of` makes of them.

        Args:
            value: The serde of results. Without it that of the values, and JSON with `of`.

            >>> app = App("doc")
            >>> app.stream("in").group_by_key().sum(lambda o: o["paid"]).to_stream().to("out")
            >>> rows = [("a", {"paid": 2}), ("a", {"paid": 3})]
            >>> TopologyTestDriver(app).run("in", rows).map("out")
            {'a': 5}
        """
        return self._built_in("sum", Sum(of), value, name, emit, like_values=of is None)

    def min(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """The least of the values of each key, or of what `of` makes of them; see `sum`.

        >>> app = App("doc")
        >>> app.stream("in", value=int).group_by_key().min().to_stream().to("out")
        >>> TopologyTestDriver(app).run("in", [("a", 2), ("a", 3)]).map("out")
        {'a': 2}
        """
        return self._built_in("min", Min(of), value, name, emit, like_values=of is None)

    def max(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """The greatest of the values of each key, or of what `of` makes of them; see `sum`.

        >>> app = App("doc")
        >>> app.stream("in", value=int).group_by_key().max().to_stream().to("out")
        >>> TopologyTestDriver(app).run("in", [("a", 3), ("a", 2)]).map("out")
        {'a': 3}
        """
        return self._built_in("max", Max(of), value, name, emit, like_values=of is None)

    def mean(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, float]:
        """The mean of the values of each key, or of what `of` makes of them.

        >>> app = App("doc")
        >>> app.stream("in", value=int).group_by_key().mean().to_stream().to("out")
        >>> TopologyTestDriver(app).run("in", [("a", 2), ("a", 3)]).map("out")
        {'a': 2.5}
        """
        return self._built_in("mean", Mean(of), None, name, emit)

    def first(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """The value of each key that came first, or what `of` makes of it; see `sum`.

        Of sessions that become one it is the earlier one's.

            >>> app = App("doc")
            >>> app.stream("in", value=str).group_by_key().first().to_stream().to("out")
            >>> TopologyTestDriver(app).run("in", [("a", "x"), ("a", "y")]).map("out")
            {'a': 'x'}
        """
        return self._built_in("first", First(of), value, name, emit, like_values=of is None)

    def last(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, Any]:
        """The value of each key that came last, or what `of` makes of it; see `sum`.

        >>> app = App("doc")
        >>> app.stream("in", value=str).group_by_key().last().to_stream().to("out")
        >>> TopologyTestDriver(app).run("in", [("a", "x"), ("a", "y")]).map("out")
        {'a': 'y'}
        """
        return self._built_in("last", Last(of), value, name, emit, like_values=of is None)

    def collect(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        limit: int | None = None,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, list[Any]]:
        """The values of each key as a list, or what `of` makes of them, in the order they came.

        A list is read and written whole with each record: for few values a key and window.

        Args:
            limit: Only the last so many.
            value: The serde of the lists; JSON where it is not given.

            >>> app = App("doc")
            >>> app.stream("in", value=str).group_by_key().collect(limit=2).to_stream().to("out")
            >>> TopologyTestDriver(app).run("in", [("a", "x"), ("a", "y"), ("a", "z")]).map("out")
            {'a': ['y', 'z']}
        """
        at_least_one(at_of("collect", self._node, name) + ": limit", limit)
        return self._built_in("collect", Collect(of, limit), value, name, emit)

    def top_n(
        self,
        n: int,
        of: Callable[[V], Any] | None = None,
        *,
        by: Callable[[V], Any] | None = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, list[Any]]:
        """The `n` greatest values of each key, greatest first; of equal ones those that came first.

        Args:
            of: Makes what is kept of a value; the value itself without it.
            by: Makes what is compared; what is kept without it.

            >>> app = App("doc")
            >>> bids = app.stream("bids", value=int).group_by_key()
            >>> bids.top_n(2).to_stream().to("out")
            >>> TopologyTestDriver(app).run("bids", [("lot", 5), ("lot", 9), ("lot", 7)]).map("out")
            {'lot': [9, 7]}
        """
        at_least_one(at_of("top_n", self._node, name) + ": n", n)
        return self._built_in("top_n", TopN(n, of, by), None, name, emit)

    def count_distinct(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, int]:
        """Counts different values of each key, or of what `of` makes of them.

        It is exact: all different values are kept, and read and written with each record.

            >>> app = App("doc")
            >>> app.stream("in", value=str).group_by_key().count_distinct().to_stream().to("out")
            >>> TopologyTestDriver(app).run("in", [("a", "x"), ("a", "y"), ("a", "x")]).map("out")
            {'a': 2}
        """
        return self._built_in("count_distinct", CountDistinct(of), None, name, emit)

    def _built_in(
        self,
        kind: str,
        aggregator: Of,
        value: Any,
        name: str | None,
        emit: WindowEmit,
        *,
        like_values: bool = False,
    ) -> Table[Any, Any]:
        at = at_of(kind, self._node, name)
        check_functions(at, aggregator.functions(), "value")
        fold = fold_of(at, aggregator, kind=kind)
        if value is None and like_values:
            value = self._node.value
        return self._by(aggregator, fold, value, name, emit)

    def _by(
        self,
        aggregator: Aggregator[Any, Any, Any],
        fold: Fold,
        value: Any,
        name: str | None,
        emit: WindowEmit,
    ) -> Table[Any, Any]:
        serde = serde_of(at_of(fold.kind, self._node, name), aggregator, value)
        table = self._fold(fold, serde, name, emit)
        if not has(aggregator, "result"):
            return table
        return table.map(aggregator.result, value=aggregator.result_value)

    def _fold(
        self, fold: Fold, value: Serde[Any], name: str | None, emit: WindowEmit
    ) -> Table[Any, Any]:
        raise NotImplementedError


class Grouped(Aggregates[K, V]):
    """Records by key, for an aggregate to be made of them."""

    def windowed_by(
        self,
        window: Windows,
        *,
        late_to: str | Callable[[Stream[K, V]], Any] | None = None,
        advance: WindowAdvance = "stream_time",
    ) -> WindowedGroup[V]:
        """Puts the records of each key into windows by their timestamps: one result a window.

        A window is closed when stream time, the highest timestamp of its task so far, is past its
        end by the window's grace. A record that is late for all of its windows is in no result; it
        is counted, and can be had.

        Without records stream time stands still, unless sources have an `idle_timeout`.

        Args:
            window: `Tumbling`, `Hopping`, `Sliding`, `Session`, `CountWindow`, `Unlimited` or
                `Calendar`.
            late_to: A topic for late records, as they came; or a function that is given their
                stream.
            advance: `wall_clock` closes a window also when the clock on the wall is past its end by
                the grace, once all topics above have been read to their ends. Records whose
                timestamps are further behind the clock than the grace are late then.

            >>> from processors import Tumbling
            >>> app = App("doc")
            >>> clicks = app.stream("clicks", value=str).group_by_key()
            >>> counts = clicks.windowed_by(Tumbling("1m", grace="10s"), late_to="late").count()
            >>> counts.to_stream().to("counts")
            >>> driver = TopologyTestDriver(app)
            >>> for minute in (0, 1, 3, 0):
            ...     driver.pipe("clicks", "/", key="ann", timestamp=minute * 60_000)
            >>> driver.items("counts")[0]
            (Windowed(key='ann', start=0, end=60000), 1)
            >>> driver.items("late")
            [('ann', '/')]
        """
        return WindowedGroup(self._graph, self._node, window, late_to, advance)

    def cogroup(
        self,
        function: Callable[[Any, V], Any],
        *others: tuple[Grouped[K, Any], Callable[[Any, Any], Any]],
        name: str | None = None,
    ) -> CoGrouped[K]:
        """Makes one result a key of several groups, each with a function of its own.

        The groups need keys of one kind, and their topics one number of partitions.

        Args:
            function: `function(result so far, value)` for the records of this group.
            others: The other groups, each with its function.

            >>> app = App("doc")
            >>> paid = app.stream("paid", value=int).group_by_key()
            >>> refunded = app.stream("refunded", value=int).group_by_key()
            >>> both = paid.cogroup(lambda sum, n: sum + n, (refunded, lambda sum, n: sum - n))
            >>> both.aggregate(0, value=int).to_stream().to("balances")
            >>> driver = TopologyTestDriver(app).run("paid", [("ann", 9)])
            >>> driver.run("refunded", [("ann", 2)]).map("balances")
            {'ann': 7}

        Raises:
            TopologyError: a group belongs to another App, or has other keys.
        """
        path = self._graph.stateless_path(self._node.path, "cogroup", name)
        at = f"cogroup at {path!r}"
        check_groups(at, others)
        groups: list[Grouped[Any, Any]] = [self, *(group for group, _ in others)]
        functions = [function, *(each for _, each in others)]
        tagged: list[Node] = []
        for number, group in enumerate(groups):
            check_function(at, functions[number], *RESULT_AND_VALUE)
            if group._graph is not self._graph:
                raise TopologyError(f"{at}: group {number} belongs to another App")
            if group._node.key.name != self._node.key.name:
                raise TopologyError(
                    f"{at}: keys are {self._node.key.name} here and {group._node.key.name} in "
                    f"group {number}; give all groups one kind of key"
                )
            node = MapNode(path=f"{path}.{number}", parents=(group._node,), function=tag(number))
            self._graph.add(node)
            tagged.append(node)
        merged = MergeNode(path=path, parents=tuple(tagged))
        self._graph.add(merged)
        return CoGrouped(self._graph, merged, self._node.key, untagging(functions))

    def _fold(
        self, fold: Fold, value: Serde[Any], name: str | None, emit: WindowEmit
    ) -> Table[Any, Any]:
        path = self._graph.stable_path(self._node.path, fold.kind, name)
        node = unwindowed(path, self._node, self._node.key, fold, value, emit)
        self._graph.add(node, at=f"{fold.kind} at {path!r}")
        return Table(self._graph, node)


class WindowedGroup(Aggregates[Windowed, V]):
    """Records by key and window."""

    def __init__(
        self,
        graph: Graph,
        node: ExchangeNode,
        window: Windows,
        late_to: str | Callable[[Stream[Any, Any]], Any] | None,
        advance: WindowAdvance = "stream_time",
    ) -> None:
        super().__init__(graph, node)
        self._window = check_window(f"{node.path}.windowed_by", window, late_to, advance)
        self._late_to = late_to
        self._advance: WindowAdvance = advance

    def _fold(
        self, fold: Fold, value: Serde[Any], name: str | None, emit: WindowEmit
    ) -> Table[Any, Any]:
        path = self._graph.stable_path(f"{self._node.path}.windowed_by", fold.kind, name)
        late_to = self._late_to
        late = late_to is not None
        key = self._node.key
        chosen, advance = self._window, self._advance
        node = windowed(
            path, self._node, key, chosen, fold, value, emit, late=late, advance=advance
        )
        self._graph.add(node, at=f"{fold.kind} at {path!r}")
        if late_to is not None:
            side = SideNode(path=f"{path}.late", parents=(node,), side="late")
            self._graph.add(side)
            rows: Stream[Any, Any] = Stream(self._graph, side, key, self._node.value)
            rows.to(late_to) if isinstance(late_to, str) else late_to(rows)
        return Table(self._graph, node)


class CoGrouped(Generic[K]):
    """Records of several groups by key, for one result of all; see `Grouped.cogroup`."""

    def __init__(
        self,
        graph: Graph,
        node: Node,
        key: Serde[Any],
        function: Callable[[Any, Any], Any],
        window: Windows | None = None,
        advance: WindowAdvance = "stream_time",
    ) -> None:
        self._graph = graph
        self._node = node
        self._key = key
        self._function = function
        self._window = window
        self._advance: WindowAdvance = advance

    def windowed_by(
        self, window: Windows, *, advance: WindowAdvance = "stream_time"
    ) -> CoGrouped[Windowed]:
        """Puts the records of all groups into windows; see `Grouped.windowed_by`.

        >>> from processors import Tumbling
        >>> app = App("doc")
        >>> one, two = (app.stream(t, value=str).group_by_key() for t in ("one", "two"))
        >>> both = one.cogroup(lambda seen, v: [*seen, v], (two, lambda seen, v: [*seen, v * 2]))
        >>> texts = both.windowed_by(Tumbling("1s")).aggregate(list)
        >>> texts.to_stream().to("out")
        >>> TopologyTestDriver(app).run("one", [("k", "a")]).run("two", [("k", "b")]).values("out")
        [['a'], ['a', 'bb']]
        """
        chosen = check_window(f"{self._node.path}.windowed_by", window, None, advance)
        return CoGrouped(self._graph, self._node, self._key, self._function, chosen, advance)

    def aggregate(
        self,
        initial: Callable[[], A] | A,
        *,
        merge: Callable[[A, A], A | None] | None = None,
        value: Any = None,
        name: str | None = None,
        emit: WindowEmit = "latest",
    ) -> Table[K, A]:
        """Builds a result per key with the functions of the groups; see `Grouped.aggregate`.

        >>> app = App("doc")
        >>> ins, outs = (app.stream(t, value=str).group_by_key() for t in ("ins", "outs"))
        >>> seen = ins.cogroup(lambda n, v: n + 1, (outs, lambda n, v: n - 1)).aggregate(0)
        >>> seen.to_stream().to("inside")
        >>> driver = TopologyTestDriver(app).run("ins", [("a", "x")])
        >>> driver.run("outs", [("a", "x")]).values("inside")
        [1, 0]
        """
        at = at_of("aggregate", self._node, name)
        start, serde = start_of(at, initial, value)
        fold = Fold(kind="aggregate", initial=start, add=self._function, merge=merge)
        graph, above, key = self._graph, self._node, self._key
        if self._window is None:
            path = graph.stable_path(above.path, fold.kind, name)
            node: TableNode = unwindowed(path, above, key, fold, serde, emit)
        else:
            path = graph.stable_path(f"{above.path}.windowed_by", fold.kind, name)
            node = windowed(
                path,
                above,
                key,
                self._window,
                fold,
                serde,
                emit,
                late=False,
                advance=self._advance,
            )
        graph.add(node, at=f"{fold.kind} at {path!r}")
        return Table(graph, node)


class Table(Generic[K, V]):
    """The current result of every key."""

    def __init__(self, graph: Graph, node: TableNode) -> None:
        self._graph = graph
        self._node = node

    def _joinable(self) -> JoinableTable:
        return JoinableTable(self._graph, self._node)

    def to_stream(self) -> Stream[K, V]:
        """The changes as a stream: key and new result, a null value where a key was deleted.

        >>> app = App("doc")
        >>> counts = app.stream("clicks", value=str).group_by_key().count()
        >>> counts.to_stream().filter(lambda count: count > 1).to("regulars")
        >>> TopologyTestDriver(app).run("clicks", [("ann", "/"), ("ann", "/a")]).map("regulars")
        {'ann': 2}
        """
        return Stream(self._graph, self._node, self._node.key, self._node.value)

    def changes(self) -> Stream[K, Change]:
        """The changes as a stream of `Change(old, new)`, for who needs what was there before.

        `old` is None where a key is new, and `new` where it was deleted.

            >>> app = App("doc")
            >>> app.table("prices", value=int, emit="every").changes().to("changes")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("prices", [("tea", 3), ("tea", 4)]).values("changes")
            [[None, 3], [3, 4]]
        """
        node = tables.changes(self._graph, self._node)
        return Stream(self._graph, node, self._node.key, None)

    def filter(self, predicate: Callable[[V], Any], *, name: str | None = None) -> Table[K, V]:
        """Keeps the entries for whose value `predicate` gives something true.

        An entry that no longer qualifies is deleted. A key without a value never qualifies. Where
        the predicate fails and errors are skipped, the key has no value.

        Args:
            name: Keeps the result in a store of that name.

            >>> app = App("doc")
            >>> app.table("stock", value=int).filter(lambda n: n < 3).to_stream().to("low")
            >>> TopologyTestDriver(app).run("stock", [("tea", 2), ("tea", 9)]).items("low")
            [('tea', 2), ('tea', None)]
        """
        node = tables.filtered(self._graph, self._node, predicate, wanted=True, name=name)
        return Table(self._graph, node)

    def filter_not(self, predicate: Callable[[V], Any], *, name: str | None = None) -> Table[K, V]:
        """Keeps the entries for whose value `predicate` gives something false; see `filter`.

        >>> app = App("doc")
        >>> app.table("stock", value=int).filter_not(lambda n: n < 3).to_stream().to("enough")
        >>> TopologyTestDriver(app).run("stock", [("tea", 2), ("tea", 9)]).items("enough")
        [('tea', 9)]
        """
        node = tables.filtered(self._graph, self._node, predicate, wanted=False, name=name)
        return Table(self._graph, node)

    def map(
        self, function: Callable[[V], R], *, value: Any = None, name: str | None = None
    ) -> Table[K, R]:
        """Replaces each value by what `function` makes of it; deletions stay deletions.

        The result is looked up through the function, which runs again for each look-up, unless it
        has a name. Where it fails and errors are skipped, the key has no value.

        Args:
            value: The serde of the results; JSON where it is not given.
            name: Keeps the results in a store of that name.

            >>> app = App("doc")
            >>> app.table("names", value=str).map(str.upper, value=str).to_stream().to("loud")
            >>> TopologyTestDriver(app).run("names", [("a", "ann"), ("a", None)]).items("loud")
            [('a', 'ANN'), ('a', None)]
        """
        node = tables.mapped(self._graph, self._node, function, value=value, name=name)
        return Table(self._graph, node)

    def items(self) -> Table[K, tuple[K, V]]:
        """Makes the values `(key, value)` pairs, for functions that need both.

        >>> app = App("doc")
        >>> ages = app.table("ages", value=int).items()
        >>> ages.map(lambda item: "{}: {}".format(*item), value=str).to_stream().to("lines")
        >>> TopologyTestDriver(app).run("ages", [("ann", 30)]).values("lines")
        ['ann: 30']
        """
        return Table(self._graph, tables.pairs(self._graph, self._node))

    def join(
        self,
        other: Table[Any, R],
        joiner: Callable[[V, R], A],
        *,
        foreign_key: Callable[[V], Any] | None = None,
        how: How = "inner",
        value: Any = None,
        name: str | None = None,
    ) -> Table[K, A]:
        """Joins two tables by key, or by foreign key: the result follows the changes of both.

        `joiner(left, right)` gets None for a side that has no value. A result may be given twice,
        and a key deleted that had none, as in Kafka Streams; what a key has in the end is right.

        Args:
            foreign_key: The key of the other table that a value of this one refers to, or None; the
                result has the keys of this table. The topics may have any numbers of partitions.
                `items()` before the join gives key and value to it.
            how: `inner` keeps keys that both have; `left`, `right` and `outer` also those that only
                this table, only the other one, or one of the two has. By foreign key it is `inner`
                or `left`.
            value: The serde of the results; JSON where it is not given.
            name: Keeps the results in a store of that name.

            >>> app = App("doc")
            >>> names, ages = app.table("names", value=str), app.table("ages", value=int)
            >>> names.join(ages, "{} is {}".format, value=str).to_stream().to("people")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("names", [("a", "ann")]).run("ages", [("a", 30)]).values("people")
            ['ann is 30']

            >>> app = App("doc")
            >>> users = app.table("users", value=str)
            >>> orders = app.table("orders", key=int, value=str)
            >>> whose = orders.join(users, "{1} of {0}".format, foreign_key=str.lower, value=str)
            >>> whose.to_stream().to("named")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("orders", [(7, "ANN")]).run("users", [("ann", "gold")]).values("named")
            ['gold of ANN']

        Raises:
            TopologyError: the other table is of another App, or has keys of another kind.
        """
        node = self._node
        path = f"{node.path}.join" if name is None else name
        check_table(path, other)
        there = other._node
        if other._graph is not self._graph:
            raise TopologyError(f"{path}: the other table belongs to another App")
        tables.check_lookups(path, node, there)
        if foreign_key is not None:
            made = by_foreign_key(
                self._graph,
                node,
                there,
                joiner,
                function=foreign_key,
                how=how,
                value=value,
                name=name,
            )
            return Table(self._graph, made)
        tables.check_join(path, node, there, how)
        made = tables.joined(self._graph, node, there, joiner, how=how, value=value, name=name)
        return Table(self._graph, made)

    def suppress(
        self,
        until: Duration,
        *,
        max_records: int | None = None,
        max_bytes: int | None = None,
        full: Literal["emit", "fail"] | None = None,
        name: str | None = None,
    ) -> Table[K, V]:
        """Holds updates back, and gives only the last one of a key.

        Time is stream time: the highest timestamp of the updates that come here. It goes on without
        them where sources have an `idle_timeout`, or the windows advance by the wall clock.

        Args:
            until: `"window_close"`: a window's last result, once, when it is closed. Or a duration:
                so long behind the first update that is held back.
            max_records, max_bytes: How much may wait at most; without them, any amount. Values
                wait in the store, on the disk where they are many.
            full: `emit` gives what waits longest, too early; `fail` stops the application. Without
                it, `fail` until a window closes and `emit` otherwise.
            name: The store's name.

            >>> from processors import Tumbling
            >>> app = App("doc")
            >>> clicks = app.stream("clicks", value=str).group_by_key().windowed_by(Tumbling("1s"))
            >>> clicks.count(emit="every").suppress("window_close").to_stream().to("counts")
            >>> driver = TopologyTestDriver(app)
            >>> for timestamp in (100, 200, 1_000):
            ...     driver.pipe("clicks", "/", key="ann", timestamp=timestamp)
            >>> driver.items("counts")
            [(Windowed(key='ann', start=0, end=1000), 2)]

        Raises:
            TopologyError: there are no windows above that close, or the table is versioned.
        """
        node = suppressed(
            self._graph,
            self._node,
            until,
            max_records=max_records,
            max_bytes=max_bytes,
            full=full,
            name=name,
        )
        return Table(self._graph, node)

    def expire(self, after: Duration, *, name: str | None = None) -> Table[K, V]:
        """Deletes entries that have not changed for a time.

        Time is stream time, the highest timestamp that this task has seen: without records nothing
        is deleted. It happens in steps of a 64th of `after`, at the end of the step in which an
        entry is due. A record that is due when it comes is taken for a deletion.

        Args:
            after: How long after its timestamp an entry is due.
            name: The store's name.

            >>> app = App("doc")
            >>> app.table("seen", value=str).expire("10s").to_stream().to("here")
            >>> driver = TopologyTestDriver(app)
            >>> driver.pipe("seen", "in", key="ann", timestamp=0)
            >>> driver.pipe("seen", "in", key="bob", timestamp=60_000)
            >>> driver.items("here")
            [('ann', 'in'), ('ann', None), ('bob', 'in')]
        """
        node = tables.expiring(self._graph, self._node, after, name=name)
        return Table(self._graph, node)

    def group_by(
        self,
        function: Callable[[V], R],
        *,
        select: Callable[[V], Any] | None = None,
        key: Any = None,
        value: Any = None,
        partitions: int | None = None,
        name: str | None = None,
    ) -> TableGrouped[R, Any]:
        """Groups the entries by what `function` makes of the value.

        When an entry changes or is deleted, what it gave to its group is taken back; so aggregates
        behind it need to know how. Entries for which a function gives None are in no group.

        Args:
            select: Makes the value that is aggregated; the entry's value without it.
            key, value: The serdes of the exchange. Keys as with `Stream.map_key`. Values stay as
                they are, or are JSON where `select` has made them.
            partitions: How many tasks there are behind; those of the input where it is not given.

            >>> app = App("doc")
            >>> homes = app.table("homes", value=str)
            >>> homes.group_by(lambda city: city).count().to_stream().to("people")
            >>> rows = [("ann", "Bern"), ("bob", "Bern"), ("ann", "Genf")]
            >>> TopologyTestDriver(app).run("homes", rows).map("people")
            {'Bern': 1, 'Genf': 1}
        """
        node = tables.regrouped(
            self._graph,
            self._node,
            function,
            select=select,
            key=key,
            value=value,
            partitions=partitions,
            name=name,
        )
        return TableGrouped(self._graph, node)


class TableGrouped(Generic[K, V]):
    """The entries of a table by group, for an aggregate to be made of those that are there now.

    An aggregate takes an entry's old value out of its group and puts the new one in. An entry that
    moves between groups is for a moment in neither.
    """

    def __init__(self, graph: Graph, node: ExchangeNode) -> None:
        self._graph = graph
        self._node = node

    def count(self, *, name: str | None = None, emit: Emit = "latest") -> Table[K, int]:
        """Counts the entries of each group; of one that has lost all it is 0.

        Args:
            name: The store's name, and what its changelog topic is called after.
            emit: `latest` gives the last result of a group once a commit, `every` one per change.

            >>> app = App("doc")
            >>> homes = app.table("homes", value=str)
            >>> homes.group_by(lambda city: city).count().to_stream().to("people")
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("homes", [("ann", "Bern"), ("ann", None)]).items("people")
            [('Bern', 1), ('Bern', 0)]
        """
        return self._aggregate("count", int, tables.one_more, tables.one_less, int, name, emit)

    def sum(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, Any]:
        """Adds up the values of each group, or what `of` makes of them; of one without any it is 0.

        A value for which `of` fails, or that is no finite number, is in no group, if the policy is
        to go on. What is taken back of a sum of floats leaves their rounding errors in it.

        Args:
            value: The serde of results. Without it that of the values, and JSON with `of`.

            >>> app = App("doc")
            >>> carts = app.table("carts")
            >>> totals = carts.group_by(lambda c: c["user"], select=lambda c: c["total"]).sum()
            >>> totals.to_stream().to("totals")
            >>> rows = [("c1", {"user": "ann", "total": 5}), ("c2", {"user": "ann", "total": 2})]
            >>> TopologyTestDriver(app).run("carts", rows).map("totals")
            {'ann': 7}
        """
        serde = self._like_values(of, value)
        return self._built_in("sum", SumNow(of, serde), serde, name, emit)

    def mean(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, float]:
        """The mean of the values of each group, or of what `of` makes of them.

        A group that has lost all is deleted. As for `sum`, floats leave rounding errors.

            >>> app = App("doc")
            >>> ages = app.table("ages")
            >>> ages.group_by(lambda p: p["city"]).mean(lambda p: p["age"]).to_stream().to("out")
            >>> driver = TopologyTestDriver(app)
            >>> driver.pipe("ages", {"city": "Bern", "age": 30}, key="ann")
            >>> driver.pipe("ages", {"city": "Bern", "age": 33}, key="bob")
            >>> driver.map("out")
            {'Bern': 31.5}
        """
        return self._built_in("mean", MeanNow(of), None, name, emit)

    def min(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, Any]:
        """The least of the values of each group, or of what `of` makes of them; see `sum`.

        All values of a group are kept, as the serde of results writes them, and read and written
        with each change; what it would give back as something else, as JSON does a `Decimal`, has
        failed. A group that has lost all is deleted.

            >>> app = App("doc")
            >>> offers = app.table("offers").group_by(lambda offer: offer["item"])
            >>> offers.min(lambda offer: offer["price"]).to_stream().to("best")
            >>> driver = TopologyTestDriver(app)
            >>> for price in (5, 3, 4):
            ...     driver.pipe("offers", {"item": "tea", "price": price}, key="shop")
            >>> driver.items("best")
            [('tea', 5), ('tea', 3), ('tea', 4)]
        """
        serde = self._like_values(of, value)
        return self._built_in("min", Extreme(of, min, serde), None, name, emit)

    def max(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, Any]:
        """The greatest of the values of each group, or of what `of` makes of them; see `min`.

        >>> app = App("doc")
        >>> bids = app.table("bids").group_by(lambda bid: bid["lot"])
        >>> bids.max(lambda bid: bid["sum"]).to_stream().to("highest")
        >>> driver = TopologyTestDriver(app)
        >>> driver.pipe("bids", {"lot": "7", "sum": 5}, key="ann")
        >>> driver.pipe("bids", {"lot": "7", "sum": 3}, key="bob")
        >>> driver.pipe("bids", None, key="ann")
        >>> driver.values("highest")
        [5, 5, 3]
        """
        serde = self._like_values(of, value)
        return self._built_in("max", Extreme(of, max, serde), None, name, emit)

    def collect(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, list[Any]]:
        """The values of each group as a list, or what `of` makes of them, in the order they came.

        A value that changes goes to the end. A list is read and written whole with each change.

        Args:
            value: The serde of the lists; JSON where it is not given.

            >>> app = App("doc")
            >>> homes = app.table("homes", value=str).items()
            >>> cities = homes.group_by(lambda item: item[1])
            >>> cities.collect(lambda item: item[0]).to_stream().to("people")
            >>> rows = [("ann", "Bern"), ("bob", "Bern"), ("ann", "Genf")]
            >>> TopologyTestDriver(app).run("homes", rows).map("people")
            {'Bern': ['bob'], 'Genf': ['ann']}
        """
        return self._built_in(
            "collect", All(of, "json" if value is None else value), None, name, emit
        )

    def top_n(
        self,
        n: int,
        of: Callable[[V], Any] | None = None,
        *,
        by: Callable[[V], Any] | None = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, list[Any]]:
        """The `n` greatest values of each group, greatest first; of equal ones the first that came.

        All values of a group are kept, as for `min`.

        Args:
            of: Makes what is given of a value; the value itself without it.
            by: Makes what is compared; what is given without it.

            >>> app = App("doc")
            >>> scores = app.table("scores", value=int).items()
            >>> best = scores.group_by(lambda item: "all").top_n(
            ...     2, lambda item: item[0], by=lambda item: item[1]
            ... )
            >>> best.to_stream().to("best")
            >>> rows = [("ann", 5), ("bob", 9), ("cid", 7), ("bob", 1)]
            >>> TopologyTestDriver(app).run("scores", rows).values("best")[-1]
            ['cid', 'ann']
        """
        at_least_one(at_of("top_n", self._node, name) + ": n", n)
        return self._built_in("top_n", TopOfAll(n, of, by), None, name, emit)

    def count_distinct(
        self,
        of: Callable[[V], Any] | None = None,
        *,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, int]:
        """Counts different values of each group, or of what `of` makes of them.

        It is exact: all different values are kept, and read and written with each change.

            >>> app = App("doc")
            >>> homes = app.table("homes", value=str)
            >>> homes.group_by(lambda city: "all").count_distinct().to_stream().to("cities")
            >>> rows = [("ann", "Bern"), ("bob", "Genf"), ("bob", "Bern")]
            >>> TopologyTestDriver(app).run("homes", rows).values("cities")
            [1, 2, 1]
        """
        return self._built_in("count_distinct", DistinctNow(of), None, name, emit)

    def reduce(
        self,
        add: Callable[[V, V], V | None],
        *,
        remove: Callable[[V, V], V | None] | None = None,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, V]:
        """Combines the values of each group: `add(result so far, value)`, undone by `remove`.

        The first value of a group is its first result. A result of None deletes the group.

        Args:
            remove: `remove(result so far, value)` gives the result without the value.
            value: The serde of the results; the grouping's where it is not given.

            >>> app = App("doc")
            >>> teams = app.table("points", value=int).items().group_by(
            ...     lambda item: item[0][0], select=lambda item: item[1], value=int
            ... )
            >>> both = teams.reduce(lambda a, b: a * b, remove=lambda a, b: a // b)
            >>> both.to_stream().to("products")
            >>> rows = [("a1", 3), ("a2", 5), ("a1", 2)]
            >>> TopologyTestDriver(app).run("points", rows).map("products")
            {'a': 10}

        Raises:
            TopologyError: there is no `remove`.
        """
        at = at_of("reduce", self._node, name)
        check_function(f"{at}: add", add, *RESULT_AND_VALUE)
        return self._aggregate("reduce", None, add, remove, value, name, emit)

    def aggregate(
        self,
        initial: Callable[[], A] | A | Aggregator[V, Any, Any],
        add: Callable[[A, V], A | None] | None = None,
        *,
        remove: Callable[[A, V], A | None] | None = None,
        value: Any = None,
        name: str | None = None,
        emit: Emit = "latest",
    ) -> Table[K, Any]:
        """Builds a result per group: `add(result so far, value)`, undone by `remove`.

        A result of None deletes the group. The functions may change the result in place and return
        it.

        Args:
            initial: What a group starts with: a value, or a function that makes one (`list`). Or an
                `Aggregator`, which has the functions too.
            remove: `remove(result so far, value)` gives the result without the value.
            value: The serde of the results; without it, as for `Grouped.aggregate`.

            >>> app = App("doc")
            >>> homes = app.table("homes", value=str).items()
            >>> by_city = homes.group_by(lambda item: item[1], select=lambda item: item[0])
            >>> names = by_city.aggregate(
            ...     list,
            ...     lambda names, name: [*names, name],
            ...     remove=lambda names, name: [n for n in names if n != name],
            ... )
            >>> names.to_stream().to("people")
            >>> rows = [("ann", "Bern"), ("bob", "Bern"), ("ann", "Genf")]
            >>> TopologyTestDriver(app).run("homes", rows).map("people")
            {'Bern': ['bob'], 'Genf': ['ann']}

        Raises:
            TopologyError: there is no `remove`.
        """
        if isinstance(initial, Aggregator):
            aggregator = cast("Aggregator[Any, Any, Any]", initial)  # of what kinds it is, it says
            at = at_of("aggregate", self._node, name)
            fold = fold_of(at, aggregator, function=add or remove, value=value)
            return self._by(aggregator, fold, value, name, emit)
        at = at_of("aggregate", self._node, name)
        start, chosen = start_of(at, initial, value)
        check_function(f"{at}: add", add, *RESULT_AND_VALUE)
        return self._aggregate("aggregate", start, add, remove, chosen, name, emit)

    def _built_in(
        self, kind: str, aggregator: Chosen, value: Any, name: str | None, emit: Emit
    ) -> Table[Any, Any]:
        at = at_of(kind, self._node, name)
        check_functions(at, aggregator.functions(), "value")
        fold = fold_of(at, aggregator, kind=kind)
        return self._by(aggregator, fold, value, name, emit, aggregator.choose)

    def _like_values(self, of: object, value: Any) -> Serde[Any]:
        """The serde of results: as asked for, that of the values, or JSON where `of` makes them."""
        chosen = "json" if value is None and of is not None else value
        return tables.result_serde(self._node, chosen)

    def _by(
        self,
        aggregator: Aggregator[Any, Any, Any],
        fold: Fold,
        value: Any,
        name: str | None,
        emit: Emit,
        choose: Callable[[Any], Any] | None = None,
    ) -> Table[Any, Any]:
        remove = aggregator.remove if has(aggregator, "remove") else None
        kept = serde_of(at_of(fold.kind, self._node, name), aggregator, value)
        table = self._aggregate(fold.kind, fold.initial, fold.add, remove, kept, name, emit, choose)
        if not has(aggregator, "result"):
            return table
        return table.map(aggregator.result, value=aggregator.result_value)

    def _aggregate(
        self,
        what: str,
        initial: Callable[[], Any] | None,
        add: Callable[[Any, Any], Any] | None,
        remove: Callable[[Any, Any], Any] | None,
        value: Any,
        name: str | None,
        emit: Emit,
        choose: Callable[[Any], Any] | None = None,
    ) -> Table[Any, Any]:
        made = tables.aggregated(
            self._graph,
            self._node,
            what,
            initial=initial,
            add=add,
            remove=remove,
            value=tables.result_serde(self._node, value),
            name=name,
            emit=emit,
            choose=choose,
        )
        return Table(self._graph, made)


def check_groups(at: str, others: Sequence[Any]) -> None:
    """Raises `TypeError` for what `cogroup` cannot take beside its own group."""
    for number, other in enumerate(others, 1):
        pair = cast("tuple[Any, ...]", other) if isinstance(other, tuple) else ()
        if len(pair) != 2 or not isinstance(pair[0], Grouped):
            raise TypeError(
                f"{at}: number {number} is {other!r}: give pairs of a group and its function: "
                "(stream.group_by_key(), function)"
            )


def at_of(kind: str, above: Node, name: str | None) -> str:
    """What errors call an operator: by its name where it has one, else by what it is made of."""
    return f"{kind} of {above.path!r}" if name is None else f"{kind} at {name!r}"


Other = Stream[Any, Any] | Table[Any, Any] | GlobalTable[Any, Any]
"""What a stream can be joined with."""


def joinable(at: str, other: Any) -> Partner:
    """What a join knows of its other side, which is an `Other` if the caller's types are right."""
    if isinstance(other, Stream | Table):
        return other._joinable()  # pyright: ignore[reportPrivateUsage] # of this module
    if isinstance(other, GlobalTable):
        return cast("GlobalTable[Any, Any]", other)  # of what kinds does not matter
    raise TypeError(f"{at}: {other!r} is no stream or table; {_remedy(other)}")


def check_stream(at: str, other: object) -> None:
    """Raises `TypeError` for what is no stream."""
    if not isinstance(other, Stream):
        raise TypeError(f"{at}: {other!r} is no stream; {_remedy(other)}")


def check_table(at: str, other: object) -> None:
    """Raises `TypeError` for what a table cannot be joined with."""
    if isinstance(other, Stream):
        raise TypeError(
            f"{at}: a table is joined with tables: write stream.join(table, ...), where the "
            "stream's records cause the results, or make a table of the stream: stream.to_table()"
        )
    if isinstance(other, GlobalTable):
        raise TypeError(
            f"{at}: global tables are for streams: to_stream().join(global_table, ...), or read "
            "the topic with app.table(...) and join by key or foreign key"
        )
    if not isinstance(other, Table):
        raise TypeError(f"{at}: {other!r} is no table; give what app.table(...) or an aggregate is")


def _remedy(other: object) -> str:
    if isinstance(other, Table):
        return "give its changes: table.to_stream()"
    if isinstance(other, Aggregates | CoGrouped | TableGrouped):
        return "give the stream before the grouping, or make a table of it: .count(), .reduce(...)"
    return "give what app.stream(...) makes"


def matching(
    graph: Graph,
    pattern: re.Pattern[str],
    key: Any,
    value: Any,
    name: str | None,
    **options: Any,
) -> Stream[Any, Any]:
    """The stream of the records of all topics that match."""
    at = f"stream({pattern.pattern!r})"
    keys, values = chosen_serde(f"{at}: key", key), chosen_serde(f"{at}: value", value)
    node = pattern_node(graph, pattern, keys, values, name, options)
    graph.add(node)
    return Stream(graph, node, keys, values)


def sources(
    graph: Graph,
    topics: Iterable[str],
    key: Any,
    value: Any,
    name: str | None,
    **options: Any,
) -> Stream[Any, Any]:
    """The stream of the records of several topics."""
    if not hasattr(topics, "__iter__"):  # whatever the caller's types say
        raise TypeError(f"stream({topics!r}): give a topic's name, several, or a compiled pattern")
    nodes: list[SourceNode] = []
    for topic in topics:
        source(graph, topic, key, value, **options)
        found = graph.source(topic)
        assert found is not None, "it has just been made"
        nodes.append(found)
    if not nodes:
        raise TopologyError("stream([]): no topic is named")
    node = merged(graph, nodes, name)
    graph.add(node)
    return Stream(graph, node, nodes[0].key, nodes[0].value)


def source(graph: Graph, topic: str, key: Any, value: Any, **options: Any) -> Stream[Any, Any]:
    """The stream of a topic's records; one node a topic, however often it is asked for."""
    check_topic("a source", topic)
    keys = chosen_serde(f"topic {topic!r}: key", key)
    values = chosen_serde(f"topic {topic!r}: value", value)
    chosen = source_options(
        topic,
        options.get("timestamp"),
        options.get("invalid_timestamp", "fail"),
        options.get("start"),
        options.get("idle_timeout"),
    )
    found = graph.source(topic)
    if found is None:
        found = SourceNode(
            path=graph.stable_path("", topic, topic),
            topic=topic,
            key=keys,
            value=values,
            **chosen,
        )
        graph.add(found)
    if isinstance(found, GlobalSourceNode):
        raise TopologyError(
            f"topic {topic!r} is read as a global table already, which reads it alone: join with "
            "that, or read the topic as a table in its place"
        )
    before, now = (found.key.name, found.value.name), (keys.name, values.name)
    if before != now:
        raise TopologyError(
            f"topic {topic!r} is read with key {before[0]} and value {before[1]} already, and here "
            f"with key {now[0]} and value {now[1]}: read it once and branch from there"
        )
    check_alike(found, chosen)
    return Stream(graph, found, found.key, found.value)


def read_table(
    graph: Graph,
    topic: str,
    key: Any,
    value: Any,
    *,
    versioned: Duration | None,
    name: str | None,
    emit: Emit,
    idle_timeout: Duration | None = None,
) -> Table[Any, Any]:
    """The table of a topic's records."""
    read = source(graph, topic, key, value, idle_timeout=idle_timeout)
    node = graph.source(topic)
    assert node is not None, read
    return Table(graph, tables.read_table(graph, node, versioned=versioned, name=name, emit=emit))


def _are_results(node: Node) -> bool:
    """Whether rows are no records of a topic any more: behind a table, or an asynchronous call."""
    return isinstance(node, TableNode | MapAsyncNode) or any(map(_are_results, node.parents))
