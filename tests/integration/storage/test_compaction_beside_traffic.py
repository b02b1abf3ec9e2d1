"""A log is appended to, read and compacted at once, on the real disk and by real threads."""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING

from streamlog.client.isolation import decode_visible
from streamlog.record import ControlType, encode_batch
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamlog.storage import PartitionLog
    from streamlog.topic import Isolation

BATCHES = 600
START = 1_700_000_000_000
CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": "15000",
    "min.cleanable.dirty.ratio": "0.05",
    "delete.retention.ms": "0",
    "index.interval.bytes": "500",
}
State = dict[bytes | None, bytes | None]


class Worker(Thread):
    """A thread whose error is raised where it is joined."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work = work
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        self.join()
        if self._error is not None:
            raise self._error


def write(directory: LogDirectory, log: PartitionLog, state: State) -> None:
    """Values and tombstones of 200 keys, a third of them in transactions."""
    chosen = random.Random("compaction beside traffic")
    sequence = 0
    for number in range(BATCHES):
        keys: list[bytes | None] = [b"key-%d" % chosen.randrange(200) for _ in range(8)]
        values: list[bytes | None] = [
            None if chosen.random() < 0.1 else b"value-%d " % number * chosen.randrange(1, 9)
            for _ in keys
        ]
        times = [START + number] * len(keys)
        if chosen.random() < 0.3:
            batch = encode_batch(
                keys,
                values,
                times,
                producer_id=5,
                producer_epoch=0,
                base_sequence=sequence,
                transactional=True,
            )
            sequence += len(keys)
            log.append(batch, now_ms=START)
            kind = chosen.choice([ControlType.COMMIT, ControlType.ABORT])
            log.append_control(kind, 5, 0, 0, now_ms=START + number)
            if kind is ControlType.ABORT:
                continue
        else:
            log.append(encode_batch(keys, values, times), now_ms=START)
        state.update(zip(keys, values, strict=True))
        if number % 20 == 0:
            directory.flusher.wait_durable()
    directory.flusher.wait_durable()


def read(log: PartitionLog, max_bytes: int, isolation: Isolation) -> State:
    """From the start to the end that is there when it comes to it."""
    state: State = {}
    offset = log.log_start_offset
    while offset < log.bound(isolation):
        fetched = log.read(offset, max_bytes, isolation)
        assert fetched.next_offset > offset
        columns = decode_visible(fetched.data, offset, fetched.aborted)
        assert columns.offsets == sorted(set(columns.offsets))
        state.update(zip(columns.keys, columns.values, strict=True))
        offset = fetched.next_offset
    return state


def without_tombstones(state: State) -> State:
    return {key: value for key, value in state.items() if value is not None}


def test_readers_and_the_writer_go_on_while_the_log_is_compacted(tmp_path: Path) -> None:
    with LogDirectory.open(tmp_path) as directory:
        directory.alter_config({"log.cleaner.backoff.ms": "1"})
        directory.create_topic("table", 1, CONFIG)
        log = directory.partition("table", 0)
        written: State = {}
        ended = Event()

        def write_all() -> None:
            try:
                write(directory, log, written)
            finally:
                ended.set()

        def read_all() -> None:
            while not ended.is_set():
                read(log, 1, "read_committed")
                read(log, 1 << 20, "read_committed")

        def look_up() -> None:
            chosen = random.Random("lookups")
            while not ended.is_set():
                log.read(chosen.randrange(log.high_watermark + 1), 2000)
                log.offset_for_timestamp(START + chosen.randrange(BATCHES))

        workers = [Worker(work) for work in (write_all, read_all, look_up)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.end()
        cleaner = directory.cleaner
        assert cleaner is not None
        while cleaner.step(START + BATCHES):
            pass
        assert cleaner.faults == {}
        expected = without_tombstones(written)
        assert without_tombstones(read(log, 1 << 20, "read_committed")) == expected
        assert sum(segment.size_bytes for segment in log.view().segments) < 200_000
    with LogDirectory.open(tmp_path) as directory:
        found = read(directory.partition("table", 0), 1 << 20, "read_committed")
        assert without_tombstones(found) == expected
