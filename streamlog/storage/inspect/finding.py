"""What a check finds: where, how bad, and what can be saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["damage", "mended", "odd"]
"""`damage`: what readers need is wrong or gone. `mended`: the next opening puts it right, and
nothing acknowledged is lost. `odd`: nobody reads it, and nothing of ours made it so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One place that is not as it should be.

    Attributes:
        level: See `Level`.
        path: The file or directory.
        position: The byte in the file; 0 where it is about the whole file.
        offset: The offset of the log there, where it is known.
        end_offset: Where records are lost, the first offset behind them.
        reason: What is wrong.
        saved: What can be saved of it, or what becomes of it.
    """

    level: Level
    path: str
    position: int = 0
    offset: int | None = None
    end_offset: int | None = None
    reason: str
    saved: str = ""

    @property
    def place(self) -> str:
        """`file:byte` or `file:byte:offset`."""
        parts = (self.path, self.position, *(() if self.offset is None else (self.offset,)))
        return ":".join(str(part) for part in parts)

    def __str__(self) -> str:
        text = f"{self.place}: {self.reason}"
        return f"{text}; {self.saved}" if self.saved else text
