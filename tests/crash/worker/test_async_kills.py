"""Rows that wait for answers, and a worker that is killed with SIGKILL: each goes on once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlog

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import KillAtRandom

RECORDS_PER_LIFE = 300

PROGRAM = f"""
import asyncio

TOPIC = "in"

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

def send(log):
    ends = log.end_offsets([streamlog.TopicPartition("in", 0), streamlog.TopicPartition("in", 1)])
    first = max(ends.values())
    with log.producer(key=int, value=int) as producer:
        for number in range(first, first + {RECORDS_PER_LIFE}):
            for partition in (0, 1):
                producer.send("in", partition, number, partition=partition)
            if number % 20 == 0:
                producer.flush()
"""


def test_rows_in_flight_outlive_a_worker_that_is_killed_at_random_moments(
    tmp_path: Path, kill_at_random: KillAtRandom
) -> None:
    path = tmp_path / "log"
    kill_at_random(PROGRAM, path, kills=6, seed=5, shortest_s=0.1)
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
