"""Aggregates over windows: one entry a window and key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.node import StoreDeclaration
from processors.topology.reads import ALL, Reads
from processors.topology.sessions import SessionsSerde

if TYPE_CHECKING:
    from processors.topology.call import Call
    from processors.topology.fold import Fold
    from processors.topology.windows import (
        CountWindows,
        FixedWindows,
        SessionWindows,
        SlidingWindows,
        Windows,
    )
    from streamlog.serdes import Serde

WindowEmit = Literal["latest", "every", "final"]
WindowAdvance = Literal["stream_time", "wall_clock"]


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowedNode(TableNode):
    """An aggregate over windows.

    Attributes:
        group_key: The serde of the keys that rows come with; `key` is that of windowed keys.
        late: Whether somebody takes late records from its side `late`.
        advance: Whether the wall clock closes windows as well.
    """

    placement = "placed"
    meets = True
    per_task = True
    window: Windows
    fold: Fold
    group_key: Serde[Any]
    emit: WindowEmit = "latest"
    late: bool = False
    advance: WindowAdvance = "stream_time"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        if self.late:
            return ALL
        headers = output.headers and self.emit == "every"
        return Reads(keys=True, values=not self.fold.counts, headers=headers)

    def calls(self) -> tuple[Call, ...]:
        return self.fold.calls()

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        return (
            StoreDeclaration(
                name=self.path,
                kind=f"{self.kind}: {self.fold.kind}, {self.window.shape()}",
                key=self.group_key,
                value=self.stored(),
                layout="segmented",
            ),
        )

    def stored(self) -> Serde[Any]:
        """The serde of what is kept of a key in a segment."""
        return self.value

    def facts(self) -> str:
        clock = ", advances by the wall clock" if self.advance == "wall_clock" else ""
        return (
            f"{self.fold.kind}: {self.window.shape()}, emits {self.emit}{clock}, "
            f"key {self.key.name}, value {self.value.name}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedWindowedNode(WindowedNode):
    """Windows that are there whatever comes: tumbling, hopping, calendar, unlimited."""

    kind = "windowed"
    window: FixedWindows


@dataclass(frozen=True, eq=False, kw_only=True)
class SessionNode(WindowedNode):
    """Sessions: one entry a key holds all of them."""

    kind = "session"
    window: SessionWindows

    def stored(self) -> Serde[Any]:
        return SessionsSerde(self.value)


@dataclass(frozen=True, eq=False, kw_only=True)
class SlidingNode(WindowedNode):
    """Sliding windows: one entry a key holds all of them, with the formats of sessions."""

    kind = "sliding"
    window: SlidingWindows

    def stored(self) -> Serde[Any]:
        return SessionsSerde(self.value)


@dataclass(frozen=True, eq=False, kw_only=True)
class CountWindowedNode(WindowedNode):
    """Windows of so many records: one entry a key holds the open ones, and how many there were."""

    kind = "count_windowed"
    window: CountWindows

    def stored(self) -> Serde[Any]:
        return SessionsSerde(self.value, numbered=True)
