"""A task: the operators of a sub-topology over one partition, wired in topological order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.operators.chunk import EMPTY, Chunk, merge_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processors.operators.operator import Operator
    from processors.topology.graph import Node
    from processors.topology.subtopology import SubTopology


@dataclass(frozen=True, slots=True)
class Step:
    """An operator, the node that it runs and the nodes that feed it."""

    node: Node
    parents: tuple[Node, ...]
    operator: Operator


class Task:
    """One instance of a sub-topology. Owned by one worker.

    `partitions` has one partition, or all of the worker's where the sub-topology has no state:
    then nothing has to be kept apart, and rows of all partitions run in one chunk, in the order
    of their tickets.
    """

    def __init__(
        self, subtopology: SubTopology, partitions: tuple[int, ...], steps: Sequence[Step]
    ) -> None:
        self.subtopology = subtopology
        self.partitions = partitions
        self.steps = tuple(steps)

    def run(self, inputs: Mapping[Node, Chunk]) -> None:
        """One phase of a round: rows through all operators."""
        self._run(inputs, None)

    def flush(
        self, inputs: Mapping[Node, Chunk], flush: Callable[[Task, Operator], Chunk | None]
    ) -> None:
        """As `run`; then each operator gives what it held back, which the later ones still see."""
        self._run(inputs, flush)

    def _run(
        self,
        inputs: Mapping[Node, Chunk],
        flush: Callable[[Task, Operator], Chunk | None] | None,
    ) -> None:
        rows: dict[Node, Chunk] = dict(inputs)
        for step in self.steps:
            given = [rows.get(parent, EMPTY) for parent in step.parents]
            chunk = given[0] if len(given) == 1 else merge_chunks(given)
            made = step.operator.process(chunk) if len(chunk) else EMPTY
            if flush is not None:
                held = flush(self, step.operator)
                if held is not None:
                    assert not len(made), "an operator holds results back or gives them at once"
                    made = held
            rows[step.node] = made
