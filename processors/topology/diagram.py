"""A topology as data, and drawn for tools: JSON, Graphviz's dot, Mermaid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.topology.nodes.endpoint import SinkNode, SourceNode
from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processors.topology.nodes.node import Node
    from processors.topology.subtopology import SubTopology, Topology

Data = dict[str, Any]


def as_data(topology: Topology) -> Data:
    """What is drawn, in lists and dicts of texts.

    An exchange is a node of the sub-topology that receives from it. The parents of a node are given
    by their paths, which are unique.
    """
    return {
        "application": topology.application,
        "subtopologies": [_subtopology(topology, sub) for sub in topology.subtopologies],
    }


def _subtopology(topology: Topology, sub: SubTopology) -> Data:
    sent = set(sub.sends) - set(sub.receives)
    nodes = [*sub.entries, *(node for node in sub.nodes if node not in sent)]
    return {
        "index": sub.index,
        "name": sub.name,
        "stateful": bool(sub.stores),
        "nodes": [_node(topology, sub, node) for node in dict.fromkeys(nodes)],
    }


def _node(topology: Topology, sub: SubTopology, node: Node) -> Data:
    data: Data = {
        "path": node.path,
        "kind": node.kind,
        "facts": node.facts(),
        "parents": [parent.path for parent in topology.parents[node]],
    }
    if isinstance(node, ExchangeNode):
        data["topics"] = [topology.repartition_topic(node)]
        if node in topology.pushed:
            data["filters"] = [each.path for each in topology.pushed[node]]
    elif isinstance(node, SourceNode):
        data["topics"] = [node.topic]
    elif isinstance(node, SinkNode):
        data["topics"] = list(node.topics)
    stores = sub.stores.get(node, ())
    if stores:
        data["stores"] = [
            {
                "name": store.name,
                "kind": store.kind,
                "key": store.key.name,
                "value": store.value.name,
                "changelog": topology.changelog_topic(store.name),
            }
            for store in stores
        ]
    return data


def as_dot(data: Data) -> str:
    """For `dot -Tsvg`."""
    lines = [f"digraph {_quoted(data['application'])} {{", "  rankdir=LR; node [shape=box];"]
    for sub in data["subtopologies"]:
        lines.append(f"  subgraph cluster_{sub['index']} {{ label={_quoted(sub['name'])};")
        for node in sub["nodes"]:
            label = _quoted("\n".join(_label(node)))
            lines.append(f"    {_quoted(node['path'])} [label={label}, shape={_form(node)}];")
        lines.append("  }")
    edges = (f"  {_quoted(above)} -> {_quoted(path)};" for above, path in _edges(data))
    return "\n".join([*lines, *edges, "}"])


def as_mermaid(data: Data) -> str:
    """For a Mermaid block of a Markdown page."""
    numbers: dict[str, str] = {}
    lines = ["flowchart LR"]
    for sub in data["subtopologies"]:
        lines.append(f'  subgraph s{sub["index"]}["{_escaped(sub["name"])}"]')
        for node in sub["nodes"]:
            number = numbers.setdefault(node["path"], f"n{len(numbers)}")
            label = "<br/>".join(map(_escaped, _label(node)))
            left, right = ('[("', '")]') if "stores" in node else ('["', '"]')
            lines.append(f"    {number}{left}{label}{right}")
        lines.append("  end")
    edges = (f"  {numbers[above]} --> {numbers[path]}" for above, path in _edges(data))
    return "\n".join([*lines, *edges])


def _edges(data: Data) -> Iterator[tuple[str, str]]:
    for sub in data["subtopologies"]:
        for node in sub["nodes"]:
            for above in node["parents"]:
                yield above, node["path"]


def _label(node: Data) -> list[str]:
    stores = (f"store {store['name']}" for store in node.get("stores", ()))
    return [node["path"], node["facts"], *stores]


def _form(node: Data) -> str:
    if "stores" in node:
        return "cylinder"
    return "cds" if "topics" in node else "box"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
