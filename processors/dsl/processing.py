"""What `process` and `process_values` are made of, and the stores for them."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, get_args

from processors.dsl.arguments import chosen_serde
from processors.errors import TopologyError
from processors.topology.call import check_plain
from processors.topology.duration import milliseconds
from processors.topology.nodes.processor import (
    ProcessNode,
    ProcessValuesNode,
    StatefulProcessNode,
    StatefulProcessValuesNode,
    StateStore,
    StoreKind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node


def state_store(
    graph: Graph, name: str, kind: StoreKind, key: Any, value: Any, retention: Duration | None
) -> StateStore:
    if kind not in get_args(StoreKind):
        known = ", ".join(map(repr, get_args(StoreKind)))
        raise ValueError(f"state_store({name!r}): kind={kind!r}: choose one of {known}")
    if retention is not None and kind in ("key_value", "timestamped"):
        raise ValueError(
            f"state_store({name!r}): retention is for stores that keep time; a {kind} store keeps "
            "every key until it is deleted"
        )
    made = StateStore(
        name=graph.claim(name),
        kind=kind,
        key=chosen_serde(f"state_store({name!r}): key", key),
        value=chosen_serde(f"state_store({name!r}): value", value),
        retention_ms=None
        if retention is None
        else milliseconds(retention, f"state_store({name!r}): retention"),
    )
    graph.state_stores[name] = made
    return made


def process_node(
    graph: Graph,
    parent: Node,
    function: Callable[..., Any],
    stores: Iterable[StateStore | str],
    name: str | None,
    *,
    values_only: bool,
) -> ProcessNode:
    kind = "process_values" if values_only else "process"
    given: Any = stores  # whatever the caller's types say
    if isinstance(given, str | StateStore):
        raise TypeError(f"{kind} behind {parent.path!r}: stores={given!r}: give a list of them")
    stores = tuple(stores)
    stateful = bool(stores) or isinstance(function, type)
    make_path = graph.stable_path if stateful else graph.stateless_path
    path = make_path(parent.path, kind, name)
    attached = tuple(_attach(graph, path, store) for store in stores)
    if isinstance(function, type) and not callable(getattr(function, "process", None)):
        raise TopologyError(
            f"{path}: class {function.__qualname__} has no method process(self, record)"
        )
    _check_processor(path, kind, function, values_only=values_only)
    makers = (ProcessNode, ProcessValuesNode, StatefulProcessNode, StatefulProcessValuesNode)
    return makers[2 * stateful + values_only](
        path=path,
        parents=(parent,),
        function=function,
        attached=attached,
        values_only=values_only,
    )


def _check_processor(path: str, kind: str, function: Any, *, values_only: bool) -> None:
    """Raises `TopologyError` for what is called otherwise than a processor is, where it shows."""
    if isinstance(function, type):
        check_plain(f"{kind} at {path!r}", getattr(function, "process"))  # noqa: B009 - it has one
        return
    if not callable(function) and hasattr(function, "process"):
        raise TopologyError(
            f"{kind} at {path!r}: {function!r} is one processor, and each task needs its own: give "
            f"the class, {type(function).__qualname__}"
        )
    check_plain(f"{kind} at {path!r}", function)
    try:
        signature(function).bind(None, None)
    except TypeError as error:
        wanted = "(value, context)" if values_only else "(row, context)"
        raise TopologyError(
            f"{kind} at {path!r}: the function is called with {wanted}: {error}; or give a class "
            "with a method process(self, row), not a function that makes one"
        ) from None
    except ValueError:  # a built-in that does not say what it takes
        return


def _attach(graph: Graph, path: str, store: StateStore | str) -> StateStore:
    """The store, if it is of this application and nobody else's."""
    wanted = store if isinstance(store, str) else getattr(store, "name", store)
    declared = graph.state_stores.get(wanted) if isinstance(wanted, str) else None
    if declared is None or (not isinstance(store, str) and store is not declared):
        raise TopologyError(
            f"{path}: {wanted!r} is no store for processors of this application; make it with "
            f"app.state_store(...)"
        )
    for node in graph.nodes:
        if isinstance(node, ProcessNode) and declared in node.attached:
            raise TopologyError(
                f"{path}: store {declared.name!r} is attached to {node.path!r} already; a store "
                "belongs to one processor, which sees all records that it is about: merge the "
                "streams before it, or do both steps in one"
            )
    return declared
