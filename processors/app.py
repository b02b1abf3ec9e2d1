"""The application: a name, a graph of streams, agents and stores, and how it runs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from processors.dsl.arguments import at_least_one, check_topic, check_written_topic, chosen_serde
from processors.dsl.global_table import read_global_table
from processors.dsl.processing import state_store
from processors.dsl.starts import start_of
from processors.dsl.stream import matching, read_table, source, sources
from processors.runtime.application import Application, WorkerOptions
from processors.runtime.channel import MAX_RECORDS
from processors.runtime.policies import ErrorPolicies
from processors.topology.describe import describe
from processors.topology.diagram import as_data, as_dot, as_mermaid
from processors.topology.graph import Graph
from processors.topology.patterns import has_patterns
from processors.topology.rules import choose_rules
from processors.topology.subtopology import compile_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from os import PathLike

    from processors.agents import Agent, Store
    from processors.dsl.global_table import GlobalTable
    from processors.dsl.local import Channel
    from processors.dsl.stream import Stream, Table
    from processors.runtime.application import OffsetGap
    from processors.runtime.engine import ExchangeMode
    from processors.runtime.policies import Policy
    from processors.runtime.rows import Rows
    from processors.topology.duration import Duration
    from processors.topology.nodes.endpoint import InvalidTimestamp
    from processors.topology.nodes.node import Emit
    from processors.topology.nodes.processor import StateStore, StoreKind
    from processors.topology.subtopology import Topology
    from streamlog.client.contract import Log

_LEGAL_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?", re.IGNORECASE)
_SIZES = "give bytes, or a size like '512MB'; units are B, KB, MB, GB and TB, of 1,024 each"
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


class App:
    """An application. Making one opens nothing and starts nothing.

        from processors import App

        app = App("word-count", log="./data")
        words = app.stream("lines", value=str).flat_map(str.split)
        words.group_by(lambda word: word).count(name="counts").to_stream().to("word-counts")

        if __name__ == "__main__":
            app.run()

    Args:
        name: Its identity: consumer group, transactional id, and the first part of the names of
            its internal topics and its state. Another name is another application.
        log: Where the log is (":memory:" for one that is gone behind the run), or an open one;
            `streamlog run --log` and `run(log=...)` win.
        deserialization, processing, production: What happens to a record that cannot be read, for
            which a function raises, or whose result cannot be written: `fail` stops the
            application there, `skip` counts it, `dead_letter` sends its original bytes to
            `dead_letters`, with headers that say what happened where.
        dead_letters: The topic; `<name>-dead-letters` where it is not given.
        commit_interval_ms: The longest time between commits under a backlog; without one, a commit
            follows as soon as the input is drained.
        checkpoint_interval_ms: How often committed state goes to disk.
        chunk_size: The most records that run together; it changes no result.
        memory: The budget of state and buffers, in bytes or like "512MB" (of 1,024 KB).
        on_offset_gap: What to do where there is state but committed offsets are gone.
        exchange: `topic` sends what changes tasks through its repartition topic: for tests.
        optimize: Which rewrite rules are applied to the graph: all, none, those that are named, or
            all but those that are `{name: False}`. They change no result.

    Thread safety: built in one thread; `run` takes it over.
    """

    def __init__(
        self,
        name: str,
        *,
        log: str | PathLike[str] | Log | None = None,
        deserialization: Policy = "fail",
        processing: Policy = "fail",
        production: Policy = "fail",
        dead_letters: str | None = None,
        commit_interval_ms: int | None = None,
        checkpoint_interval_ms: int | None = None,
        chunk_size: int = 2_048,
        memory: int | str | None = None,
        on_offset_gap: OffsetGap | None = None,
        exchange: ExchangeMode | None = None,
        optimize: bool | Collection[str] | Mapping[str, bool] = True,
    ) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] # callers err
            raise TypeError(f"application name {name!r}: give a text")
        if not _LEGAL_NAME.fullmatch(name) or name in {".", ".."}:
            raise ValueError(
                f"application name {name!r}: names are letters, digits, '.', '_' and '-', as they "
                "become part of topic names and a directory below that of the state"
            )
        self.name = name
        self.log = log
        self.policies = ErrorPolicies(
            deserialization=deserialization,
            processing=processing,
            production=production,
            dead_letters=dead_letters or f"{name}-dead-letters",
        )
        chosen: dict[str, Any] = {
            "commit_interval_ms": commit_interval_ms,
            "checkpoint_interval_ms": checkpoint_interval_ms,
            "chunk_size": chunk_size,
            "memory_bytes": None if memory is None else _parse_size(memory),
            "on_offset_gap": on_offset_gap,
            "exchange": exchange,
        }
        self.options = WorkerOptions(
            **{option: value for option, value in chosen.items() if value is not None}
        )
        self._rules = choose_rules(optimize)
        self._graph = Graph()
        self._agents: list[Agent] = []
        self._stores: list[Store] = []
        self._channels: list[Channel[Any, Any]] = []
        self._iterables: dict[str, Rows] = {}

    def stream(
        self,
        topic: str | Sequence[str] | re.Pattern[str],
        *,
        key: Any = str,
        value: Any = "json",
        timestamp: Callable[[Any], int] | Literal["wall_clock"] | None = None,
        invalid_timestamp: InvalidTimestamp = "fail",
        start: datetime | timedelta | str | None = None,
        idle_timeout: Duration | None = None,
        name: str | None = None,
    ) -> Stream[Any, Any]:
        """The records of a topic, or of several.

        Args:
            topic: Its name, or a list of names: then their records come in the order of their
                timestamps, as `merge` brings them. A compiled regular expression stands for all
                topics whose whole names match when the application starts.
            key, value: How they are read: `str`, `bytes`, `int` (Kafka's Long), `float` (Double),
                `"json"`, a class (msgspec Struct, dataclass, TypedDict) for JSON of that shape, or
                a serde.
            timestamp: Makes a record's timestamp of its value, in milliseconds, before records are
                brought into their order; `wall_clock` is the time at which they are read. Without
                it they have those that they were written with.
            invalid_timestamp: What happens to a record without one, as where it is negative or the
                function raises: `fail` in deserialization, `skip` with a counter, take the highest
                of its partition before it (`partition_time`) or the `wall_clock`.
            start: Where the first run of the application begins: `earliest`, `latest`, a datetime,
                or a duration before that start ("2h"). Where it has been is committed then.
            idle_timeout: After so long without a record a partition that has been read to its end
                is idle, and time goes on behind it: with the partitions that are not idle, or with
                the wall clock where all are. So windows close, `suppress` lets go and joins give
                what found no match, though nothing arrives. Where inputs come together, all need
                one.
            name: Of what is made of several topics.

            >>> app = App("doc")
            >>> app.stream("orders").map(lambda order: order["total"]).to("totals")
            >>> TopologyTestDriver(app).run("orders", [{"total": 3}]).values("totals")
            [3]

        Raises:
            TopologyError: the topic is read already, with other serdes.
        """
        options: dict[str, Any] = {
            "timestamp": timestamp,
            "invalid_timestamp": invalid_timestamp,
            "start": start,
            "idle_timeout": idle_timeout,
        }
        if isinstance(topic, str):
            return source(self._graph, topic, key, value, **options)
        if isinstance(topic, re.Pattern):
            return matching(self._graph, topic, key, value, name, **options)
        return sources(self._graph, topic, key, value, name, **options)

    def channel(
        self,
        name: str,
        *,
        key: Any = str,
        value: Any = "json",
        max_records: int = MAX_RECORDS,
    ) -> Channel[Any, Any]:
        """A queue in memory, for other code of the process: an agent, a page handler, a thread.

        What is sent into it is read as the stream `channel.stream()`, which has one partition.
        `send` is for any thread and `await send_async` for any asyncio loop; both wait while the
        channel is full.

        It is not durable: what is in it when the process ends is gone, and with it what was not
        committed yet. What is committed has been counted once, with all that followed from it, and
        tasks that begin anew within the process take the rest again. What must not be lost belongs
        in a topic.

        Args:
            key, value: Serdes: what is sent is written with them at once, and read from that.
            max_records: So many that are not committed may be in it.

            >>> app = App("doc")
            >>> clicks = app.channel("clicks", value=str)
            >>> clicks.stream().map(str.upper).to("out", value=str)
            >>> driver = TopologyTestDriver(app)
            >>> clicks.send("home", timestamp=0)
            >>> driver.commit()
            >>> driver.values("out")
            ['HOME']

        Raises:
            TopologyError: something else has this name.
        """
        from processors.dsl.local import Channel

        made: Channel[Any, Any] = Channel(self._graph, name, key, value, max_records)
        self._channels.append(made)
        return made

    def from_iterable(
        self,
        rows: Iterable[Any] | Callable[[], Iterable[Any]],
        *,
        name: str,
        key: Any = str,
        value: Any = "json",
        timestamp: Callable[[Any], int] | None = None,
        invalid_timestamp: InvalidTimestamp = "fail",
    ) -> Stream[Any, Any]:
        """The rows of an iterable, for tests, examples and backfills: a stream of one partition.

        How many rows have been processed is state, in the transaction of what followed from them.
        So a restart goes on behind them, exactly once, if the iterable gives the same rows in the
        same order each time: it is read from its beginning, and those rows are dropped. More rows
        at its end are news; fewer than were processed are an error. A generator, which can be read
        only once, is refused: give the function that makes it.

        It is read in the application's loop, as rows are wanted, and may be endless; one that waits
        for something holds up everything else.

        Args:
            rows: Values, `(key, value)` pairs, `(key, value, timestamp)` triples, or `Record`s; or
                a function without arguments that gives them. A value that is such a tuple itself
                is given in a pair.
            name: Its path in the graph, by which the position is found again.
            key, value: Serdes: rows are written with them and read from that, as if from a topic.
            timestamp, invalid_timestamp: As for `stream`. Without, what has no time gets that at
                which it is read.

            >>> app = App("doc")
            >>> rows = [("a", 1), ("b", 2), ("a", 3)]
            >>> numbers = app.from_iterable(rows, name="numbers", value=int)
            >>> numbers.group_by_key().sum(emit="every").to_stream().to("sums")
            >>> driver = TopologyTestDriver(app)
            >>> driver.commit()
            >>> driver.items("sums")
            [('a', 1), ('b', 2), ('a', 4)]

        Raises:
            TopologyError: `rows` can be read only once, or something else has this name.
        """
        from processors.dsl.local import iterable_rows

        made, read = iterable_rows(
            self._graph, name, rows, key, value, timestamp, invalid_timestamp
        )
        self._iterables[name] = read
        return made

    def table(
        self,
        topic: str,
        *,
        key: Any = str,
        value: Any = "json",
        versioned: Duration | None = None,
        name: str | None = None,
        emit: Emit = "latest",
        idle_timeout: Duration | None = None,
    ) -> Table[Any, Any]:
        """A topic as a table: the last value of each key, in the order of its offsets.

        A null value deletes a key; records with a null key are left out. It has a store where
        somebody looks up its values or asks what they were before, or where it has a name.

        Args:
            key, value: As for `stream`.
            versioned: Keeps the values of so long a time, so that a join finds the one of its
                record's time. A record that is older than what its key has goes into the history
                and no further.
            name: The store's name, for queries from outside too.
            emit: `latest` gives the last value of a key once a commit, `every` one per record. A
                table without a store passes every record on, and a versioned one every newest.
            idle_timeout: As for `stream`: for entries that expire, and joins that wait for it.

            >>> app = App("doc")
            >>> app.table("prices", value=int, name="prices-now").to_stream().to("changes")
            >>> driver = TopologyTestDriver(app, commit_every=9)
            >>> driver.run("prices", [("tea", 3), ("tea", 4)]).items("changes")
            [('tea', 4)]
            >>> dict(driver.store("prices-now").items())
            {'tea': 4}

        Raises:
            TopologyError: the topic is read already, with other serdes or as another kind of table.
        """
        return read_table(
            self._graph,
            topic,
            key,
            value,
            versioned=versioned,
            name=name,
            emit=emit,
            idle_timeout=idle_timeout,
        )

    def global_table(
        self, topic: str, *, key: Any = str, value: Any = "json", name: str | None = None
    ) -> GlobalTable[Any, Any]:
        """A topic as a table of which every task sees all partitions: for `Stream.join`.

        So its keys need no partitioning that fits, and a stream looks up any key of it. It has been
        read to its end before anything is processed, at every start; changes that come later are
        seen in the order of timestamps. It causes no results.

        Args:
            key, value: As for `stream`.
            name: The store's name.

            >>> app = App("doc")
            >>> cities = app.global_table("cities", value=str)
            >>> visits = app.stream("visits", value=str)
            >>> visits.join(cities, lambda _, city: city, key=lambda zip: zip).to("out", value=str)
            >>> driver = TopologyTestDriver(app)
            >>> driver.run("cities", [("3000", "Bern")]).run("visits", ["3000"]).values("out")
            ['Bern']

        Raises:
            TopologyError: the topic is read already.
        """
        return read_global_table(self._graph, topic, key, value, name=name)

    def store(self, name: str, *, key: Any = str, value: Any = None, default: Any = None) -> Store:
        """A keyed store for agents, which use it like a dictionary; exactly once, as all state is.

        Args:
            key, value: Serdes. Without `value`, the type of `default` chooses (`int`, `set`, a
                dataclass), else JSON.
            default: What a missing key reads as: a value or a function that makes one (`int`).

            >>> app = App("doc")
            >>> app.store("balances", default=float)
            Store('balances')
        """
        from processors.agents import Store

        at = f"store({name!r})"
        if value is None:
            if default is None or default in (str, int, float, bytes):
                value = default or "json"
            else:
                default, value = start_of(f"{at}: default", default, None)
        keys, values = chosen_serde(f"{at}: key", key), chosen_serde(f"{at}: value", value)
        made = Store(self._graph.claim(name), key=keys, value=values, default=default)
        self._stores.append(made)
        return made

    def state_store(
        self,
        name: str,
        kind: StoreKind = "key_value",
        *,
        key: Any = str,
        value: Any = "json",
        retention: Duration | None = None,
    ) -> StateStore:
        """Declares a store for a processor, which attaches it: `process(..., stores=[store])`.

        Args:
            kind: `key_value`; `timestamped`, which gives times with its values; `window`, one value
                a key and window start; `session`, one a key, start and end; `versioned`, a key's
                values over time.
            key, value: Serdes.
            retention: How long before the highest time in it a window, a session or a version is
                kept; without it, all are.

            >>> app = App("doc")
            >>> app.state_store("prices", "versioned", value=float, retention="1h").kind
            'versioned'
        """
        return state_store(self._graph, name, kind, key, value, retention)

    def agent(
        self,
        topic: str,
        *,
        key: Any = str,
        value: Any = "json",
        to: str | None = None,
        to_key: Any = None,
        to_value: Any = "json",
        partitions: int | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[[Any], Any]], Agent]:
        """Declares an agent: an `async def` function over the events of a topic.

        What an event writes to stores and yields joins the application's transaction when the
        agent asks for the next event. No commit waits for an agent.

        Args:
            key, value: How events are read.
            to: The topic that yielded values go to, under the key of their event.
            to_key, to_value: How they are written; the keys as they were read where not given.
            partitions: For a `to` topic that does not exist.
            name: The function's name where it is not given; part of the agent's consumer group.

            >>> app = App("doc")
            >>> balances = app.store("balances", default=float)
            >>> @app.agent("orders", to="settled")
            ... async def settle(orders):
            ...     async for order in orders:
            ...         balances[order["account"]] += order["amount"]
            ...         yield order["id"]
            >>> settle.name
            'settle'
        """
        from processors.agents import Agent
        from processors.agents.declaration import Sink

        at = f"agent of {topic!r}" if name is None else f"agent {name!r}"
        check_topic(at, topic)
        keys, values = chosen_serde(f"{at}: key", key), chosen_serde(f"{at}: value", value)
        sink = None
        if to is not None:
            check_written_topic(f"{at}: to", to)
            at_least_one(f"{at}: partitions", partitions)
            sink = Sink(
                topic=to,
                key=keys if to_key is None else chosen_serde(f"{at}: to_key", to_key),
                value=chosen_serde(f"{at}: to_value", to_value),
                partitions=partitions,
            )

        def declare(function: Callable[[Any], Any]) -> Agent:
            called = getattr(function, "__name__", None) if name is None else name
            if called is None:
                raise TypeError(f"{at}: {function!r} has no name: give an `async def` function")
            made = Agent(
                name=self._graph.claim(called),
                function=function,
                topic=topic,
                key=keys,
                value=values,
                sink=sink,
            )
            self._agents.append(made)
            return made

        return declare

    def plan(self, topics: Iterable[str] | None = None) -> Application:
        """The application compiled: what a worker runs.

        Args:
            topics: Those that there are, for streams of topics that match a pattern.
        """
        return Application(
            name=self.name,
            topology=compile_graph(self._graph, self.name, self._rules, topics),
            find_topics=self.plan if topics is None and has_patterns(self._graph) else None,
            agents=tuple(self._agents),
            stores=tuple(self._stores),
            channels=tuple(self._channels),
            iterables=dict(self._iterables),
            policies=self.policies,
            options=self.options,
        )

    def describe(self, format: Literal["text", "dot", "mermaid", "json"] = "text") -> str:
        """The topology: what runs together, where rows change tasks, agents and stores.

        Args:
            format: `text` for people, `dot` for Graphviz, `mermaid` for Markdown pages, `json` for
                programs.

        >>> app = App("doc")
        >>> app.stream("lines", value=str).map(str.upper).to("loud", value=str)
        >>> print(app.describe())
        application doc
        <BLANKLINE>
        sub-topology 0: lines (no state: one task for all partitions)
        lines                    source: topic lines, key str, value str
        └─ lines.map             map
           └─ lines.map.to.loud  to: topic loud, key str, value str
        """
        topology = compile_graph(self._graph, self.name, self._rules)
        match format:
            case "text":
                return self._describe_as_text(topology)
            case "dot":
                return as_dot(as_data(topology))
            case "mermaid":
                return as_mermaid(as_data(topology))
            case "json":
                return json.dumps(self._describe_as_data(topology), indent=2)
            case _:
                raise ValueError(f"format={format!r}: choose 'text', 'dot', 'mermaid' or 'json'")

    def _describe_as_data(self, topology: Topology) -> dict[str, Any]:
        return {
            **as_data(topology),
            "agents": [
                {
                    "name": agent.name,
                    "topic": agent.topic,
                    "to": None if agent.sink is None else agent.sink.topic,
                }
                for agent in self._agents
            ],
            "stores": [
                {"name": store.name, "changelog": topology.changelog_topic(store.name)}
                for store in self._stores
            ],
        }

    def _describe_as_text(self, topology: Topology) -> str:
        lines = [describe(topology)]
        for agent in self._agents:
            to = "" if agent.sink is None else f", to topic {agent.sink.topic}"
            lines.append(
                f"agent {agent.name}: topic {agent.topic}, key {agent.key.name}, "
                f"value {agent.value.name}{to}"
            )
        for store in self._stores:
            lines.append(
                f"store {store.name}: key {store.key_serde.name}, value {store.value_serde.name}, "
                f"changelog {topology.changelog_topic(store.name)}"
            )
        return "\n".join(lines)

    def run(
        self, *, log: str | PathLike[str] | Log | None = None, until_idle: bool = False
    ) -> None:
        """Runs the application until SIGINT or SIGTERM, or until there is nothing left to do.

        Args:
            log: Instead of the one that the application was made with.
            until_idle: Ends when everything that was written has been processed.
        """
        from processors.runtime.standalone import run

        run(self.plan(), self.log if log is None else log, until_idle=until_idle)

    def __repr__(self) -> str:
        return f"App({self.name!r})"


def _parse_size(size: int | str) -> int:
    given: Any = size  # whatever the caller's types say
    if type(given) is int:
        return given
    if not isinstance(given, str):
        raise TypeError(f"memory={size!r}: {_SIZES}")
    match = _SIZE.fullmatch(given.strip())
    if match is None:
        raise ValueError(f"memory={size!r}: {_SIZES}")
    return int(float(match[1]) * (1 << _UNITS[(match[2] or "").lower()]))
