"""Who wakes a worker may come late: the log's threads know nothing of its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from processors.runtime.wake import make_wake

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_wake_behind_the_end_of_the_loop_wakes_nobody() -> None:
    async def begin() -> Callable[[], None]:
        return make_wake(asyncio.Event())

    wake = asyncio.run(begin())
    for _ in range(2):
        wake()


def test_wakes_before_the_loop_looks_are_one_and_later_ones_come_again() -> None:
    async def look() -> list[bool]:
        event, seen = asyncio.Event(), list[bool]()
        wake = make_wake(event)
        for _ in range(2):
            wake()
            wake()
            seen.append(event.is_set())
            await asyncio.sleep(0)
            seen.append(event.is_set())
            event.clear()
        return seen

    assert asyncio.run(look()) == [False, True] * 2
