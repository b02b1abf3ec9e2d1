"""Sources, sinks and the sending ends of exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.sink import Encoder, SinkOperator
from processors.operators.source import SourceOperator
from processors.runtime.exchange import SendOperator, SendThroughTopicOperator
from processors.topology.nodes.endpoint import SinkNode, SourceNode
from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Parts, Place
    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import Entry


def build_source(entry: Entry, parts: Parts) -> SourceOperator:
    """What reads a topic for an entry; for an exchange, its repartition topic."""
    reads = parts.plan.topology.reads[entry]
    decoded = reads.values or isinstance(entry, SourceNode)
    return SourceOperator(
        entry.path,
        entry.key if reads.keys else None,
        entry.value if decoded else None,
        parts.failures,
    )


def _sink(node: SinkNode, place: Place) -> Operator:
    parts, topic = place.parts, node.topic
    encoder = Encoder(node.path, node.key, node.value, parts.failures, f"to({topic!r})")
    return SinkOperator(node.path, topic, parts.max_bytes(topic), encoder, parts.outbox)


def _send(node: ExchangeNode, place: Place) -> Operator:
    parts = place.parts
    exchange = parts.exchanges[node]
    encoder = Encoder(node.path, node.key, node.value, parts.failures, node.kind)
    if parts.through_topic:
        return SendThroughTopicOperator(node.path, exchange, encoder, parts.outbox)
    return SendOperator(node.path, exchange, encoder)


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    SinkNode: _sink,
    ExchangeNode: _send,
}
