"""Operators without state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.batch import MapBatchOperator
from processors.operators.operator import SideOperator
from processors.operators.stateless import (
    BranchOperator,
    FilterNotOperator,
    FilterOperator,
    FlatMapOperator,
    HeadersOperator,
    ItemsOperator,
    MapItemsOperator,
    MapKeyOperator,
    MapOperator,
    MergeOperator,
    PeekOperator,
    PrintOperator,
    RecordsOperator,
    TimestampOperator,
)
from processors.topology.nodes import stateless as nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Failures, Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import FunctionNode, Node

_OF_FUNCTIONS: dict[type[Node], Any] = {
    nodes.MapNode: MapOperator,
    nodes.MapKeyNode: MapKeyOperator,
    nodes.MapItemsNode: MapItemsOperator,
    nodes.SelectNode: MapOperator,
    nodes.FilterNode: FilterOperator,
    nodes.FilterNotNode: FilterNotOperator,
    nodes.PeekNode: PeekOperator,
    nodes.PrintNode: PrintOperator,
    nodes.TimestampNode: TimestampOperator,
    nodes.HeadersNode: HeadersOperator,
    nodes.FlatMapNode: FlatMapOperator,
}


def _of_function(node: FunctionNode, place: Place) -> Operator:
    return _OF_FUNCTIONS[type(node)](node.path, node.function, place.failures)


def filter_of(node: Node, failures: Failures) -> Operator:
    """A filter that runs at an exchange."""
    assert isinstance(node, nodes.FilterNode | nodes.FilterNotNode)
    return _OF_FUNCTIONS[type(node)](node.path, node.function, failures)


def _items(node: nodes.ItemsNode, place: Place) -> Operator:
    return ItemsOperator(node.path)


def _records(node: nodes.RecordsNode, place: Place) -> Operator:
    return RecordsOperator(node.path, place.parts.coordinates)


def _merge(node: nodes.MergeNode, place: Place) -> Operator:
    return MergeOperator(node.path)


def _map_batch(node: nodes.MapBatchNode, place: Place) -> Operator:
    return MapBatchOperator(node.path, node.function, node.column, place.failures)


def _branch(node: nodes.BranchNode, place: Place) -> Operator:
    return BranchOperator(node.path, node.branches, place.failures)


def _side(node: nodes.SideNode, place: Place) -> Operator:
    return SideOperator(node.path, place.parent(node), node.side)


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    **dict.fromkeys(_OF_FUNCTIONS, _of_function),
    nodes.ItemsNode: _items,
    nodes.RecordsNode: _records,
    nodes.MergeNode: _merge,
    nodes.MapBatchNode: _map_batch,
    nodes.BranchNode: _branch,
    nodes.SideNode: _side,
    nodes.BranchSideNode: _side,
}
