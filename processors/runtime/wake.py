"""How threads wake who waits in an asyncio loop."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def make_wake(event: asyncio.Event) -> Callable[[], None]:
    """A function that sets the event from any thread; calls before the loop looks are one.

    Made in the loop of those who wait. When that has ended nobody waits, and it does nothing.
    """
    import asyncio  # here: it takes as long as a third of `from processors import App`

    loop = asyncio.get_running_loop()
    on_its_way = False

    def arrive() -> None:
        nonlocal on_its_way
        on_its_way = False
        event.set()

    def wake() -> None:
        nonlocal on_its_way
        # Two threads may both get past this: then the event is set twice, which does no harm.
        if not on_its_way:
            on_its_way = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(arrive)

    return wake
