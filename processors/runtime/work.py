"""The loop of a worker whose tasks are up: read, run a round, commit, rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from processors.runtime.pace import FIRST_ROUND, choose_commit_at, choose_round_size
from processors.runtime.wake import make_wake

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.runtime.application import WorkerOptions
    from processors.runtime.commit import Transactions
    from processors.runtime.progress import Progress
    from processors.runtime.stores import Stores
    from processors.runtime.tasks import Tasks

AHEAD_RECORDS: Final = 32_768
"""So far the rounds may run ahead of a commit that is being synced."""

WORTH_A_ROUND: Final = 256
"""From so many records on a round runs beside a commit."""

SEND_BYTES: Final = 1 << 20
"""So much is sent at once while a transaction is open: in small batches it would cost as much again
to write, and all of it at the commit would wait in memory for as long as its interval."""

TICK_MS: Final = 100
"""So often operators that want to know the time are told it."""

AGENT_FETCH_BYTES: Final = 1 << 16


class Work:
    """Drives tasks and transactions. Owned by the loop's thread.

    Args:
        wake: Set, by whoever has news, to end a rest.
        is_stopping: Asked between rounds.
        wall_clock_ms: The time, for operators that want to know it.
    """

    def __init__(
        self,
        tasks: Tasks,
        transactions: Transactions,
        stores: Stores,
        options: WorkerOptions,
        progress: Progress,
        wake: asyncio.Event,
        is_stopping: Callable[[], bool],
        wall_clock_ms: Callable[[], int],
    ) -> None:
        self._tasks = tasks
        self._transactions = transactions
        self._stores = stores
        self._options = options
        self._progress = progress
        self._wake = wake
        self._is_stopping = is_stopping
        self._wall_clock_ms = wall_clock_ms
        self._goes_by_clock = tasks.engine.goes_by_clock or tasks.engine.keeps_time
        self._ticked_ms = -float("inf")
        self._loop = asyncio.get_running_loop()
        self._pending_since_ms: int | None = None
        self._commit_began_ms = self._now_ms()
        self._checkpoint_ms = self._now_ms()
        self._ahead = 0
        self._round_size = min(FIRST_ROUND, options.chunk_size)

    async def run(self) -> None:
        """Works until a stop is asked for."""
        while not self._is_stopping():
            self._wake.clear()
            ran = self.turn()
            if ran:
                await asyncio.sleep(0)
            else:
                await self._rest()

    def turn(self) -> int:
        """One pass: at most a round, at most a step of a commit. Returns the records that ran."""
        tasks, transactions = self._tasks, self._transactions
        if transactions.durable:
            self._end_commit()
        tasks.crew.check()
        tasks.crew.poll(AGENT_FETCH_BYTES)
        self._maybe_tick()
        if not transactions.committing and tasks.engine.has_answers:
            tasks.engine.take_answers()
        ran = 0
        if self._may_run() and not tasks.engine.is_congested and tasks.poll():
            ran = self._run_round()
            self._ahead += ran
        if not transactions.committing:
            if tasks.engine.waiting_bytes >= SEND_BYTES:
                transactions.send()
            if self._commit_at_ms() <= self._now_ms():
                self._begin_commit()
        return ran

    def _maybe_tick(self) -> None:
        """Tells the operators the time, where they want to know it."""
        if self._goes_by_clock and self._next_tick_ms() <= self._now_ms() and self._may_run():
            self._ticked_ms = self._now_ms()
            engine, now_ms = self._tasks.engine, self._wall_clock_ms()
            if engine.goes_by_clock:
                engine.tick(now_ms)
            if engine.keeps_time:
                engine.look_at_sources(now_ms, self._tasks.at_end())
                engine.find_due(now_ms)

    def _next_tick_ms(self) -> float:
        return self._ticked_ms + TICK_MS if self._goes_by_clock else float("inf")

    def _run_round(self) -> int:
        began_s = self._loop.time()
        ran = self._tasks.run_round(self._round_size)
        if self._pending_since_ms is None:
            # Not when the round ends: after a long one the next would keep a transaction open for
            # as long again, which its coordinator may take for a dead worker's.
            self._pending_since_ms = int(began_s * 1000)
        self._round_size = choose_round_size(
            self._round_size,
            ran=ran,
            took_s=self._loop.time() - began_s,
            chunk_size=self._options.chunk_size,
        )
        return ran

    async def finish(self) -> None:
        """A graceful stop: commits what has been processed and brings the stores up to it.

        Rows that wait for answers are in their stores: the next start asks again.
        """
        tasks = self._tasks
        tasks.crew.pause()
        await self._await_commit()
        tasks.crew.check()
        if tasks.engine.has_answers:
            tasks.engine.take_answers()
        if tasks.is_pending():
            self._begin_commit()
            await self._await_commit()
        await self._stores.checkpoint_last()
        await self._stores.settle()
        self._stores.flush()

    # The commit.

    def _begin_commit(self) -> None:
        self._commit_began_ms = self._now_ms()
        self._pending_since_ms = None
        self._ahead = 0
        self._progress.begin_commit()
        wake = make_wake(self._wake)
        self._transactions.begin_commit().add_done_callback(lambda _: wake())

    def _end_commit(self) -> None:
        self._transactions.end_commit()
        self._stores.positions.update(self._tasks.stream_positions)
        self._progress.end_commit()
        if self._is_checkpoint_due():
            self._stores.checkpoint()
            self._checkpoint_ms = self._now_ms()

    async def _await_commit(self) -> None:
        while self._transactions.committing:
            self._wake.clear()
            if self._transactions.durable:
                self._end_commit()
            else:
                await self._wake.wait()

    def _commit_at_ms(self) -> float:
        """When the next commit is due; infinite where nothing is pending."""
        if not self._tasks.is_pending():
            return float("inf")
        if self._pending_since_ms is None:
            self._pending_since_ms = self._now_ms()
        return choose_commit_at(
            first_pending_ms=self._pending_since_ms,
            last_commit_ms=self._commit_began_ms,
            commit_interval_ms=self._options.commit_interval_ms,
            drained=self._tasks.is_drained(self._options.chunk_size),
            busy=self._tasks.busy(),
            must_commit=self._tasks.must_commit(),
        )

    def _is_checkpoint_due(self) -> bool:
        return (
            self._now_ms() - self._checkpoint_ms >= self._options.checkpoint_interval_ms
            or self._stores.committed_bytes() * 8 >= self._options.memory_bytes
        )

    # Pace.

    def _may_run(self) -> bool:
        """While a commit is synced, rounds go on only where it pays and not too far.

        A few records wait for the end of the commit, to run in one round: several small ones
        would take the time of the threads that sync it.
        """
        if not self._transactions.committing:
            return True
        if self._ahead >= AHEAD_RECORDS or self._tasks.must_commit():
            return False
        return not self._tasks.is_drained(WORTH_A_ROUND)

    async def _rest(self) -> None:
        """Until there is news, or something is due."""
        due_ms = float("inf")
        if not self._transactions.committing:
            due_ms = min(self._commit_at_ms(), self._next_checkpoint_ms(), self._next_tick_ms())
        timer = None
        if due_ms != float("inf"):
            timer = self._loop.call_at(due_ms / 1000, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
        if not self._transactions.committing and self._next_checkpoint_ms() <= self._now_ms():
            self._stores.checkpoint()
            self._checkpoint_ms = self._now_ms()

    def _next_checkpoint_ms(self) -> float:
        """When committed state that has come to rest should be written."""
        if not self._stores.committed_bytes():
            return float("inf")
        return self._checkpoint_ms + self._options.checkpoint_interval_ms

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)
