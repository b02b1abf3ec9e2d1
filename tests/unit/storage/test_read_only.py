"""A directory read beside its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import DirectoryAccessError, FormatVersionError
from streamlog.files import read_file
from streamlog.record import ControlType
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Disk


def test_a_reader_sees_what_is_durable_and_follows(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    disk.flush()
    append(log, b"b")
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        assert read_all(reader) == [b"a"]
        assert reader.read(1, 1000).data == b""
        disk.flush()
        assert reader.read(1, 1000).next_offset == 2
        assert reader.high_watermark == 2


def test_a_reader_follows_over_rolls_and_checkpoints(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300", index_interval_bytes="50")
    append(log, b"first")
    disk.flush()
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        for number in range(20):
            append(log, b"%02d" % number * 30, timestamp=number)
            if number % 3 == 0:
                disk.flush()
                reader.refresh()
        disk.flush()
        reader.refresh()
        assert read_all(reader) == read_all(log)
        assert reader.offset_for_timestamp(15) == log.offset_for_timestamp(15)
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as late:
        assert read_all(late.partition("t", 0)) == read_all(log)


def test_a_reader_sees_topics_that_come_later(disk: Disk) -> None:
    disk.open()
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        assert beside.topics() == {}
        created = disk.directories[-1].create_topic("bids", 2)
        beside.refresh()
        assert beside.topic("bids") == created


def test_a_reader_knows_transactions(disk: Disk) -> None:
    log = disk.partition()
    for sequence in range(2):
        append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=sequence, transactional=1)
        if sequence == 0:
            log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
    disk.flush()
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        assert reader.last_stable_offset == 2
        assert reader.open_transactions() == {1: (0, 2)}
        assert reader.read(0, 1000, "read_committed").aborted == [(1, 0)]
        log.append_control(ControlType.COMMIT, 1, 0, 0, now_ms=0)
        disk.flush()
        assert reader.read(2, 1000, "read_committed").next_offset == 4


@pytest.mark.parametrize("adversary", list(Adversary))
def test_a_reader_after_a_crash_sees_what_was_published(disk: Disk, adversary: Adversary) -> None:
    log = disk.partition()
    for value in (b"a", b"b", b"c"):
        append(log, value)
        disk.flush()
    append(log, b"never durable")
    disk.crash(adversary)
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        if "t" in beside.topics():
            seen = read_all(beside.partition("t", 0))
            assert seen == [b"a", b"b", b"c"][: len(seen)]
    assert disk.files.operations == []


def test_a_reader_after_a_clean_stop_needs_no_owner(disk: Disk) -> None:
    append(disk.partition(), b"a")
    disk.directories.pop().close()
    disk.files.unlink(f"{ROOT}/durable-offsets")
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        assert read_all(beside.partition("t", 0)) == [b"a"]
        assert beside.owner_pid() == os.getpid()


def test_without_fsync_a_reader_after_a_loss_of_power_sees_what_was_synced(disk: Disk) -> None:
    directory = disk.open(durability="os")
    append(disk.partition(segment_bytes="100"), b"a" * 50)
    directory.sync()
    for value in (b"b", b"c"):
        append(disk.partition(), value * 50)
        disk.flush()  # the roll syncs what lies before it
    disk.crash(Adversary.NOTHING)
    with ReadOnlyDirectory.open(ROOT, files=disk.files, boot_id="second") as beside:
        assert beside.topics() == {} or read_all(beside.partition("t", 0))[:1] == [b"a" * 50]


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(DirectoryAccessError, match="there is no log here"):
        ReadOnlyDirectory.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_is_refused(disk: Disk) -> None:
    disk.open()
    path = f"{ROOT}/meta.properties"
    disk.overwrite(path, 0, read_file(disk.files, path).replace(b"format=1", b"format=2"))
    with pytest.raises(FormatVersionError):
        ReadOnlyDirectory.open(ROOT, files=disk.files)


def test_another_process_reads_while_the_owner_lives(tmp_path: Path) -> None:
    program = (
        "import sys; from streamlog.storage import ReadOnlyDirectory\n"
        "log = ReadOnlyDirectory.open(sys.argv[1]).partition('t', 0)\n"
        "for line in sys.stdin:\n"
        "    log.refresh(); print(log.high_watermark, flush=True)"
    )
    with LogDirectory.open(tmp_path) as directory:
        directory.create_topic("t")
        reader = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        for count in range(1, 4):
            append(directory.partition("t", 0), b"x")
            directory.flusher.wait_durable()
            reader.stdin.write("look\n")
            reader.stdin.flush()
            assert int(reader.stdout.readline()) == count
        reader.communicate()
