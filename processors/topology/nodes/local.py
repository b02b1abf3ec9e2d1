"""Sources in the application's own process: channels and iterables.

To the engine they are topics of one partition whose rows are handed to it. Their names stand behind
a kind and a colon, which no topic can have in its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.topology.nodes.endpoint import POSITION, SourceNode
from processors.topology.nodes.node import StoreDeclaration
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from processors.topology.reads import Reads


class LocalSourceNode(SourceNode):
    """Rows that come from this process and lie in no log."""

    in_log = False

    def facts(self) -> str:
        return f"{self.kind}: key {self.key.name}, value {self.value.name}"


class ChannelNode(LocalSourceNode):
    """What other code sends into a channel."""

    kind = "channel"


@dataclass(frozen=True, eq=False, kw_only=True)
class IterableNode(LocalSourceNode):
    """The rows of an iterable; how many have been processed is state."""

    kind = "iterable"

    @property
    def position_store(self) -> str:
        return f"{self.path}.position"

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        declared = StoreDeclaration(name=self.position_store, kind=POSITION, key=STRING, value=LONG)
        return (*super().stores(output), declared)
