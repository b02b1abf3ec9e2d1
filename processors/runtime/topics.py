"""The topics of an application: those it reads must be there, the others are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.partitioning import choose_partitions
from streamlog.errors import UnknownTopicError

if TYPE_CHECKING:
    from processors.runtime.application import Application
    from processors.topology.partitioning import PartitionedTopology
    from streamlog.client.contract import Log


def missing_sources(application: Application, log: Log) -> list[str]:
    """Topics that are read, do not exist and are nowhere written by the application itself."""
    known = log.topics()
    made = own_topics(application)
    return [topic for topic in read_topics(application) if topic not in known and topic not in made]


def read_topics(application: Application) -> list[str]:
    """The topics of sources and agents, each once."""
    sources = [source.topic for source in application.topology.sources]
    return list(dict.fromkeys([*sources, *(agent.topic for agent in application.agents)]))


def own_topics(application: Application) -> set[str]:
    """The topics that the application's sinks and agents write."""
    return {sink.topic for sink in application.topology.sinks} | {
        agent.sink.topic for agent in application.agents if agent.sink is not None
    }


def prepare_topics(application: Application, log: Log) -> PartitionedTopology:
    """Settles the partition counts and makes the topics that do not exist.

    Raises:
        UnknownTopicError: a source topic that nobody has made.
        PartitionCountError: an internal topic, or a sink whose partitions were asked for, has
            another number of partitions.
    """
    _make_own_sources(application, log)
    counts = {name: found.partitions for name, found in log.topics().items()}
    for topic in read_topics(application):
        if topic not in counts:
            raise UnknownTopicError(topic, counts)
    plan = choose_partitions(application.topology, counts)
    for topic, partitions in plan.repartition_topics.items():
        log.create_topic(topic, partitions, exist_ok=True)
    for store in plan.stores:
        log.create_topic(store.changelog, store.partitions, exist_ok=True)
    _make_sinks(application, plan, log, counts)
    _make_agent_topics(application, log, counts)
    return plan


def agent_store_partitions(application: Application, log: Log) -> int:
    """A store of agents has a partition for every partition that any agent reads."""
    return max((log.topic(agent.topic).partitions for agent in application.agents), default=1)


def _make_own_sources(application: Application, log: Log) -> None:
    """Topics that are written here and read here: before anything can be counted."""
    known = log.topics()
    counts = {name: found.partitions for name, found in known.items()}
    read = [topic for topic in read_topics(application) if topic not in known]
    most = max((counts[topic] for topic in read_topics(application) if topic in counts), default=1)
    asked = {sink.topic: sink.partitions for sink in application.topology.sinks}
    for agent in application.agents:
        if agent.sink is not None:
            asked.setdefault(agent.sink.topic, agent.sink.partitions)
    for topic in read:
        if topic in asked:
            log.create_topic(topic, asked[topic] or most)


def _make_sinks(
    application: Application, plan: PartitionedTopology, log: Log, known: dict[str, int]
) -> None:
    asked = {sink.topic for sink in application.topology.sinks if sink.partitions is not None}
    for topic, partitions in plan.sink_topics.items():
        if topic not in known or topic in asked:
            log.create_topic(topic, partitions, exist_ok=True)
    letters = application.policies.dead_letters
    if application.policies.needs_dead_letters() and letters and letters not in known:
        log.create_topic(letters, 1, exist_ok=True)


def _make_agent_topics(application: Application, log: Log, known: dict[str, int]) -> None:
    for agent in application.agents:
        sink = agent.sink
        if sink is not None and (sink.topic not in known or sink.partitions is not None):
            count = sink.partitions or log.topic(agent.topic).partitions
            log.create_topic(sink.topic, count, exist_ok=True)
    partitions = agent_store_partitions(application, log)
    for store in application.stores:
        log.create_topic(application.changelog_topic(store.name), partitions, exist_ok=True)
