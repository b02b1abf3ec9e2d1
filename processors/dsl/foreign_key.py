"""The nodes behind a foreign-key join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.arguments import chosen_serde
from processors.errors import TopologyError
from processors.topology.foreign_key import AnswerSerde
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.foreign_key import (
    AT_ONCE,
    AnswerNode,
    ForeignKey,
    ResolveNode,
    SubscribeNode,
)
from processors.topology.nodes.stateless import SideNode
from processors.topology.nodes.table import StoredTableNode
from processors.topology.partners import join_path
from streamlog.serdes import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.graph import Graph
    from processors.topology.nodes.aggregate import TableNode


def joined(
    graph: Graph,
    left: TableNode,
    right: TableNode,
    joiner: Callable[[Any, Any], Any],
    *,
    function: Callable[[Any], Any],
    how: Any,
    value: Any,
    name: str | None,
) -> TableNode:
    """The left table with what its entries refer to in the right one."""
    path = join_path(graph, left, (right,), "join", name)
    if how not in ("inner", "left"):
        raise TopologyError(
            f"{path}: how={how!r}: a foreign-key join is 'inner' or 'left', as an entry of the "
            "right table has any number of partners; exchange the tables, or join by key"
        )
    if not callable(function):
        raise TypeError(f"{path}: foreign_key={function!r} is no function")
    foreign_key = ForeignKey(
        function=function, left=left.key, right=right.key, inner=how == "inner"
    )
    subscribe = SubscribeNode(path=f"{path}.ask", parents=(left,), foreign_key=foreign_key)
    at_once = SideNode(path=f"{path}.at-once", parents=(subscribe,), side=AT_ONCE)
    asks = ExchangeNode(
        path=f"{path}.asks", parents=(subscribe,), key=BYTES, value=BYTES, always=True
    )
    answer = AnswerNode(
        path=f"{path}.subscriptions", parents=(right, asks), foreign_key=foreign_key
    )
    answers = ExchangeNode(
        path=f"{path}.answers",
        parents=(answer,),
        key=BYTES,
        value=AnswerSerde(right.value),
        always=True,
    )
    serde = chosen_serde(f"{path}: value", "json" if value is None else value)
    resolve = ResolveNode(
        path=f"{path}.rows",
        parents=(left, at_once, answers),
        key=left.key,
        value=serde,
        foreign_key=foreign_key,
        joiner=joiner,
    )
    made = StoredTableNode(
        path=path,
        parents=(resolve,),
        key=left.key,
        value=serde,
        keep="read" if name is None else "always",
        checked=True,
        what=resolve.facts(),
    )
    for node in (subscribe, at_once, asks, answer, answers, resolve, made):
        graph.add(node, at=f"join at {path!r}")
    return made
