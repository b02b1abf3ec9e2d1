"""Tables: read from topics, derived, kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from processors.operators import table as operators
from processors.operators.table_aggregate import RegroupOperator, TableFoldOperator
from processors.operators.table_expiry import ExpiryOperator
from processors.operators.table_join import TableJoinOperator
from processors.operators.versioned import VersionedTableOperator
from processors.runtime.build.aggregate import keyed_states
from processors.state.segmented import SegmentedState
from processors.topology.nodes import table as nodes
from processors.topology.nodes.table_aggregate import RegroupNode, TableAggregateNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.operators.table_view import TableView
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


def view_of(node: Node, place: Place, number: int = 0) -> TableView:
    """The parent, for look-ups."""
    return cast("TableView", place.parent(node, number))  # a table's operator meets it


def _stored(node: nodes.StoredTableNode, place: Place) -> Operator:
    reads = place.reads(node)
    if not node.has_store(reads):
        above = place.find_parent(node)
        return operators.PassOperator(node.path, cast("TableView | None", above))
    return operators.StoreOperator(
        node.path,
        keyed_states(node.path, place),
        node.emit,
        place.failures,
        reads=reads,
        checked=node.checked,
        view=view_of(node, place) if node.derived else None,
    )


def _map(node: nodes.TableMapNode, place: Place) -> Operator:
    return operators.TableMapOperator(
        node.path,
        view_of(node, place),
        node.function,
        place.failures,
        with_olds=place.reads(node).olds,
    )


def _filter(node: nodes.TableFilterNode, place: Place) -> Operator:
    return operators.TableFilterOperator(
        node.path,
        view_of(node, place),
        node.function,
        place.failures,
        with_olds=place.reads(node).olds,
        wanted=node.wanted,
    )


def _items(node: nodes.TableItemsNode, place: Place) -> Operator:
    with_olds = place.reads(node).olds
    return operators.TableItemsOperator(node.path, view_of(node, place), with_olds=with_olds)


def _changes(node: nodes.ChangesNode, place: Place) -> Operator:
    return operators.ChangesOperator(node.path)


def _join(node: nodes.TableJoinNode, place: Place) -> Operator:
    views = view_of(node, place, 0), view_of(node, place, 1)
    return TableJoinOperator(node.path, views, node.joiner, node.preserved, place.failures)


def _versioned(node: nodes.VersionedTableNode, place: Place) -> Operator:
    (state,) = place.states(node.path)
    assert isinstance(state, SegmentedState)
    return VersionedTableOperator(
        node.path,
        state,
        node.history_ms,
        place.failures,
        place.reads(node),
        deletes=node.deletes,
    )


def _expire(node: nodes.ExpiryNode, place: Place) -> Operator:
    states = keyed_states(node.path, place)
    (due,) = place.states(f"{node.path}.due")
    assert isinstance(due, SegmentedState)
    return ExpiryOperator(
        node.path, states, due, node.after_ms, place.failures, reads=place.reads(node)
    )


def _regroup(node: RegroupNode, place: Place) -> Operator:
    return RegroupOperator(node.path, node.function, node.select, node.key, place.failures)


def _aggregate(node: TableAggregateNode, place: Place) -> Operator:
    return TableFoldOperator(
        node.path,
        keyed_states(node.path, place),
        node.emit,
        node.initial,
        node.add,
        node.remove,
        place.failures,
        choose=node.choose,
        reads=place.reads(node),
    )


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    nodes.StoredTableNode: _stored,
    nodes.TableMapNode: _map,
    nodes.TableFilterNode: _filter,
    nodes.TableItemsNode: _items,
    nodes.ChangesNode: _changes,
    nodes.ExpiryNode: _expire,
    nodes.TableJoinNode: _join,
    nodes.VersionedTableNode: _versioned,
    RegroupNode: _regroup,
    TableAggregateNode: _aggregate,
}
