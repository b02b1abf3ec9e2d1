"""The user's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.processor import ProcessOperator
from processors.operators.processor_kernel import Context
from processors.operators.processor_stores import TimeOrderedStore, open_store
from processors.state.cached import KeyValueState
from processors.topology.nodes import processor as nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.state.state import State
    from processors.topology.nodes.node import Node


def _stateless(node: nodes.ProcessNode, place: Place) -> Operator:
    return _process(node, place, None)


def _stateful(node: nodes.StatefulProcessNode, place: Place) -> Operator:
    (time,) = place.states(node.time_store)
    assert isinstance(time, KeyValueState)
    return _process(node, place, time)


def _process(node: nodes.ProcessNode, place: Place, time: KeyValueState | None) -> Operator:
    opened: dict[str, Any] = {}
    context = Context(node.path, opened, place.parts.coordinates)
    states: list[State] = []
    for declared in node.attached:
        (state,) = place.states(declared.name)
        states.append(state)
        opened[declared.name] = open_store(declared, state, context)
    return ProcessOperator(
        node.path,
        context,
        node.function,
        states,
        [store for store in opened.values() if isinstance(store, TimeOrderedStore)],
        time,
        place.failures,
        values_only=node.values_only,
    )


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    nodes.ProcessNode: _stateless,
    nodes.ProcessValuesNode: _stateless,
    nodes.StatefulProcessNode: _stateful,
    nodes.StatefulProcessValuesNode: _stateful,
}
