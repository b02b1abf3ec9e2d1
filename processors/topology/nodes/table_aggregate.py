"""Tables that are grouped again: what a key gives to its group is taken back when it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import RESULT_AND_VALUE, VALUE, Call
from processors.topology.nodes.aggregate import KeyedNode
from processors.topology.nodes.node import Node
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde


@dataclass(frozen=True, eq=False, kw_only=True)
class RegroupNode(Node):
    """Changes of a table as changes of groups: rows whose values are `Change`s.

    Attributes:
        function: The group's key, of the value.
        select: The value that is aggregated; None for the value itself.
        key: The serde of the group's keys.
    """

    kind = "group_by"
    placement = "changed"
    function: Callable[[Any], Any]
    select: Callable[[Any], Any] | None
    key: Serde[Any]

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(values=True, headers=output.headers, olds=True)

    def calls(self) -> tuple[Call, ...]:
        users = (self.function, self.select)
        return tuple(Call(each, VALUE) for each in users if each is not None)


@dataclass(frozen=True, eq=False, kw_only=True)
class TableAggregateNode(KeyedNode):
    """An aggregate over `Change`s.

    Attributes:
        initial: Makes the first `result so far`; None where the first value is the first result.
        add, remove: `add(result so far, value)`, and what undoes it.
        choose: Makes what these are given of the values; a value for which it fails is in no group.
        what: Its name in paths.
    """

    kind = "aggregate"
    initial: Callable[[], Any] | None
    add: Callable[[Any, Any], Any]
    remove: Callable[[Any, Any], Any]
    choose: Callable[[Any], Any] | None = None
    what: str

    def calls(self) -> tuple[Call, ...]:
        users = Call(self.add, RESULT_AND_VALUE), Call(self.remove, RESULT_AND_VALUE)
        return users if self.initial is None else (Call(self.initial, ()), *users)

    def facts(self) -> str:
        key, value = self.key.name, self.value.name
        return f"{self.what} of a table: emits {self.emit}, key {key}, value {value}"
