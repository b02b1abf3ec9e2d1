"""A table that keeps what its topic says needs no changelog where the topic is one itself.

The rule marks such tables. Whether a topic keeps the last record of each key, as a changelog does,
only its configuration says; so it is settled at the start, and then stays (runtime/reuse.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.table import StoredTableNode

if TYPE_CHECKING:
    from processors.topology.rules.shape import Shape


def reuse_sources(shape: Shape) -> Shape:
    found = [
        node
        for node in shape.nodes
        # Another kind of source may read rows as others than they are.
        if isinstance(node, StoredTableNode) and type(shape.parents[node][0]) is SourceNode
    ]
    return replace(shape, reusing=frozenset(found))
