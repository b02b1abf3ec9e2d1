"""Rates from totals, over a short window of samples: pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rates:
    """How fast named totals grow.

    A sample is dropped once the one behind it is as old as the window, so that a rate is over at
    least the window as soon as there is that much to look at.
    """

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    def observe(self, now_s: float, totals: Mapping[str, int]) -> None:
        """Takes the totals at a moment of a monotonic clock."""
        self._samples.append((now_s, dict(totals)))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - self._window_s:
            self._samples.popleft()

    def per_second(self, name: str) -> float:
        """The rate of a total over the window; 0 for an unknown one or a single sample.

        A total that is new in the window grew from nothing at the window's begin.
        """
        if len(self._samples) < 2:
            return 0.0
        (began_s, first), (ended_s, last) = self._samples[0], self._samples[-1]
        if ended_s <= began_s:
            return 0.0
        return (last.get(name, 0) - first.get(name, 0)) / (ended_s - began_s)
