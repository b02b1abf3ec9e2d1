"""Reading anywhere in a large topic: one batch of 16 KB, as Kafka's producers send, to 4 GB.

It is appended again and again; the log gives each copy its offsets and, a millisecond later than
the one before, its time (message.timestamp.type=LogAppendTime).

append_mb_per_s         that, durably, through the log's own append
offset_p50_ms, ..99     `seek` to a random offset and `poll` one record, warm page cache
time_p50_ms, ..99       `seek_to_time` to a random time and `poll` one record
rss_growth_mb           what these reads add to the memory of the process
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import options, report, stopwatch

import streamlog
from streamlog import TopicPartition
from streamlog.record import encode_batch
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog import Consumer

TOTAL_BYTES = 4 << 30
RECORDS = 150  # of 16 + 84 bytes
READS = 2_000
FIRST_MS = 1_700_000_000_000
PARTITION = TopicPartition("large", 0)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def fill(path: Path, total_bytes: int) -> tuple[int, float]:
    """The number of batches, and MB a second."""
    keys = [b"%016d" % number for number in range(RECORDS)]
    values = [b"v" * 84] * RECORDS
    batch = encode_batch(keys, values, [FIRST_MS] * RECORDS)
    batches = max(2, total_bytes // len(batch))
    with LogDirectory.open(path) as directory:
        directory.create_topic("large", 1, {"message.timestamp.type": "LogAppendTime"})
        log = directory.partition(*PARTITION)
        with stopwatch() as seconds:
            for number in range(batches):
                log.append(batch, now_ms=FIRST_MS + number)
            directory.sync()
    return batches, batches * len(batch) / 1e6 / seconds()


def read_one(consumer: Consumer) -> None:
    records = consumer.poll(timeout=5.0, max_records=1)
    assert len(records) == 1, records


def latencies_ms(count: int, read: Callable[[], None]) -> tuple[float, float]:
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        read()
        times.append(time.perf_counter() - began)
    cuts = statistics.quantiles(times, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def main() -> None:
    chosen = options(__doc__, runs=1)
    choose = random.Random(7)
    root = Path(tempfile.mkdtemp(prefix="streamlog-bench-", dir=os.environ.get("BENCH_DIR")))
    figures: dict[str, float] = {}
    try:
        batches, figures["append_mb_per_s"] = fill(root / "log", int(TOTAL_BYTES * chosen.scale))
        end = batches * RECORDS
        with streamlog.open(root / "log") as log, log.consumer() as consumer:
            consumer.assign([PARTITION])

            def by_offset() -> None:
                consumer.seek(PARTITION, choose.randrange(end))
                read_one(consumer)

            def by_time() -> None:
                consumer.seek_to_time(PARTITION, FIRST_MS + choose.randrange(batches))
                read_one(consumer)

            latencies_ms(READS // 10, by_offset)
            before_mb = resident_mb()
            p50, p99 = latencies_ms(READS, by_offset)
            figures |= {"offset_p50_ms": p50, "offset_p99_ms": p99}
            p50, p99 = latencies_ms(READS, by_time)
            figures |= {"time_p50_ms": p50, "time_p99_ms": p99}
            figures["rss_growth_mb"] = resident_mb() - before_mb
    finally:
        shutil.rmtree(root)
    report(chosen, figures)


if __name__ == "__main__":
    main()
