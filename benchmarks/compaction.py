"""Compaction's speed: alone, and beside one thread that appends and one that reads at full rate.

Records have a 16-byte key, one of 50,000, and an 84-byte value, in batches of 1,000 records. All
figures are for one core, the syncs included.

compact_per_s        records of a log that are compacted a second, nothing else going on
kept                 the share of its bytes that is left
beside_per_s         the same, beside appends and reads of other topics
append_ratio         appended records a second beside compaction, to those without
read_ratio           the same for a reader of another topic
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from measure import median, options, report, stopwatch

if TYPE_CHECKING:
    from streamlog import Log
    from streamlog.storage import LogDirectory

ROWS = 1000
KEYS = 50_000
VALUES = [b"v" * 84] * ROWS
CONFIG = {"cleanup.policy": "compact", "segment.bytes": str(64 << 20)}
DUE_MS = 1 << 42
SECONDS = 3.0


def fill(log: Log, topic: str, rows: int, config: dict[str, str]) -> None:
    log.create_topic(topic, config=config)
    with log.producer() as producer:
        for start in range(0, rows, ROWS):
            keys = [b"%016d" % (number * 7919 % KEYS) for number in range(start, start + ROWS)]
            producer.send_columns(topic, keys, VALUES)
            producer.flush()


def compact(directory: LogDirectory, topic: str) -> tuple[float, float]:
    """Records a second, and the share that is left."""
    log = directory.partition(topic, 0)
    cleaner = directory.cleaner
    assert cleaner is not None
    segments = log.view().segments
    before, end = sum(each.size_bytes for each in segments[:-1]), segments[-1].base_offset
    with stopwatch() as seconds:
        cleaner.step(int(time.time() * 1000))
    after = sum(each.size_bytes for each in log.view().segments[:-1])
    assert cleaner.cleaned_offset(log.topic_partition) == end
    return end / seconds(), after / before


def alone(folder: Path, rows: int) -> tuple[float, float]:
    import streamlog
    from streamlog.storage import LogDirectory

    shutil.rmtree(folder, ignore_errors=True)
    with streamlog.open(folder) as log, LogDirectory.open(folder) as directory:
        directory.alter_config({"log.cleaner.enable": "false"})
        fill(log, "table", rows, CONFIG)
    with LogDirectory.open(folder, threaded=False) as directory:
        directory.alter_config({"log.cleaner.enable": "true"})
        return compact(directory, "table")


class Traffic:
    """Appends to one topic and reads another, over and over, and counts."""

    def __init__(self, log: Log) -> None:
        self.appended = 0
        self.read = 0
        self._log = log
        self._ending = Event()
        self._threads = [Thread(target=self._append), Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def rates(self, seconds: float, ended: Event | None = None) -> tuple[float, float]:
        """A second, for so long or until `ended`."""
        appended, read = self.appended, self.read
        with stopwatch() as passed:
            if ended is None:
                time.sleep(seconds)
            else:
                ended.wait(seconds)
        return (self.appended - appended) / passed(), (self.read - read) / passed()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _append(self) -> None:
        keys = [b"%016d" % number for number in range(ROWS)]
        with self._log.producer() as producer:
            while not self._ending.is_set():
                producer.send_columns("written", keys, VALUES)
                self.appended += ROWS

    def _read(self) -> None:
        from streamlog import TopicPartition

        partition = TopicPartition("read", 0)
        with self._log.consumer() as consumer:
            consumer.assign([partition])
            while not self._ending.is_set():
                runs = consumer.poll_columns(timeout=0)
                if not runs:
                    consumer.seek(partition, 0)
                self.read += sum(len(run.values) for run in runs)


def beside(folder: Path, rows: int) -> tuple[float, float, float]:
    """Records compacted a second; what appends and reads keep of their rates."""
    import streamlog
    from streamlog.storage import LogDirectory

    shutil.rmtree(folder, ignore_errors=True)
    with streamlog.open(folder) as log, LogDirectory.open(folder) as directory:
        directory.alter_config(
            {"log.cleaner.backoff.ms": str(DUE_MS), "log.cleaner.enable": "false"}
        )
        fill(log, "table", rows, CONFIG)
        fill(log, "read", rows // 4, {})
        log.create_topic("written", config={"segment.bytes": str(64 << 20)})
        traffic = Traffic(log)
        try:
            traffic.rates(1.0)
            without = traffic.rates(SECONDS)
            directory.alter_config({"log.cleaner.enable": "true"})
            ended, speeds = Event(), []

            def clean() -> None:
                speeds.append(compact(directory, "table")[0])
                ended.set()

            cleaning = Thread(target=clean)
            cleaning.start()
            during = traffic.rates(300.0, ended)
            cleaning.join()
            after = traffic.rates(SECONDS)
        finally:
            traffic.end()
    base = [(one + other) / 2 for one, other in zip(without, after, strict=True)]
    return speeds[0], during[0] / base[0], during[1] / base[1]


def main() -> None:
    chosen = options(__doc__, runs=3)
    rows = int(2_000_000 * chosen.scale)
    folder = Path(tempfile.mkdtemp(prefix="streamlog-compaction-"))
    try:
        kept: list[float] = []

        def alone_once() -> float:
            speed, share = alone(folder / "alone", rows)
            kept.append(share)
            return speed

        speed = median(chosen.runs, alone_once)
        found = [beside(folder / "beside", rows) for _ in range(chosen.runs)]
        middle = sorted(found)[len(found) // 2]
        report(
            chosen,
            {
                "compact_per_s": speed,
                "kept": kept[-1],
                "beside_per_s": middle[0],
                "append_ratio": middle[1],
                "read_ratio": middle[2],
            },
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
