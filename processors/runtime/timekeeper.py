"""Time without records: what the engine knows of it, and when it tells the operators.

At a tick the sources say how far time has come, and every operator is asked whether something
becomes of that. If nothing does, the tick leaves no trace. Otherwise a commit is due, in whose
flush time goes down the graph, behind the rows and before what stores held back: an input with a
ticket, in the same transaction as all that follows from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.operators.mark import Mark
from processors.runtime.times import SourceTimes
from processors.runtime.walk import TimeWalk
from processors.state.cached import KeyValueState
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.windows import WindowedNode
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from processors.operators.chunk import Chunk
    from processors.runtime.task import Stage, Step, Task
    from processors.state.state import State
    from processors.topology.nodes.exchange import ExchangeNode
    from processors.topology.partitioning import PartitionedTopology

SourceMarks = dict[tuple[SourceNode, int], Mark]


class Timekeeper:
    """The time of one engine.

    Args:
        stages: In the order in which they run.
        through_topic: Whether exchanges go through their topics, where rows are behind marks.

    Attributes:
        is_needed: Whether anything goes by the wall clock here.
    """

    def __init__(
        self,
        plan: PartitionedTopology,
        stores: Mapping[tuple[str, int], State],
        stages: Sequence[tuple[Task, Stage]],
        *,
        through_topic: bool,
    ) -> None:
        self._plan = plan
        self._steps = [(task, step) for task, stage in stages for step in stage.steps]
        nodes = [entry for entry in plan.partitions if isinstance(entry, SourceNode)]
        self._sources = SourceTimes(
            {
                node: [_place(node, at, stores) for at in range(plan.partitions[node])]
                for node in nodes
            }
        )
        self.is_needed = any(node.idle_timeout_ms is not None for node in nodes) or any(
            isinstance(step.node, WindowedNode) and step.node.advance == "wall_clock"
            for _, step in self._steps
        )
        self._through_topic = through_topic
        self._due: SourceMarks | None = None
        self._walk: TimeWalk | None = None
        self._sent: dict[ExchangeNode, Mark] = {}
        self._committed: dict[ExchangeNode, Mark] = {}
        self._arrived: dict[ExchangeNode, Mark] = {}

    def note(self, node: SourceNode, partition: int, timestamps: list[int]) -> None:
        """Records of a source with an idle timeout have been taken."""
        self._sources.note(node, partition, timestamps)

    def look(
        self,
        now_ms: int,
        at_end: Collection[TopicPartition],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Sees which sources are quiet, and which marks have no rows of a topic before them."""
        self._sources.look(now_ms, at_end, positions)
        for node, mark in self._committed.items():
            topic = self._plan.topology.repartition_topic(node)
            count = self._plan.partitions[node]
            if all(TopicPartition(topic, at) in at_end for at in range(count)):
                self._arrived[node] = mark

    def find_due(self, now_ms: int) -> bool:
        """Whether something becomes of the time that it is; then the next flush tells of it."""
        marks = self._sources.marks(now_ms)
        walk = TimeWalk(self._plan, marks)
        is_due = False
        for task, step in self._steps:
            mark = walk.reach(task, step)
            told = step.operator.told(mark)
            if told >= 0 and step.operator.next_due() <= told:
                is_due = True
            walk.leave(task, step, step.operator.pass_on(mark))
        if is_due:
            self._due = marks
        return is_due

    # A flush.

    def begin_flush(self) -> None:
        if self._due is not None:
            arrived = self._arrived if self._through_topic else None
            self._walk = TimeWalk(self._plan, self._due, arrived)

    def advance(self, task: Task, step: Step, next_ticket: int) -> Chunk | None:
        """Tells a step's operator the time, and gives what follows."""
        walk = self._walk
        if walk is None:
            return None
        mark = walk.reach(task, step)
        told = step.operator.told(mark)
        rows = step.operator.advance(told, next_ticket) if told >= 0 else None
        walk.leave(task, step, step.operator.pass_on(mark))
        return rows

    def end_flush(self) -> None:
        """What sources know of time goes into the transaction."""
        if self._walk is not None and self._due is not None:
            self._sources.apply(self._due)
            self._sent = self._walk.sent()
        self._due = self._walk = None
        self._sources.flush()

    def on_committed(self) -> None:
        if self._through_topic:
            self._committed.update(self._sent)

    def clear(self) -> None:
        """An abort."""
        self._due = self._walk = None
        self._sent = {}
        self._sources.clear()


def _place(
    node: SourceNode, partition: int, stores: Mapping[tuple[str, int], State]
) -> tuple[TopicPartition, KeyValueState | None]:
    """A partition of a source, and where its time is kept."""
    source = TopicPartition(node.topic, partition)
    if node.idle_timeout_ms is None:
        return source, None
    state = stores[node.idle_store, partition]
    assert isinstance(state, KeyValueState)
    return source, state
