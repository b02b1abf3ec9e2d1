"""From a sub-topology to a task: its operators, in stages by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from processors.runtime.build import (
    aggregate,
    endpoint,
    foreign_key,
    global_table,
    join,
    map_async,
    processor,
    stateless,
    table,
    windows,
)
from processors.runtime.build.place import Place
from processors.runtime.task import Stage, Step, Task
from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Parts
    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import Entry, SubTopology

BUILDERS: Final[dict[type[Node], Callable[[Any, Place], Operator]]] = {
    **aggregate.BUILDERS,
    **endpoint.BUILDERS,
    **foreign_key.BUILDERS,
    **processor.BUILDERS,
    **global_table.BUILDERS,
    **join.BUILDERS,
    **map_async.BUILDERS,
    **stateless.BUILDERS,
    **table.BUILDERS,
    **windows.BUILDERS,
}


def build_task(sub: SubTopology, partitions: tuple[int, ...], parts: Parts) -> Task:
    topology = parts.plan.topology
    place = Place(parts=parts, partitions=partitions)
    entries: dict[int, list[Entry]] = {}
    steps: dict[int, list[Step]] = {}
    for entry in sub.entries:
        entries.setdefault(topology.levels[entry], []).append(entry)
    for node in sub.nodes:
        above = topology.parents[node]
        if partitions[0] >= parts.plan.node_partitions.get(node, partitions[0] + 1):
            continue  # what reaches it has fewer partitions than other entries of the task
        if all(parent not in sub.entries and parent not in place.operators for parent in above):
            continue  # so have all that it stands on
        operator = BUILDERS[type(node)](node, place)
        place.operators[node] = operator
        level = topology.levels[node] - isinstance(node, ExchangeNode)
        steps.setdefault(level, []).append(Step(node, topology.parents[node], operator))
    stages = [
        Stage(level, tuple(entries.get(level, ())), tuple(steps.get(level, ())))
        for level in sorted({*entries, *steps})
    ]
    return Task(sub, partitions, stages)
