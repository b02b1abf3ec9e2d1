"""`TopologyTestDriver`: runs an application's streams synchronously, without a log directory.

It is the application's own engine over lists instead of topics. As with Kafka's driver, every
record that is piped is processed to completion, through all exchanges, and then committed, so
`latest` emits after every record; `commit_every` changes that. Records run in the order in which
they were piped, whatever their topics and timestamps. Agents are not run.

The functions of `map_async` run to their ends before each commit, and waiting takes no time there:
sleeps, timeouts and pauses before another attempt are over at once. A call that waits for what only
the test can give stays in flight, and its row in the store; the next commit looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from processors.dsl.arguments import at_least_one
from processors.errors import IterableError
from processors.runtime.engine import Engine, ExchangeMode
from processors.runtime.feeds import begin_feeds
from processors.state.cached import DEFAULT_CACHE_BYTES
from processors.testing.difference import difference
from processors.testing.loop import InstantCalls
from processors.testing.stores import DriverStores, StateKind
from processors.testing.topics import InputTopic, OutputTopic, Row, Topic, headers_of, time_of
from processors.testing.views import view_of
from processors.topology.duration import milliseconds
from processors.topology.partitioning import choose_partitions
from streamlog.client.contract import FetchedColumns, Record, TopicPartition
from streamlog.errors import UnknownTopicError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from processors.app import App
    from processors.runtime.feeds import Feed
    from processors.runtime.outbox import Output
    from processors.runtime.stores import Database
    from processors.testing.topics import SomeHeaders, Time
    from processors.topology.duration import Duration
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde

Order = Literal["arrival", "timestamps"]


class TopologyTestDriver:
    """Runs the streams of an application in the calling thread.

    Without a log: topics are lists, and each piped record is processed and committed at once,
    unless `commit_every` says otherwise.

    >>> app = App("doc")
    >>> app.stream("lines", value=str).map(str.upper).to("loud", value=str)
    >>> with TopologyTestDriver(app) as driver:
    ...     driver.pipe("lines", "hello", key="ann", timestamp=5)
    ...     driver.items("loud")
    [('ann', 'HELLO')]

    Args:
        app: As `run` would get it; its error policies hold.
        partitions: Of every source topic, or by topic (others have one).
        commit_every: Commits after so many piped records; `commit` does it in between.
        chunk_size: The most records of a round.
        exchange: As for `App`.
        cache_bytes: The bound of each store's cache.
        state: What is below the caches: `memory`, or `rocksdb` in a temporary directory, which
            `close` removes, as does the end of a `with`; or a database, which stays open.
        wall_clock_ms: What the wall clock shows first.
        order: In which order records that were piped before one commit run: that of their `arrival`
            here, or, as a worker chooses among what it has read, that of their `timestamps`.
        topics: Those that there are, for sources that take all that match a pattern.

    Errors, such as `ProcessingError`, come out of the call that piped the record; what was piped
    since the last commit is forgotten then. That an iterable has failed is said once, by the next
    call that pipes or commits; it gives no more rows, and what was piped is processed.

    Attributes:
        stream_time: The highest timestamp piped so far; -1 before the first record.
        wall_clock_ms: What the wall clock shows; `advance_wall_clock` moves it.
    """

    def __init__(
        self,
        app: App,
        *,
        partitions: int | Mapping[str, int] = 1,
        commit_every: int = 1,
        chunk_size: int = 1_024,
        exchange: ExchangeMode = "memory",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        state: StateKind | Database = "memory",
        wall_clock_ms: int = 0,
        order: Order = "arrival",
        topics: Iterable[str] = (),
    ) -> None:
        if order not in get_args(Order):
            raise ValueError(f"order={order!r}: choose 'arrival' or 'timestamps'")
        at_least_one("commit_every", commit_every)
        at_least_one("chunk_size", chunk_size)
        if type(wall_clock_ms) is not int:
            raise TypeError(f"wall_clock_ms={wall_clock_ms!r}: give milliseconds as an int")
        application = app.plan([*topics, *([] if isinstance(partitions, int) else partitions)])
        topology = application.topology
        _check_partitions(partitions, [source.topic for source in topology.topics])
        counts = {
            source.topic: partitions
            if isinstance(partitions, int)
            else partitions.get(source.topic, 1)
            for source in topology.topics
        }
        self.plan = choose_partitions(topology, counts)
        self._policies = application.policies
        self._exchange: ExchangeMode = exchange
        local = {source.topic: 1 for source in topology.sources if not source.in_log}
        self._topics = self._make_topics({**counts, **local})
        self._serdes = self._topic_serdes()
        self._commit_every = commit_every
        self._chunk_size = chunk_size
        self._order: Order = order
        self._piped = 0
        self._arrivals: list[TopicPartition] = []
        self._waiting: dict[TopicPartition, list[Row]] = {}
        self.stream_time = -1
        self.wall_clock_ms = wall_clock_ms
        self._calls = InstantCalls(lambda: self.wall_clock_ms)
        self._stores = DriverStores(self.plan.stores, state, cache_bytes)
        try:
            self._engine = self._start()
            self._feeds = begin_feeds(application, self._engine, lambda: self.wall_clock_ms)
        except BaseException:
            self.close()
            raise

    # Input.

    def pipe(
        self,
        topic: str,
        value: Any,
        *,
        key: Any = None,
        timestamp: Time = 0,
        headers: SomeHeaders | None = None,
        partition: int | None = None,
    ) -> None:
        """One record, written with the serdes of the source. Its key chooses the partition.

        >>> app = App("doc")
        >>> app.stream("clicks", value=str).to("out")
        >>> driver = TopologyTestDriver(app)
        >>> driver.pipe("clicks", "/", key="ann", timestamp=5, headers={"from": "web"})
        >>> record = driver.records("out")[0]
        >>> record.key, record.timestamp, record.headers
        ('ann', 5, [('from', b'web')])

        Args:
            timestamp: Milliseconds since 1970, or a datetime with a time zone.
            headers: Pairs of name and value, or a mapping; texts are written as UTF-8.
            partition: In the place of the key's.

        Raises:
            TypeError, ValueError: a timestamp, header or partition that cannot be.
        """
        serdes = self._source_serdes(topic)
        encoded_key = None if key is None else serdes[0].serialize(key)
        encoded_value = None if value is None else serdes[1].serialize(value)
        self.pipe_bytes(
            topic,
            encoded_value,
            key=encoded_key,
            timestamp=timestamp,
            headers=headers,
            partition=partition,
        )

    def pipe_bytes(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        timestamp: Time = 0,
        headers: SomeHeaders | None = None,
        partition: int | None = None,
    ) -> None:
        """One record as it lies in a topic, whether or not the source can read it.

        >>> app = App("doc", deserialization="skip")
        >>> app.stream("numbers", value=int).to("out")
        >>> driver = TopologyTestDriver(app)
        >>> driver.pipe_bytes("numbers", b"no number")
        >>> driver.values("out"), driver.skipped()
        ([], {'skipped': 1})
        """
        self._source_serdes(topic)
        time = time_of(f"pipe to {topic!r}: timestamp", timestamp)
        pairs = headers_of(f"pipe to {topic!r}", headers)
        self._check_partition(topic, partition)
        try:
            self._take()
        finally:  # the record is piped, whatever becomes of an iterable
            self._arrive(topic, partition, time, key, value, pairs)
            self._piped += 1
            if self._piped % self._commit_every == 0:
                self.commit()

    def input_topic(self, topic: str, *, start: Time = 0, advance: Duration = 0) -> InputTopic:
        """Pipes into a topic with timestamps from `start` on, each `advance` after the last one.

        >>> app = App("doc")
        >>> app.stream("clicks", value=str).to("out")
        >>> driver = TopologyTestDriver(app)
        >>> clicks = driver.input_topic("clicks", start=1_000, advance="1s")
        >>> clicks.pipe_all(["/", "/a"])
        >>> [record.timestamp for record in driver.records("out")]
        [1000, 2000]
        """
        self._source_serdes(topic)
        advance_ms = milliseconds(advance, "input_topic: advance")
        start_ms = time_of(f"input_topic of {topic!r}: start", start)
        return InputTopic(self.pipe, topic, start_ms, advance_ms)

    def run(self, topic: str, rows: Iterable[Any]) -> TopologyTestDriver:
        """Pipes values or `(key, value)` pairs, one millisecond apart, and commits.

        A row `(key, value, timestamp)` has a time of its own. It gives the driver back.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).group_by_key().count().to_stream().to("counts")
            >>> TopologyTestDriver(app).run("clicks", [("ann", "/"), ("ann", "/a")]).map("counts")
            {'ann': 2}
        """
        self.input_topic(topic, start=self.stream_time + 1, advance=1).pipe_all(rows)
        self.commit()
        return self

    def commit(self) -> None:
        """Processes what was piped and commits, until nothing waits in any topic.

        What was sent into channels and the rows of iterables are piped first, these to their end.
        What waits for answers is looked at again.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).group_by_key().count().to_stream().to("counts")
            >>> driver = TopologyTestDriver(app, commit_every=100)
            >>> for page in ("/", "/a"):
            ...     driver.pipe("clicks", page, key="ann")
            >>> driver.commit()
            >>> driver.items("counts")
            [('ann', 2)]
        """
        try:
            self._take()
        finally:  # the rows before the one at which an iterable failed have been piped
            if self._waiting or self._engine.rows_waiting:
                self._try(self._process)

    def advance_wall_clock(self, by: Duration) -> None:
        """Moves the wall clock, runs what is due by then, and commits.

        Time goes on here without records, where sources and windows are to go by the clock. What
        is due several times in between runs once, as after a stall.

        Args:
            by: Milliseconds, a text like "10s", or a timedelta.

            >>> from processors import Tumbling
            >>> app = App("doc")
            >>> clicks = app.stream("clicks", value=str).group_by_key()
            >>> minutes = clicks.windowed_by(Tumbling("1m"), advance="wall_clock")
            >>> minutes.count(emit="final").to_stream().to("counts")
            >>> driver = TopologyTestDriver(app)
            >>> driver.pipe("clicks", "/", key="ann", timestamp=0)
            >>> driver.advance_wall_clock("1m")
            >>> driver.values("counts")
            [1]
        """
        by_ms = milliseconds(by, "advance_wall_clock: by")
        self.commit()
        self._try(lambda: self._engine.tick(self.wall_clock_ms))  # timers count from here
        self.wall_clock_ms += by_ms
        self._try(self._tick)

    def restart(self) -> None:
        """As if the process died and another one began.

        State is dropped, whatever it was kept in, and restored from the changelogs that this driver
        holds. What was piped and not committed is processed by the new one.

            >>> app = App("doc")
            >>> app.stream("clicks", value=str).group_by_key().count().to_stream().to("counts")
            >>> driver = TopologyTestDriver(app).run("clicks", [("ann", "/")])
            >>> driver.restart()
            >>> driver.run("clicks", [("ann", "/a")]).values("counts")
            [1, 2]
        """
        self._stores.restore(
            {store.changelog: self._topics[store.changelog].rows for store in self.plan.stores}
        )
        self._engine = self._start()

    def close(self) -> None:
        """Removes what lies on the disk; calls that nobody has answered end.

        As the end of a `with` does, and the fixture `topology_driver` behind the test.
        """
        self._stores.close()
        self._calls.end()

    def __enter__(self) -> TopologyTestDriver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Output.

    def records(
        self, topic: str, *, key: Any = None, value: Any = None, at_most: int | None = None
    ) -> list[Record]:
        """The records that were written to a topic and not read here yet, in order.

        Args:
            key, value: Serdes, where the topic is none that the application writes or reads.
            at_most: So many; the others stay for the next call.

            >>> app = App("doc")
            >>> app.stream("numbers", value=int).to("out")
            >>> driver = TopologyTestDriver(app).run("numbers", [("a", 7), ("b", 8)])
            >>> [(each.key, each.offset) for each in driver.records("out", at_most=1)]
            [('a', 0)]
            >>> [(each.key, each.offset) for each in driver.records("out")]
            [('b', 1)]

        Raises:
            UnknownTopicError: the application neither reads nor writes such a topic.
        """
        found = self._topics.get(topic)
        if found is None:
            raise UnknownTopicError(topic, self._topics)
        serdes = self._serdes.get(topic, (serde_for(bytes), serde_for(bytes)))
        key_serde = serdes[0] if key is None else serde_for(key)
        value_serde = serdes[1] if value is None else serde_for(value)
        end = len(found.rows) if at_most is None else found.read + at_most
        rows = found.rows[found.read : end]
        found.read += len(rows)
        return [
            Record(
                topic,
                row.partition,
                row.offset,
                row.timestamp,
                None if row.key is None else key_serde.deserialize(row.key),
                None if row.value is None else value_serde.deserialize(row.value),
                row.headers,
            )
            for row in rows
        ]

    def values(self, topic: str, *, value: Any = None) -> list[Any]:
        """As `records`, only the values.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).to("out")
        >>> TopologyTestDriver(app).run("numbers", [7, 8]).values("out")
        [7, 8]
        """
        return [record.value for record in self.records(topic, value=value)]

    def items(self, topic: str, *, key: Any = None, value: Any = None) -> list[tuple[Any, Any]]:
        """As `records`, only `(key, value)` pairs.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).to("out")
        >>> TopologyTestDriver(app).run("numbers", [("a", 7), ("a", None)]).items("out")
        [('a', 7), ('a', None)]
        """
        return [(record.key, record.value) for record in self.records(topic, key=key, value=value)]

    def read_map(self, topic: str, *, key: Any = None, value: Any = None) -> dict[Any, Any]:
        """As `records`, the last value of each key; None where that is a tombstone. Also: `map`.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).to("out")
        >>> TopologyTestDriver(app).run("numbers", [("a", 7), ("b", 1), ("a", 8)]).read_map("out")
        {'a': 8, 'b': 1}
        """
        return dict(self.items(topic, key=key, value=value))

    map = read_map

    def output_topic(self, topic: str, *, key: Any = None, value: Any = None) -> OutputTopic:
        """Reads one topic, record by record or all at once.

        >>> app = App("doc")
        >>> app.stream("numbers", value=int).to("out")
        >>> out = TopologyTestDriver(app).run("numbers", [7, 8]).output_topic("out")
        >>> out.read().value, len(out), out.values(), out.is_empty
        (7, 1, [8], True)
        """
        if topic not in self._topics:
            raise UnknownTopicError(topic, self._topics)
        return OutputTopic(self.records, self._waiting_in, topic, key, value)

    def _waiting_in(self, topic: str) -> int:
        """How many records of a topic `records` has not given yet."""
        found = self._topics[topic]
        return len(found.rows) - found.read

    def assert_output(
        self,
        topic: str,
        expected: Iterable[Any],
        *,
        key: Any = None,
        value: Any = None,
        any_order: bool = False,
    ) -> None:
        """Reads what is new in a topic and compares it, with a difference that can be read.

        Args:
            expected: Values, `(key, value)` pairs or `(key, value, timestamp)` triples.
            any_order: Compares the rows in the order of what they print as.

            >>> app = App("doc")
            >>> app.stream("numbers", value=int).to("out")
            >>> driver = TopologyTestDriver(app).run("numbers", [("a", 7), ("b", 8)])
            >>> driver.assert_output("out", [("a", 7), ("b", 8)])

        Raises:
            AssertionError: it is something else.
        """
        wanted = list(expected)
        records = self.records(topic, key=key, value=value)
        found = _shaped(records, wanted)
        if any_order:
            found, wanted = sorted(found, key=repr), sorted(wanted, key=repr)
        told = difference(found, wanted)
        if told is not None:
            raise AssertionError(f"topic {topic!r}: {told}")

    def store(self, name: str) -> Any:
        """A store by its name or path, to be read.

        Returns:
            A `StoreView`; of values over time a `VersionedView`, of what lies in the order of time,
            such as windows, a `SegmentedView`; of sessions, sliding and count windows a
            `SessionView`.

            >>> app = App("doc")
            >>> counts = app.stream("clicks", value=str).group_by_key().count(name="counts")
            >>> TopologyTestDriver(app).run("clicks", [("ann", "/")]).store("counts")["ann"]
            1
        """
        nodes = (node for sub in self.plan.topology.subtopologies for node in sub.nodes)
        window = next((getattr(node, "window", None) for node in nodes if node.path == name), None)
        return view_of(self._stores.named(name), self._stores.kind_of(name), window)

    def skipped(self) -> dict[str, int]:
        """How many records the error policies have skipped, and how many are dead letters.

        Only what has happened: `{}` where nothing failed.

            >>> app = App("doc", processing="dead_letter")
            >>> app.stream("numbers", value=int).map(lambda n: 1 // n).to("out")
            >>> driver = TopologyTestDriver(app).run("numbers", [0, 1])
            >>> driver.skipped(), len(driver.records("doc-dead-letters"))
            ({'dead_letters': 1}, 1)
        """
        return self._engine.failures.counters()

    def late_records(self) -> dict[str, int]:
        """How many records came too late for all of their windows, by the aggregate's path.

        >>> from processors import Tumbling
        >>> app = App("doc")
        >>> clicks = app.stream("clicks", value=str).group_by_key()
        >>> seconds = clicks.windowed_by(Tumbling("1s")).count(name="seconds")
        >>> rows = [("ann", "/", 5_000), ("ann", "/late", 100)]
        >>> TopologyTestDriver(app).run("clicks", rows).late_records()
        {'seconds': 1}
        """
        return self._engine.late_records

    @property
    def topics(self) -> set[str]:
        """The topics that have records, internal ones included.

        >>> app = App("doc")
        >>> app.stream("in", value=str).to("out")
        >>> sorted(TopologyTestDriver(app).run("in", ["a"]).topics)
        ['in', 'out']
        """
        return {name for name, topic in self._topics.items() if topic.rows}

    # Inside.

    def _start(self) -> Engine:
        self._calls.end()
        self._calls = InstantCalls(lambda: self.wall_clock_ms)
        engine = Engine(
            self.plan,
            self._stores.states,
            policies=self._policies,
            exchange=self._exchange,
            now_ms=lambda: self.wall_clock_ms,
            caller=self._calls.of,
        )
        self._read = set(engine.all_sources)
        engine.look_at_sources(self.wall_clock_ms, self._read)
        return engine

    def _take_answers(self) -> None:
        """Lets calls run until nothing moves, and takes their answers, which may cause more."""
        while self._has_answers():
            self._engine.take_answers()

    def _has_answers(self) -> bool:
        if not self._engine.rows_waiting:
            return False
        self._calls.run()
        return self._engine.has_answers

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException:
            self._engine.abort()
            self._waiting.clear()
            self._arrivals.clear()
            raise

    def _process(self) -> None:
        while self._waiting or self._has_answers():
            arrivals, self._arrivals = self._arrivals, []
            self._feed()
            self._run(arrivals)
            self._take_answers()
            self._commit()
        self._look_at_sources()

    def _tick(self) -> None:
        self._engine.tick(self.wall_clock_ms)
        self._commit()
        self._process()
        levels = max(self.plan.topology.levels.values(), default=0)
        for _ in range(2 * levels + 2):  # through topics, time takes a commit an exchange
            self._look_at_sources()
            if not self._engine.find_due(self.wall_clock_ms):
                break
            self._commit()
            self._process()

    def _look_at_sources(self) -> None:
        """All that was piped has been processed."""
        self._engine.look_at_sources(self.wall_clock_ms, self._read)

    def _run(self, arrivals: Sequence[TopicPartition]) -> None:
        """What was piped in its order; what the application wrote itself, in that of the times."""
        if not arrivals:
            while self._engine.run_round(self._chunk_size):
                pass
        for start in range(0, len(arrivals), self._chunk_size):
            self._engine.run_round(self._chunk_size, arrivals[start : start + self._chunk_size])

    def _commit(self) -> None:
        self._engine.flush()
        outputs = self._engine.take_outputs()
        self._engine.on_committed()
        self._stores.checkpoint()
        for (topic, partition), output in outputs.items():
            self._write(topic, partition, output)

    def _make_topics(self, counts: Mapping[str, int]) -> dict[str, Topic]:
        plan = self.plan
        changelogs = {store.changelog: store.partitions for store in plan.stores}
        wanted = {**plan.sink_topics, **changelogs, **plan.repartition_topics, **counts}
        return {name: Topic(partitions) for name, partitions in wanted.items()}

    def _topic_serdes(self) -> dict[str, tuple[Serde[Any], Serde[Any]]]:
        topology = self.plan.topology
        serdes = {store.changelog: (store.key, store.value) for store in self.plan.stores}
        serdes |= {source.topic: (source.key, source.value) for source in topology.sources}
        return serdes | {
            topic: (sink.key, sink.value) for sink in topology.sinks for topic in sink.topics
        }

    def _source_serdes(self, topic: str) -> tuple[Serde[Any], Serde[Any]]:
        for source in self.plan.topology.sources:
            if source.topic == topic:
                return source.key, source.value
        raise UnknownTopicError(topic, [source.topic for source in self.plan.topology.sources])

    def _take(self) -> None:
        """Pipes what channels and iterables have."""
        for feed in list(self._feeds):
            try:
                self._take_from(feed)
            except IterableError:
                self._feeds.remove(feed)  # it has failed for good, and that is said once
                raise

    def _take_from(self, feed: Feed) -> None:
        while (columns := feed.take()) is not None:
            headers = columns.headers or [[] for _ in columns.keys]
            rows = zip(columns.timestamps, columns.keys, columns.values, headers, strict=True)
            for timestamp, key, value, row_headers in rows:
                self._arrive(feed.topic, 0, timestamp, key, value, row_headers)
            feed.on_committed(columns.next_offset)

    def _check_partition(self, topic: str, partition: Any) -> None:
        if partition is None:
            return
        if type(partition) is not int:
            raise TypeError(f"pipe to {topic!r}: partition={partition!r}: give a whole number")
        count = self._topics[topic].partitions
        if not 0 <= partition < count:
            raise ValueError(f"partition={partition}: topic {topic!r} has {count} partitions")

    def _arrive(
        self,
        topic: str,
        partition: int | None,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        """A record from outside: next in the order of arrival, and stream time knows it."""
        row = self._append(topic, partition, timestamp, key, value, headers)
        if self._order == "arrival":
            self._arrivals.append(TopicPartition(topic, row.partition))
        self.stream_time = max(self.stream_time, timestamp)

    def _append(
        self,
        topic: str,
        partition: int | None,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> Row:
        found = self._topics.setdefault(topic, Topic(1))
        row = found.append(partition, timestamp, key, value, headers)
        source = TopicPartition(topic, row.partition)
        if source in self._read:
            self._waiting.setdefault(source, []).append(row)
        return row

    def _write(self, topic: str, partition: int | None, output: Output) -> None:
        headers = output.headers or [[] for _ in range(len(output))]
        rows = zip(output.timestamps, output.keys, output.values, headers, strict=True)
        for timestamp, key, value, row_headers in rows:
            self._append(topic, partition, timestamp, key, value, row_headers)

    def _feed(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for source, rows in waiting.items():
            has_headers = any(row.headers for row in rows)
            self._engine.feed(
                FetchedColumns(
                    topic=source.topic,
                    partition=source.partition,
                    keys=[row.key for row in rows],
                    values=[row.value for row in rows],
                    timestamps=[row.timestamp for row in rows],
                    offsets=[row.offset for row in rows],
                    headers=[row.headers for row in rows] if has_headers else None,
                    next_offset=rows[-1].offset + 1,
                )
            )


def _check_partitions(partitions: int | Mapping[str, int], topics: list[str]) -> None:
    asked = dict.fromkeys(topics, partitions) if isinstance(partitions, int) else partitions
    for topic, count in asked.items():
        if topic not in topics:
            raise UnknownTopicError(topic, topics)
        if count < 1:
            raise ValueError(f"topic {topic!r}: partitions={count}: must be at least 1")


def _shaped(records: Sequence[Record], like: Sequence[Any]) -> list[Any]:
    """The records as the rows of `like` are: values, pairs or triples."""
    sizes = {len(cast("tuple[Any, ...]", row)) for row in like if isinstance(row, tuple)}
    if like and not sizes:
        sizes = {0}
    match max(sizes, default=2):
        case 2:
            return [(record.key, record.value) for record in records]
        case 3:
            return [(record.key, record.value, record.timestamp) for record in records]
        case _:
            return [record.value for record in records]
