"""Operators without state: each touches only the column that it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from processors.topology.call import VALUE, Call
from processors.topology.nodes.node import FunctionNode, Node
from processors.topology.reads import ALL, Reads

if TYPE_CHECKING:
    from collections.abc import Callable


class ValueFunctionNode(FunctionNode):
    """A function that looks at values and leaves the other columns alone."""

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(values=True)


class MapNode(ValueFunctionNode):
    kind = "map"


class FilterNode(ValueFunctionNode):
    kind = "filter"


class FilterNotNode(ValueFunctionNode):
    kind = "filter_not"


class SelectNode(ValueFunctionNode):
    kind = "select"


class PeekNode(ValueFunctionNode):
    kind = "peek"


class PrintNode(FunctionNode):
    """A function of the key and the value, for the eye."""

    kind = "print"
    given = None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True, values=True)


class TimestampNode(ValueFunctionNode):
    kind = "with_timestamp"
    keeps_time = False


class HeadersNode(FunctionNode):
    """A function of the row."""

    kind = "with_headers"
    given = ("row",)

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL


class FlatMapNode(ValueFunctionNode):
    kind = "flat_map"


class MapKeyNode(FunctionNode):
    kind = "map_key"
    placement = "changed"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(values=True, headers=output.headers)


Column = Literal["list", "numpy", "arrow"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MapBatchNode(ValueFunctionNode):
    """A function of all values of a chunk, as a column of this kind."""

    kind = "map_batch"
    given = ("values",)
    column: Column = "list"


class MapItemsNode(FunctionNode):
    """A function of key and value that gives both."""

    kind = "map_items"
    given = ("key", "value")
    placement = "changed"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers)


class ItemsNode(Node):
    kind = "items"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True, values=True)


class RecordsNode(Node):
    kind = "records"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL


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
    keeps_time: ClassVar[bool] = False
    side: str

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads()


@dataclass(frozen=True, eq=False, kw_only=True)
class BranchNode(Node):
    """Each row goes to the side of the first predicate that holds for its value.

    Attributes:
        branches: Names and predicates, in order; the last one may have None, which holds for all.
    """

    kind = "branch"
    branches: tuple[tuple[str, Callable[[Any], Any] | None], ...]

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(values=True)

    def calls(self) -> tuple[Call, ...]:
        predicates = (predicate for _, predicate in self.branches)
        return tuple(Call(each, VALUE) for each in predicates if each is not None)

    def facts(self) -> str:
        return f"branch: {', '.join(name for name, _ in self.branches)}"


class BranchSideNode(SideNode):
    """One branch: its rows are those of the parent's input."""

    kind = "branch side"
    keeps_time = True

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output
