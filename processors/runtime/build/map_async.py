"""Asynchronous operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.map_async import MapAsyncOperator
from processors.runtime.build.windows import segmented_state
from processors.topology.nodes.map_async import MapAsyncNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.operator import Operator
    from processors.runtime.build.place import Place
    from processors.topology.nodes.node import Node


def _map_async(node: MapAsyncNode, place: Place) -> Operator:
    return MapAsyncOperator(
        node.path,
        segmented_state(node.path, place),
        node.key,
        node.value,
        place.parts.caller(node),
        place.failures,
        place.parts.coordinates,
        ordered=node.ordered,
        concurrency=node.asking.concurrency,
        with_headers=place.reads(node).headers,
    )


BUILDERS: dict[type[Node], Callable[[Any, Place], Operator]] = {MapAsyncNode: _map_async}
