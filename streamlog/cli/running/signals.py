"""SIGINT and SIGTERM while targets run."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator
    from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Received:
    """The stop signals that have arrived; `exit_code` is what a shell expects of the last."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    @property
    def exit_code(self) -> int:
        return 128 + self.signals[-1] if self.signals else 0


@contextmanager
def stop_signals(
    loop: asyncio.AbstractEventLoop, interrupt: Callable[[], None]
) -> Generator[Received]:
    """Calls `interrupt` in the loop for each of the first two stop signals.

    A third one ends a process whose loop is stuck in somebody's endless function. That is as safe
    as any kill.
    """
    received = Received()

    def handle(number: int, _frame: FrameType | None) -> None:
        received.signals.append(number)
        if len(received.signals) > 1:
            _let_the_next_one_kill()
        # Not `loop.add_signal_handler`: its handlers wait for the loop, so they never see the
        # third signal of a person who cannot wait.
        loop.call_soon_threadsafe(interrupt)

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    try:
        yield received
    finally:
        restore()


def _let_the_next_one_kill() -> None:
    """Not the handlers of before: asyncio's own one for SIGINT waits for the loop once more."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if sys.stdout.isatty():  # a view that is killed cannot bring its cursor back
        os.write(sys.stdout.fileno(), b"\x1b[?25h")
