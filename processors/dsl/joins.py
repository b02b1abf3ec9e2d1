"""What a join of streams is built from: its window, its exchanges, its nodes.

What is wrong is said here, when the graph is built, with the operator and the remedy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from processors.dsl.duration import Duration, milliseconds
from processors.dsl.global_table import GlobalTable
from processors.errors import TopologyError
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.global_table import GlobalLookupNode
from processors.topology.nodes.join import (
    GraceLookupNode,
    JoinWindow,
    StreamJoinNode,
    TableLookupNode,
)
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.graph import Graph
    from processors.topology.nodes.aggregate import TableNode
    from processors.topology.nodes.global_table import GlobalTableNode
    from processors.topology.nodes.node import Node
    from processors.topology.nodes.table import How
    from streamlog.serdes import Serde

HOWS: Final = ("inner", "left", "right", "outer")


class Joinable(NamedTuple):
    """What a join knows of a stream. `read_as` is None where a function has made the values."""

    graph: Graph
    node: Node
    key: Serde[Any]
    read_as: Serde[Any] | None


class JoinableTable(NamedTuple):
    """What a join of a stream knows of a table."""

    graph: Graph
    node: TableNode

    @property
    def key(self) -> Serde[Any]:
        return self.node.key


WindowArguments = tuple[Duration | None, Duration | None, Duration | None]
"""within, before, after."""


def join(
    left: Joinable,
    right: Joinable | JoinableTable | GlobalTable[Any, Any],
    joiner: Callable[[Any, Any], Any],
    *,
    how: How,
    window: WindowArguments,
    grace: Duration | None,
    key: Callable[[Any], Any] | None,
    values: tuple[Any, Any],
    name: str | None,
) -> Node:
    """Adds the join of a stream and something else."""
    path = left.graph.stable_path(left.node.path, "join", name)
    check_graph(path, left.graph, right.graph)
    check_callable(path, "joiner", joiner)
    if isinstance(right, GlobalTable):
        check_no_window(path, window)
        return _join_global_table(path, left, right.node, joiner, how, grace, key)
    if key is not None:
        raise ValueError(
            f"{path}: key= looks up a global table; else records of one key meet: change the key "
            "with map_key(...) first"
        )
    check_keys(path, left.key, right.key)
    if isinstance(right, JoinableTable):
        check_no_window(path, window)
        return _join_table(path, left, right.node, joiner, how, grace, values)
    return _join_streams(path, left, right, joiner, how, window, grace, values)


def _join_streams(
    path: str,
    left: Joinable,
    right: Joinable,
    joiner: Callable[[Any, Any], Any],
    how: How,
    window: WindowArguments,
    grace: Duration | None,
    values: tuple[Any, Any],
) -> StreamJoinNode:
    """The join, and an exchange a side, which vanishes where no key was changed."""
    graph = left.graph
    check_how(path, how, HOWS)
    left_value, right_value = _value(left, values[0]), _value(right, values[1])
    is_self = left.node is right.node and left_value.name == right_value.name
    left_end = exchange(graph, path, "left", left, left_value)
    right_end = left_end if is_self else exchange(graph, path, "right", right, right_value)
    node = StreamJoinNode(
        path=path,
        parents=(left_end, right_end),
        joiner=joiner,
        how=how,
        window=choose_window(path, *window, grace=0 if grace is None else grace),
        key=left.key,
        left_value=left_value,
        right_value=right_value,
        left_is_read=_is_read(left, left_value),
        right_is_read=_is_read(right, right_value),
    )
    return node


def _join_table(
    path: str,
    left: Joinable,
    table: TableNode,
    joiner: Callable[[Any, Any], Any],
    how: How,
    grace: Duration | None,
    values: tuple[Any, Any],
) -> TableLookupNode:
    """A look-up in a table that is partitioned alike."""
    graph = left.graph
    check_how(path, how, ("inner", "left"))
    value = _value(left, values[0])
    wait_ms = None if grace is None else milliseconds(grace, f"{path}: grace")
    if wait_ms is not None and (table.history is None or table.history < wait_ms):
        has = "keeps no history" if table.history is None else f"keeps {table.history} ms"
        raise ValueError(
            f"{path}: grace={grace!r}: rows wait so long to find the version of their time, and "
            f"{table.path} {has}: read it with app.table(..., versioned={grace!r}) or more"
        )
    above = exchange(graph, path, "left", left, value)
    common: dict[str, Any] = {
        "path": path,
        "parents": (above, table),
        "joiner": joiner,
        "keep": how == "left",
    }
    if wait_ms is None:
        return TableLookupNode(**common)
    is_read = _is_read(left, value)
    return GraceLookupNode(**common, grace=wait_ms, key=left.key, value=value, is_read=is_read)


def _join_global_table(
    path: str,
    left: Joinable,
    table: GlobalTableNode,
    joiner: Callable[[Any, Any], Any],
    how: How,
    grace: Duration | None,
    mapper: Callable[[Any], Any] | None,
) -> GlobalLookupNode:
    check_how(path, how, ("inner", "left"))
    if grace is not None:
        raise ValueError(
            f"{path}: grace={grace!r}: a global table keeps no history to wait for; join with "
            "app.table(..., versioned=...)"
        )
    if mapper is None:
        check_keys(path, left.key, table.key)
    else:
        check_callable(path, "key", mapper)
    return GlobalLookupNode(
        path=path,
        parents=(left.node,),
        joiner=joiner,
        keep=how == "left",
        table=table,
        mapper=mapper,
    )


def check_no_window(path: str, window: WindowArguments) -> None:
    """Raises `ValueError` for a window where there is none."""
    if any(bound is not None for bound in window):
        raise ValueError(
            f"{path}: a table has one value a key, not one a time: leave within=, before= and "
            "after= out, or join table.to_stream()"
        )


def exchange(
    graph: Graph, path: str, side: str, stream: Joinable, value: Serde[Any]
) -> ExchangeNode:
    """Brings the rows to the task of their key; those with a null key or value as well.

    They give no match, but time goes on by them, and some joins let them through.
    """
    node = ExchangeNode(
        path=graph.stable_path(path, side, None),
        parents=(stream.node,),
        key=stream.key,
        value=value,
        null_keys=True,
        null_values=True,
    )
    graph.add(node)
    return node


def choose_window(
    path: str,
    within: Duration | None,
    before: Duration | None,
    after: Duration | None,
    grace: Duration,
) -> JoinWindow:
    """The window that the arguments of a join say.

    Raises:
        ValueError: they say none, or two, or one that no time is in.
    """
    if within is None and before is None and after is None:
        raise ValueError(
            f"{path}: a join of streams needs a bound, or it would keep everything for ever: "
            'within="10s", or before= and after='
        )
    if within is not None:
        if before is not None or after is not None:
            raise ValueError(f"{path}: give within=, or before= and after=, not both")
        before = after = milliseconds(within, f"{path}: within")
    window = JoinWindow(
        before=_signed(before or 0, f"{path}: before"),
        after=_signed(after or 0, f"{path}: after"),
        grace=milliseconds(grace, f"{path}: grace"),
    )
    if window.before + window.after < 0:
        raise ValueError(
            f"{path}: before={before!r} and after={after!r}: before + after is negative, so that "
            "no time is in the window"
        )
    return window


def _signed(value: Duration, what: str) -> int:
    """A duration that may be negative."""
    if isinstance(value, str):
        negative = value.strip().startswith("-")
        return -milliseconds(value.strip()[1:], what) if negative else milliseconds(value, what)
    if isinstance(value, timedelta):
        negative = value < timedelta()
    else:
        negative = not isinstance(value, bool) and value < 0
    return -milliseconds(-value, what) if negative else milliseconds(value, what)


def check_graph(path: str, mine: Graph, other: Graph) -> None:
    """Raises `TopologyError` where the other side is of another application."""
    if mine is not other:
        raise TopologyError(f"{path}: the other side belongs to another App; join what is of one")


def check_keys(path: str, mine: Serde[Any], other: Serde[Any]) -> None:
    """Raises `TopologyError` where equal keys would not meet."""
    if mine.name != other.name:
        raise TopologyError(
            f"{path}: keys are {mine.name} here and {other.name} there, so that equal keys would "
            "have other bytes; give both sides one kind of key with map_key(..., key=...)"
        )


def check_callable(path: str, what: str, function: object) -> None:
    """Raises `TypeError` for what cannot be called."""
    if not callable(function):
        raise TypeError(f"{path}: {what} must be a function, not {function!r}")


def check_how(path: str, how: object, allowed: tuple[str, ...]) -> None:
    """Raises `ValueError` for a kind of join that there is not, here or at all."""
    if how in HOWS and how not in allowed:
        raise ValueError(
            f"{path}: how={how!r}: a table does not cause results, so that its side cannot be "
            f"preserved: choose {_either(allowed)}, or join table.to_stream() within a time"
        )
    if how not in allowed:
        raise ValueError(f"{path}: how={how!r}: choose {_either(allowed)}")


def _either(words: tuple[str, ...]) -> str:
    return ", ".join(map(repr, words[:-1])) + f" or {words[-1]!r}"


def _value(stream: Joinable, chosen: Any) -> Serde[Any]:
    if chosen is not None:
        return serde_for(chosen)
    return stream.read_as if stream.read_as is not None else serde_for("json")


def _is_read(stream: Joinable, serde: Serde[Any]) -> bool:
    return stream.read_as is not None and stream.read_as.name == serde.name
