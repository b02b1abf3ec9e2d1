"""Topics that are altered, deleted and created again, with what a crash leaves of that."""

from __future__ import annotations

import errno
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import (
    CorruptLogError,
    InvalidConfigError,
    InvalidPartitionsError,
    StorageError,
    TopicDeletedError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.record import ControlType
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary
from streamlog.topic import ConfigEntry, TopicPartition

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Disk

T0 = TopicPartition("t", 0)


def directories(disk: Disk) -> list[str]:
    return [name for name in disk.files.listdir(ROOT) if name.startswith("t-")]


def step(disk: Disk, ms: int) -> None:
    disk.directories[-1].housekeeper.step(disk.clock.advance(ms))


def test_partitions_are_added_durably(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    directory = disk.directories[-1]
    with pytest.raises(UnknownPartitionError):
        directory.partition("t", 2)
    assert directory.alter_topic("t", partitions=3).partitions == 3
    append(directory.partition("t", 2), b"c")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    directory = disk.open()
    assert directory.topic("t").partitions == 3
    assert read_all(directory.partition("t", 2)) == [b"c"]
    assert read_all(directory.partition("t", 0)) == [b"a"]


def test_partitions_are_not_taken_away(disk: Disk) -> None:
    directory = disk.open()
    created = directory.create_topic("t", 3)
    with pytest.raises(InvalidPartitionsError, match="it has 3"):
        directory.alter_topic("t", partitions=2)
    with pytest.raises(UnknownTopicError):
        directory.alter_topic("u", partitions=2)
    assert directory.alter_topic("t", partitions=3) == created


def test_a_configuration_is_changed_while_the_log_runs(disk: Disk) -> None:
    log = disk.partition(segment_bytes="1000")
    directory = disk.directories[-1]
    altered = directory.alter_topic("t", config={"segment.bytes": "100", "retention.ms": "5"})
    assert altered.config == {"segment.bytes": "100", "retention.ms": "5"}
    for _ in range(3):
        append(log, b"x" * 60)
    assert len(log.view().segments) == 3
    assert directory.alter_topic("t", config={"segment.bytes": None}).config == {
        "retention.ms": "5"
    }
    assert log.config.segment_bytes == 1 << 30
    entries = disk.reopen().topic_config("t")
    assert entries["retention.ms"] == ConfigEntry(value="5", source="topic")
    assert entries["segment.bytes"].source == "default"


def test_a_wrong_change_changes_nothing(disk: Disk) -> None:
    log = disk.partition(retention_ms="7")
    directory = disk.directories[-1]
    with pytest.raises(InvalidConfigError, match="did you mean"):
        directory.alter_topic("t", partitions=5, config={"retention.mz": "1"})
    with pytest.raises(InvalidConfigError, match="did you mean"):
        directory.alter_config({"log.retention.mz": "1"})
    assert (directory.topic("t").partitions, log.config.retention_ms) == (1, 7)
    assert directory.config()["log.retention.ms"].source == "default"


def test_the_logs_configuration_is_the_default_of_all_topics(disk: Disk) -> None:
    log = disk.partition()
    directory = disk.directories[-1]
    directory.create_topic("own", 1, {"retention.ms": "3"})
    directory.alter_config({"log.retention.hours": "1", "log.segment.bytes": "5000"})
    assert (log.config.retention_ms, log.config.segment_bytes) == (3_600_000, 5000)
    assert directory.partition("own", 0).config.retention_ms == 3
    directory = disk.reopen()
    log = disk.partition()
    assert (log.config.retention_ms, log.config.segment_bytes) == (3_600_000, 5000)
    assert directory.topic_config("t")["retention.ms"].source == "log"
    directory.alter_config({"log.retention.hours": None})
    assert log.config.retention_ms == 7 * 24 * 3_600_000


def test_a_default_that_contradicts_a_topic_is_refused(disk: Disk) -> None:
    disk.open().create_topic("t", 1, {"max.compaction.lag.ms": "10"})
    with pytest.raises(InvalidConfigError, match=r"topic 't'.*is more than"):
        disk.directories[-1].alter_config({"log.cleaner.min.compaction.lag.ms": "11"})
    assert disk.directories[-1].log_config.topic_defaults.min_compaction_lag_ms == 0


def test_a_topic_is_deleted_and_its_files_a_little_later(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    disk.flush()
    directory = disk.directories[-1]
    directory.delete_topic("t")
    assert directory.topics() == {}
    for attempt in (
        lambda: append(log, b"b"),
        lambda: log.read(0, 10),
        lambda: log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0),
    ):
        with pytest.raises(TopicDeletedError, match="'t' was deleted"):
            attempt()
    with pytest.raises(UnknownTopicError):
        directory.partition("t", 0)
    (left,) = directories(disk)
    assert left.startswith("t-0.")
    assert left.endswith("-delete")
    step(disk, 60_000)
    assert directories(disk) == []


def test_a_topic_of_the_same_name_is_another(disk: Disk) -> None:
    log = disk.partition(segment_bytes="100")
    append(log, b"old" * 20, producer_id=1, producer_epoch=9, base_sequence=0)
    for _ in range(5):
        append(log, b"old" * 20)
        disk.flush()
    first = disk.directories[-1].topic("t").topic_id
    disk.directories[-1].delete_records({T0: 2})
    disk.directories[-1].delete_topic("t")
    log = disk.partition()
    assert disk.directories[-1].topic("t").topic_id != first
    assert (log.log_start_offset, log.log_end_offset) == (0, 0)
    append(log, b"new", producer_id=1, producer_epoch=0, base_sequence=5)
    disk.flush()
    for reopen in (disk.reopen, lambda: (disk.crash(Adversary.NOTHING), disk.open())[1]):
        assert read_all(reopen().partition("t", 0)) == [b"new"]


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_a_deleted_topic_does_not_come_back(disk: Disk, durability: str) -> None:
    disk.open(durability=durability)
    for name in ("t", "u"):
        append(disk.partition(name), b"a")
    disk.flush()
    disk.directories[-1].delete_topic("t")
    append(disk.partition("u"), b"b")
    directory = disk.reopen(durability=durability)
    assert list(directory.topics()) == ["u"]
    assert directory.strays == []
    assert read_all(directory.partition("u", 0)) == [b"a", b"b"]
    step(disk, 0)
    assert directories(disk) == []


def test_what_a_crash_leaves_of_a_deletion_is_removed_at_the_next_opening(disk: Disk) -> None:
    append(disk.partition(), b"a")
    disk.flush()
    disk.directories[-1].delete_topic("t")
    disk.crash(Adversary.ALL)
    directory = disk.open()
    step(disk, 0)
    assert directories(disk) == []
    assert directory.strays == []


@pytest.mark.parametrize("kind", ["rename", "sync_directory"])
@pytest.mark.parametrize("after", range(4))
def test_a_topic_after_a_deletion_that_failed_halfway_has_nothing_of_the_old_one(
    disk: Disk, kind: str, after: int
) -> None:
    log = disk.partition(segment_bytes="100")
    for _ in range(3):
        append(log, b"old" * 20)
        disk.flush()
    directory = disk.directories[-1]
    directory.delete_records({T0: 2})
    told: list[str] = []
    directory.add_topic_listener(told.append)
    disk.files.fail(kind, after=after, error=errno.ENOSPC)
    with pytest.raises(StorageError, match="no space left"):
        directory.delete_topic("t")
    assert told == ["t"]
    with pytest.raises(TopicDeletedError):
        append(log, b"old")
    log = disk.partition()
    assert (log.log_start_offset, log.log_end_offset) == (0, 0)
    append(log, b"new")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    directory = disk.open()
    assert read_all(directory.partition("t", 0)) == [b"new"]
    step(disk, 60_000)
    assert directories(disk) == ["t-0"]


def test_a_long_name_has_room_for_its_end(disk: Disk) -> None:
    name = "t" * 249
    append(disk.partition(name), b"a")
    disk.flush()
    disk.directories[-1].delete_topic(name)
    assert [len(each) for each in disk.files.listdir(ROOT) if each.endswith("-delete")] == [255]


def test_a_directory_that_no_topic_has_is_named_and_left_alone(disk: Disk) -> None:
    disk.open()
    disk.files.makedirs(f"{ROOT}/foreign-7")
    disk.files.makedirs(f"{ROOT}/no partition")
    directory = disk.reopen()
    assert directory.strays == [f"{ROOT}/foreign-7"]
    directory.create_topic("foreign", 7)
    with pytest.raises(StorageError, match="foreign-7: is there already; remove it"):
        directory.alter_topic("foreign", partitions=8)
    disk.files.makedirs(f"{ROOT}/more-0")
    with pytest.raises(StorageError, match="more-0: is there already"):
        directory.create_topic("more", 1)


def test_the_sizes_of_all_partitions_are_known(disk: Disk) -> None:
    log = disk.partition("t", 1)
    append(log, b"x" * 100)
    disk.flush()
    size = log.size_bytes
    assert disk.directories[-1].sizes() == {TopicPartition("t", 1): size}
    directory = disk.reopen()
    assert directory.sizes() == {TopicPartition("t", 1): size}
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        assert beside.sizes() == {TopicPartition("t", 1): size}


def test_a_reader_beside_the_owner_sees_topics_change(disk: Disk) -> None:
    append(disk.partition(), b"old")
    disk.flush()
    directory = disk.directories[-1]
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        assert read_all(reader) == [b"old"]
        directory.alter_topic("t", partitions=2, config={"retention.ms": "5"})
        directory.alter_config({"log.retention.bytes": "7"})
        beside.refresh()
        assert beside.topic("t").partitions == 2
        assert beside.topic_config("t")["retention.ms"].value == "5"
        assert beside.config()["log.retention.bytes"].value == "7"
        directory.delete_topic("t")
        append(disk.partition(), b"new")
        disk.flush()
        beside.refresh()
        with pytest.raises(TopicDeletedError):
            reader.read(0, 10)
        assert read_all(beside.partition("t", 0)) == [b"new"]


def test_a_reader_that_does_not_look_meets_the_deletion_too(disk: Disk) -> None:
    log = disk.partition(segment_bytes="100")
    for _ in range(3):
        append(log, b"x" * 60)
        disk.flush()
    disk.flush()
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        disk.directories[-1].delete_topic("t")
        with pytest.raises(TopicDeletedError):
            reader.read(0, 10)


def test_a_damaged_log_keeps_no_other_from_being_retained(disk: Disk) -> None:
    for name in ("t", "u"):
        log = disk.partition(name, segment_bytes="100", retention_ms="1")
        for _ in range(3):
            append(log, b"x" * 60, timestamp=5000)
            disk.flush()
    disk.directories.pop().close()
    disk.files.unlink(disk.path("00000000000000000001.log"))
    disk.files.unlink(disk.path("00000000000000000002.log"))
    directory = disk.open()
    step(disk, 400_000)
    assert directory.partition("u", 0).log_start_offset == 2
    with pytest.raises(CorruptLogError):
        directory.partition("t", 0)


def test_a_log_whose_age_cannot_be_told_keeps_no_other_from_being_retained(disk: Disk) -> None:
    for name in ("t", "u"):
        log = disk.partition(name, segment_bytes="100", retention_ms="1")
        for _ in range(3):
            append(log, b"x" * 60, timestamp=5000)
            disk.flush()
    directory = disk.reopen()
    disk.overwrite(disk.path("00000000000000000000.log"), 16, b"\xff")
    disk.files.unlink(disk.path("00000000000000000000.timeindex"))
    logs = [directory.partition(name, 0) for name in ("t", "u")]
    step(disk, 400_000)
    assert [log.log_start_offset for log in logs] == [0, 2]


def test_an_opening_waits_for_a_closing_in_another_thread(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(5):
                LogDirectory.open(tmp_path, durability="os").close()
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
