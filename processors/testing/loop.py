"""An event loop in which waiting takes no time, for the functions of asynchronous operators.

Where nothing is ready, the loop's clock jumps to the next timer, so sleeps, timeouts and pauses
between attempts are over at once, in their order, and tests are the same each time. What runs in a
thread (`asyncio.to_thread`) runs in the caller's, to its end. What waits for the network has no
such clock: functions that really ask somebody belong into a test with a log.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

from processors.runtime.calls import AllCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from processors.runtime.calls import Calls
    from processors.topology.nodes.map_async import MapAsyncNode


class _NoWaiting(selectors.DefaultSelector):
    """Instead of waiting it moves the loop's clock, or stops the loop where nothing is to come."""

    loop: InstantLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            self.loop.stop()
        else:
            self.loop.now_s += timeout
        return ready


class InstantLoop(asyncio.SelectorEventLoop):
    """Owned by the thread of its driver."""

    def __init__(self) -> None:
        selector = _NoWaiting()
        selector.loop = self
        self.now_s = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def run(self) -> None:
        """Runs what there is, until nothing moves any more."""
        self.run_forever()

    def run_in_executor(  # pyright: ignore[reportIncompatibleMethodOverride] # of any executor
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        made = self.create_future()
        try:
            made.set_result(func(*args))
        except Exception as error:
            made.set_exception(error)
        return made

    def __del__(self) -> None:
        # A driver need not be closed; calls that nobody answers end with it.
        if not self.is_closed():
            self.close()


class InstantCalls:
    """The calls of a driver, in a loop that is made for the first of them.

    Args:
        now_ms: The clock by which cached answers grow old.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._loop: InstantLoop | None = None
        self._calls = AllCalls(self._spawn, now_ms, lambda: None, lambda: 1.0)

    def of(self, node: MapAsyncNode) -> Calls:
        return self._calls.of(node)

    def run(self) -> None:
        """Runs what there is, until nothing moves any more."""
        if self._loop is not None:
            self._loop.run()

    def end(self) -> None:
        """Ends the calls that nobody has answered. Nothing can be called afterwards."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run_until_complete(self._calls.stop())
            loop.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        if self._loop is None:
            self._loop = InstantLoop()
        return self._loop.create_task(coroutine)
