"""However many segments are read, few files are open."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from streamlog.storage import LogDirectory, file_pool
from streamlog.storage.file_pool import FilePool
from streamlog.testing import FaultyFiles

from .conftest import append, read_all

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Holder:
    def __init__(self, *, may_release: bool = True) -> None:
        self.used = False
        self.released = False
        self._may_release = may_release

    def may_release(self) -> bool:
        return self._may_release

    def release(self) -> None:
        self.released = True


def open_files(pool: FilePool, holders: list[Holder]) -> None:
    for number, holder in enumerate(holders):
        pool.open(holder, f"/{number}", "create")


def test_the_holder_that_was_not_used_lets_go() -> None:
    pool = FilePool(FaultyFiles(), limit=2)
    holders = [Holder() for _ in range(2)]
    open_files(pool, holders)
    holders[0].used = True
    open_files(pool, [Holder()])
    assert [holder.released for holder in holders] == [False, True]


def test_a_holder_with_unsynced_writes_keeps_its_file() -> None:
    pool = FilePool(FaultyFiles(), limit=1)
    holders = [Holder(may_release=False) for _ in range(3)]
    open_files(pool, holders)
    assert not any(holder.released for holder in holders)


def test_a_holder_that_closed_its_file_is_forgotten() -> None:
    pool = FilePool(FaultyFiles(), limit=1)
    holders = [Holder(), Holder()]
    open_files(pool, holders[:1])
    pool.forget(holders[0])
    open_files(pool, holders[1:])
    assert not any(holder.released for holder in holders)


def test_a_window_may_have_more_partitions_than_the_usual_limit_of_open_files(
    tmp_path: Path,
) -> None:
    program = (
        "import resource, sys; from streamlog.storage import LogDirectory\n"
        "from streamlog.record import encode_batch\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "with LogDirectory.open(sys.argv[1]) as directory:\n"
        "    directory.create_topic('t', 100)\n"
        "    for number in range(100):\n"
        "        log = directory.partition('t', number)\n"
        "        log.append(encode_batch([None], [b'x'], [0]), now_ms=0)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_many_segments_of_many_partitions_need_few_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_pool.FilePool.__init__, "__defaults__", (10,))
    with LogDirectory.open(tmp_path) as directory:
        directory.create_topic("t", 20, {"segment.bytes": "200"})
        before = len(os.listdir("/dev/fd"))
        for number in range(20):
            for value in (b"a", b"b", b"c"):
                append(directory.partition("t", number), value * 100)
            directory.flusher.wait_durable()
        for number in range(20):
            log = directory.partition("t", number)
            assert read_all(log) == [b"a" * 100, b"b" * 100, b"c" * 100]
        # Beside the pool's: durable-offsets and the segments of the last window.
        assert len(os.listdir("/dev/fd")) <= before + 14
