"""Workers in processes of their own, killed with SIGKILL at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

import processors

ROOT = Path(processors.__file__).parents[1]

LIFE = """
import random, sys, threading
import streamlog
from processors import App
from processors.runtime import stores
stores.FLUSH_PERIOD_MS = 0

{program}

log = streamlog.open(sys.argv[1])
log.create_topic(TOPIC, 2, exist_ok=True)
partitions = [streamlog.TopicPartition(TOPIC, number) for number in range(2)]
ends = log.end_offsets(partitions)
sender = threading.Thread(target=send, args=[log])
if "--last" not in sys.argv:
    sender.start()
    while sender.is_alive() and log.end_offsets(partitions) == ends:
        sender.join(0.001)
print("up", flush=True)
while True:
    sending = sender.is_alive()
    make().run(log=log, until_idle=True)
    if not sending:
        break
log.close()
"""


class KillAtRandom(Protocol):
    def __call__(
        self, program: str, path: Path, *, kills: int, seed: int, shortest_s: float
    ) -> None:
        """Runs a program over a log in so many lives that are killed, between two that are not.

        The first one sees that all is sent that one life sends, however slow the machine is.

        Args:
            program: Its `TOPIC` is made with two partitions, `make` gives its application, and
                `send(log)` sends more records to the topic, beside all lives but the last.
            shortest_s: No life is killed before that, nor before it has sent something.
        """
        ...


@pytest.fixture
def kill_at_random() -> KillAtRandom:
    return _kill_at_random


def _kill_at_random(program: str, path: Path, *, kills: int, seed: int, shortest_s: float) -> None:
    choice = random.Random(seed)
    _run_to_end(program, path)
    for _ in range(kills):
        process = _live(program, path)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(choice.uniform(shortest_s, 0.8))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
        process.stdout.close()
    _run_to_end(program, path, "--last")


def _run_to_end(program: str, path: Path, *options: str) -> None:
    process = _live(program, path, *options)
    process.communicate()
    assert process.returncode == 0


def _live(program: str, path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LIFE.format(program=program), str(path), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
