"""A consumer in an asyncio loop: records as they come, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from streamlog.client.contract import Record

T = TypeVar("T")


class Arrivals:
    """What `async for` goes through; goes on where a call was cancelled. One task at a time."""

    def __init__(self, arrive: Callable[[], Awaitable[Iterator[Record] | None]]) -> None:
        """`arrive` returns what can be handed out, or None at the end."""
        self._arrive = arrive
        self._records: Iterator[Record] = iter(())

    def __aiter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> Record:
        while (record := next(self._records, None)) is None:
            # Else a long backlog would keep all other tasks waiting.
            await _let_others_run()
            records = await self._arrive()
            if records is None:
                raise StopAsyncIteration
            self._records = records
        return record


async def run_aside(work: Callable[[], T]) -> T:
    """Runs work in the loop's executor. A task that is cancelled meanwhile waits for its end.

    So there is always one thread only that uses what the work uses.
    """
    import asyncio

    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _let_others_run() -> None:
    import asyncio

    await asyncio.sleep(0)
