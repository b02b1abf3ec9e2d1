"""What operators are connected to when they are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processors.operators.map_async import Caller
    from processors.operators.operator import LocatingFailures, Operator
    from processors.operators.sink import Outbox
    from processors.operators.table import StoreOperator
    from processors.runtime.exchange import Exchange
    from processors.state.state import State
    from processors.topology.nodes.exchange import ExchangeNode
    from processors.topology.nodes.map_async import MapAsyncNode
    from processors.topology.nodes.node import Node
    from processors.topology.partitioning import PartitionedTopology
    from processors.topology.reads import Reads


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the operators of all tasks share.

    Attributes:
        stores: By store name and partition.
        coordinates: Topic, partition and offset of the records with these tickets.
        through_topic: Whether exchanges go through their topics.
        max_bytes: The largest batch that a topic takes.
        partition_count: The partitions of a topic; None where there is no such topic.
        caller: What calls the function of an asynchronous operator.
        tables: Those that all tasks look up, once they are built.
    """

    plan: PartitionedTopology
    stores: Mapping[tuple[str, int], State]
    exchanges: Mapping[ExchangeNode, Exchange]
    failures: LocatingFailures
    outbox: Outbox
    coordinates: Callable[[Sequence[int]], list[tuple[str, int, int]]]
    through_topic: bool
    max_bytes: Callable[[str], int]
    partition_count: Callable[[str], int | None]
    caller: Callable[[MapAsyncNode], Caller]
    tables: dict[Node, StoreOperator] = field(default_factory=dict["Node", "StoreOperator"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A task under construction.

    Attributes:
        partitions: One, or all of the worker's where the sub-topology runs as one.
        operators: Those that were built; a node's parents are, unless rows come from outside.
    """

    parts: Parts
    partitions: tuple[int, ...]
    operators: dict[Node, Operator] = field(default_factory=dict["Node", "Operator"])

    @property
    def failures(self) -> LocatingFailures:
        return self.parts.failures

    def reads(self, node: Node) -> Reads:
        """What is read of the node's rows."""
        return self.parts.plan.topology.reads[node]

    def parent(self, node: Node, number: int = 0) -> Operator:
        """The operator of a parent, which runs in this task."""
        return self.operators[self.parts.plan.topology.parents[node][number]]

    def find_parent(self, node: Node, number: int = 0) -> Operator | None:
        """As `parent`; None where the parent is an entry, whose rows come from outside."""
        return self.operators.get(self.parts.plan.topology.parents[node][number])

    def states(self, name: str) -> list[State]:
        """The states of a store, one a partition of the task."""
        return [self.parts.stores[name, partition] for partition in self.partitions]
