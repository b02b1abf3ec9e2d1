"""Aggregates without windows: one entry a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import RESULT_AND_VALUE, Call
from processors.topology.nodes.node import Emit, Node, StoreDeclaration
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde


@dataclass(frozen=True, eq=False, kw_only=True)
class TableNode(Node):
    """A node whose rows are changes of a table: a key's new value, and its old one where read.

    Other tables and joins may look up its current values, where `Reads.view` is asked of it.
    """

    key: Serde[Any]
    value: Serde[Any]

    @property
    def history(self) -> int | None:
        """So long, in milliseconds, older values can be looked up by time; None: not at all."""
        return None


@dataclass(frozen=True, eq=False, kw_only=True)
class KeyedNode(TableNode):
    """An aggregate: one entry a key, in a store that has the node's path as its name."""

    placement = "placed"
    meets = True
    emit: Emit = "latest"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        headers = output.headers and self.emit == "every"
        return Reads(keys=True, values=True, headers=headers)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        return (StoreDeclaration(name=self.path, kind=self.kind, key=self.key, value=self.value),)

    def facts(self) -> str:
        return f"{self.kind}: emits {self.emit}, key {self.key.name}, value {self.value.name}"


class CountNode(KeyedNode):
    kind = "count"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, headers=output.headers and self.emit == "every")


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceNode(KeyedNode):
    kind = "reduce"
    function: Callable[[Any, Any], Any]

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.function, RESULT_AND_VALUE),)


@dataclass(frozen=True, eq=False, kw_only=True)
class AggregateNode(KeyedNode):
    kind = "aggregate"
    initial: Callable[[], Any]
    function: Callable[[Any, Any], Any]

    def calls(self) -> tuple[Call, ...]:
        return Call(self.initial, ()), Call(self.function, RESULT_AND_VALUE)
