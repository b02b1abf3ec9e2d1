"""What a worker tells of itself while it works."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from processors.runtime.restore import sum_progress
from streamlog.errors import StreamlogError
from streamlog.targets import RestoreProgress, TargetStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from processors.runtime.commit import Transactions
    from processors.runtime.start import Starter
    from processors.runtime.tasks import Tasks
    from processors.runtime.top import TopTable
    from streamlog.client.contract import Log, TopicPartition
    from streamlog.targets import TargetState

RECENT_COMMITS: Final = 100
TOP_KEPT: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """The tasks that are up, from their start to their close."""

    log: Log
    tasks: Tasks
    transactions: Transactions
    table: TopTable | None

    def counters(self) -> Counter[str]:
        """Rows of each grouping (`words`, where that is its name), and what was left out."""
        tasks = self.tasks
        counters = Counter(tasks.engine.rows_exchanged)
        counters.update(tasks.engine.failures.counters())
        late = sum(tasks.engine.late_records.values())
        counters.update({"late": late} if late else {})
        counters.update(tasks.crew.handler.counters())
        return counters

    def lag(self) -> dict[TopicPartition, int]:
        """What is in the topics and not yet committed, a partition each."""
        committed = self.tasks.committed()
        ends = self.log.end_offsets(committed)
        return {at: max(ends[at] - offset, 0) for at, offset in committed.items()}

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        """None without a table, and while not all of it has been read."""
        # A store that cannot be read fails the tasks when they meet it; to look at it fails nobody.
        with suppress(StreamlogError):
            return None if self.table is None else self.table.top(count)
        return None


class Progress:
    """Follows one worker through all lives of its tasks. Owned by the loop's thread."""

    def __init__(self) -> None:
        self.state: TargetState = "starting"
        self.commits = 0
        self._starter: Starter | None = None
        self._life: Life | None = None
        self._before = TargetStatus(kind="app", state="starting")
        self._latencies_s: deque[float] = deque(maxlen=RECENT_COMMITS)
        self._commit_began_s = 0.0
        self._top: Sequence[tuple[str, Any]] | None = None
        self._is_top_wanted = False

    def begin(self, starter: Starter) -> None:
        """The tasks are being started."""
        self.state = "restoring"
        self._starter = starter

    def follow(self, life: Life) -> None:
        """The tasks are up."""
        self._life = life
        self.state = "running"

    def begin_commit(self) -> None:
        self._commit_began_s = time.monotonic()

    def end_commit(self) -> None:
        self.commits += 1
        self._latencies_s.append(time.monotonic() - self._commit_began_s)

    def end_life(self) -> None:
        """The tasks are about to be closed: what they have counted is kept."""
        status = self._before
        # What ended the tasks may be in the way here too; it is told by itself.
        with suppress(StreamlogError):
            status = self.status()
        self._life = None
        self._before = replace(status, committed={}, lag={}, pending=False)

    def status(self) -> TargetStatus:
        latencies = self._latencies_s
        status = replace(
            self._before,
            state=self.state,
            commits=self.commits,
            commit_latency_ms=_median_ms(latencies),
            restore=self._restore_progress(),
        )
        return status if self._life is None else self._with_life(status, self._life)

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        """The largest entries of the last table; None where there is none or they are not known.

        After an end in order, those of the end.
        """
        self._is_top_wanted = True
        if self._life is None:
            return self._top and self._top[:count]
        return self._life.top(count)

    async def keep_top(self) -> None:
        """All is committed: remembers the top, and reads as long as it takes if anybody asks.

        Tasks that end in another way leave none: it might have what was never committed.
        """
        life = self._life
        if life is None or life.table is None:
            return
        with suppress(StreamlogError):
            while (top := life.table.top(TOP_KEPT)) is None and self._is_top_wanted:
                await asyncio.sleep(0)
            self._top = top

    def _with_life(self, status: TargetStatus, life: Life) -> TargetStatus:
        return replace(
            status,
            records_in=status.records_in + life.tasks.work_done(),
            records_out=status.records_out + life.transactions.records_out,
            counters=dict(Counter(status.counters) + life.counters()),
            committed=life.tasks.committed(),
            lag=life.lag(),
            pending=not life.tasks.is_quiet(),
        )

    def _restore_progress(self) -> RestoreProgress | None:
        if self.state != "restoring" or self._starter is None:
            return None
        records, total = sum_progress(self._starter.restores)
        return RestoreProgress(records=records, total=total)


def _median_ms(latencies_s: Collection[float]) -> float | None:
    # Not `statistics.median`: the module takes longer to import than this package.
    ordered = sorted(latencies_s)
    return round(ordered[len(ordered) // 2] * 1000, 3) if ordered else None
