"""A worker on a real disk, killed with SIGKILL at random moments, counts every line once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import streamlog

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import KillAtRandom

LINES_PER_LIFE = 400

PROGRAM = f"""
TOPIC = "lines"

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

def send(log):
    with log.producer() as producer:
        for number in range({LINES_PER_LIFE}):
            line = f"w{{number % 13}} w{{number % 7}} w{{number % 101}}"
            producer.send("lines", None, line, partition=number % 2)
            if number % 20 == 0:
                producer.flush()
"""


def test_a_worker_that_is_killed_at_random_moments_counts_every_line_once(
    tmp_path: Path, kill_at_random: KillAtRandom
) -> None:
    path = tmp_path / "log"
    kill_at_random(PROGRAM, path, kills=8, seed=7, shortest_s=0.05)
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
