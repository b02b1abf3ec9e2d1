"""What is known of time at a place in the graph, where no record says it.

Marks are made by the sources, at a tick, and go down the graph with the flush of a commit, behind
its rows. Where inputs come together, what is known is what is known of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN: Final = -1


class Mark(NamedTuple):
    """How far time has come, in milliseconds; -1 where that is not known.

    Attributes:
        active: The lowest of the times of inputs that are not idle; `NEVER` where all are. An input
            without an idle timeout has none.
        idle: The highest of the times of inputs that are idle. They have no say beside active ones.
        clock: The wall clock, where all inputs have been read to their ends.
        lag: How far behind this the timestamps of rows may be that operators above still hold.
    """

    active: int
    idle: int
    clock: int
    lag: int = 0

    @property
    def time(self) -> int:
        """The time of the inputs."""
        return self.idle if self.active == NEVER else self.active

    @property
    def told(self) -> int:
        """The time that an operator here may take for stream time."""
        return self.behind(self.time)

    def behind(self, time: int) -> int:
        return UNKNOWN if time < 0 else max(time - self.lag, UNKNOWN)

    def later(self, lag: int) -> Mark:
        """Behind an operator that holds rows back for so long."""
        return self._replace(lag=self.lag + lag)

    def held(self, time: int) -> Mark:
        """Behind an operator that holds back a row of this time."""
        return Mark(min(self.active, time), min(self.idle, time), min(self.clock, time), self.lag)


NOTHING_KNOWN: Final = Mark(UNKNOWN, UNKNOWN, UNKNOWN)


def meet(marks: Iterable[Mark]) -> Mark:
    """What is known where these come together.

    >>> meet([Mark(5, -1, 9), Mark(NEVER, 70, 9)]).time
    5
    """
    found = list(marks)
    if not found:
        return NOTHING_KNOWN
    return Mark(
        min(mark.active for mark in found),
        max(mark.idle for mark in found),
        min(mark.clock for mark in found),
        max(mark.lag for mark in found),
    )
