"""The nodes behind the methods of groups, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.errors import TopologyError
from processors.topology.nodes.aggregate import AggregateNode, CountNode, KeyedNode, ReduceNode
from processors.topology.nodes.windows import FixedWindowedNode, SessionNode, SlidingNode
from processors.topology.windows import (
    FixedWindows,
    SessionWindows,
    SlidingWindows,
    UnlimitedWindows,
)

if TYPE_CHECKING:
    from processors.topology.fold import Fold
    from processors.topology.nodes.exchange import ExchangeNode
    from processors.topology.nodes.node import Node
    from processors.topology.nodes.windows import WindowedNode, WindowEmit
    from processors.topology.windows import Windows
    from streamlog.serdes import Serde


def unwindowed(
    path: str, group: ExchangeNode, fold: Fold, value: Serde[Any], emit: WindowEmit
) -> KeyedNode:
    """An aggregate over all records of a key."""
    at = f"{fold.kind} at {path!r}"
    _check_functions(at, fold)
    if emit == "final":
        raise ValueError(
            f"{at}: emit='final' needs windows, as nothing says when the last record of a key has "
            "come; put .windowed_by(...) before it, or choose 'latest' or 'every'"
        )
    if emit not in ("latest", "every"):
        raise ValueError(f"{at}: emit={emit!r}: choose 'latest' or 'every'")
    parents: tuple[Node, ...] = (group,)
    if fold.add is None:
        return CountNode(path=path, parents=parents, key=group.key, value=value, emit=emit)
    if fold.initial is None:
        return ReduceNode(
            path=path, parents=parents, key=group.key, value=value, emit=emit, function=fold.add
        )
    return AggregateNode(
        path=path,
        parents=parents,
        key=group.key,
        value=value,
        emit=emit,
        initial=fold.initial,
        function=fold.add,
    )


def windowed(
    path: str,
    group: ExchangeNode,
    window: Windows,
    fold: Fold,
    value: Serde[Any],
    emit: WindowEmit,
    *,
    late: bool,
) -> WindowedNode:
    """An aggregate over the records of a key and window."""
    at = f"{fold.kind} at {path!r}"
    _check_functions(at, fold)
    if emit not in ("latest", "every", "final"):
        raise ValueError(f"{at}: emit={emit!r}: choose 'latest', 'every' or 'final'")
    if emit == "final" and isinstance(window, UnlimitedWindows):
        raise ValueError(
            f"{at}: emit='final' gives nothing, as an unlimited window never closes; choose "
            "'latest' or 'every'"
        )
    if isinstance(window, SessionWindows) and fold.merge is None and not fold.counts:
        raise TopologyError(
            f"{at}: sessions that come to touch become one, and nothing says how their results do; "
            "give merge=a function of both, the earlier one first"
        )
    made = _NODES[next(kind for kind in _NODES if isinstance(window, kind))]
    return made(
        path=path,
        parents=(group,),
        window=window,
        fold=fold,
        key=window.keys(group.key),
        group_key=group.key,
        value=value,
        emit=emit,
        late=late,
    )


_NODES: dict[type[Any], Any] = {
    FixedWindows: FixedWindowedNode,
    SessionWindows: SessionNode,
    SlidingWindows: SlidingNode,
}


def _check_functions(at: str, fold: Fold) -> None:
    for what, function in (("function", fold.add), ("merge", fold.merge)):
        if function is not None and not callable(function):
            raise TypeError(f"{at}: {what}={function!r} is no function")
