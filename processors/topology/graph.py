"""The graph: what the user wrote, as nodes that know their parents.

A node is found by its path: the name that the user gave, or the parent's path and the operator's
kind (`lines.flat_map.group_by.count`). No counter is in a path, so an operator that is added
elsewhere renames nothing. Two stateless nodes of one parent may have one path in the user's eyes;
they are told apart by a suffix (`lines.map~2`), and nothing that has state or a topic of its own
may stand below such a suffix: there the user must name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from processors.errors import TopologyError
from processors.topology.call import check_arguments, check_plain
from processors.topology.nodes.endpoint import SourceNode

if TYPE_CHECKING:
    from processors.topology.nodes.node import Node
    from processors.topology.nodes.processor import StateStore

_AMBIGUOUS = "~"
_LEGAL = re.compile(r"[A-Za-z0-9._-]+")


class Graph:
    """All nodes of one application, in the order in which they were written."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.state_stores: dict[str, StateStore] = {}
        """The stores for processors, by name."""
        self._paths: dict[str, Node | None] = {}
        self._partners: dict[str, str] = {}

    def add(self, node: Node, *, at: str | None = None) -> None:
        """Takes a node. `at` is what errors call it, where the user wrote something else."""
        assert node.path not in self._paths
        assert all(parent in self.nodes for parent in node.parents)
        for function, given in node.calls():
            check_plain(at or f"{node.kind} at {node.path!r}", function)
            if given is not None:
                check_arguments(at or f"{node.kind} at {node.path!r}", function, *given)
        self._paths[node.path] = node
        self.nodes.append(node)

    def find(self, path: str) -> Node | None:
        return self._paths.get(path)

    def source(self, topic: str) -> SourceNode | None:
        """The node that reads a topic."""
        for node in self.nodes:
            if isinstance(node, SourceNode) and node.in_log and node.topic == topic:
                return node
        return None

    def note_partner(self, path: str, partner: str) -> None:
        """The join of this path is with these topics."""
        self._partners[path] = partner

    def partner_of(self, path: str) -> str | None:
        return self._partners.get(path)

    def claim(self, name: str) -> str:
        """Takes a name for something that is no node, as a store of agents."""
        self._paths[self._path("", "", name)] = None
        return name

    def stateless_path(self, parent: str, kind: str, name: str | None) -> str:
        """The path of a new node without state; unique by a suffix where the user gave no name."""
        path = self._path(parent, kind, name)
        if path not in self._paths:
            return path
        number = 2
        while f"{path}{_AMBIGUOUS}{number}" in self._paths:
            number += 1
        return f"{path}{_AMBIGUOUS}{number}"

    def stable_path(self, parent: str, kind: str, name: str | None) -> str:
        """The path of a new node that owns a store or topic; it must not depend on a suffix."""
        path = self._path(parent, kind, name)
        if path in self._paths or _AMBIGUOUS in path:
            raise TopologyError(
                f"{kind} at {path!r}: another operator has this path, so that what it keeps could "
                f'not be found again by it; name it: {kind}(..., name="...")'
            )
        return path

    def _path(self, parent: str, kind: str, name: str | None) -> str:
        if name is None:
            return f"{parent}.{kind}"
        check_name("operator name", name)
        if name in self._paths:
            raise TopologyError(
                f"two operators are named {name!r}: what each keeps is found again by its name; "
                "give one of them another"
            )
        return name


def check_name(what: str, name: object) -> None:
    """Raises for what can be no part of a topic's name."""
    if not isinstance(name, str):
        raise TypeError(f"{what} {name!r}: give a text")
    if not _LEGAL.fullmatch(name):
        raise ValueError(
            f"{what} {name!r}: names are letters, digits, '.', '_' and '-', as they become part of "
            "topic names"
        )
