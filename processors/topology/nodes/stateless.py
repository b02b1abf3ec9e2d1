"""Operators without state: each touches only the column that it changes."""

from __future__ import annotations

from dataclasses import dataclass

from processors.topology.nodes.node import FunctionNode, Node
from processors.topology.reads import ALL, Reads


@dataclass(frozen=True, eq=False, kw_only=True)
class ValueFunctionNode(FunctionNode):
    """A function that looks at values and leaves the other columns alone."""

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(values=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class MapNode(ValueFunctionNode):
    kind = "map"


@dataclass(frozen=True, eq=False, kw_only=True)
class FilterNode(ValueFunctionNode):
    kind = "filter"


@dataclass(frozen=True, eq=False, kw_only=True)
class FlatMapNode(ValueFunctionNode):
    kind = "flat_map"


@dataclass(frozen=True, eq=False, kw_only=True)
class MapKeyNode(FunctionNode):
    kind = "map_key"
    placement = "changed"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(values=True, headers=output.headers)


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemsNode(Node):
    kind = "items"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True, values=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordsNode(Node):
    kind = "records"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL


@dataclass(frozen=True, eq=False, kw_only=True)
class MergeNode(Node):
    kind = "merge"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output


@dataclass(frozen=True, eq=False, kw_only=True)
class SideNode(Node):
    """What another node gives beside its rows: late records, or one branch of several.

    Its parent is that node, of whose rows it reads none.
    """

    kind = "side"
    side: str

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads()
