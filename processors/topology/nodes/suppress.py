"""Tables whose updates are held back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from processors.topology.held import HeldSerde
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.node import StoreDeclaration
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from streamlog.serdes import Serde


LEAST_UNIT_MS: Final = 1_000
MOST_SEGMENTS: Final = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class SuppressNode(TableNode):
    """Holds the last update of each key back.

    Attributes:
        windowed: Whether until the key's window is closed; otherwise for a time.
        wait_ms: Behind the end of the window, or behind the first update that is held back.
        max_records, max_bytes: How much may wait, at most.
        full: What happens when more would.
    """

    kind = "suppress"
    per_task = True
    windowed: bool
    wait_ms: int
    max_records: int | None = None
    max_bytes: int | None = None
    full: Literal["emit", "fail"] = "emit"

    @property
    def unit(self) -> int:
        """The time that a segment of what waits has."""
        return max(self.wait_ms // MOST_SEGMENTS, LEAST_UNIT_MS)

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        serde: Serde[Any] = HeldSerde(self.value)
        kind = "held until the window closes" if self.windowed else "held for a time"
        return (
            StoreDeclaration(
                name=self.path, kind=kind, key=self.key, value=serde, layout="segmented"
            ),
        )

    def facts(self) -> str:
        until = "the window closes" if self.windowed else "a time is over"
        return f"suppress: until {until}, {self.wait_ms} ms"
