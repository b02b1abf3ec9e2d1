"""How long compaction rests between two steps, so that others get on. Pure.

Two limits. One is Kafka's, in bytes read and written a second. The other is courtesy: compaction
runs in the process that appends and reads, and shares its interpreter. Where a step took much
longer than the processor worked at it, somebody else was waiting, too; then compaction rests
`REST` times as long as it works. Alone it never rests.
"""

from __future__ import annotations

import math
from typing import Final

REST: Final = 4.5
CONTENDED: Final = 1.5
"""Times the time of the processor: from there on a step has waited for others."""
MIN_STEP_S: Final = 0.0002
"""The clock of shorter steps says nothing."""
REMEMBERED: Final = 50
"""Steps for which one that had to wait makes compaction rest."""


class Pace:
    """Tells the rest behind each step. Not for two threads at a time."""

    def __init__(self, bytes_per_second: float = math.inf) -> None:
        self._bytes_per_second = bytes_per_second
        self._courteous_steps = 0

    def rest_s(self, size_bytes: int, wall_s: float, processor_s: float) -> float:
        """Seconds to wait behind a step that moved so many bytes and took so long."""
        if wall_s > MIN_STEP_S and wall_s > CONTENDED * processor_s:
            self._courteous_steps = REMEMBERED
        limited_s = size_bytes / self._bytes_per_second - wall_s
        if not self._courteous_steps:
            return max(limited_s, 0.0)
        self._courteous_steps -= 1
        return max(limited_s, REST * processor_s)
