"""Where rows go to the task of their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.nodes.node import Node
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from streamlog.serdes import Serde


@dataclass(frozen=True, eq=False, kw_only=True)
class ExchangeNode(Node):
    """Where what follows needs all rows of a key in one task.

    It moves rows where the key was changed since they were last partitioned, and vanishes where it
    was not.

    Attributes:
        always: Whether it stays where no key was changed, as one that was asked for does.
        null_values: Whether rows without a value go on; those without a key never do.
        kind: What asked for it.
    """

    kind = "group_by"
    placement = "placed"
    key: Serde[Any]
    value: Serde[Any]
    partitions: int | None = None
    always: bool = False
    null_values: bool = False

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True)
