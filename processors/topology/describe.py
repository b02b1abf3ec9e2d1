"""A topology as text, for `App.describe()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import SubTopology, Topology


def describe(topology: Topology) -> str:
    """Draws every sub-topology as a tree from its entries; a node with two inputs is drawn once.

    lines                 source: topic lines, key str, value str
    └─ lines.group_by     exchange ...
    """
    lines = [f"application {topology.application}"]
    for sub in topology.subtopologies:
        tasks = "one task a partition" if sub.stores else "no state: one task for all partitions"
        lines += ["", f"sub-topology {sub.index}: {sub.name} ({tasks})"]
        lines += _align(_draw(topology, sub))
    return "\n".join(lines)


def _draw(topology: Topology, sub: SubTopology) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    drawn: set[Node] = set()

    def draw(node: Node, first: str, rest: str, *, is_entry: bool) -> None:
        again = node in drawn
        rows.append(
            (first + node.path, "(see above)" if again else _facts(topology, sub, node, is_entry))
        )
        drawn.add(node)
        if again or (isinstance(node, ExchangeNode) and not is_entry):
            return
        children = topology.children[node]
        for number, child in enumerate(children):
            last = number == len(children) - 1
            branch = "└─ " if last else "├─ "
            draw(child, rest + branch, rest + ("   " if last else "│  "), is_entry=False)

    for entry in sub.entries:
        draw(entry, "", "", is_entry=True)
    return rows


def _facts(topology: Topology, sub: SubTopology, node: Node, is_entry: bool) -> str:
    if isinstance(node, ExchangeNode):
        end = "from" if is_entry else "to"
        value = node.value.name if topology.reads[node].values else "not carried"
        topic = topology.repartition_topic(node)
        pushed = "".join(f", {each.path} at its start" for each in topology.pushed.get(node, ()))
        return f"{end} exchange: topic {topic}, key {node.key.name}, value {value}{pushed}"
    topics = [topology.changelog_topic(store.name) for store in sub.stores.get(node, ())]
    return ", ".join([node.facts(), *(f"changelog {topic}" for topic in topics)])


def _align(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = min(max(len(path) for path, _ in rows), 40)
    return (f"{path:<{width}}  {facts}" for path, facts in rows)
