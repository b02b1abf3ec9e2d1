"""Foreign-key joins: subscribe, answer, resolve, with an exchange after each of the first two.

left ── subscribe ──┤ by foreign key ├── answer ──┤ by left key ├── resolve
           └───────────────── answered at once ───────────────────────┘
right ──────────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import BOTH_VALUES, VALUE, Call
from processors.topology.foreign_key import PageSerde
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import Reads
from streamlog.serdes import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde

AT_ONCE = "at-once"
"""The side of what the left table can answer itself."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ForeignKey:
    """How the left table's entries refer to the right one's.

    Attributes:
        function: The foreign key, of the left value; None refers to nothing.
        left, right: The serdes of the two tables' keys.
        inner: Whether entries that refer to nothing are left out.
    """

    function: Callable[[Any], Any]
    left: Serde[Any]
    right: Serde[Any]
    inner: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class SubscribeNode(Node):
    """Changes of the left table as subscriptions."""

    kind = "foreign_key"
    placement = "changed"
    foreign_key: ForeignKey

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers, olds=True)

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.foreign_key.function, VALUE),)


@dataclass(frozen=True, eq=False, kw_only=True)
class AnswerNode(Node):
    """Keeps who subscribes; its parents are the right table and the exchange of subscriptions."""

    kind = "subscriptions"
    placement = "changed"
    meets = True
    per_task = True  # a subscriber's page says nothing of its partition
    partner = 0
    foreign_key: ForeignKey

    def reads_of(self, parent: int, output: Reads) -> Reads:
        is_right = parent == 0
        return Reads(keys=True, values=True, headers=output.headers, emitted=is_right)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        serde = PageSerde()
        return (StoreDeclaration(name=self.path, kind="subscriptions", key=BYTES, value=serde),)

    def facts(self) -> str:
        return f"subscriptions to {self.parents[0].path} by foreign key"


@dataclass(frozen=True, eq=False, kw_only=True)
class ResolveNode(TableNode):
    """Joins; its parents are the left table, what was answered at once, and the answers."""

    kind = "join"
    placement = "placed"
    meets = True
    foreign_key: ForeignKey
    joiner: Callable[[Any, Any], Any]

    def reads_of(self, parent: int, output: Reads) -> Reads:
        if parent == 0:
            return Reads(emitted=True)
        return Reads(keys=True, values=True, headers=output.headers)

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.joiner, BOTH_VALUES),)

    def facts(self) -> str:
        how = "inner" if self.foreign_key.inner else "left"
        return f"{how} foreign-key join"
