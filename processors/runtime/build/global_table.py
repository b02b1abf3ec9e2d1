"""Global tables and look-ups in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.kernel import KeyedStates
from processors.operators.table import StoreOperator
from processors.operators.table_lookup import KeyedLookupOperator
from processors.state.cached import KeyValueState
from processors.topology.nodes.global_table import GlobalLookupNode, GlobalTableNode
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


def _table(node: GlobalTableNode, place: Place) -> Operator:
    state = place.parts.stores[node.path, 0]
    assert isinstance(state, KeyValueState)
    operator = StoreOperator(
        node.path, KeyedStates([state]), "every", place.failures, reads=Reads(view=True)
    )
    place.parts.tables[node] = operator
    return operator


def _lookup(node: GlobalLookupNode, place: Place) -> Operator:
    tables = place.parts.tables
    return KeyedLookupOperator(
        node.path,
        lambda: tables[node.table],
        node.joiner,
        place.failures,
        keep=node.keep,
        mapper=node.mapper,
        key_serde=node.table.key,
    )


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    GlobalTableNode: _table,
    GlobalLookupNode: _lookup,
}
