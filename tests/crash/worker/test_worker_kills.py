"""A worker on a real disk, killed with SIGKILL at random moments, counts every line once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import processors
import streamlog

ROOT = Path(processors.__file__).parents[1]
KILLS = 8
LINES_PER_LIFE = 400

LIFE = f"""
import sys, threading
import streamlog
from processors import App
from processors.runtime import stores
stores.FLUSH_PERIOD_MS = 0

def make():
    app = App("killed", commit_interval_ms=5, checkpoint_interval_ms=10, chunk_size=64)
    words = app.stream("lines", value=str).flat_map(str.split)
    counts = words.group_by(lambda word: word, name="words").count(name="counts", emit="every")
    counts.to_stream().to("counts")
    totals = app.store("totals", value=int, default=int)

    @app.agent("lines", value=str, to="lengths", to_value=int)
    async def measure(lines):
        async for line in lines:
            totals["words"] += len(line.split())
            yield totals["words"]
    return app

log = streamlog.open(sys.argv[1])
log.create_topic("lines", 2, exist_ok=True)

def send():
    with log.producer() as producer:
        for number in range({LINES_PER_LIFE}):
            line = f"w{{number % 13}} w{{number % 7}} w{{number % 101}}"
            producer.send("lines", None, line, partition=number % 2)
            if number % 20 == 0:
                producer.flush()

sender = threading.Thread(target=send)
if "--last" not in sys.argv:
    sender.start()
print("up", flush=True)
while True:
    make().run(log=log, until_idle=True)
    if not sender.is_alive():
        break
log.close()
"""


def live(path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LIFE, str(path), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_worker_that_is_killed_at_random_moments_counts_every_line_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    choice = random.Random(7)
    for _ in range(KILLS):
        process = live(path)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(choice.uniform(0.05, 0.8))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
        process.stdout.close()
    last = live(path, "--last")
    last.communicate()
    assert last.returncode == 0
    check(path)


def check(path: Path) -> None:
    with streamlog.open(path, read_only=True) as log:
        lines: list[str] = []
        lengths: dict[int, list[int]] = {0: [], 1: []}
        with log.consumer("lines", value=str) as consumer:
            while records := consumer.poll(max_records=10_000):
                for record in records:
                    lines.append(record.value)
                    lengths[record.partition].append(len(record.value.split()))
        counts: dict[str, list[int]] = {}
        with log.consumer("counts", key=str, value=int) as consumer:
            while records := consumer.poll(max_records=10_000):
                for record in records:
                    counts.setdefault(record.key, []).append(record.value)
        with log.consumer("lengths", value=int) as consumer:
            totals: list[int] = []
            while records := consumer.poll(max_records=10_000):
                totals += [record.value for record in records]
    assert len(lines) > LINES_PER_LIFE
    expected = Counter(" ".join(lines).split())
    assert counts == {word: list(range(1, count + 1)) for word, count in expected.items()}
    sums = [sum(each[: end + 1]) for each in lengths.values() for end in range(len(each))]
    assert sorted(totals) == sorted(sums)
