"""A task: the operators of a sub-topology over one partition, in stages by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.operators.chunk import EMPTY, Chunk, join_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processors.operators.operator import Operator
    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import Entry, SubTopology


@dataclass(frozen=True, slots=True)
class Step:
    """An operator, the node that it runs and the nodes that feed it."""

    node: Node
    parents: tuple[Node, ...]
    operator: Operator


@dataclass(frozen=True, slots=True)
class Stage:
    """What of a task runs at one level: rows come in at the entries, then the steps run."""

    level: int
    entries: tuple[Entry, ...]
    steps: tuple[Step, ...]


class Task:
    """One instance of a sub-topology. Owned by one worker.

    `partitions` has one partition, or all of the worker's where the sub-topology runs as one: then
    rows of all partitions run in one chunk, in the order of their tickets.
    """

    def __init__(
        self, subtopology: SubTopology, partitions: tuple[int, ...], stages: Sequence[Stage]
    ) -> None:
        self.subtopology = subtopology
        self.partitions = partitions
        self.stages = tuple(stages)
        self._rows: dict[Node, Chunk] = {}

    def run(self, stage: Stage, inputs: Mapping[Node, Chunk]) -> None:
        """One stage of a round. Stages of lower levels have run."""
        self._rows.update(inputs)
        if self._rows:
            self._run(stage, None)

    def ask(
        self, stage: Stage, inputs: Mapping[Node, Chunk], ask: Callable[[Step], Chunk | None]
    ) -> None:
        """As `run`; each step is asked for rows of its own, which the later ones still see."""
        self._rows.update(inputs)
        self._run(stage, ask)

    def end_round(self) -> None:
        self._rows.clear()
        for stage in self.stages:
            for step in stage.steps:
                step.operator.end_round()

    def _run(self, stage: Stage, ask: Callable[[Step], Chunk | None] | None) -> None:
        rows = self._rows
        for step in stage.steps:
            operator = step.operator
            given = [rows.get(parent, EMPTY) for parent in step.parents]
            made = EMPTY
            if operator.is_source or any(map(len, given)):
                made = operator.process_inputs(given)
            if ask is not None:
                own = ask(step)
                if own is not None and len(own):
                    made = join_chunks([made, own]) if len(made) else own
            rows[step.node] = made
