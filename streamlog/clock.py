"""Time as an argument: everything that needs the wall clock takes a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the shell asks for time."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
