"""How marks of time go down the graph: from the sources, by every operator, across exchanges.

An exchange passes on what is known of all tasks that send to it. Through its topic, rows arrive
after the commit; a mark then waits until they have been read, or it would overtake them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.operators.mark import NOTHING_KNOWN, Mark, meet
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processors.runtime.task import Step, Task
    from processors.topology.nodes.node import Node
    from processors.topology.partitioning import PartitionedTopology
    from processors.topology.subtopology import Entry


class TimeWalk:
    """One walk down the graph; steps are reached in the order in which they run.

    Args:
        arrived: Of exchanges through topics, what has been read to the end; None where they are in
            memory, or to find out what would be due if nothing lay between.
    """

    def __init__(
        self,
        plan: PartitionedTopology,
        sources: Mapping[tuple[SourceNode, int], Mark],
        arrived: Mapping[ExchangeNode, Mark] | None = None,
    ) -> None:
        self._plan = plan
        self._sources = sources
        self._arrived = arrived
        self._sent: dict[ExchangeNode, list[Mark]] = {}
        self._left: dict[tuple[Task, Node], Mark] = {}

    def reach(self, task: Task, step: Step) -> Mark:
        """What the step's operator may know."""
        parents = step.parents
        if not step.node.keeps_time:
            return NOTHING_KNOWN
        if step.node.time_parents is not None:
            parents = tuple(parents[number] for number in step.node.time_parents)
        found = [mark for parent in parents for mark in self._of(task, parent)]
        return meet(found)

    def leave(self, task: Task, step: Step, mark: Mark) -> None:
        """What is known behind it."""
        if isinstance(step.node, ExchangeNode):
            self._sent.setdefault(step.node, []).append(mark)
        else:
            self._left[task, step.node] = mark

    def sent(self) -> dict[ExchangeNode, Mark]:
        """What every exchange was told."""
        return {node: meet(marks) for node, marks in self._sent.items()}

    def _of(self, task: Task, parent: Node) -> list[Mark]:
        """What is known of a parent; nothing where it has no rows for this task, and never will."""
        if isinstance(parent, ExchangeNode) and parent in task.subtopology.entries:
            return [self._of_exchange(parent)] if self._has(task, parent) else []
        if isinstance(parent, SourceNode):
            count = self._plan.partitions[parent]
            return [self._sources[parent, at] for at in task.partitions if at < count]
        found = self._left.get((task, parent))
        return [] if found is None else [found]

    def _of_exchange(self, node: ExchangeNode) -> Mark:
        if self._arrived is not None:
            return self._arrived.get(node, NOTHING_KNOWN)
        return meet(self._sent.get(node, ()))

    def _has(self, task: Task, entry: Entry) -> bool:
        return any(at < self._plan.partitions[entry] for at in task.partitions)
