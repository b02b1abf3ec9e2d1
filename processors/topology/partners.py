"""What a join is with: the topics that the rows of its other side come from.

Stateless operators in between may come and go; so it is by these that a second join of a stream is
named, and by these that a manifest knows whether a join is the one that it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.errors import TopologyError
from processors.topology.nodes.endpoint import PatternNode, SourceNode

if TYPE_CHECKING:
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node


def roots(node: Node) -> str:
    """The paths of the sources above a node, in an order of their own."""
    found: set[str] = set()
    waiting, seen = [node], {node}
    while waiting:
        above = waiting.pop()
        if isinstance(above, SourceNode | PatternNode):
            found.add(above.path)
        new = [parent for parent in above.parents if parent not in seen]
        seen.update(new)
        waiting += new
    return ".".join(sorted(found))


def join_path(
    graph: Graph, left: Node, others: tuple[Node, ...], kind: str, name: str | None
) -> str:
    """The path of a join: `orders.join`, and of a further one `orders.join.with.payments`.

    Which of two is the first depends on the order in which they were written. The manifest notices
    where the state of one would be taken for that of the other, unless both are with the same
    topics; such a second one must be named.

    Raises:
        TopologyError: there is a join with the same already.
    """
    first = f"{left.path}.{kind}"
    taken = [path for path in (first, f"{first}.1") if graph.find(path) is not None]
    partner = ".".join(dict.fromkeys(map(roots, others)))
    if name is not None or not taken:
        path = graph.stable_path(left.path, kind, name)
    elif graph.partner_of(first) == partner or graph.find(f"{first}.with.{partner}") is not None:
        raise TopologyError(
            f"{kind} at {first!r}: there is a {kind} with {partner} already, so that what they "
            f'keep could not be told apart; name one: {kind}(..., name="...")'
        )
    else:
        path = graph.stable_path(first, f"with.{partner}", None)
    graph.note_partner(path, partner)
    return path
