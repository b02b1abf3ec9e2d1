"""Durable writing: from many threads, and how long one record takes.

Records have a 16-byte key and an 84-byte value. One core, the flusher included.

threads_N_per_s     N threads send one record at a time through one producer, then it flushes
threads_N_ratio     that to one thread
send_p50_ms, ..99   one `send` and its `result`, one after the other
tail_p50_ms, ..99   from that `send` to its record's arriving at a consumer in another thread
bare_p50_ms, ..99   a bare write + fdatasync of as many bytes at the end of a file, in the same run
send_to_bare, tail_to_bare    the p99 of both to that of the bare write
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import median, options, report, stopwatch

import streamlog

if TYPE_CHECKING:
    from streamlog import Log, Producer

PARTITIONS = 4
THREADS = (1, 4, 16)
ROWS = 320_000
SINGLES = 2_000
KEYS = [b"%016d" % (number * 7919 % 50_000) for number in range(10_000)]
VALUE = b"v" * 84


def send_from_threads(log: Log, topic: str, threads: int, rows: int) -> float:
    """Records a second, until the last is durable."""
    log.create_topic(topic, PARTITIONS)

    def work(producer: Producer, count: int) -> None:
        sent = 0
        while sent < count:
            for key in KEYS[: count - sent]:
                producer.send(topic, key, VALUE)
            sent += len(KEYS)

    with log.producer() as producer, stopwatch() as seconds:
        workers = [
            threading.Thread(target=work, args=(producer, rows // threads)) for _ in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        producer.flush()
    return rows / seconds()


class Tail(threading.Thread):
    """Notes when each record of a topic arrives."""

    def __init__(self, log: Log, topic: str, count: int) -> None:
        super().__init__(daemon=True)
        self._consumer = log.consumer(topic, isolation="read_uncommitted")
        self._count = count
        self.arrived_s: list[float] = []

    def run(self) -> None:
        with self._consumer as consumer:
            while len(self.arrived_s) < self._count:
                records = consumer.poll(timeout=1.0)
                self.arrived_s += [time.perf_counter()] * len(records)


def send_singly(log: Log, topic: str, count: int) -> tuple[list[float], list[float]]:
    """The latencies of `send` and of the tail, in seconds."""
    log.create_topic(topic)
    tail = Tail(log, topic, count)
    tail.start()
    sent_s: list[float] = []
    durable_s: list[float] = []
    with log.producer() as producer:
        for _ in range(count):
            sent_s.append(time.perf_counter())
            producer.send(topic, KEYS[0], VALUE).result()
            durable_s.append(time.perf_counter())
    tail.join()
    durable = [done - sent for sent, done in zip(sent_s, durable_s, strict=True)]
    return durable, [done - sent for sent, done in zip(sent_s, tail.arrived_s, strict=True)]


def write_bare(folder: Path, count: int) -> list[float]:
    latencies: list[float] = []
    sync = getattr(os, "fdatasync", os.fsync)
    with (folder / "bare").open("ab", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(KEYS[0] + VALUE)
            sync(file.fileno())
            latencies.append(time.perf_counter() - began)
    return latencies


def percentiles_ms(latencies_s: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(latencies_s, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def main() -> None:
    chosen = options(__doc__, runs=3)
    rows, singles = int(ROWS * chosen.scale), max(200, int(SINGLES * chosen.scale))
    root = Path(tempfile.mkdtemp(prefix="streamlog-bench-", dir=os.environ.get("BENCH_DIR")))
    figures: dict[str, float] = {}
    runs = iter(range(1 << 30))
    try:
        with streamlog.open(root / "log") as log:
            for threads in THREADS:
                rate = median(
                    chosen.runs,
                    lambda n=threads: send_from_threads(log, f"t-{n}-{next(runs)}", n, rows),
                )
                figures[f"threads_{threads}_per_s"] = rate
                figures[f"threads_{threads}_ratio"] = rate / figures["threads_1_per_s"]
            # In turn, as the disk's other users come and go.
            durable: list[float] = []
            tail: list[float] = []
            bare: list[float] = []
            for _ in range(4):
                bare += write_bare(root, singles // 4)
                sent, arrived = send_singly(log, f"single-{next(runs)}", singles // 4)
                durable += sent
                tail += arrived
        for name, latencies in (("send", durable), ("tail", tail), ("bare", bare)):
            figures[f"{name}_p50_ms"], figures[f"{name}_p99_ms"] = percentiles_ms(latencies)
        for name in ("send", "tail"):
            figures[f"{name}_to_bare"] = figures[f"{name}_p99_ms"] / figures["bare_p99_ms"]
    finally:
        shutil.rmtree(root)
    report(chosen, figures)


if __name__ == "__main__":
    main()
