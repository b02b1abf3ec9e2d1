"""The log's speed: writing and reading records, opening many partitions, recovering.

Records have a 16-byte key and an 84-byte value. All figures are for one core, the flusher
included, with group commit and fsync: the time of a write ends when everything is durable.

send_columns_per_s   columns of 10,000 records, scattered by key over four partitions
send_per_s           one `send` a record, by key over four partitions
read_columns_per_s   `poll_columns` over those partitions, read_committed
open_1000_s          opens a cleanly closed log and asks for the end of its 1,000 partitions
recover_mb_per_s     opens a log that was not closed, with data above the recovery point
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from measure import median, options, report, stopwatch

if TYPE_CHECKING:
    from streamlog import Log

PARTITIONS = 4
COLUMN_ROWS = 10_000
VALUE = b"v" * 84
KEYS = [b"%016d" % (number * 7919 % 50_000) for number in range(COLUMN_ROWS)]
VALUES = [VALUE] * COLUMN_ROWS
RECOVERED_BYTES = 60 << 20  # below the 64 MB at which the recovery point moves


def send_columns(log: Log, topic: str, rows: int) -> float:
    log.create_topic(topic, PARTITIONS)
    with log.producer() as producer, stopwatch() as seconds:
        for _ in range(rows // COLUMN_ROWS):
            producer.send_columns(topic, KEYS, VALUES)
        producer.flush()
    return rows / seconds()


def send(log: Log, topic: str, rows: int) -> float:
    log.create_topic(topic, PARTITIONS)
    with log.producer() as producer, stopwatch() as seconds:
        for _ in range(rows // COLUMN_ROWS):
            for key in KEYS:
                producer.send(topic, key, VALUE)
        producer.flush()
    return rows / seconds()


def read_columns(log: Log, topic: str, rows: int) -> float:
    read = 0
    with log.consumer(topic) as consumer, stopwatch() as seconds:
        while read < rows:
            read += sum(len(run.values) for run in consumer.poll_columns(timeout=1.0))
    return read / seconds()


def make_1000_partitions(path: Path) -> None:
    import streamlog

    with streamlog.open(path) as log, log.producer() as producer:
        log.create_topic("many", 1000)
        for partition in range(1000):
            producer.send_columns("many", None, [VALUE] * 10, partition=partition)


def open_1000(path: Path) -> float:
    import streamlog
    from streamlog import TopicPartition

    with stopwatch() as seconds:
        log = streamlog.open(path)
        ends = log.end_offsets([TopicPartition("many", number) for number in range(1000)])
        opened = seconds()
    assert set(ends.values()) == {10}
    log.close()
    return opened


def make_unclean(path: Path) -> None:
    """In a process that ends without closing anything."""
    code = (
        "import os, sys, streamlog\n"
        "log = streamlog.open(sys.argv[1]); log.create_topic('t')\n"
        "p = log.producer(); values = [b'v' * 84] * 10_000\n"
        "keys = [b'%016d' % n for n in range(10_000)]\n"
        "for _ in range(int(sys.argv[2]) // 1_080_000): p.send_columns('t', keys, values)\n"
        "p.flush(); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(RECOVERED_BYTES)], check=True)


def recover(unclean: Path, scratch: Path) -> float:
    import streamlog

    shutil.copytree(unclean, scratch)
    size = sum(file.stat().st_size for file in scratch.glob("t-0/*.log"))
    with stopwatch() as seconds:
        log = streamlog.open(scratch)
        opened = seconds()
    log.close()
    shutil.rmtree(scratch)
    return size / 1e6 / opened


def main() -> None:
    chosen = options(__doc__)
    import streamlog

    rows = int(1_000_000 * chosen.scale)
    root = Path(tempfile.mkdtemp(prefix="streamlog-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        runs = iter(range(1 << 30))
        with streamlog.open(root / "speed") as log:
            columns_per_s = median(
                chosen.runs, lambda: send_columns(log, f"columns-{next(runs)}", rows)
            )
            send_per_s = median(chosen.runs, lambda: send(log, f"single-{next(runs)}", rows // 2))
            read_per_s = median(chosen.runs, lambda: read_columns(log, "columns-0", rows))
        make_1000_partitions(root / "many")
        open_s = median(chosen.runs, lambda: open_1000(root / "many"))
        make_unclean(root / "unclean")
        recover_mb_per_s = median(
            chosen.runs, lambda: recover(root / "unclean", root / f"copy-{next(runs)}")
        )
    finally:
        shutil.rmtree(root)
    report(
        chosen,
        {
            "send_columns_per_s": columns_per_s,
            "send_per_s": send_per_s,
            "read_columns_per_s": read_per_s,
            "open_1000_s": open_s,
            "recover_mb_per_s": recover_mb_per_s,
        },
    )


if __name__ == "__main__":
    main()
