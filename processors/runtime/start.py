"""From an application and a log to restored tasks, in the order that exactly once asks for.

1. The manifest of an earlier run against this topology; then the topics.
2. Committed offsets, which waits until the outcome of a predecessor's transaction is known; the
   producer, made before, has fenced the predecessor and ended what it left open.
3. Only then the ends of the changelogs, to which the stores are restored.
4. On the very first start the offsets to begin at are committed; then the manifest is written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from processors.operators.sink import MAX_MESSAGE_BYTES
from processors.runtime.calls import AllCalls
from processors.runtime.crew import Crew
from processors.runtime.engine import Engine
from processors.runtime.feeds import begin_feeds
from processors.runtime.manifest_file import (
    check_manifest,
    make_manifest,
    read_manifest,
    write_manifest,
)
from processors.runtime.offsets import GroupOffsets, find_offsets, pin_offsets
from processors.runtime.restore import Changelog, Restore, choose_start
from processors.runtime.reuse import choose_reused, row_reader
from processors.runtime.tasks import Tasks
from processors.runtime.topics import agent_store_partitions, count_partitions, make_topics
from processors.state.cached import KeyValueState
from processors.topology.manifest import exchanges, joins, sources_of_state, stores
from processors.topology.nodes.global_table import GlobalSourceNode
from processors.topology.partitioning import StoreSpec, choose_partitions
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path
    from uuid import UUID

    from processors.runtime.application import Application
    from processors.runtime.manifest_file import Manifest
    from processors.runtime.stores import StoreKey, Stores
    from processors.state.state import State
    from processors.topology.nodes.endpoint import Start
    from processors.topology.partitioning import PartitionedTopology
    from streamlog.client.contract import Consumer, Log, Producer
    from streamlog.clock import Clock

RESTORE_WAIT_S: Final = 0.02
"""How long a restore waits for the markers of a predecessor's transaction before looking again."""

DELETE_RETENTION_MS: Final = 86_400_000

CACHE_SHARE: Final = 2
"""The decoded values of all stores together take this part of the memory budget."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What a worker runs, and where."""

    application: Application
    log: Log
    clock: Clock
    manifest_path: Path
    boot_id: UUID


class _Reader(NamedTuple):
    """A consumer group of the application and where it starts."""

    consumer: Consumer
    found: GroupOffsets


class Starter:
    """One start.

    Attributes:
        restores: The stores that have something to catch up with, and how far each is.
        rebuilt: Why a store was emptied first, by its name and partition.
    """

    def __init__(self, site: Site, producer: Producer, stores: Stores) -> None:
        self._site = site
        self._application = site.application
        self._log = site.log
        self._producer = producer
        self._stores = stores
        self.restores: list[Restore] = []
        self.rebuilt: dict[StoreKey, str] = {}

    async def start(self, wake: Callable[[], None]) -> Tasks:
        """The tasks, ready to run. `wake` is called, in any thread, when there is work."""
        counts = count_partitions(self._application, self._log)
        earlier = read_manifest(self._site.manifest_path)
        plan = choose_partitions(
            self._application.topology, counts, reused=self._choose_reused(earlier)
        )
        manifest = describe(
            self._application, plan, agent_store_partitions(self._application, counts)
        )
        check_manifest(earlier, manifest)
        make_topics(self._application, plan, self._log, counts)
        engine_states, agent_states = self._open_stores(
            plan, agent_store_partitions(self._application, counts)
        )
        streams, agents = self._start_readers(plan, earlier)
        self._stores.positions.update(streams.found.offsets)
        await self._restore(plan)
        pin_offsets(self._producer, [streams, *agents])
        if manifest != earlier:
            write_manifest(self._site.manifest_path, manifest)
        calls = AllCalls(asyncio.get_running_loop().create_task, self._site.clock.now_ms, wake)
        engine = self._start_engine(plan, engine_states, streams, wake, calls)
        crew = self._start_crew(agent_states, agents, wake)
        return Tasks(
            self._log,
            engine,
            streams.consumer,
            crew,
            self._internal_topics(plan),
            calls,
            begin_feeds(self._application, engine, self._site.clock.now_ms),
        )

    # Offsets.

    def _start_readers(
        self, plan: PartitionedTopology, earlier: Manifest | None
    ) -> tuple[_Reader, list[_Reader]]:
        """The reader for the streams, and one an agent."""
        application = self._application
        known_topics, known_agents = self._known(earlier)
        starts = {source.topic: source.start for source in plan.topology.topics}
        streams = self._reader(
            application.name, self._stream_partitions(plan), known_topics, starts
        )
        agents = [
            self._reader(
                application.agent_group(agent),
                self._partitions(agent.topic),
                [agent.topic] if agent.name in known_agents else (),
            )
            for agent in application.agents
        ]
        return streams, agents

    def _reader(
        self,
        group: str,
        partitions: list[TopicPartition],
        known_topics: Collection[str],
        starts: Mapping[str, Start | None] | None = None,
    ) -> _Reader:
        consumer = self._log.consumer(group=group, start="error", auto_commit=False)
        found = find_offsets(
            self._application.name,
            self._log,
            consumer,
            partitions,
            known_topics=known_topics,
            on_gap=self._application.options.on_offset_gap,
            starts={topic: start for topic, start in (starts or {}).items() if start is not None},
            now_ms=self._site.clock.now_ms(),
        )
        return _Reader(consumer, found)

    def _known(self, earlier: Manifest | None) -> tuple[Collection[str], Collection[str]]:
        """The source topics and agents whose offsets an earlier run has committed."""
        if earlier is not None:
            return earlier.get("reads", earlier["sources"]), earlier["agents"]
        stores = self._stores
        changelogs = [
            state.changelog for key, state in stores.states.items() if key not in stores.reused
        ]
        ends = self._log.end_offsets(changelogs, isolation="read_uncommitted")
        if not any(ends.values()):
            return (), ()
        # Without a manifest a changelog tells: nothing is written there before the first offsets.
        agents = [agent.name for agent in self._application.agents]
        return [source.topic for source in self._application.topology.topics], agents

    def _stream_partitions(self, plan: PartitionedTopology) -> list[TopicPartition]:
        topics = [source.topic for source in self._application.topology.topics]
        return [
            partition
            for topic in [*topics, *plan.repartition_topics]
            for partition in self._partitions(topic)
        ]

    def _partitions(self, topic: str) -> list[TopicPartition]:
        count = self._log.topic(topic).partitions
        return [TopicPartition(topic, partition) for partition in range(count)]

    # Stores.

    def _open_stores(
        self, plan: PartitionedTopology, agent_partitions: int
    ) -> tuple[dict[StoreKey, State], dict[StoreKey, KeyValueState]]:
        """The states of the engine's stores and those of the agents'."""
        application, stores = self._application, self._stores
        count = sum(store.partitions for store in plan.stores)
        count += len(application.stores) * agent_partitions
        cache_bytes = application.options.memory_bytes // CACHE_SHARE // max(count, 1)
        engine_states = {
            (spec.name, partition): stores.add(spec, partition, cache_bytes)
            for spec in plan.stores
            for partition in range(spec.partitions)
        }
        agent_states: dict[StoreKey, KeyValueState] = {}
        for spec in agent_stores(application, agent_partitions):
            for partition in range(agent_partitions):
                state = stores.add(spec, partition, cache_bytes)
                assert isinstance(state, KeyValueState)
                agent_states[spec.name, partition] = state
        return engine_states, agent_states

    def _choose_reused(self, earlier: Manifest | None) -> frozenset[str]:
        topology, topics = self._application.topology, self._log.topics()
        reusable = {
            store: topic
            for store, topic in topology.reusable.items()
            if topology.changelog_topic(store) not in topics
        }

        def cleanup_policy(topic: str) -> str:
            return topics[topic].config.get("cleanup.policy", "delete") if topic in topics else ""

        return choose_reused(
            reusable, cleanup_policy, None if earlier is None else earlier["stores"]
        )

    async def _restore(self, plan: PartitionedTopology) -> None:
        consumer = self._log.consumer(start="error")
        try:
            self.restores = self._plan_restores(plan)
            for restore in self.restores:
                restore.begin(consumer)
                while not restore.done:
                    further = restore.step(consumer)
                    await asyncio.sleep(0 if further else RESTORE_WAIT_S)
        finally:
            consumer.close()
        self._stores.begin()

    def _plan_restores(self, plan: PartitionedTopology) -> list[Restore]:
        restores: list[Restore] = []
        readers = {spec.name: row_reader(spec) for spec in plan.stores if spec.is_source}
        now_ms = self._site.clock.now_ms()
        for key, state in self._stores.states.items():
            changelog = self._changelog(state.changelog)
            if key in self._stores.reused:  # what lies behind was not processed yet
                changelog = replace(changelog, end_offset=self._stores.positions[state.changelog])
            position = state.store.position()
            start = choose_start(position, changelog, now_ms=now_ms, boot_id=self._site.boot_id)
            if start.rebuild is not None:
                self.rebuilt[key] = start.rebuild
            if start.rebuild is not None or position is None:
                self._stores.rebuild(state)
            if start.offset < changelog.end_offset:
                read = readers.get(key[0])
                position_at = self._stores.position_at
                restores.append(Restore(changelog, start, state.store, position_at, read))
        return restores

    def _changelog(self, partition: TopicPartition) -> Changelog:
        topic = self._log.topic(partition.topic)
        retention_ms = None
        if "compact" in topic.config.get("cleanup.policy", ""):
            retention_ms = int(topic.config.get("delete.retention.ms", DELETE_RETENTION_MS))
        return Changelog(
            partition=partition,
            topic_id=topic.topic_id,
            log_start_offset=self._log.beginning_offsets([partition])[partition],
            end_offset=self._log.end_offsets([partition], isolation="read_uncommitted")[partition],
            delete_retention_ms=retention_ms,
        )

    # What runs.

    def _start_engine(
        self,
        plan: PartitionedTopology,
        states: dict[StoreKey, State],
        reader: _Reader,
        wake: Callable[[], None],
        calls: AllCalls,
    ) -> Engine:
        offsets = reader.found.offsets
        repartition = [at for at in offsets if at.topic in plan.repartition_topics]
        ends = self._log.end_offsets(repartition, isolation="read_uncommitted")
        engine = Engine(
            plan,
            states,
            policies=self._application.policies,
            exchange=self._application.options.exchange,
            drain={at: end for at, end in ends.items() if offsets[at] < end},
            preload=self._ends_of_global_tables(plan, offsets),
            max_bytes=self._max_bytes,
            partition_count=self._partition_count,
            now_ms=self._site.clock.now_ms,
            caller=calls.of,
        )
        reader.consumer.assign(engine.sources)
        for at in engine.sources:
            reader.consumer.seek(at, offsets[at])
        reader.consumer.on_available(wake)
        return engine

    def _ends_of_global_tables(
        self, plan: PartitionedTopology, offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """What they have that was not read yet: it is read before anything looks them up."""
        topics = [
            each.topic for each in plan.topology.sources if isinstance(each, GlobalSourceNode)
        ]
        ends = self._log.end_offsets([at for at in offsets if at.topic in topics])
        return {at: end for at, end in ends.items() if offsets[at] < end}

    def _max_bytes(self, topic: str) -> int:
        return int(self._log.topic(topic).config.get("max.message.bytes", MAX_MESSAGE_BYTES))

    def _partition_count(self, topic: str) -> int | None:
        found = self._log.topics().get(topic)
        return None if found is None else found.partitions

    def _start_crew(
        self,
        states: dict[StoreKey, KeyValueState],
        readers: list[_Reader],
        wake: Callable[[], None],
    ) -> Crew:
        crew = Crew(self._application, states, wake)
        for agent, reader in zip(self._application.agents, readers, strict=True):
            reader.consumer.assign(reader.found.offsets)
            crew.add(agent, reader.consumer, reader.found.offsets)
            reader.consumer.on_available(wake)
        crew.start()
        return crew

    def _internal_topics(self, plan: PartitionedTopology) -> frozenset[str]:
        stores = self._stores
        changelogs = [
            state.changelog.topic
            for key, state in stores.states.items()
            if key not in stores.reused
        ]
        return frozenset([*plan.repartition_topics, *changelogs])


def agent_stores(application: Application, partitions: int) -> list[StoreSpec]:
    return [
        StoreSpec(
            name=store.name,
            kind="agents",
            key=store.key_serde,
            value=store.value_serde,
            changelog=application.changelog_topic(store.name),
            partitions=partitions,
        )
        for store in application.stores
    ]


def describe(
    application: Application, plan: PartitionedTopology, agent_partitions: int
) -> Manifest:
    """The manifest of an application over topics of these partition counts."""
    return make_manifest(
        application.name,
        sources=sources_of_state(plan),
        exchanges=exchanges(plan),
        stores=stores([*plan.stores, *agent_stores(application, agent_partitions)]),
        agents={agent.name: {"topic": agent.topic} for agent in application.agents},
        reads=[source.topic for source in plan.topology.topics],
        joins=joins(plan),
    )
