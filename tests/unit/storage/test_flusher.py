"""Group commit: what a window covers, whom it calls, and in which thread."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import DiskFullError, LogClosedError, StorageError, SyncFailedError
from streamlog.storage import LogDirectory
from streamlog.testing import FaultyFiles

from .conftest import ROOT, append

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Disk

PATIENCE_S = 60


@pytest.fixture
def threaded() -> Iterator[LogDirectory]:
    directory = LogDirectory.open(ROOT, files=FaultyFiles())
    directory.create_topic("t", 4)
    yield directory
    directory.close()


def test_a_callback_comes_when_everything_before_it_is_durable(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"x")
    seen: list[int] = []
    disk.directories[-1].flusher.when_durable(lambda _: seen.append(log.high_watermark))
    assert seen == [1]


def test_what_a_callback_appends_belongs_to_the_next_window(disk: Disk) -> None:
    log = disk.partition()
    flusher = disk.directories[-1].flusher
    marks: list[int] = []

    def first(error: StorageError | None) -> None:
        assert error is None
        append(log, b"second")
        marks.append(log.high_watermark)
        flusher.when_durable(lambda _: marks.append(log.high_watermark))

    append(log, b"first")
    flusher.when_durable(first)
    assert marks == [1, 2]


def test_drains_append_into_the_window_that_was_asked_for(disk: Disk) -> None:
    log = disk.partition()
    flusher = disk.directories[-1].flusher
    waiting = [b"a", b"b"]

    def drain() -> None:
        while waiting:
            append(log, waiting.pop(0))

    flusher.add_drain(drain)
    flusher.wait_durable()
    assert log.high_watermark == 2
    flusher.remove_drain(drain)
    waiting.append(b"c")
    flusher.wait_durable()
    assert log.high_watermark == 2


def test_one_window_syncs_each_file_once(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"x")
    disk.flush()
    before = len(disk.files.operations)
    for _ in range(5):
        append(log, b"x")
    disk.flush()
    kinds = [operation.kind for operation in disk.files.operations[before:]]
    assert kinds == ["write"] * 5 + ["datasync", "write"]  # the last: durable-offsets


def test_a_window_gathers_data_for_as_long_as_nobody_waits(
    threaded: LogDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = threaded.partition("t", 0)
    append(log, b"first")
    threaded.flusher.wait_durable()
    monkeypatch.setattr("streamlog.storage.flusher.PACE_S", 3600.0)
    append(log, b"second")
    assert log.high_watermark == 1
    append(log, b"third")
    threaded.flusher.wait_durable(timeout=60)
    assert log.high_watermark == 3


def test_a_window_that_nobody_waits_for_begins_by_itself(threaded: LogDirectory) -> None:
    log = threaded.partition("t", 0)
    moved = threading.Semaphore(0)
    log.add_listener(moved.release)
    for expected in (1, 2, 3):
        append(log, b"x")
        assert moved.acquire(timeout=60)
        assert log.high_watermark == expected


def test_closing_does_not_wait_for_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlog.storage.flusher.PACE_S", 3600.0)
    files = FaultyFiles()
    with LogDirectory.open(ROOT, files=files) as directory:
        directory.create_topic("t", 1)
        append(directory.partition("t", 0), b"x")
    with LogDirectory.open(ROOT, files=files) as directory:
        assert directory.partition("t", 0).high_watermark == 1


def test_a_bug_in_a_drain_ends_writing_and_leaves_nobody_waiting(threaded: LogDirectory) -> None:
    def drain() -> None:
        raise KeyError("a bug")

    threaded.flusher.add_drain(drain)
    with pytest.raises(StorageError, match=r"the flusher ended: KeyError\('a bug'\)"):
        threaded.flusher.wait_durable(timeout=60)
    with pytest.raises(StorageError):
        threaded.flusher.wait_durable(timeout=60)


def test_a_bug_in_a_callback_ends_writing_and_the_other_callbacks_run(disk: Disk) -> None:
    disk.open()
    flusher = disk.directories[-1].flusher
    called: list[StorageError | None] = []

    def nested(error: StorageError | None) -> None:
        flusher.when_durable(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
        flusher.when_durable(called.append)

    with pytest.raises(ZeroDivisionError):
        flusher.when_durable(nested)
    assert called == [None]
    assert "ZeroDivisionError" in str(flusher.failure)


def test_whoever_waits_may_read_the_log_whose_append_ends_writing() -> None:
    files = FaultyFiles()
    busy, go_on, called = threading.Event(), threading.Event(), threading.Event()
    read: list[bytes] = []

    def occupy(_: StorageError | None) -> None:
        busy.set()
        go_on.wait(2 * PATIENCE_S)  # behind the patience with who must not wait for it

    def look(error: StorageError | None) -> None:
        assert isinstance(error, DiskFullError)
        read.append(log.read(0, 1000).data)
        called.set()

    def fail() -> None:
        with pytest.raises(DiskFullError):
            append(log, b"no room")

    with LogDirectory.open(ROOT, files=files) as directory:
        directory.create_topic("t")
        log = directory.partition("t", 0)
        append(log, b"x")
        directory.flusher.wait_durable()
        directory.flusher.when_durable(occupy)
        assert busy.wait(PATIENCE_S)
        directory.flusher.when_durable(look)
        files.fail("write", error=errno.ENOSPC)
        failing = threading.Thread(target=fail, daemon=True)
        failing.start()
        failing.join(PATIENCE_S)
        assert not failing.is_alive()
        go_on.set()
        assert called.wait(PATIENCE_S)
    assert read[0]


def test_waiters_of_a_window_that_fails_get_the_error(disk: Disk) -> None:
    log = disk.partition()
    flusher = disk.directories[-1].flusher
    errors: list[StorageError | None] = []
    append(log, b"x")
    disk.files.fail("datasync")
    flusher.when_durable(errors.append)
    flusher.when_durable(errors.append)
    assert [type(error) for error in errors] == [SyncFailedError] * 2


def test_a_wait_ends_at_its_timeout(threaded: LogDirectory) -> None:
    release = threading.Event()
    threaded.flusher.add_drain(lambda: release.wait(60) and None)
    with pytest.raises(TimeoutError):
        threaded.flusher.wait_durable(timeout=0.01)
    release.set()


def test_callbacks_run_on_the_flushers_thread(threaded: LogDirectory) -> None:
    names: list[str] = []
    done = threading.Event()

    def callback(_: StorageError | None) -> None:
        names.append(threading.current_thread().name)
        done.set()

    threaded.flusher.when_durable(callback)
    assert done.wait(60)
    assert names == ["streamlog-flusher log"]


def test_the_last_windows_run_before_the_flusher_ends(disk: Disk) -> None:
    log = disk.partition()
    flusher = disk.directories[-1].flusher
    flusher.add_drain(lambda: append(log, b"last") if log.log_end_offset == 0 else None)
    disk.directories.pop().close()
    assert log.high_watermark == 1
    errors: list[StorageError | None] = []
    flusher.when_durable(errors.append)
    assert isinstance(errors[0], LogClosedError)


def test_many_threads_append_and_wait_and_everything_is_there(tmp_path: Path) -> None:
    with LogDirectory.open(tmp_path) as directory:
        directory.create_topic("t", 3, {"segment.bytes": "5000"})

        def work(number: int) -> None:
            for _ in range(50):
                append(directory.partition("t", number % 3), b"x" * 50)
                append(directory.partition("t", 0), b"y" * 50)
                directory.flusher.wait_durable(60)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ends = [directory.partition("t", number).high_watermark for number in range(3)]
    assert ends == [400, 100, 100]
    with LogDirectory.open(tmp_path) as directory:
        assert [directory.partition("t", n).high_watermark for n in range(3)] == ends
