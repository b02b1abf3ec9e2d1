"""Aggregates over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from processors.operators.count_window import CountWindowOperator
from processors.operators.folding import Folding
from processors.operators.session import SessionOperator
from processors.operators.sliding import SlidingOperator
from processors.operators.suppress import SuppressOperator
from processors.operators.windowed import FixedWindowedOperator
from processors.state.segmented import SegmentedState
from processors.topology.nodes.suppress import SuppressNode
from processors.topology.nodes.windows import (
    CountWindowedNode,
    FixedWindowedNode,
    SessionNode,
    SlidingNode,
    WindowedNode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.operators.windowed import ClosingOperator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


_OPERATORS: dict[type[WindowedNode], Any] = {
    FixedWindowedNode: FixedWindowedOperator,
    SessionNode: SessionOperator,
    SlidingNode: SlidingOperator,
    CountWindowedNode: CountWindowOperator,
}


def _windowed(node: WindowedNode, place: Place) -> Operator:
    made: Operator = _OPERATORS[type(node)](
        node.path,
        node.key,
        node.value,
        segmented_state(node.path, place),
        node.window,
        node.emit,
        _folding(node, place),
        place.failures,
        place.reads(node),
    )
    if not isinstance(node, CountWindowedNode):
        closing = cast("ClosingOperator[Any]", made)  # as all but those of so many records are
        closing.lag_ms = getattr(node.window, "lag_ms", 0)
        closing.by_clock = node.advance == "wall_clock"
    return made


def _suppress(node: SuppressNode, place: Place) -> Operator:
    return SuppressOperator(node, segmented_state(node.path, place), place.failures)


def _folding(node: WindowedNode, place: Place) -> Folding | None:
    if node.fold.counts:
        return None
    # Of one sliding window several are made: its value must not be changed in place.
    olds = place.reads(node).olds or isinstance(node, SlidingNode)
    return Folding(node.path, node.fold, node.value, place.failures, olds=olds)


def segmented_state(store: str, place: Place) -> SegmentedState:
    """The state of a store in order of time; its task has one partition."""
    (state,) = place.states(store)
    assert isinstance(state, SegmentedState)
    return state


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    **dict.fromkeys(_OPERATORS, _windowed),
    SuppressNode: _suppress,
}
