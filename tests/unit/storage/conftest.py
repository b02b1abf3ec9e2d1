"""A log directory in memory whose flush windows run where they are waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.record import Columns, decode_batch, encode_batch
from streamlog.storage import LogDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage import AppendResult, PartitionLog, ReadableLog

ROOT = "/disk/log"


class Disk:
    """A disk, the directory on it, and what tests do with both."""

    def __init__(self) -> None:
        self.files = FaultyFiles()
        self.clock = ManualClock(5000)
        self.directories: list[LogDirectory] = []

    def open(self, **options: object) -> LogDirectory:
        options = {"threaded": False, "boot_id": "first", "clock": self.clock} | options
        directory = LogDirectory.open(ROOT, files=self.files, **options)  # type: ignore[arg-type]
        self.directories.append(directory)
        return directory

    def partition(self, topic: str = "t", partition: int = 0, **config: str) -> PartitionLog:
        """The partition of a topic that is made if need be; `segment_bytes="100"` and so on."""
        directory = self.directories[-1] if self.directories else self.open()
        if topic not in directory.topics():
            settings = {key.replace("_", "."): value for key, value in config.items()}
            directory.create_topic(topic, partition + 1, settings)
        return directory.partition(topic, partition)

    def flush(self) -> None:
        self.directories[-1].flusher.wait_durable()

    def reopen(self, **options: object) -> LogDirectory:
        """After a clean stop."""
        self.directories.pop().close()
        return self.open(**options)

    def crash(self, adversary: Adversary = Adversary.ALL) -> None:
        """Leaves what survives of the files, and no open directory."""
        self.files = self.files.cut(Cut(len(self.files.operations), adversary))
        self.abandon()

    def abandon(self) -> None:
        """Closes the directories without what a clean stop would write."""
        files, self.files = self.files, FaultyFiles()
        for directory in self.directories:
            directory.flusher.fail(RuntimeError("the process died"))  # type: ignore[arg-type]
            directory.close()
        self.directories.clear()
        self.files = files

    def path(self, name: str, topic: str = "t", partition: int = 0) -> str:
        return f"{ROOT}/{topic}-{partition}/{name}"

    def overwrite(self, path: str, position: int, data: bytes) -> None:
        self.files.open(path, "write").pwrite(data, position)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.abandon()


def append(
    log: PartitionLog, *values: bytes, timestamp: int = 1000, now_ms: int = 5000, **fields: int
) -> AppendResult:
    batch = encode_batch(
        [None] * len(values),
        list(values),
        [timestamp] * len(values),
        **fields,  # type: ignore[arg-type]
    )
    return log.append(batch, now_ms=now_ms)


def read_all(log: ReadableLog, start: int = 0, max_bytes: int = 1 << 20) -> list[bytes]:
    """The values up to the high watermark."""
    columns, offset = Columns(), start
    while offset < log.high_watermark:
        fetched = log.read(offset, max_bytes)
        position = 0
        while position < len(fetched.data):
            position = decode_batch(fetched.data, position, columns, min_offset=offset)
        offset = fetched.next_offset
    return [value or b"" for value in columns.values]
