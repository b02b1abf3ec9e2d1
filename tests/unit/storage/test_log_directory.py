"""The directory: topics, one owner, failures of the disk, clean and unclean stops."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from streamlog.errors import (
    CorruptLogError,
    DirectoryAccessError,
    DirectoryLockedError,
    DiskFullError,
    FormatVersionError,
    InvalidConfigError,
    LogClosedError,
    PartitionCountError,
    StorageError,
    SyncFailedError,
    TopicExistsError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.files import read_file
from streamlog.record import ControlType
from streamlog.storage import LogDirectory
from streamlog.testing import Adversary

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Disk


# Topics


def test_a_topic_keeps_its_id_and_configuration(disk: Disk) -> None:
    created = disk.open().create_topic("bids", 4, {"segment.bytes": "1000"})
    assert isinstance(created.topic_id, UUID)
    for _ in range(2):
        directory = disk.reopen()
        assert directory.topics() == {"bids": created}
        assert directory.partition("bids", 3).config.segment_bytes == 1000


def test_a_topic_that_was_created_is_there_after_a_crash(disk: Disk) -> None:
    created = disk.open().create_topic("bids", 2)
    disk.crash(Adversary.NOTHING)
    assert disk.open().topic("bids") == created


def test_a_topic_that_exists_is_refused_or_compared(disk: Disk) -> None:
    directory = disk.open()
    created = directory.create_topic("bids", 4)
    with pytest.raises(TopicExistsError):
        directory.create_topic("bids", 4)
    assert directory.create_topic("bids", 4, exist_ok=True) == created
    with pytest.raises(PartitionCountError, match="has 4 partitions, but 8 are asked for"):
        directory.create_topic("bids", 8, exist_ok=True)


def test_an_unknown_topic_or_partition_is_named_with_the_near_miss(disk: Disk) -> None:
    directory = disk.open()
    directory.create_topic("bids", 4)
    with pytest.raises(UnknownTopicError, match="did you mean 'bids'"):
        directory.partition("bid", 0)
    with pytest.raises(UnknownPartitionError, match="has partitions 0 to 3, not 4"):
        directory.partition("bids", 4)


def test_a_topic_with_a_wrong_configuration_is_not_created(disk: Disk) -> None:
    with pytest.raises(InvalidConfigError, match=r"cleanup\.policy"):
        disk.open().create_topic("bids", 4, {"cleanup.policy": "compress"})
    assert disk.directories[-1].topics() == {}


def test_a_number_of_partitions_is_a_whole_one(disk: Disk) -> None:
    directory = disk.open()
    for wrong in (4.0, "4", None):
        with pytest.raises(TypeError):
            directory.create_topic("bids", wrong)  # type: ignore[arg-type]
    assert directory.topics() == {}


def test_the_directory_of_a_partition_is_made_at_its_first_write(disk: Disk) -> None:
    log = disk.partition(partition=1)
    assert "t-1" not in disk.files.listdir(ROOT)
    append(log, b"x")
    assert disk.files.listdir(disk.path("", partition=1)) == [
        "00000000000000000000.log",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ]


def test_producer_ids_are_never_given_out_twice(disk: Disk) -> None:
    directory = disk.open()
    first = [directory.next_producer_id() for _ in range(3)]
    disk.crash(Adversary.NOTHING)
    second = [disk.open().next_producer_id() for _ in range(1)]
    third = [disk.reopen().next_producer_id()]
    assert len({*first, *second, *third}) == 5


# One owner


def test_a_second_process_is_told_who_owns_the_directory(tmp_path: Path) -> None:
    program = (
        "import sys; from streamlog.storage import LogDirectory\n"
        "directory = LogDirectory.open(sys.argv[1])\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(DirectoryLockedError, match=f"process {owner.pid}") as caught:
            LogDirectory.open(tmp_path)
        assert caught.value.pid == owner.pid
    finally:
        owner.kill()
        owner.communicate()
    LogDirectory.open(tmp_path).close()  # the lock ended with its process


def test_the_same_directory_is_shared_within_a_process(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "log")
    first = LogDirectory.open(tmp_path / "log")
    second = LogDirectory.open(tmp_path / "link")
    assert first is second
    first.create_topic("t")
    first.close()
    append(second.partition("t", 0), b"x")
    second.close()
    second.close()
    with pytest.raises(LogClosedError):
        second.partition("t", 0)


def test_a_shared_directory_has_one_durability(tmp_path: Path) -> None:
    with (
        LogDirectory.open(tmp_path),
        pytest.raises(ValueError, match="open in this process with durability='fsync'"),
    ):
        LogDirectory.open(tmp_path, durability="os")


def test_a_newer_format_is_refused_and_says_what_wrote_it(disk: Disk) -> None:
    disk.open()
    disk.directories.pop().close()
    path = f"{ROOT}/meta.properties"
    content = read_file(disk.files, path).replace(b"format=1", b"format=7")
    content = content.replace(b"streamlog.version=", b"streamlog.version=99.0+")
    disk.overwrite(path, 0, content)
    with pytest.raises(FormatVersionError, match=r"format 7 was written by streamlog 99\.0"):
        disk.open()


def test_kafkas_own_directory_is_not_taken_for_one_of_ours(disk: Disk) -> None:
    disk.files.makedirs(ROOT)
    disk.files.open(f"{ROOT}/meta.properties", "create").pwrite(b"version=1\nnode.id=1\n", 0)
    with pytest.raises(StorageError, match="not a streamlog directory"):
        disk.open()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(errno.EROFS, "Mount it to be written"), (errno.EACCES, "the right to read and write it")],
)
def test_a_directory_that_cannot_be_written_is_refused(disk: Disk, error: int, remedy: str) -> None:
    disk.files.fail("create", error=error)
    with pytest.raises(DirectoryAccessError, match=f"cannot open the log here: .*{remedy}"):
        disk.open()
    disk.open()  # nothing is left locked


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a directory")
    with pytest.raises(DirectoryAccessError, match="is a file: use another directory"):
        LogDirectory.open(path)


def test_a_damaged_checkpoint_is_corrupt(disk: Disk) -> None:
    disk.open()
    disk.directories.pop().close()
    disk.overwrite(f"{ROOT}/recovery-point-offset-checkpoint", 0, b"7")
    with pytest.raises(CorruptLogError, match="a damaged checkpoint"):
        disk.open()


# A disk that fails


def test_a_full_disk_ends_writing_by_name_and_loses_nothing_acknowledged(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"acknowledged")
    disk.flush()
    disk.files.fail("write", error=errno.ENOSPC)
    with pytest.raises(DiskFullError, match="Free some space"):
        append(log, b"no room")
    with pytest.raises(DiskFullError):
        append(log, b"nor later")
    with pytest.raises(DiskFullError):
        disk.flush()
    assert read_all(log) == [b"acknowledged"]
    disk.directories.pop().close()
    disk.open()
    log = disk.partition()
    assert read_all(log) == [b"acknowledged"]
    assert append(log, b"room again") == (1, 1, False)


def test_a_preallocation_that_does_not_fit_is_no_failure(disk: Disk) -> None:
    log = disk.partition()
    used = sum(disk.files.size(f"{ROOT}/{name}") for name in disk.files.listdir(ROOT))
    disk.files.capacity_bytes = used + 70_000
    append(log, b"fits")
    disk.flush()
    assert read_all(log) == [b"fits"]


def test_a_sync_that_fails_ends_writing_until_the_log_is_reopened(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"acknowledged")
    disk.flush()
    append(log, b"unknown")
    disk.files.fail("datasync")
    with pytest.raises(SyncFailedError, match="fsync failed"):
        disk.flush()
    assert log.high_watermark == 1
    with pytest.raises(SyncFailedError):
        append(log, b"refused")
    with pytest.raises(SyncFailedError):
        disk.flush()
    assert read_all(log) == [b"acknowledged"]
    disk.directories.pop().close()
    disk.crash(Adversary.NOTHING)
    assert read_all(disk.partition()) == [b"acknowledged"]


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_what_a_failed_sync_left_in_memory_is_written_again_when_the_log_is_reopened(
    disk: Disk, durability: str
) -> None:
    """The system takes its pages for clean, so that another sync alone would not write them."""
    directory = disk.open(durability=durability)
    append(disk.partition(segment_bytes="300"), b"acknowledged" * 10)
    disk.flush()
    for _ in range(3):
        append(disk.partition(), b"unknown" * 20)
    disk.files.fail("datasync", after=1)
    with pytest.raises(SyncFailedError):
        directory.sync()
    disk.directories.pop().close()
    directory = disk.open(durability=durability)
    append(disk.partition(), b"acknowledged too")
    directory.sync()
    expected = read_all(disk.partition())
    assert expected[::4] == [b"acknowledged" * 10, b"acknowledged too"]
    disk.crash(Adversary.NOTHING)
    disk.open(durability=durability, boot_id="second")
    assert read_all(disk.partition()) == expected


@pytest.mark.parametrize(
    ("error", "remedy"), [(errno.EIO, "Check the disk"), (errno.EMFILE, r"\(ulimit -n\)")]
)
def test_a_write_that_fails_says_what_to_do(disk: Disk, error: int, remedy: str) -> None:
    log = disk.partition()
    disk.files.fail("create", error=error)
    with pytest.raises(StorageError, match=f"{remedy}, then close the log and open it again"):
        append(log, b"x")


def test_a_sync_of_the_folder_that_fails_counts_as_well(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"in a new directory")
    disk.files.fail("sync_directory")
    with pytest.raises(SyncFailedError):
        disk.flush()
    assert log.high_watermark == 0


def test_a_disk_that_is_full_when_a_window_is_published_is_named(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"x")
    disk.files.fail("write", error=errno.ENOSPC)
    with pytest.raises(DiskFullError):
        disk.flush()
    disk.crash(Adversary.NOTHING)
    assert read_all(disk.partition()) == [b"x"]  # it was durable; nobody was told


def test_small_files_of_a_partition_are_whole_after_a_stop(disk: Disk) -> None:
    append(disk.partition(), b"x")
    disk.directories.pop().close()
    disk.crash(Adversary.NOTHING)
    assert read_file(disk.files, disk.path("leader-epoch-checkpoint")) == b"0\n1\n0 0\n"
    assert read_file(disk.files, disk.path("partition.metadata")).startswith(b"version: 0\ntopic_")


def test_a_failure_while_the_log_stops_is_raised_and_leaves_no_marker(disk: Disk) -> None:
    append(disk.partition(), b"x")
    disk.files.fail("datasync")
    with pytest.raises(SyncFailedError):
        disk.directories.pop().close()
    assert ".kafka_cleanshutdown" not in disk.files.listdir(ROOT)
    disk.open()


# Stopping and what is known of it


def test_a_clean_stop_leaves_a_marker_that_goes_at_the_next_open(disk: Disk) -> None:
    append(disk.partition(), b"x")
    disk.directories.pop().close()
    assert ".kafka_cleanshutdown" in disk.files.listdir(ROOT)
    checkpoint = read_file(disk.files, f"{ROOT}/recovery-point-offset-checkpoint")
    assert checkpoint == b"0\n2\n__streamlog_metadata 0 1\nt 0 1\n"
    assert read_file(disk.files, f"{ROOT}/replication-offset-checkpoint") == checkpoint
    disk.open()
    assert ".kafka_cleanshutdown" not in disk.files.listdir(ROOT)


def test_what_no_window_has_taken_is_durable_after_a_clean_stop(disk: Disk) -> None:
    append(disk.partition(), b"x")
    disk.directories.pop().close()
    disk.crash(Adversary.NOTHING)
    assert read_all(disk.partition()) == [b"x"]


def test_a_log_that_is_closed_while_the_interpreter_ends_stops_cleanly(tmp_path: Path) -> None:
    program = (
        "import atexit, sys; from streamlog.storage import LogDirectory\n"
        "from streamlog.record import encode_batch\n"
        "directory = LogDirectory.open(sys.argv[1])\n"
        "directory.create_topic('t', 6)\n"
        "atexit.register(directory.close)\n"
        "logs = [directory.partition('t', number) for number in range(6)]\n"
        "for log in logs: log.append(encode_batch([None], [b'x'], [0]), now_ms=0)\n"
        "directory.flusher.wait_durable()\n"
        "for log in logs: log.append(encode_batch([None], [b'y'], [0]), now_ms=0)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / ".kafka_cleanshutdown").exists()
    with LogDirectory.open(tmp_path) as directory:
        for number in range(6):
            assert read_all(directory.partition("t", number)) == [b"x", b"y"]


def test_open_transactions_are_known_without_loading_every_partition(disk: Disk) -> None:
    disk.partition("quiet")
    append(disk.partition("quiet"), b"x")
    log = disk.partition("busy")
    append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
    directory = disk.reopen()
    assert directory.open_transactions() == {("busy", 0): {1: (0, 0)}}
    assert not any(p.topic == "quiet" for p in directory._partitions.logs())
    directory = disk.reopen()  # still known, though the partition was never touched
    disk.partition("busy").append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
    assert disk.reopen().open_transactions() == {}


def test_a_clean_open_that_finds_other_files_than_it_left_recovers(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    disk.directories.pop().close()
    file = disk.files.open(disk.path("00000000000000000000.log"), "write")
    file.truncate(file.size() + 100)
    disk.open()
    assert read_all(disk.partition()) == [b"a"]


# durability="os"


def test_without_fsync_nothing_is_synced_before_the_stop(disk: Disk) -> None:
    disk.open(durability="os")
    log = disk.partition()
    before = len(disk.files.operations)
    append(log, b"x")
    disk.flush()
    assert log.high_watermark == 1
    kinds = {operation.kind for operation in disk.files.operations[before:]}
    assert not kinds & {"datasync", "sync_directory"}
    disk.directories.pop().close()
    disk.crash(Adversary.NOTHING)
    assert read_all(disk.partition()) == [b"x"]


def test_without_fsync_the_log_can_be_synced_by_name(disk: Disk) -> None:
    directory = disk.open(durability="os")
    append(disk.partition(), b"x")
    directory.sync()
    append(disk.partition(), b"y")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    disk.open(durability="os")
    assert read_all(disk.partition()) == [b"x"]


def test_without_fsync_the_death_of_the_process_loses_nothing(disk: Disk) -> None:
    disk.open(durability="os")
    append(disk.partition(), b"x")
    disk.flush()
    disk.crash(Adversary.ALL)
    directory = disk.open(durability="os")
    assert not directory.unclean_boot
    assert read_all(disk.partition()) == [b"x"]


def test_without_fsync_an_unclean_boot_is_told_until_a_clean_stop(disk: Disk) -> None:
    disk.open(durability="os")
    disk.partition()
    disk.directories[-1].sync()
    append(disk.partition(), b"x")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    assert disk.open(durability="os", boot_id="second").unclean_boot
    disk.crash(Adversary.ALL)  # before whoever cares has acted on it
    assert disk.open(durability="os", boot_id="second").unclean_boot
    assert not disk.reopen(durability="os", boot_id="second").unclean_boot


def test_without_fsync_a_machine_that_does_not_tell_its_boots_apart_may_have_lost_data(
    disk: Disk,
) -> None:
    disk.open(durability="os", boot_id="")
    append(disk.partition(), b"x")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    assert disk.open(durability="os", boot_id="").unclean_boot


def test_with_fsync_no_boot_is_unclean(disk: Disk) -> None:
    append(disk.partition(), b"x")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    assert not disk.open(boot_id="second").unclean_boot
