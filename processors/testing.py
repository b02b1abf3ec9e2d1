"""`TopologyTestDriver`: runs an application's streams synchronously, without a log directory.

    driver = TopologyTestDriver(app)
    driver.pipe("lines", "to be or not to be", timestamp=5)
    assert driver.map("word-counts") == {"to": 2, "be": 2, "or": 1, "not": 1}

It is the application's own engine over lists instead of topics. As with Kafka's driver, every
record that is piped is processed to completion, through all exchanges, and then committed, so
`latest` emits after every record; `commit_every` changes that. Agents are not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from processors.runtime.engine import Engine, ExchangeMode
from processors.runtime.stores import make_state
from processors.state.cached import DEFAULT_CACHE_BYTES, KeyValueState
from processors.state.memory import MemoryStore
from processors.topology.partitioning import choose_partitions
from streamlog.client.contract import FetchedColumns, Record, TopicPartition
from streamlog.errors import UnknownTopicError
from streamlog.partitioner import partition_for
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from processors.app import App
    from processors.runtime.outbox import Output
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde


@dataclass(slots=True)
class _Row:
    """A record of a topic of the driver, as bytes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class _Topic:
    """Partitions as lists; `read` is how many records `records()` has given."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.rows: list[_Row] = []
        self.read = 0
        self._next_offsets = [0] * partitions

    def append(
        self,
        partition: int | None,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> _Row:
        if partition is None:
            partition = 0 if key is None else partition_for(key, self.partitions)
        offset = self._next_offsets[partition]
        self._next_offsets[partition] = offset + 1
        row = _Row(partition, offset, timestamp, key, value, headers)
        self.rows.append(row)
        return row


class InputTopic:
    """Pipes records into one topic, with timestamps that go on by themselves."""

    def __init__(self, driver: TopologyTestDriver, topic: str, start: int, advance: int) -> None:
        self._driver = driver
        self._topic = topic
        self._timestamp = start
        self._advance = advance

    def pipe(
        self,
        value: Any,
        *,
        key: Any = None,
        timestamp: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        """One record; without `timestamp`, the next one of this topic."""
        if timestamp is None:
            timestamp = self._timestamp
            self._timestamp += self._advance
        self._driver.pipe(self._topic, value, key=key, timestamp=timestamp, headers=headers)

    def pipe_all(self, rows: Iterable[Any]) -> None:
        """Values, or `(key, value)` pairs."""
        for row in rows:
            if isinstance(row, tuple):
                key, value = cast("tuple[Any, Any]", row)  # what the caller was told to give
                self.pipe(value, key=key)
            else:
                self.pipe(row)


class StoreView:
    """A store of all tasks, as a mapping that only reads."""

    def __init__(self, states: list[KeyValueState]) -> None:
        self._states = states

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        encoded = self._states[0].key_serde.serialize(key)
        state = self._states[partition_for(encoded, len(self._states))]
        value = state.get(key)
        return default if value is None else value

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Task by task, in the order of the key bytes."""
        for state in self._states:
            yield from state.items()

    def timestamp(self, key: Any) -> int:
        """The timestamp of the key's value."""
        encoded = self._states[0].key_serde.serialize(key)
        return self._states[partition_for(encoded, len(self._states))].entry(key).timestamp

    def __len__(self) -> int:
        return sum(1 for _ in self.items())


class TopologyTestDriver:
    """Runs the streams of an application in the calling thread.

    Args:
        app: As `run` would get it; its error policies hold.
        partitions: Of every source topic, or by topic (others have one).
        commit_every: Commits after so many piped records; `commit` does it in between.
        chunk_size: The most records of a round.
        exchange: As for `App`.
        cache_bytes: The bound of each store's cache.

    Errors, such as `ProcessingError`, come out of the call that piped the record; what was piped
    since the last commit is forgotten then.
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
    ) -> None:
        application = app.plan()
        topology = application.topology
        _check_partitions(partitions, [source.topic for source in topology.sources])
        counts = {
            source.topic: partitions
            if isinstance(partitions, int)
            else partitions.get(source.topic, 1)
            for source in topology.sources
        }
        self.plan = choose_partitions(topology, counts)
        self._states = {
            (spec.name, partition): make_state(
                spec, MemoryStore(), TopicPartition(spec.changelog, partition), cache_bytes
            )
            for spec in self.plan.stores
            for partition in range(spec.partitions)
        }
        self._engine = Engine(
            self.plan, self._states, policies=application.policies, exchange=exchange
        )
        self._read = set(self._engine.sources)
        self._topics = self._make_topics(counts)
        self._serdes = self._topic_serdes()
        self._commit_every = commit_every
        self._chunk_size = chunk_size
        self._piped = 0
        self._waiting: dict[TopicPartition, list[_Row]] = {}
        self.stream_time = -1
        """The highest timestamp piped so far; -1 before the first record."""

    # Input.

    def pipe(
        self,
        topic: str,
        value: Any,
        *,
        key: Any = None,
        timestamp: int = 0,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """One record, written with the serdes of the source. Its key chooses the partition."""
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
        timestamp: int = 0,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """One record as it lies in a topic, whether or not the source can read it."""
        self._source_serdes(topic)
        count = self._topics[topic].partitions
        if partition is not None and not 0 <= partition < count:
            raise ValueError(f"partition={partition}: topic {topic!r} has {count} partitions")
        self._append(topic, partition, timestamp, key, value, headers or [])
        self.stream_time = max(self.stream_time, timestamp)
        self._piped += 1
        if self._piped % self._commit_every == 0:
            self.commit()

    def input_topic(self, topic: str, *, start: int = 0, advance: int = 0) -> InputTopic:
        """Pipes into a topic with timestamps from `start`, each `advance` ms after the last."""
        self._source_serdes(topic)
        return InputTopic(self, topic, start, advance)

    def run(self, topic: str, rows: Iterable[Any]) -> TopologyTestDriver:
        """Pipes values, or `(key, value)` pairs, one millisecond apart, and commits."""
        self.input_topic(topic, start=self.stream_time + 1, advance=1).pipe_all(rows)
        self.commit()
        return self

    def commit(self) -> None:
        """Processes what was piped and commits, until nothing waits in any topic."""
        try:
            while self._waiting:
                self._run_waiting()
                self._engine.flush()
                outputs = self._engine.take_outputs()
                self._engine.on_committed()
                for (topic, partition), output in outputs.items():
                    self._write(topic, partition, output)
        except BaseException:
            self._engine.abort()
            self._waiting.clear()
            raise

    # Output.

    def records(self, topic: str, *, key: Any = None, value: Any = None) -> list[Record]:
        """The records that were written to a topic and not read here yet, in order.

        Args:
            key, value: Serdes, where the topic is none that the application writes or reads.
        """
        found = self._topics.get(topic)
        if found is None:
            raise UnknownTopicError(topic, self._topics)
        serdes = self._serdes.get(topic, (serde_for(bytes), serde_for(bytes)))
        key_serde = serdes[0] if key is None else serde_for(key)
        value_serde = serdes[1] if value is None else serde_for(value)
        rows, found.read = found.rows[found.read :], len(found.rows)
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
        """As `records`, only the values."""
        return [record.value for record in self.records(topic, value=value)]

    def items(self, topic: str, *, key: Any = None, value: Any = None) -> list[tuple[Any, Any]]:
        """As `records`, only `(key, value)` pairs."""
        return [(record.key, record.value) for record in self.records(topic, key=key, value=value)]

    def map(self, topic: str, *, key: Any = None, value: Any = None) -> dict[Any, Any]:
        """As `records`, the last value of each key."""
        return dict(self.items(topic, key=key, value=value))

    def store(self, name: str) -> StoreView:
        """The store of an aggregate, by its name or path."""
        named = [state for (store, _), state in self._states.items() if store == name]
        if not named:
            raise KeyError(f"no store {name!r}; there are {sorted({s for s, _ in self._states})}")
        return StoreView([state for state in named if isinstance(state, KeyValueState)])

    def skipped(self) -> dict[str, int]:
        """How many records the error policies have skipped, and how many are dead letters."""
        return self._engine.failures.counters()

    @property
    def topics(self) -> set[str]:
        """The topics that have records, internal ones included."""
        return {name for name, topic in self._topics.items() if topic.rows}

    # Inside.

    def _make_topics(self, counts: Mapping[str, int]) -> dict[str, _Topic]:
        plan = self.plan
        changelogs = {store.changelog: store.partitions for store in plan.stores}
        wanted = {**plan.sink_topics, **changelogs, **plan.repartition_topics, **counts}
        return {name: _Topic(partitions) for name, partitions in wanted.items()}

    def _topic_serdes(self) -> dict[str, tuple[Serde[Any], Serde[Any]]]:
        topology = self.plan.topology
        serdes = {store.changelog: (store.key, store.value) for store in self.plan.stores}
        serdes |= {source.topic: (source.key, source.value) for source in topology.sources}
        return serdes | {sink.topic: (sink.key, sink.value) for sink in topology.sinks}

    def _source_serdes(self, topic: str) -> tuple[Serde[Any], Serde[Any]]:
        for source in self.plan.topology.sources:
            if source.topic == topic:
                return source.key, source.value
        raise UnknownTopicError(topic, [source.topic for source in self.plan.topology.sources])

    def _append(
        self,
        topic: str,
        partition: int | None,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        found = self._topics.setdefault(topic, _Topic(1))
        row = found.append(partition, timestamp, key, value, headers)
        source = TopicPartition(topic, row.partition)
        if source in self._read:
            self._waiting.setdefault(source, []).append(row)

    def _write(self, topic: str, partition: int | None, output: Output) -> None:
        headers = output.headers or [[] for _ in range(len(output))]
        rows = zip(output.timestamps, output.keys, output.values, headers, strict=True)
        for timestamp, key, value, row_headers in rows:
            self._append(topic, partition, timestamp, key, value, row_headers)

    def _run_waiting(self) -> None:
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
        while self._engine.run_round(self._chunk_size):
            pass


def _check_partitions(partitions: int | Mapping[str, int], topics: list[str]) -> None:
    asked = dict.fromkeys(topics, partitions) if isinstance(partitions, int) else partitions
    for topic, count in asked.items():
        if topic not in topics:
            raise UnknownTopicError(topic, topics)
        if count < 1:
            raise ValueError(f"topic {topic!r}: partitions={count}: must be at least 1")
