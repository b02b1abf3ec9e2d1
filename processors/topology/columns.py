"""Which columns somebody reads: a column that nobody does is not decoded and not carried.

Walks from the sinks up. Values are always decoded at a source, since a value that cannot be read is
an error whether or not somebody looks at it; keys and headers are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.topology.graph import (
    CountNode,
    FilterNode,
    FlatMapNode,
    GroupNode,
    ItemsNode,
    KeyedNode,
    MapKeyNode,
    MapNode,
    MergeNode,
    RecordsNode,
    SinkNode,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processors.topology.graph import Node


@dataclass(frozen=True, slots=True)
class Reads:
    """What is read of a node's rows; timestamps and tickets always are.

    `values` False means that no more is asked of a value than whether it is null.
    """

    keys: bool = False
    values: bool = False
    headers: bool = False

    def __or__(self, other: Reads) -> Reads:
        return Reads(
            self.keys or other.keys,
            self.values or other.values,
            self.headers or other.headers,
        )


ALL = Reads(keys=True, values=True, headers=True)


def choose_columns(
    nodes: Sequence[Node], children: Mapping[Node, Sequence[Node]]
) -> dict[Node, Reads]:
    """What is read of the output of every node; parents come before their children in `nodes`."""
    reads: dict[Node, Reads] = {}
    for node in reversed(nodes):
        needed = Reads()
        for child in children[node]:
            needed |= _reads_of_input(child, reads[child])
        reads[node] = needed
    return reads


def _reads_of_input(node: Node, output: Reads) -> Reads:
    """What `node` reads of its input where `output` is read of its output."""
    match node:
        case SinkNode() | RecordsNode():
            return ALL
        case MapNode() | FilterNode() | FlatMapNode():
            return output | Reads(values=True)
        case MapKeyNode():
            return Reads(values=True, headers=output.headers)
        case ItemsNode():
            return output | Reads(keys=True, values=True)
        case MergeNode():
            return output
        case GroupNode():  # the sender's side of an exchange: nulls go no further
            return output | Reads(keys=True)
        case CountNode(emit="latest"):
            return Reads(keys=True)
        case CountNode():
            return Reads(keys=True, headers=output.headers)
        case KeyedNode(emit=emit):
            headers = output.headers and emit == "every"
            return Reads(keys=True, values=True, headers=headers)
        case _:
            raise AssertionError(f"{node.path}: no input is read by a {node.kind}")
