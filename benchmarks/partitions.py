"""How a directory of very many partitions opens: time, memory, file descriptors.

Usage: python benchmarks/partitions.py [--partitions 10000] [--json]

Every partition has records and was stopped cleanly. A process of its own opens the directory with
at most 1,024 file descriptors, touches every partition once, and closes it; another one opens an
empty log, and what it takes up is subtracted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import streamlog
from streamlog.topic import TopicPartition

OPEN_LIMIT = 1024
REACH = {"open_s": 5.0, "memory_mb": 60.0, "descriptors": float(OPEN_LIMIT)}


def fill(path: Path, partitions: int) -> None:
    with streamlog.open(path, durability="os") as log:
        log.create_topic("many", partitions)
        with log.producer() as producer:
            for start in range(0, partitions, 500):
                for number in range(start, min(start + 500, partitions)):
                    producer.send("many", value=b"x" * 100, partition=number)
                producer.flush()


def memory_mb() -> float:
    """What is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(path: str, partitions: int) -> dict[str, float]:
    """In a process of its own: it tells what it took, and fails where a record is missing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_LIMIT, OPEN_LIMIT))
    started = time.perf_counter()
    log = streamlog.open(path, durability="os")
    opened = time.perf_counter()
    memory = memory_mb()
    descriptors = len(os.listdir("/proc/self/fd"))
    names = [TopicPartition("many", number) for number in range(partitions)]
    ends = log.end_offsets(names) if names else {}
    assert set(ends.values()) <= {1}, "records are missing"
    touched = time.perf_counter()
    descriptors = max(descriptors, len(os.listdir("/proc/self/fd")))
    touched_memory = memory_mb()
    log.close()
    return {
        "open_s": opened - started,
        "touch_all_s": touched - opened,
        "close_s": time.perf_counter() - touched,
        "memory_mb": memory,
        "touched_memory_mb": touched_memory,
        "descriptors": float(descriptors),
    }


def measure_apart(path: Path, partitions: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(path), "--partitions", str(partitions)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.partitions)))
        return
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder, "empty"), Path(folder, "full")
        fill(full, arguments.partitions)
        streamlog.open(empty).close()
        base = measure_apart(empty, 0)
        found = measure_apart(full, arguments.partitions)
    found["memory_mb"] -= base["memory_mb"]
    found["touched_memory_mb"] -= base["memory_mb"]
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        reach = f"   (reach {REACH[name]:g})" if name in REACH else ""
        print(f"{name:20} {value:10.2f}{reach}")


if __name__ == "__main__":
    main()
