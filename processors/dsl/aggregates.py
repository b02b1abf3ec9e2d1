"""The nodes behind the methods of groups, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.aggregators import Of, has
from processors.dsl.arguments import chosen_serde
from processors.dsl.kept import kept
from processors.dsl.starts import checked_start, json_of
from processors.errors import TopologyError
from processors.topology.fold import COUNT, Fold
from processors.topology.nodes.aggregate import AggregateNode, CountNode, KeyedNode, ReduceNode
from processors.topology.nodes.windows import (
    CountWindowedNode,
    FixedWindowedNode,
    SessionNode,
    SlidingNode,
)
from processors.topology.windows import (
    CountWindows,
    FixedWindows,
    SessionWindows,
    SlidingWindows,
    UnlimitedWindows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.dsl.aggregators import Aggregator
    from processors.topology.nodes.node import Node
    from processors.topology.nodes.windows import WindowAdvance, WindowedNode, WindowEmit
    from processors.topology.windows import Windows
    from streamlog.serdes import Serde


def unwindowed(
    path: str, group: Node, key: Serde[Any], fold: Fold, value: Serde[Any], emit: WindowEmit
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
        return CountNode(path=path, parents=parents, key=key, value=value, emit=emit)
    if fold.initial is None:
        return ReduceNode(
            path=path, parents=parents, key=key, value=value, emit=emit, function=fold.add
        )
    return AggregateNode(
        path=path,
        parents=parents,
        key=key,
        value=value,
        emit=emit,
        initial=fold.initial,
        function=fold.add,
    )


def windowed(
    path: str,
    group: Node,
    key: Serde[Any],
    window: Windows,
    fold: Fold,
    value: Serde[Any],
    emit: WindowEmit,
    *,
    late: bool,
    advance: WindowAdvance = "stream_time",
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
            "give merge=a function of both, the earlier one first (an Aggregator has it as a "
            "method)"
        )
    if isinstance(window, CountWindows) and late:
        raise ValueError(
            f"{at}: late_to: windows of so many records know no time, so that no record is late; "
            "leave it out"
        )
    made = _NODES[next(kind for kind in _NODES if isinstance(window, kind))]
    return made(
        path=path,
        parents=(group,),
        window=window,
        fold=fold,
        key=window.keys(key),
        group_key=key,
        value=value,
        emit=emit,
        late=late,
        advance=advance,
    )


_NODES: dict[type[Any], Any] = {
    FixedWindows: FixedWindowedNode,
    SessionWindows: SessionNode,
    SlidingWindows: SlidingNode,
    CountWindows: CountWindowedNode,
}


def fold_of(
    at: str,
    aggregator: Aggregator[Any, Any, Any],
    *,
    kind: str = "aggregate",
    function: object = None,
    merge: object = None,
    value: object = None,
) -> Fold:
    """The functions of an aggregator, whose results are kept by its own serde or by `value`."""
    if function is not None or merge is not None:
        raise TypeError(
            f"{at}: an Aggregator has its own functions; leave function and merge out, or give "
            "those of it that are meant"
        )
    if not has(aggregator, "start") or not has(aggregator, "add"):
        raise TypeError(f"{at}: {type(aggregator).__name__} lacks start or add")
    is_asked = _is_asked(aggregator, value)
    return Fold(
        kind=kind,
        initial=aggregator.start if is_asked else checked_start(at, aggregator.start),
        add=aggregator.add,
        merge=aggregator.merge if has(aggregator, "merge") else None,
    )


def serde_of(at: str, aggregator: Aggregator[Any, Any, Any], value: Any) -> Serde[Any]:
    """The serde of what an aggregator keeps: its own, or `value`."""
    if not _is_asked(aggregator, value):
        return kept(at, json_of(at, aggregator.start))
    return chosen_serde(f"{at}: value", aggregator.value if value is None else value)


def _is_asked(aggregator: Aggregator[Any, Any, Any], value: object) -> bool:
    """Whether somebody has chosen how results are kept; the built-in ones have."""
    return value is not None or aggregator.value != "json" or isinstance(aggregator, Of)


def tag(number: int) -> Callable[[Any], Any]:
    """A function that says which stream a value came from; a null value stays one."""
    return lambda value: None if value is None else (number, value)


def untagging(functions: Sequence[Callable[[Any, Any], Any]]) -> Callable[[Any, Any], Any]:
    """One function of the values of several streams."""

    def add(so_far: Any, tagged: tuple[int, Any]) -> Any:
        return functions[tagged[0]](so_far, tagged[1])

    return add


def _check_functions(at: str, fold: Fold) -> None:
    for what, function in (("function", fold.add), ("merge", fold.merge)):
        is_wanted = what == "function" and fold.kind != COUNT.kind
        if (is_wanted or function is not None) and not callable(function):
            raise TypeError(f"{at}: {what}={function!r} is no function")
