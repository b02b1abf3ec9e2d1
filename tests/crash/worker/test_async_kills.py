"""Rows that wait for answers, and a worker that is killed with SIGKILL: each goes on once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import processors
import streamlog

ROOT = Path(processors.__file__).parents[1]
KILLS = 6
RECORDS_PER_LIFE = 300

LIFE = f"""
import asyncio, random, sys, threading
import streamlog
from processors import App
from processors.runtime import stores
stores.FLUSH_PERIOD_MS = 0

async def look_up(value):
    await asyncio.sleep(random.random() / 100)
    if random.random() < 0.05:
        raise ConnectionError
    return value

def make():
    app = App("killed", commit_interval_ms=5, checkpoint_interval_ms=10, chunk_size=32)
    numbers = app.stream("in", key=int, value=int)
    asked = numbers.map_async(look_up, concurrency=20, retries=50, backoff=1, name="ordered")
    asked.to("ordered", value=int)
    asked = numbers.map_async(
        look_up, concurrency=20, retries=50, backoff=1, ordered=False, name="unordered"
    )
    asked.to("unordered", value=int)
    return app

log = streamlog.open(sys.argv[1])
log.create_topic("in", 2, exist_ok=True)

def send():
    ends = log.end_offsets([streamlog.TopicPartition("in", 0), streamlog.TopicPartition("in", 1)])
    first = max(ends.values())
    with log.producer(key=int, value=int) as producer:
        for number in range(first, first + {RECORDS_PER_LIFE}):
            for partition in (0, 1):
                producer.send("in", partition, number, partition=partition)
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


def test_rows_in_flight_outlive_a_worker_that_is_killed_at_random_moments(tmp_path: Path) -> None:
    path = tmp_path / "log"
    choice = random.Random(5)
    for _ in range(KILLS):
        process = live(path)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(choice.uniform(0.1, 0.8))
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
        sent = read(log, "in")
        assert sum(map(len, sent.values())) > RECORDS_PER_LIFE
        ordered, unordered = read(log, "ordered"), read(log, "unordered")
    assert ordered == sent
    assert {key: sorted(values) for key, values in unordered.items()} == sent


def read(log: streamlog.Log, topic: str) -> dict[int, list[int]]:
    """The values of each key, which is the partition that a record was sent to."""
    found: dict[int, list[int]] = {0: [], 1: []}
    with log.consumer(topic, key=int, value=int) as consumer:
        while records := consumer.poll(max_records=10_000):
            for record in records:
                found[record.key].append(record.value)
    return found
