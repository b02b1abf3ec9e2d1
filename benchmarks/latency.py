"""Latency of a keyed count, exactly once, at 5,000 events a second.

From the append of an event to its count's being visible to a read_committed consumer: the event's
own sync, the round, the commit (data, then prepare record) and the markers lie between, four syncs
one after the other. Sender, worker, reader and flusher share one core. One partition: each further
one adds three files to most syncs. Beside it the same machine's append + fdatasync alone, one
after the other, in the same run.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Options, options, report

import streamlog
from processors import App
from processors.runtime.worker import Worker
from streamlog.clock import SystemClock
from streamlog.targets import RunContext

if TYPE_CHECKING:
    from streamlog.client.contract import Log

EVENTS_PER_S = 5_000
SECONDS = 10
WARM_UP_S = 2
KEYS = 1_000
PARTITIONS = 1
TICK_S = 0.001
VALUE = b"x" * 84
BARE_APPENDS = 500


def make_app() -> App:
    app = App("latency")
    events = app.stream("events", value=bytes)
    events.group_by_key().count(name="counts", emit="every").to_stream().to("counts")
    return app


class Events:
    """When each event was appended: the n-th of a key gives the count n."""

    def __init__(self) -> None:
        self.sent_s: dict[tuple[bytes, int], float] = {}
        self.latencies_s: list[float] = []

    def send(self, log: Log, count: int) -> None:
        """Sends evenly; what falls due in a tick is appended in it."""
        counts = dict.fromkeys((b"key%d" % number for number in range(KEYS)), 0)
        keys = list(counts)
        began = time.perf_counter()
        sent = 0
        with log.producer() as producer:
            while sent < count:
                now = time.perf_counter()
                due = min(int((now - began) * EVENTS_PER_S) + 1, count)
                column = [keys[number * 7919 % KEYS] for number in range(sent, due)]
                for key in column:
                    counts[key] += 1
                    self.sent_s[key, counts[key]] = now
                producer.send_columns("events", column, [VALUE] * len(column))
                sent = due
                time.sleep(TICK_S)

    def receive(self, log: Log, count: int) -> None:
        """Reads the counts until all have come."""
        sent_s = self.sent_s
        with log.consumer("counts") as consumer:
            while len(self.latencies_s) < count:
                for columns in consumer.poll_columns(timeout=1.0):
                    now = time.perf_counter()
                    counts = [int.from_bytes(value or b"", "big") for value in columns.values]
                    self.latencies_s += [
                        now - sent_s[key or b"", count]
                        for key, count in zip(columns.keys, counts, strict=True)
                    ]


def measure_count(folder: Path, events: int) -> list[float]:
    """Latencies in the order of arrival."""
    measured = Events()
    with streamlog.open(folder / "log") as log:
        log.create_topic("events", PARTITIONS)
        log.create_topic("counts", PARTITIONS)
        worker = Worker(make_app().plan())
        context = RunContext(
            log=log,
            until_idle=False,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=folder / "state",
        )

        async def run() -> None:
            working = asyncio.create_task(worker.run(context))
            while worker.status().state != "running":
                await asyncio.sleep(0.01)
            threads = [
                threading.Thread(target=each, args=(log, events))
                for each in (measured.send, measured.receive)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and not working.done():
                await asyncio.sleep(0.05)
            worker.request_stop()
            await working

        asyncio.run(run())
    return measured.latencies_s


def measure_bare(folder: Path) -> list[float]:
    latencies: list[float] = []
    with (folder / "bare").open("wb", buffering=0) as file:
        for _ in range(BARE_APPENDS):
            began = time.perf_counter()
            file.write(VALUE)
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            latencies.append(time.perf_counter() - began)
    return latencies


def percentiles(latencies_s: list[float]) -> tuple[float, float]:
    """(p50, p99) in milliseconds."""
    cuts = statistics.quantiles(latencies_s, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def measure(chosen: Options) -> dict[str, float]:
    events = int(EVENTS_PER_S * (SECONDS * chosen.scale + WARM_UP_S))
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        bare = measure_bare(Path(name))
        counted = measure_count(Path(name), events)[EVENTS_PER_S * WARM_UP_S :]
        bare += measure_bare(Path(name))
    p50_ms, p99_ms = percentiles(counted)
    bare_p50_ms, bare_p99_ms = percentiles(bare)
    return {
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "bare_p50_ms": bare_p50_ms,
        "bare_p99_ms": bare_p99_ms,
    }


def main() -> None:
    chosen = options(__doc__, runs=1)
    report(chosen, measure(chosen))


if __name__ == "__main__":
    main()
