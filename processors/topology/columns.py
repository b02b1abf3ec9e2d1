"""Which columns somebody reads: a column that nobody does is not decoded and not carried.

Walks from the sinks up. Values are always decoded at a source, since a value that cannot be read is
an error whether or not somebody looks at it; keys and headers are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processors.topology.nodes.node import Node


def choose_columns(
    nodes: Sequence[Node],
    parents: Mapping[Node, Sequence[Node]],
    children: Mapping[Node, Sequence[Node]],
    pushed: Mapping[Node, Sequence[Node]],
) -> dict[Node, Reads]:
    """What is read of the output of every node; parents come before their children in `nodes`.

    Args:
        pushed: The filters that run where an exchange sends.
    """
    reads: dict[Node, Reads] = {}
    for node in reversed(nodes):
        needed = Reads()
        for child in children[node]:
            for place, parent in enumerate(parents[child]):
                if parent is node:
                    needed |= child.reads_of(place, reads[child])
        for filtering in reversed(pushed.get(node, ())):
            needed |= filtering.reads_of(0, needed)
        reads[node] = needed
    return reads
