"""Aggregates without windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.aggregate import CountOperator, FoldOperator
from processors.operators.kernel import KeyedStates
from processors.state.cached import KeyValueState
from processors.topology.nodes.aggregate import AggregateNode, CountNode, ReduceNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


def _count(node: CountNode, place: Place) -> Operator:
    states = keyed_states(node.path, place)
    return CountOperator(node.path, states, node.emit, place.failures, reads=place.reads(node))


def _reduce(node: ReduceNode, place: Place) -> Operator:
    states = keyed_states(node.path, place)
    return FoldOperator(
        node.path,
        states,
        node.emit,
        node.function,
        None,
        place.failures,
        reads=place.reads(node),
    )


def _aggregate(node: AggregateNode, place: Place) -> Operator:
    states = keyed_states(node.path, place)
    return FoldOperator(
        node.path,
        states,
        node.emit,
        node.function,
        node.initial,
        place.failures,
        reads=place.reads(node),
    )


def keyed_states(store: str, place: Place) -> KeyedStates:
    """The states of a store with one entry a key."""
    states = place.states(store)
    return KeyedStates([state for state in states if isinstance(state, KeyValueState)])


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    CountNode: _count,
    ReduceNode: _reduce,
    AggregateNode: _aggregate,
}
