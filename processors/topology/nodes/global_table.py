"""Tables of which every task sees all partitions, and the streams that look them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import BOTH_VALUES, VALUE, Call
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable


class GlobalSourceNode(SourceNode):
    """The topic of a global table, which is read to its end before all others."""


class GlobalTableNode(TableNode):
    """The last row of each key, in one store for all partitions."""

    kind = "global_table"
    everywhere = True

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        declared = StoreDeclaration(
            name=self.path, kind="global table", key=self.key, value=self.value
        )
        return (declared,)

    def facts(self) -> str:
        return f"global table: key {self.key.name}, value {self.value.name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class GlobalLookupNode(Node):
    """A stream whose rows look up a global table. It is no parent: nothing is partitioned alike.

    Attributes:
        keep: Whether a row goes on where the table has nothing.
        mapper: Makes the key to look up of the value; None where it is the row's own.
    """

    kind = "join"
    joiner: Callable[[Any, Any], Any]
    keep: bool
    table: GlobalTableNode
    mapper: Callable[[Any], Any] | None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=output.keys or self.mapper is None, values=True)

    def calls(self) -> tuple[Call, ...]:
        joiner = Call(self.joiner, BOTH_VALUES)
        return (joiner,) if self.mapper is None else (joiner, Call(self.mapper, VALUE))

    def facts(self) -> str:
        return f"{'left' if self.keep else 'inner'} join with global table {self.table.path}"
