"""The nodes behind tables: read from topics, derived from others, kept under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.arguments import at_least_one, check_functions, chosen_serde
from processors.dsl.stateless import key_serde
from processors.errors import TopologyError
from processors.topology.changes import ChangeSerde
from processors.topology.duration import milliseconds
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.table import (
    ChangesNode,
    DerivedTableNode,
    ExpiryNode,
    StoredTableNode,
    TableFilterNode,
    TableItemsNode,
    TableJoinNode,
    TableMapNode,
    VersionedTableNode,
)
from processors.topology.nodes.table_aggregate import RegroupNode, TableAggregateNode
from processors.topology.nodes.windows import WindowedNode
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.aggregate import TableNode
    from processors.topology.nodes.endpoint import SourceNode
    from processors.topology.nodes.node import Emit, Node
    from processors.topology.nodes.table import How
    from streamlog.serdes import Serde


def read_table(
    graph: Graph,
    source: SourceNode,
    *,
    versioned: Duration | None,
    name: str | None,
    emit: Emit,
) -> TableNode:
    """The table of a topic; one node, however often it is asked for in one way."""
    if emit not in ("latest", "every"):
        raise ValueError(f"table {source.topic!r}: emit={emit!r}: choose 'latest' or 'every'")
    history = None
    if versioned is not None:
        history = milliseconds(versioned, f"table {source.topic!r}: versioned")
        emit = "every"
    path = f"{source.path}.table" if name is None else name
    found = graph.find(path)
    if isinstance(found, StoredTableNode | VersionedTableNode) and found.parents == (source,):
        before = found.emit if isinstance(found, StoredTableNode) else "every"
        if (found.history, before) == (history, emit):
            return found
        raise TopologyError(
            f"table {path!r} is read already with versioned={found.history} and emit={before!r}, "
            f"and here with versioned={history} and emit={emit!r}: give one of them a name="
        )
    path = graph.stable_path(source.path, "table", name)
    common: dict[str, Any] = {"parents": (source,), "key": source.key, "value": source.value}
    node: TableNode
    if history is None:
        keep = "read" if name is None else "always"
        node = StoredTableNode(path=path, keep=keep, emit=emit, **common)
    else:
        node = VersionedTableNode(path=path, history_ms=history, **common)
    graph.add(node)
    return node


def table_of_stream(
    graph: Graph, node: Node, key: Serde[Any], value: Serde[Any], *, name: str | None, emit: Emit
) -> TableNode:
    """The last value of each key of a stream, whose rows go to the task of their key."""
    if emit not in ("latest", "every"):
        raise ValueError(f"to_table: emit={emit!r}: choose 'latest' or 'every'")
    path = graph.stable_path(node.path, "to_table", name)
    exchange = ExchangeNode(
        path=f"{path}.exchange", parents=(node,), key=key, value=value, null_values=True
    )
    graph.add(exchange)
    keep = "read" if name is None else "always"
    made = StoredTableNode(
        path=path, parents=(exchange,), key=key, value=value, keep=keep, checked=True, emit=emit
    )
    graph.add(made)
    return made


def filtered(
    graph: Graph,
    node: TableNode,
    predicate: Callable[[Any], Any],
    *,
    wanted: bool,
    name: str | None,
) -> TableNode:
    kind = "filter" if wanted else "filter_not"
    made = TableFilterNode(
        path=graph.stateless_path(node.path, kind, None),
        parents=(node,),
        key=node.key,
        value=node.value,
        function=predicate,
        wanted=wanted,
    )
    graph.add(made, at=f"{kind} at {name or made.path!r}")
    return materialised(graph, made, name)


def mapped(
    graph: Graph,
    node: TableNode,
    function: Callable[[Any], Any],
    *,
    value: Any,
    name: str | None,
) -> TableNode:
    at = f"map of {node.path!r}" if name is None else f"map at {name!r}"
    made = TableMapNode(
        path=graph.stateless_path(node.path, "map", None),
        parents=(node,),
        key=node.key,
        value=chosen_serde(f"{at}: value", "json" if value is None else value),
        function=function,
    )
    graph.add(made, at=f"map at {name or made.path!r}")
    return materialised(graph, made, name)


def pairs(graph: Graph, node: TableNode) -> TableNode:
    """Values as (key, value) pairs."""
    path = graph.stateless_path(node.path, "items", None)
    made = TableItemsNode(path=path, parents=(node,), key=node.key, value=serde_for("json"))
    graph.add(made)
    return made


def changes(graph: Graph, node: TableNode) -> Node:
    path = graph.stateless_path(node.path, "changes", None)
    made = ChangesNode(path=path, parents=(node,), key=node.key, value=serde_for("json"))
    graph.add(made)
    return made


def joined(
    graph: Graph,
    left: TableNode,
    right: TableNode,
    joiner: Callable[[Any, Any], Any],
    *,
    how: How,
    value: Any,
    name: str | None,
) -> TableNode:
    """Two tables by key. Named, or asked for old values, the result has a store."""
    path = graph.stateless_path(left.path, "join", name)
    serde = chosen_serde(f"{path}: value", "json" if value is None else value)
    common: dict[str, Any] = {"key": left.key, "value": serde}
    node = TableJoinNode(
        path=f"{path}.rows", parents=(left, right), joiner=joiner, how=how, **common
    )
    graph.add(node, at=f"join at {path!r}")
    keep = "olds" if name is None else "always"
    made = StoredTableNode(
        path=path,
        parents=(node,),
        keep=keep,
        checked=True,
        derived=True,
        what=node.facts(),
        **common,
    )
    graph.add(made)
    return made


def regrouped(
    graph: Graph,
    node: TableNode,
    function: Callable[[Any], Any],
    *,
    select: Callable[[Any], Any] | None,
    key: Any,
    value: Any,
    partitions: int | None,
    name: str | None,
) -> ExchangeNode:
    """The changes of a table by group, in the tasks of the groups."""
    path = graph.stable_path(node.path, "group_by", name)
    at_least_one(f"{path}: partitions", partitions)
    functions = [function, *([] if select is None else [select])]
    check_functions(f"group_by at {path!r}", functions, "value")
    serde = chosen_serde(f"{path}: value", value) if value is not None else node.value
    if value is None and select is not None:
        serde = serde_for("json")
    keys = key_serde(f"{path}: key", key, function)
    regroup = RegroupNode(
        path=f"{path}.key", parents=(node,), function=function, select=select, key=keys
    )
    graph.add(regroup)
    made = ExchangeNode(
        path=path, parents=(regroup,), key=keys, value=ChangeSerde(serde), partitions=partitions
    )
    graph.add(made)
    return made


def aggregated(
    graph: Graph,
    grouped: ExchangeNode,
    what: str,
    *,
    initial: Callable[[], Any] | None,
    add: Callable[[Any, Any], Any] | None,
    remove: Callable[[Any, Any], Any] | None,
    value: Serde[Any],
    name: str | None,
    emit: Emit,
    choose: Callable[[Any], Any] | None = None,
) -> TableNode:
    """An aggregate of changes; without `remove` it cannot be."""
    path = graph.stable_path(grouped.path, what, name)
    if emit not in ("latest", "every"):
        raise ValueError(f"{path}: emit={emit!r}: choose 'latest' or 'every'")
    if remove is None:
        raise TopologyError(
            f"{path}: rows of a table change, so what a row has given to its group must be taken "
            f"back: give remove=, which undoes what {what} adds (an Aggregator has it as a "
            "method), or make a stream of the table with to_stream() if every change is to count"
        )
    assert add is not None
    for role, function in (("add", add), ("remove", remove), ("initial", initial)):
        if function is not None and not callable(function):
            raise TypeError(f"{path}: {role}={function!r} is no function")
    made = TableAggregateNode(
        path=path,
        parents=(grouped,),
        key=grouped.key,
        value=value,
        emit=emit,
        initial=initial,
        add=add,
        remove=remove,
        choose=choose,
        what=what,
    )
    graph.add(made, at=f"{what} at {path!r}")
    return made


def result_serde(grouped: ExchangeNode, value: Any) -> Serde[Any]:
    """The serde of an aggregate's results: as asked for, else that of the values."""
    if value is not None:
        return chosen_serde(f"an aggregate of {grouped.path!r}: value", value)
    assert isinstance(grouped.value, ChangeSerde)
    return grouped.value.values


def one_more(count: int, value: object) -> int:
    return count + 1


def one_less(count: int, value: object) -> int:
    return count - 1


def check_lookups(path: str, *nodes: TableNode) -> None:
    """Raises for tables whose values nobody can look up."""
    for node in nodes:
        base: Node = node
        while isinstance(base, DerivedTableNode):
            base = base.parents[0]
        if isinstance(base, WindowedNode):
            raise TopologyError(
                f"{path}: {base.path} gives the results of windows on and cannot be asked for them "
                "later; keep what the join needs, and only as long: "
                "to_stream().to_table().expire(...)"
            )


def check_join(path: str, left: TableNode, right: TableNode, how: Any) -> None:
    """Raises for tables that cannot meet by key."""
    if how not in ("inner", "left", "right", "outer"):
        raise ValueError(f"{path}: how={how!r}: choose 'inner', 'left', 'right' or 'outer'")
    if left.key.name != right.key.name:
        raise TopologyError(
            f"{path}: keys are {left.key.name} in {left.path} and {right.key.name} in "
            f"{right.path}; read both with one kind of key, key=..."
        )


def expiring(graph: Graph, node: TableNode, after: Duration, *, name: str | None) -> TableNode:
    """A table that forgets what has not changed for a time."""
    path = graph.stable_path(node.path, "expire", name)
    after_ms = milliseconds(after, f"{path}: after")
    if after_ms < 1:
        raise ValueError(f"{path}: after={after!r}: nothing would stay; give a millisecond or more")
    made = ExpiryNode(path=path, parents=(node,), key=node.key, value=node.value, after_ms=after_ms)
    graph.add(made)
    return made


def materialised(graph: Graph, node: TableNode, name: str | None) -> TableNode:
    """The table in a store of its own, where it has a name."""
    if name is None:
        return node
    made = StoredTableNode(
        path=graph.stable_path(node.path, "table", name),
        parents=(node,),
        key=node.key,
        value=node.value,
        keep="always",
        checked=True,
        derived=True,
    )
    graph.add(made)
    return made
