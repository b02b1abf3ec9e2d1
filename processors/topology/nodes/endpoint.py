"""Where records come in from topics, and where they go out to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.nodes.node import Node
from processors.topology.reads import ALL

if TYPE_CHECKING:
    from processors.topology.reads import Reads
    from streamlog.serdes import Serde


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceNode(Node):
    """A topic that is read."""

    kind = "source"
    placement = "placed"
    topic: str
    key: Serde[Any]
    value: Serde[Any]

    def facts(self) -> str:
        return f"source: topic {self.topic}, key {self.key.name}, value {self.value.name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class SinkNode(Node):
    """A topic that is written."""

    kind = "to"
    topic: str
    key: Serde[Any]
    value: Serde[Any]
    partitions: int | None = None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL

    def facts(self) -> str:
        return f"to: topic {self.topic}, key {self.key.name}, value {self.value.name}"
