"""Calls of coroutine functions, for asynchronous operators: attempts, pauses, answers kept.

One `Calls` an operator and worker, so that its concurrency bounds the calls of the process. It
belongs to the loop; the engine only hands rows to it and is given their answers.

    ask ──> cached? ──> asked already? ──> queue ──> at most so many tasks ──> answer, wake
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from processors.operators.map_async import MapAsyncOperator, WaitingRow
    from processors.topology.nodes.map_async import AnswerCache, Asking, MapAsyncNode

LONGEST_BACKOFF_MS: Final = 60_000

_SHARED: Final = (str, bytes, int, float, bool, type(None))


class Cache:
    """Answers by question, those asked for last. Pure: the time is an argument."""

    def __init__(self, options: AnswerCache) -> None:
        self._entries = options.entries
        self._ttl_ms = options.ttl_ms
        self._answers: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, question: Hashable, now_ms: int) -> tuple[Any] | None:
        """The answer in a tuple; None where there is none, or it is too old."""
        found = self._answers.get(question)
        if found is None:
            return None
        since_ms, answer = found
        if self._ttl_ms is not None and now_ms - since_ms >= self._ttl_ms:
            del self._answers[question]
            return None
        self._answers.move_to_end(question)
        return (answer,)

    def put(self, question: Hashable, answer: Any, now_ms: int) -> None:
        self._answers[question] = (now_ms, answer)
        self._answers.move_to_end(question)
        if len(self._answers) > self._entries:
            self._answers.popitem(last=False)


class _Call:
    """One question; several rows may wait for its answer."""

    def __init__(self, question: Hashable, row: WaitingRow) -> None:
        self.question = question
        self.rows = [row]
        self.is_dropped = False


class Calls:
    """The calls of one operator. Owned by the loop's thread.

    Args:
        spawn: Starts a task in the loop.
        now_ms: The clock by which answers grow old.
        wake: Called when there is an answer.
        chance: A number from 0 to 1, for pauses that differ.
    """

    def __init__(
        self,
        asking: Asking,
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        now_ms: Callable[[], int],
        wake: Callable[[], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._asking = asking
        self._spawn = spawn
        self._now_ms = now_ms
        self._wake = wake
        self._chance = chance
        self._cache = None if asking.cache is None else Cache(asking.cache)
        self._queue: deque[_Call] = deque()
        self._running: dict[asyncio.Task[Any], _Call] = {}
        self._asked: dict[Hashable, _Call] = {}
        self._stopped = False

    def ask(self, row: WaitingRow) -> None:
        """Takes a row; its answer may be there at once."""
        question: Hashable = None
        if self._cache is not None:
            try:
                question = self._question(row)
                found = self._cache.find(question, self._now_ms())
            except Exception as error:  # of the key function, or of what it made
                self._answer([row], None, error)
                return
            if found is not None:
                self._answer([row], found[0], None)
                return
            if question in self._asked:
                self._asked[question].rows.append(row)
                return
        call = _Call(question, row)
        if self._cache is not None:
            self._asked[question] = call
        self._queue.append(call)
        self._start()

    def forget(self, asker: MapAsyncOperator) -> None:
        """Ends the calls that only this task waits for; nothing more is answered to it."""
        for call in [*self._queue, *self._running.values()]:
            call.rows = [row for row in call.rows if row.asker is not asker]
            if not call.rows:
                self._drop(call)
        self._queue = deque(call for call in self._queue if not call.is_dropped)
        for task, call in self._running.items():
            if call.is_dropped:
                task.cancel()

    async def stop(self) -> None:
        """Ends all calls, and waits until they have ended."""
        self._stopped = True
        self._queue.clear()
        running = list(self._running)
        for task, call in self._running.items():
            call.is_dropped = True
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _question(self, row: WaitingRow) -> Hashable:
        """What is one question: what the key function makes of the value, or the value's bytes."""
        assert self._asking.cache is not None
        key = self._asking.cache.key
        return row.row.value if key is None else key(row.value())

    def _start(self) -> None:
        while self._queue and len(self._running) < self._asking.concurrency and not self._stopped:
            call = self._queue.popleft()
            task = self._spawn(self._run(call))
            self._running[task] = call
            task.add_done_callback(self._end)

    async def _run(self, call: _Call) -> Any:
        """The attempts of one call."""
        asking, attempt = self._asking, 0
        while True:
            try:
                return await self._attempt(call.rows[0])
            except Exception as error:
                if attempt >= asking.retries or not isinstance(error, asking.retry_on):
                    raise
            pause_ms = choose_pause_ms(asking.backoff_ms, attempt, self._chance())
            attempt += 1
            await asyncio.sleep(pause_ms / 1000)

    async def _attempt(self, row: WaitingRow) -> Any:
        timeout_ms = self._asking.timeout_ms
        if timeout_ms is None:
            return await self._asking.function(row.value())
        scope = asyncio.timeout(timeout_ms / 1000)
        try:
            async with scope:
                return await self._asking.function(row.value())
        except TimeoutError as error:
            if scope.expired():
                raise TimeoutError(f"no answer within {timeout_ms} ms") from error
            raise

    def _end(self, task: asyncio.Task[Any]) -> None:
        call = self._running.pop(task)
        if call.is_dropped:
            if not task.cancelled():
                task.exception()  # looked at, so that nobody is told of it
        else:
            self._drop(call)
            self._settle(task, call)
        self._start()

    def _settle(self, task: asyncio.Task[Any], call: _Call) -> None:
        if task.cancelled():
            error = RuntimeError("the function ended its own task by cancelling it")
            self._answer(call.rows, None, error)
            return
        failure = task.exception()
        if failure is None:
            result = task.result()
            if self._cache is not None:
                self._cache.put(call.question, copied(result), self._now_ms())
            self._answer(call.rows, result, None)
        elif isinstance(failure, Exception):
            self._answer(call.rows, None, failure)
        else:
            raise failure

    def _answer(self, rows: list[WaitingRow], result: Any, error: Exception | None) -> None:
        # What can be changed in place is nobody's but one row's.
        for row in rows:
            shared = self._cache is not None and error is None
            row.answer(copied(result) if shared else result, error)
        self._wake()

    def _drop(self, call: _Call) -> None:
        call.is_dropped = True
        if self._asked.get(call.question) is call:
            del self._asked[call.question]


class AllCalls:
    """The calls of all asynchronous operators of a worker. Owned by the loop's thread.

    Args:
        As for `Calls`.
    """

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        now_ms: Callable[[], int],
        wake: Callable[[], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._spawn = spawn
        self._now_ms = now_ms
        self._wake = wake
        self._chance = chance
        self._calls: dict[MapAsyncNode, Calls] = {}

    def of(self, node: MapAsyncNode) -> Calls:
        found = self._calls.get(node)
        if found is None:
            found = Calls(node.asking, self._spawn, self._now_ms, self._wake, self._chance)
            self._calls[node] = found
        return found

    async def stop(self) -> None:
        for calls in self._calls.values():
            await calls.stop()


def choose_pause_ms(backoff_ms: int, attempt: int, chance: float) -> float:
    """The pause behind an attempt, of which the first is 0: doubled each time, less up to a half.

    >>> choose_pause_ms(100, 2, 1.0), choose_pause_ms(100, 2, 0.0)
    (400.0, 200.0)
    """
    longest = min(backoff_ms * 2.0 ** min(attempt, 62), max(LONGEST_BACKOFF_MS, backoff_ms))
    return longest * (0.5 + chance / 2)


def copied(value: Any) -> Any:
    """The value where it cannot be changed, else a copy, where there is a way to make one."""
    if isinstance(value, _SHARED):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # a handle of something; whoever caches it shares it
        return value
