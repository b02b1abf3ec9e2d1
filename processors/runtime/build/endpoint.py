"""Sources, sinks and the sending ends of exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.chain import Chain
from processors.operators.routing import RoutedSinkOperator, RowPartitioner
from processors.operators.sink import Encoder, SinkOperator
from processors.operators.source import SourceOperator
from processors.operators.stateless import MergeOperator
from processors.runtime.build.stateless import filter_of
from processors.runtime.exchange import SendOperator, SendThroughTopicOperator
from processors.topology.nodes.endpoint import PatternNode, SinkNode, SourceNode
from processors.topology.nodes.exchange import ExchangeNode, RepartitionNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Parts, Place
    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import Entry


def build_source(entry: Entry, parts: Parts) -> Operator:
    """What reads a topic for an entry; for an exchange, its repartition topic."""
    source = _read(entry, parts)
    filters = _filters(entry, parts)
    return source if filters is None else Chain(entry.path, [source, *filters.operators])


def _filters(node: Node, parts: Parts) -> Chain | None:
    """The filters that stand behind an exchange."""
    pushed = parts.plan.topology.pushed.get(node)
    if not pushed:
        return None
    return Chain(node.path, [filter_of(each, parts.failures) for each in pushed])


def _read(entry: Entry, parts: Parts) -> SourceOperator:
    reads = parts.plan.topology.reads[entry]
    decoded = reads.values or isinstance(entry, SourceNode)
    return SourceOperator(
        entry.path,
        entry.key if reads.keys else None,
        entry.value if decoded else None,
        parts.failures,
        timestamp=entry.timestamp if isinstance(entry, SourceNode) else None,
        skip_invalid=isinstance(entry, SourceNode) and entry.invalid_timestamp == "skip",
    )


def _topics(node: PatternNode, place: Place) -> Operator:
    return MergeOperator(node.path)


def _sink(node: SinkNode, place: Place) -> Operator:
    parts = place.parts
    if node.route is not None or node.partition is not None:
        return _routed_sink(node, parts)
    topic = node.topics[0]
    encoder = Encoder(node.path, node.key, node.value, parts.failures, f"to({topic!r})")
    return SinkOperator(node.path, topic, parts.max_bytes(topic), encoder, parts.outbox)


def _routed_sink(node: SinkNode, parts: Parts) -> Operator:
    encoder = Encoder(node.path, node.key, node.value, parts.failures, "to(...)")
    return RoutedSinkOperator(
        node.path,
        None if node.route is not None else node.topics[0],
        node.route,
        node.partition,
        encoder,
        parts.outbox,
        parts.partition_count,
        parts.max_bytes,
    )


def _send(node: ExchangeNode, place: Place) -> Operator:
    parts = place.parts
    exchange = parts.exchanges[node]
    encoder = Encoder(node.path, node.key, node.value, parts.failures, node.kind)
    partitioner = None
    if node.partitioner is not None:
        partitioner = RowPartitioner(node.path, node.partitioner, parts.failures)
    if parts.through_topic:
        return SendThroughTopicOperator(node.path, exchange, encoder, parts.outbox, partitioner)
    return SendOperator(node.path, exchange, encoder, partitioner, _filters(node, parts))


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    SinkNode: _sink,
    PatternNode: _topics,
    ExchangeNode: _send,
    RepartitionNode: _send,
}
