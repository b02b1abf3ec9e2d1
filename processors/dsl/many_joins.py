"""A join of a stream with several others at once: one join after the other, on what came so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.joins import (
    Joinable,
    JoinArguments,
    Partner,
    check_callable,
    join,
    value_serde,
)
from processors.errors import TopologyError
from processors.topology.partners import join_path
from processors.topology.tuple_serde import TupleSerde
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.topology.nodes.node import Node


def join_many(
    left: Joinable,
    others: Sequence[Partner],
    joiner: Callable[..., Any],
    arguments: JoinArguments,
) -> Node:
    """Adds the joins, each with what the ones before have made; the last one calls the joiner.

    Raises:
        TopologyError: there is nothing to join with.
    """
    partners = tuple(other.node for other in others)
    path = join_path(left.graph, left.node, partners, "join", arguments.name)
    names = [f"other {number}" for number in range(1, len(others) + 1)]
    check_callable(path, "joiner", joiner, "value", *(names if len(names) > 1 else ["other"]))
    if not others:
        raise TopologyError(f"{path}: join with at least one stream or table")
    so_far = Joinable(left.graph, left.node, left.key, left.read_as)
    parts = [value_serde(left, arguments.value)]
    for number, other in enumerate(others, 1):
        is_last = number == len(others)
        step = arguments.step(
            name=arguments.name if is_last else f"{path}.{number}",
            value=arguments.value if number == 1 else TupleSerde(parts),
        )
        if len(others) == 1:
            function: Callable[..., Any] = joiner
        elif number == 1:
            function = _pair
        else:
            function = _last(joiner, number) if is_last else _longer(number)
        node = join(so_far, other, function, step)
        if is_last:
            return node
        left.graph.add(node)
        parts.append(_serde_of(other, arguments))
        so_far = Joinable(left.graph, node, left.key, None)
    raise AssertionError("the last one returns")


def _serde_of(other: Partner, arguments: JoinArguments) -> Any:
    if isinstance(other, Joinable):
        return value_serde(other, arguments.other_value)
    return serde_for(other.node.value)


def _pair(first: Any, second: Any) -> tuple[Any, Any]:
    return (first, second)


def _longer(number: int) -> Callable[[Any, Any], tuple[Any, ...]]:
    nothing = (None,) * number
    return lambda so_far, value: (*(so_far or nothing), value)


def _last(joiner: Callable[..., Any], number: int) -> Callable[[Any, Any], Any]:
    nothing = (None,) * number
    return lambda so_far, value: joiner(*(so_far or nothing), value)
