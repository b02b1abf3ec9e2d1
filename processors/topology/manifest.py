"""What state depends on: the facts of a topology that a manifest keeps (runtime/manifest_file.py).

Everything whose change would leave state wrong, lost or out of reach is here: stores, the
exchanges, and the sources that feed either. Stateless operators and sinks may change freely, and
what a function does nobody can compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.topology.nodes.endpoint import SourceNode
from processors.topology.partners import roots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.topology.partitioning import PartitionedTopology, StoreSpec

Facts = dict[str, dict[str, Any]]


def sources_of_state(plan: PartitionedTopology) -> Facts:
    """The topics whose records reach a store."""
    return {
        source.pattern or source.topic: {"partitions": plan.partitions[source]}
        for sub in plan.topology.subtopologies
        if sub.sends or any(not isinstance(node, SourceNode) for node in sub.stores)
        for source in sub.sources
        if source.in_log
    }


def exchanges(plan: PartitionedTopology) -> Facts:
    return {
        node.path: {
            "partitions": plan.partitions[node],
            "key": node.key.name,
            "value": node.value.name if plan.topology.reads[node].values else None,
        }
        for node in plan.topology.exchanges
    }


def joins(plan: PartitionedTopology) -> Facts:
    """The joins that keep something, and the topics on their other sides."""
    return {
        node.path: {"with": roots(node.parents[node.partner])}
        for sub in plan.topology.subtopologies
        for node in sub.stores
        if node.partner is not None
    }


def stores(specs: Sequence[StoreSpec]) -> Facts:
    return {
        store.name: {
            "kind": store.kind,
            "key": store.key.name,
            "value": store.value.name,
            "partitions": store.partitions,
            **({"source": store.changelog} if store.is_source else {}),
        }
        for store in specs
    }
