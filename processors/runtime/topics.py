"""The topics of an application: those it reads must be there, the others are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processors.errors import TopologyError
from streamlog.errors import PartitionCountError, UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from processors.runtime.application import Application
    from processors.topology.partitioning import PartitionedTopology
    from streamlog.client.contract import Log


CHANGELOG: Final = {"cleanup.policy": "compact"}
REPARTITION: Final = {"retention.ms": "-1", "segment.bytes": str(50 << 20)}
"""What is on its way between two tasks is not to be lost by age. Kafka Streams' values."""


def missing_sources(application: Application, log: Log) -> list[str]:
    """Topics that are read, do not exist and are nowhere written by the application itself."""
    known = log.topics()
    made = own_topics(application)
    return [topic for topic in read_topics(application) if topic not in known and topic not in made]


def read_topics(application: Application) -> list[str]:
    """The topics of sources and agents, each once."""
    sources = [source.topic for source in application.topology.topics]
    return list(dict.fromkeys([*sources, *(agent.topic for agent in application.agents)]))


def own_topics(application: Application) -> set[str]:
    """The topics that the application's sinks and agents write."""
    return {topic for sink in application.topology.sinks for topic in sink.topics} | {
        agent.sink.topic for agent in application.agents if agent.sink is not None
    }


def count_partitions(application: Application, log: Log) -> dict[str, int]:
    """The partitions of every topic there is, and of those read here that are still to be made.

    Raises:
        UnknownTopicError: a source topic that nobody has made or will make here.
    """
    counts = {name: found.partitions for name, found in log.topics().items()}
    missing = [topic for topic in read_topics(application) if topic not in counts]
    most = max((counts[topic] for topic in read_topics(application) if topic in counts), default=1)
    asked = {topic: sink.partitions for sink in application.topology.sinks for topic in sink.topics}
    for agent in application.agents:
        if agent.sink is not None:
            asked.setdefault(agent.sink.topic, agent.sink.partitions)
    for topic in missing:
        if topic not in asked:
            raise UnknownTopicError(topic, counts)
        counts[topic] = asked[topic] or most
    return counts


def make_topics(
    application: Application, plan: PartitionedTopology, log: Log, counts: Mapping[str, int]
) -> None:
    """Makes the topics that do not exist.

    Args:
        counts: Of `count_partitions`.

    Raises:
        PartitionCountError: a sink whose partitions were asked for has another number of them.
        TopologyError: an internal topic has, of an earlier run.
    """
    for topic in read_topics(application):
        if topic not in log.topics():
            log.create_topic(topic, counts[topic])
    known = log.topics()
    for node in plan.topology.exchanges:
        topic = plan.topology.repartition_topic(node)
        _make_internal(log, node.path, topic, plan.partitions[node], REPARTITION)
    for store in plan.stores:
        if store.is_source:
            continue
        _make_internal(log, store.name, store.changelog, store.partitions, CHANGELOG)
    _make_sinks(application, plan, log, known)
    _make_agent_topics(application, log, known, counts)


def agent_store_partitions(application: Application, counts: Mapping[str, int]) -> int:
    """A store of agents has a partition for every partition that any agent reads."""
    return max((counts[agent.topic] for agent in application.agents), default=1)


def _make_internal(
    log: Log, owner: str, topic: str, partitions: int, config: Mapping[str, str]
) -> None:
    try:
        log.create_topic(topic, partitions, config=config, exist_ok=True)
    except PartitionCountError as error:
        raise TopologyError(
            f"{owner!r} needs {partitions} partitions, but its topic {topic!r} has {error.found}, "
            f"of an earlier run: ask for {error.found} with partitions=, or give it or the "
            "application another name"
        ) from error


def _make_sinks(
    application: Application, plan: PartitionedTopology, log: Log, known: Collection[str]
) -> None:
    asked = {
        topic
        for sink in application.topology.sinks
        if sink.partitions is not None
        for topic in sink.topics
    }
    for topic, partitions in plan.sink_topics.items():
        if topic not in known or topic in asked:
            log.create_topic(topic, partitions, exist_ok=True)
    letters = application.policies.dead_letters
    if application.policies.needs_dead_letters() and letters and letters not in known:
        log.create_topic(letters, 1, exist_ok=True)


def _make_agent_topics(
    application: Application, log: Log, known: Collection[str], counts: Mapping[str, int]
) -> None:
    for agent in application.agents:
        sink = agent.sink
        if sink is not None and (sink.topic not in known or sink.partitions is not None):
            log.create_topic(sink.topic, sink.partitions or counts[agent.topic], exist_ok=True)
    partitions = agent_store_partitions(application, counts)
    for store in application.stores:
        changelog = application.changelog_topic(store.name)
        _make_internal(log, store.name, changelog, partitions, CHANGELOG)
