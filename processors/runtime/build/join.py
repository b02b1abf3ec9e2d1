"""Joins of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.grace_kernel import GraceBuffer
from processors.operators.join_buffer import JoinBuffer
from processors.operators.join_waiting import WaitingRows
from processors.operators.stream_join import JoinValues, StreamJoinOperator
from processors.operators.stream_join_kernel import JoinSide, StreamJoin
from processors.operators.table_lookup import (
    AsOfOperator,
    GraceLookupOperator,
    TableLookupOperator,
)
from processors.runtime.build.table import view_of
from processors.state.segmented import SegmentedState
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.join import (
    AsOfNode,
    GraceLookupNode,
    StreamJoinNode,
    TableLookupNode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node

LEFT, RIGHT = 1, 0
"""The sides as the segments of unmatched rows know them: of one time, the right one is first."""

UNITS_A_SPAN = 16


def _stream_join(node: StreamJoinNode, place: Place) -> Operator:
    topology = place.parts.plan.topology
    single = node in topology.single
    stores = node.single_stores() if single else node.stores(place.reads(node))
    states = [_segmented(store.name, place) for store in stores]
    span, grace = node.window.span, node.window.grace
    left = JoinBuffer(states[0], span)
    right = left if single else JoinBuffer(states[1], span)

    def side(buffer: JoinBuffer, back: int, look: int, *, is_left: bool) -> JoinSide:
        waiting = None
        if node.waits(is_left=is_left):
            unit = max(span // UNITS_A_SPAN, 1)
            waiting = WaitingRows(states[-1], unit, LEFT if is_left else RIGHT)
        preserved = node.preserves(is_left=is_left)
        return JoinSide(buffer, back, look, grace, waiting, is_left=is_left, preserved=preserved)

    before, after = node.window.before, node.window.after
    join = StreamJoin(
        side(left, before, after, is_left=True),
        side(right, after, before, is_left=False),
        in_turn=node.is_self,
    )
    parents = topology.parents[node]
    return StreamJoinOperator(
        node.path,
        join,
        states,
        JoinValues(node.left_value, is_read=_is_read(parents[0], said=node.left_is_read)),
        JoinValues(node.right_value, is_read=_is_read(parents[1], said=node.right_is_read)),
        node.joiner,
        place.failures,
        with_headers=place.reads(node).headers,
    )


def _table_lookup(node: TableLookupNode, place: Place) -> Operator:
    return TableLookupOperator(
        node.path,
        lambda: view_of(node, place, 1),
        node.joiner,
        place.failures,
        key_serde=node.table.key,
        keep=node.keep,
        versioned=node.table.history is not None,
    )


def _grace_lookup(node: GraceLookupNode, place: Place) -> Operator:
    (store,) = node.stores(place.reads(node))
    waiting = WaitingRows(_segmented(store.name, place), node.unit, RIGHT)
    (above, _) = place.parts.plan.topology.parents[node]
    made = AsOfOperator if isinstance(node, AsOfNode) else GraceLookupOperator
    return made(
        node.path,
        lambda: view_of(node, place, 1),
        node.joiner,
        place.failures,
        key_serde=node.table.key,
        keep=node.keep,
        buffer=GraceBuffer(waiting, node.grace, keep=node.keep),
        values=JoinValues(node.value, is_read=_is_read(above, said=node.is_read)),
        with_headers=place.reads(node).headers,
    )


def _is_read(parent: Node, *, said: bool) -> bool:
    """Whether values are as their serde reads them; an exchange has seen to it."""
    return said or isinstance(parent, ExchangeNode)


def _segmented(store: str, place: Place) -> SegmentedState:
    (state,) = place.states(store)
    assert isinstance(state, SegmentedState)
    return state


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {
    StreamJoinNode: _stream_join,
    TableLookupNode: _table_lookup,
    GraceLookupNode: _grace_lookup,
    AsOfNode: _grace_lookup,
}
