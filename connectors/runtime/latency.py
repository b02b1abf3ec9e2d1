"""How long the recent commits took."""

from __future__ import annotations

from collections import deque
from statistics import median


class Commits:
    """Counts commits and remembers how long the last hundred took. Owned by one task."""

    def __init__(self) -> None:
        self.count = 0
        self._recent_ms: deque[float] = deque(maxlen=100)

    def add(self, seconds: float) -> None:
        self.count += 1
        self._recent_ms.append(seconds * 1_000)

    @property
    def latency_ms(self) -> float | None:
        return median(self._recent_ms) if self._recent_ms else None
