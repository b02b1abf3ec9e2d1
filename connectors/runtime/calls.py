"""Calls into a plugin: awaited in the loop, or made in the one thread of a blocking plugin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from connectors.api import AnySink, AnySource, BlockingSink, BlockingSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.api import SourceEvent


class Calls:
    """Makes the calls into one plugin, one at a time, whichever kind it is.

    Owned by its task. A blocking plugin gets a thread of its own, for libraries that insist on
    one; a call that is cancelled goes on there, and the next one waits for it.
    """

    def __init__(self, plugin: AnySource | AnySink) -> None:
        blocking = isinstance(plugin, BlockingSource | BlockingSink)
        self._thread = ThreadPoolExecutor(1, "connect") if blocking else None

    async def __call__(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if self._thread is not None:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, method, *arguments)
        result = method(*arguments)
        return await result if isawaitable(result) else result

    async def events(self, source: AnySource) -> AsyncGenerator[SourceEvent]:
        """What `read` yields."""
        if not isinstance(source, BlockingSource):
            iterator = source.read()
            try:
                async for event in iterator:
                    yield event
            finally:
                if isinstance(iterator, AsyncGenerator):
                    await iterator.aclose()
            return
        blocking = source.read()
        while (event := await self(_next_of, blocking)) is not None:
            yield event

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)


def _next_of(iterator: Iterator[SourceEvent]) -> SourceEvent | None:
    """The next event or None: a StopIteration cannot pass through a future."""
    return next(iterator, None)
