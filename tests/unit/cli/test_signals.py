"""Stop signals of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from streamlog.cli.running.signals import stop_signals


def test_two_signals_reach_the_loop() -> None:
    before = signal.getsignal(signal.SIGTERM)
    calls: list[str] = []

    async def work() -> int:
        with stop_signals(asyncio.get_running_loop(), lambda: calls.append("stop")) as received:
            assert received.exit_code == 0
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            assert signal.getsignal(signal.SIGTERM) != before
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            await asyncio.sleep(0)
            return received.exit_code

    assert asyncio.run(work()) == 128 + signal.SIGTERM
    assert calls == ["stop", "stop"]
    assert signal.getsignal(signal.SIGTERM) == before


STUCK = """
import asyncio
from streamlog.cli.running.signals import stop_signals

async def work():
    with stop_signals(asyncio.get_running_loop(), lambda: None) as received:
        while True:
            seen = len(received.signals)  # first: the next signal may come with the line
            print(seen, flush=True)
            while len(received.signals) == seen:
                pass

asyncio.run(work())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_third_signal_ends_a_process_whose_loop_is_stuck(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for received in range(3):
            assert process.stdout.readline() == f"{received}\n"
            process.send_signal(number)
        process.communicate(timeout=120)
    finally:
        process.kill()  # or it would go on for ever where the test fails
    assert process.returncode == -number


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def work() -> None:
        with stop_signals(asyncio.get_running_loop(), lambda: None):
            assert signal.getsignal(signal.SIGINT) != signal.default_int_handler

    asyncio.run(work())
    assert signal.getsignal(signal.SIGINT) == before
