"""Foreign-key joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.foreign_key import AnswerOperator, ResolveOperator, SubscribeOperator
from processors.runtime.build.table import view_of
from processors.state.cached import KeyValueState
from processors.topology.nodes import foreign_key as nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


def _subscribe(node: nodes.SubscribeNode, place: Place) -> Operator:
    return SubscribeOperator(node.path, node.foreign_key, place.failures)


def _answer(node: nodes.AnswerNode, place: Place) -> Operator:
    (state,) = place.states(node.path)
    assert isinstance(state, KeyValueState)
    return AnswerOperator(node.path, state, view_of(node, place), node.foreign_key)


def _resolve(node: nodes.ResolveNode, place: Place) -> Operator:
    view = view_of(node, place)
    return ResolveOperator(node.path, view, node.foreign_key, node.joiner, place.failures)


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    nodes.SubscribeNode: _subscribe,
    nodes.AnswerNode: _answer,
    nodes.ResolveNode: _resolve,
}
