"""Stop signals of a run."""

from __future__ import annotations

import asyncio
import os
import signal

from streamlog.cli.running.signals import stop_signals


def test_two_signals_reach_the_loop_and_a_third_finds_the_handlers_of_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    calls: list[str] = []

    async def work() -> int:
        with stop_signals(asyncio.get_running_loop(), lambda: calls.append("stop")) as received:
            assert received.exit_code == 0
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            assert signal.getsignal(signal.SIGTERM) != before
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) == before
            await asyncio.sleep(0)
            return received.exit_code

    assert asyncio.run(work()) == 128 + signal.SIGTERM
    assert calls == ["stop", "stop"]


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def work() -> None:
        with stop_signals(asyncio.get_running_loop(), lambda: None):
            assert signal.getsignal(signal.SIGINT) != signal.default_int_handler

    asyncio.run(work())
    assert signal.getsignal(signal.SIGINT) == before
