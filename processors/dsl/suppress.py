"""The node behind `Table.suppress`, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from processors.dsl.arguments import at_least_one
from processors.errors import TopologyError
from processors.topology.duration import milliseconds
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.suppress import SuppressNode
from processors.topology.nodes.table import StoredTableNode
from processors.topology.nodes.windows import WindowedNode
from processors.topology.windows import (
    CountWindows,
    SessionWindows,
    SlidingWindows,
    UnlimitedWindows,
)

if TYPE_CHECKING:
    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node
    from processors.topology.windows import Windows


def suppressed(
    graph: Graph,
    node: TableNode,
    until: Duration,
    *,
    max_records: int | None,
    max_bytes: int | None,
    full: Literal["emit", "fail"] | None,
    name: str | None,
) -> TableNode:
    """The table with its updates held back."""
    path = graph.stable_path(node.path, "suppress", name)
    at = f"suppress at {path!r}"
    windowed = until == "window_close"
    if node.history is not None:
        raise TopologyError(
            f"{at}: a versioned table has its updates by their own times, and holding them back "
            "would change these; suppress a table without versioned="
        )
    for what, limit in (("max_records", max_records), ("max_bytes", max_bytes)):
        at_least_one(f"{at}: {what}", limit)
    if full not in (None, "emit", "fail"):
        raise ValueError(f"{at}: full={full!r}: choose 'emit' or 'fail'")
    if windowed and full == "emit":
        raise ValueError(
            f"{at}: full='emit' would give results of windows that are still open; choose 'fail', "
            "or give no limit: what waits is on the disk"
        )
    wait_ms = _wait_of_windows(at, node) if windowed else _wait_of_time(at, until)
    made = SuppressNode(
        path=path,
        parents=(node,),
        key=node.key,
        value=node.value,
        windowed=windowed,
        wait_ms=wait_ms,
        max_records=max_records,
        max_bytes=max_bytes,
        full=full or ("fail" if windowed else "emit"),
    )
    graph.add(made)
    table = StoredTableNode(
        path=f"{path}.table",
        parents=(made,),
        key=node.key,
        value=node.value,
        checked=True,
        what="what was given on",
    )
    graph.add(table)
    return table


def _wait_of_time(at: str, until: Duration) -> int:
    try:
        return milliseconds(until, f"{at}: until")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}; or until='window_close'") from None


def _wait_of_windows(at: str, node: TableNode) -> int:
    """How far stream time is past the end of a window when it is closed: the most of all above."""
    waits = [_wait(at, window) for window in _windows_above(node)]
    if not waits:
        raise TopologyError(
            f"{at}: until='window_close' needs a windowed table; put .windowed_by(...) before the "
            "aggregate, or give a duration"
        )
    return max(waits)


def _wait(at: str, window: Windows) -> int:
    match window:
        case UnlimitedWindows() | CountWindows():
            raise TopologyError(f"{at}: {window.shape()}: such windows close by no time")
        case SessionWindows():
            return window.gap_ms + window.grace_ms + 1  # the end is in the session
        case SlidingWindows():
            return window.grace_ms + 1
        case _:
            return window.grace_ms


def _windows_above(node: Node) -> list[Windows]:
    if isinstance(node, WindowedNode):
        return [node.window]
    if not isinstance(node, TableNode):
        return []
    return [window for parent in node.parents for window in _windows_above(parent)]
