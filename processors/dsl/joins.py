"""What a join of streams is built from: its window, its exchanges, its nodes.

What is wrong is said here, when the graph is built, with the operator and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from processors.dsl.arguments import chosen_serde
from processors.dsl.global_table import GlobalTable
from processors.dsl.tables import check_lookups
from processors.errors import TopologyError
from processors.topology.call import check_call
from processors.topology.duration import Duration, milliseconds
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.global_table import GlobalLookupNode
from processors.topology.nodes.join import (
    AsOfNode,
    GraceLookupNode,
    JoinWindow,
    StreamJoinNode,
    TableLookupNode,
)
from processors.topology.nodes.table import VersionedTableNode
from processors.topology.partners import join_path
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


Partner = Joinable | JoinableTable | GlobalTable[Any, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinArguments:
    """What a call of `join` says."""

    how: How
    within: Duration | None = None
    before: Duration | None = None
    after: Duration | None = None
    grace: Duration | None = None
    key: Callable[[Any], Any] | None = None
    value: Any = None
    other_value: Any = None
    name: str | None = None

    @property
    def has_window(self) -> bool:
        return (self.within, self.before, self.after) != (None, None, None)

    def step(self, *, name: str | None, value: Any) -> JoinArguments:
        """Those of one join of several."""
        return replace(self, name=name, value=value)


def join(
    left: Joinable, right: Partner, joiner: Callable[..., Any], arguments: JoinArguments
) -> Node:
    """The join of a stream and something else; what stands between them is added to the graph."""
    check_graph(f"{left.node.path}.join", left.graph, right.graph)
    path = join_path(left.graph, left.node, (right.node,), "join", arguments.name)
    check_callable(path, "joiner", joiner, "value", "other")
    if isinstance(right, GlobalTable):
        return _join_global_table(path, left, right.node, joiner, arguments)
    if arguments.key is not None:
        raise ValueError(
            f"{path}: key= looks up a global table; else records of one key meet: change the key "
            "with map_key(...) first"
        )
    check_keys(path, left.key, right.key)
    if isinstance(right, JoinableTable):
        return _join_table(path, left, right.node, joiner, arguments)
    return _join_streams(path, left, right, joiner, arguments)


def join_asof(
    left: Joinable, right: Joinable, joiner: Callable[[Any, Any], Any], arguments: JoinArguments
) -> Node:
    """The join of a stream with the latest of another up to its time."""
    graph = left.graph
    check_graph(f"{left.node.path}.join_asof", graph, right.graph)
    path = join_path(graph, left.node, (right.node,), "join_asof", arguments.name)
    check_callable(path, "joiner", joiner, "value", "other")
    check_keys(path, left.key, right.key)
    if arguments.how not in ("inner", "left"):
        raise ValueError(
            f"{path}: how={arguments.how!r}: choose 'inner' or 'left': the other stream's records "
            "cause no results of their own"
        )
    grace = milliseconds(arguments.grace or 0, f"{path}: grace")
    value, other_value = (
        value_serde(left, arguments.value),
        value_serde(right, arguments.other_value),
    )
    above = exchange(graph, path, "left", left, value)
    moved = ExchangeNode(
        path=graph.stable_path(path, "right", None),
        parents=(right.node,),
        key=right.key,
        value=other_value,
        always=not _is_read(right, other_value),
    )
    graph.add(moved)
    latest = VersionedTableNode(
        path=graph.stable_path(path, "latest", None),
        parents=(moved,),
        key=right.key,
        value=other_value,
        history_ms=grace,
        deletes=False,  # it is a stream, whose null values are left out
    )
    graph.add(latest)
    return AsOfNode(
        path=path,
        parents=(above, latest),
        joiner=joiner,
        keep=arguments.how == "left",
        grace=grace,
        key=left.key,
        value=value,
        is_read=_is_read(left, value),
    )


def _join_streams(
    path: str,
    left: Joinable,
    right: Joinable,
    joiner: Callable[[Any, Any], Any],
    arguments: JoinArguments,
) -> StreamJoinNode:
    """The join, and an exchange a side, which vanishes where no key was changed."""
    graph = left.graph
    check_how(path, arguments.how, HOWS)
    window = choose_window(path, arguments)
    left_value, right_value = (
        value_serde(left, arguments.value),
        value_serde(right, arguments.other_value),
    )
    is_self = left.node is right.node
    if is_self and left_value.name == right_value.name:
        right_value = left_value
    left_end = exchange(graph, path, "left", left, left_value)
    right_end = exchange(graph, path, "right", right, right_value)
    return StreamJoinNode(
        path=path,
        parents=(left_end, right_end),
        joiner=joiner,
        how=arguments.how,
        window=window,
        key=left.key,
        left_value=left_value,
        right_value=right_value,
        left_is_read=_is_read(left, left_value),
        right_is_read=_is_read(right, right_value),
        is_self=is_self,
    )


def _join_table(
    path: str,
    left: Joinable,
    table: TableNode,
    joiner: Callable[[Any, Any], Any],
    arguments: JoinArguments,
) -> TableLookupNode:
    """A look-up in a table that is partitioned alike."""
    graph, grace = left.graph, arguments.grace
    check_lookups(path, table)
    check_no_window(path, arguments)
    check_how(path, arguments.how, ("inner", "left"))
    value = value_serde(left, arguments.value)
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
        "keep": arguments.how == "left",
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
    arguments: JoinArguments,
) -> GlobalLookupNode:
    check_no_window(path, arguments)
    check_how(path, arguments.how, ("inner", "left"))
    mapper = arguments.key
    if arguments.grace is not None:
        raise ValueError(
            f"{path}: grace={arguments.grace!r}: a global table keeps no history to wait for; join "
            "with app.table(..., versioned=...)"
        )
    if mapper is None:
        check_keys(path, left.key, table.key)
    else:
        check_callable(path, "key", mapper, "value")
    return GlobalLookupNode(
        path=path,
        parents=(left.node,),
        joiner=joiner,
        keep=arguments.how == "left",
        table=table,
        mapper=mapper,
    )


def check_no_window(path: str, arguments: JoinArguments) -> None:
    """Raises `ValueError` for a window where there is none."""
    if arguments.has_window:
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


def choose_window(path: str, arguments: JoinArguments) -> JoinWindow:
    """The window that the arguments of a join say.

    Raises:
        ValueError: they say none, or two, or one that no time is in.
    """
    within, before, after = arguments.within, arguments.before, arguments.after
    if not arguments.has_window:
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
        grace=milliseconds(arguments.grace or 0, f"{path}: grace"),
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


def check_callable(path: str, what: str, function: object, *given: str) -> None:
    """Raises `TypeError` for what cannot be called, `TopologyError` for what takes others."""
    if not callable(function):
        raise TypeError(f"{path}: {what} must be a function, not {function!r}")
    check_call(f"join at {path!r}: {what}", function, *given)


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


def value_serde(stream: Joinable, chosen: Any) -> Serde[Any]:
    """How a join keeps the values of a stream."""
    if chosen is not None:
        return chosen_serde(f"join of {stream.node.path!r}: value", chosen)
    return stream.read_as if stream.read_as is not None else serde_for("json")


def _is_read(stream: Joinable, serde: Serde[Any]) -> bool:
    return stream.read_as is not None and stream.read_as.name == serde.name
