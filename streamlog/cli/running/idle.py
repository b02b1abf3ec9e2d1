"""When a run is idle: pure, over what one look at the targets and the log's ends showed.

The rule is in `streamlog.targets`. The last stable offset and the high watermark both count: an
acknowledged transaction whose markers are still to be written shows as a difference of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.client.contract import TopicPartition
    from streamlog.targets import TargetStatus


@dataclass(frozen=True, slots=True)
class Look:
    """One look; `ends` has (last stable offset, high watermark) of every partition read."""

    statuses: Mapping[str, TargetStatus]
    ends: Mapping[TopicPartition, tuple[int, int]]


class IdleDetector:
    """Idle is what two looks in a row agree on."""

    def __init__(self) -> None:
        self._last: Look | None = None

    def is_idle(self, look: Look) -> bool:
        """Takes the next look; True if it is idle and nothing changed since the one before."""
        unchanged = look == self._last
        self._last = look
        return unchanged and is_quiet(look.statuses) and has_caught_up(look)


def is_quiet(statuses: Mapping[str, TargetStatus]) -> bool:
    """Whether every target that has not stopped runs, is exhausted and holds nothing pending."""
    return all(
        status.state == "stopped"
        or (status.state == "running" and status.exhausted and not status.pending)
        for status in statuses.values()
    )


def has_caught_up(look: Look) -> bool:
    """Whether every committed offset is its partition's end, the stable and the durable one."""
    return all(
        look.ends[partition] == (offset, offset)
        for status in look.statuses.values()
        if status.state != "stopped"
        for partition, offset in status.committed.items()
    )
