"""What of a log goes, and when; by hand, on a disk in memory."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import OffsetOutOfRangeError, PolicyViolationError, StorageError
from streamlog.record import ControlType
from streamlog.storage import ReadOnlyDirectory
from streamlog.storage.retention import choose_deletable
from streamlog.storage.topic_config import TopicConfig
from streamlog.testing import Adversary
from streamlog.topic import TopicPartition

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from streamlog.storage import PartitionLog

    from .conftest import Disk

HOUR_MS = 3_600_000
T0 = TopicPartition("t", 0)


@dataclass
class Piece:
    """A segment as the choice sees it."""

    base_offset: int
    size_bytes: int
    newest: int

    def max_timestamp(self) -> int:
        return self.newest


PIECES = [Piece(0, 100, 10), Piece(10, 100, 50), Piece(20, 100, 30), Piece(30, 100, 90)]


def choose(now_ms: int = 100, start: int = 0, stable: int = 40, **config: object) -> int:
    return choose_deletable(
        PIECES,
        TopicConfig(**({"retention_ms": -1} | config)),  # type: ignore[arg-type]
        log_start_offset=start,
        stable_offset=stable,
        now_ms=now_ms,
    )


def test_segments_go_by_time_as_a_prefix() -> None:
    assert choose(retention_ms=90) == 0  # exactly as old as allowed
    assert choose(retention_ms=89) == 1
    assert choose(retention_ms=60) == 1  # the second is younger than the third
    assert choose(retention_ms=49) == 3
    assert choose(retention_ms=0) == 3  # the active one stays
    assert choose(retention_ms=-1) == 0


def test_segments_go_by_size_as_long_as_enough_is_left() -> None:
    assert choose(retention_bytes=400) == 0
    assert choose(retention_bytes=301) == 0
    assert choose(retention_bytes=300) == 1
    assert choose(retention_bytes=0) == 3
    assert choose(retention_bytes=-1) == 0


def test_segments_below_the_log_start_go_whatever_the_policy() -> None:
    compacted = frozenset({"compact"})
    assert choose(start=9, cleanup_policy=compacted) == 0
    assert choose(start=10, cleanup_policy=compacted) == 1
    assert choose(start=35, cleanup_policy=compacted) == 3
    assert choose(retention_ms=0, retention_bytes=0, cleanup_policy=compacted) == 0


def test_nothing_that_reaches_the_stable_offset_goes() -> None:
    assert choose(retention_ms=0, stable=29) == 2
    assert choose(retention_bytes=0, stable=9) == 0
    assert choose(start=40, stable=10) == 1


def test_a_segment_without_timestamps_goes_with_the_next() -> None:
    pieces = [Piece(0, 1, -1), Piece(1, 1, 5), Piece(2, 1, -1), Piece(3, 1, 99), Piece(4, 1, 99)]
    config = TopicConfig(retention_ms=10)
    found = choose_deletable(pieces, config, log_start_offset=0, stable_offset=5, now_ms=100)
    assert found == 2


# On a disk


def fill(disk: Disk, count: int = 10, **config: str) -> PartitionLog:
    """One record a segment, all of them durable."""
    log = disk.partition(segment_bytes="100", **config)
    for number in range(count):
        append(log, b"%02d" % number + b"." * 60, timestamp=5000)
        disk.flush()
    disk.flush()
    return log


def step(disk: Disk, ms: int = HOUR_MS) -> None:
    disk.directories[-1].housekeeper.step(disk.clock.advance(ms))


def log_files(disk: Disk) -> list[str]:
    names = disk.files.listdir(f"{ROOT}/t-0")
    return [name for name in names if ".log" in name]


def test_old_segments_go_with_the_next_check_and_their_files_a_little_later(disk: Disk) -> None:
    log = fill(disk, retention_ms="1000")
    step(disk)
    assert log.log_start_offset == 9
    assert read_all(log, 9) == [b"09" + b"." * 60]
    with pytest.raises(OffsetOutOfRangeError, match=r"outside \[9, 10\]"):
        log.read(8, 100)
    assert sum(name.endswith(".deleted") for name in log_files(disk)) == 9
    step(disk, 59_999)
    assert len(log_files(disk)) == 10
    step(disk, 1)
    assert log_files(disk) == ["00000000000000000009.log"]


def test_retention_survives_a_clean_stop_and_a_crash(disk: Disk) -> None:
    fill(disk, retention_ms="1000")
    step(disk)
    log = disk.reopen().partition("t", 0)
    assert (log.log_start_offset, log.log_end_offset) == (9, 10)
    assert log_files(disk) == ["00000000000000000009.log"]  # a stop does not wait for the delay
    append(log, b"next" * 15, timestamp=5000)
    disk.flush()
    step(disk)
    disk.crash(Adversary.NOTHING)
    log = disk.open().partition("t", 0)
    assert (log.log_start_offset, log.log_end_offset) == (10, 11)
    assert read_all(log, 10) == [b"next" * 15]


def test_logs_that_nobody_asked_for_are_retained_too(disk: Disk) -> None:
    fill(disk, retention_bytes="150")
    directory = disk.reopen()
    directory.create_topic("other", 1)
    append(directory.partition("other", 0), b"x", timestamp=5000)
    disk.flush()
    step(disk)
    assert directory.partition("t", 0).log_start_offset == 8


def test_the_active_segment_stays_while_it_has_records_to_read(disk: Disk) -> None:
    log = disk.partition(retention_ms="1", retention_bytes="0")
    append(log, b"a", timestamp=5000)
    disk.flush()
    step(disk)
    step(disk)
    assert read_all(log) == [b"a"]


def test_nothing_of_an_open_transaction_goes(disk: Disk) -> None:
    log = disk.partition(segment_bytes="100", retention_ms="1")
    append(log, b"a" * 60, timestamp=5000)
    append(
        log, b"b" * 60, timestamp=5000, producer_id=7, producer_epoch=0, base_sequence=0,
        transactional=True,
    )  # fmt: skip
    for _ in range(3):
        append(log, b"c" * 60, timestamp=5000)
        disk.flush()
    step(disk)
    assert log.log_start_offset == 1
    log.append_control(ControlType.ABORT, 7, 0, 0, now_ms=5000)
    disk.flush()
    append(log, b"d" * 60, timestamp=disk.clock.now_ms() + 2 * HOUR_MS)
    disk.flush()
    step(disk)
    assert log.log_start_offset == 6


def test_records_are_deleted_up_to_an_offset_durably(disk: Disk) -> None:
    log = fill(disk, retention_ms="-1")
    directory = disk.directories[-1]
    assert directory.delete_records({T0: 4}) == {T0: 4}
    assert directory.delete_records({T0: 2}) == {T0: 4}
    assert [value[:2] for value in read_all(log, 4)] == [b"04", b"05", b"06", b"07", b"08", b"09"]
    assert len(log_files(disk)) == 10
    disk.crash(Adversary.NOTHING)
    log = disk.open().partition("t", 0)
    assert log.log_start_offset == 4
    step(disk)
    step(disk)
    assert log_files(disk)[0] == "00000000000000000004.log"


def test_a_deletion_that_did_not_reach_the_disk_is_not_acknowledged_the_second_time_either(
    disk: Disk,
) -> None:
    log = fill(disk, retention_ms="-1")
    directory = disk.directories[-1]
    disk.files.fail("write", error=errno.ENOSPC)
    with pytest.raises(StorageError, match="no space left"):
        directory.delete_records({T0: 4})
    assert log.log_start_offset == 0
    assert directory.delete_records({T0: 4}) == {T0: 4}
    disk.crash(Adversary.NOTHING)
    assert disk.open().partition("t", 0).log_start_offset == 4


def test_records_are_deleted_up_to_the_high_watermark_and_the_space_is_free(disk: Disk) -> None:
    log = fill(disk, 3, retention_ms="-1")
    append(log, b"not durable")
    assert disk.directories[-1].delete_records({T0: -1}) == {T0: 3}
    disk.flush()
    assert disk.directories[-1].delete_records({T0: -1}) == {T0: 4}
    step(disk)  # ends the segment
    disk.flush()
    step(disk)
    step(disk)
    assert log.size_bytes == 0
    append(log, b"next", timestamp=5000)
    disk.flush()
    assert read_all(log, 4) == [b"next"]
    log = disk.reopen().partition("t", 0)
    assert (log.log_start_offset, read_all(log, 4)) == (4, [b"next"])


@pytest.mark.parametrize("adversary", [Adversary.NOTHING, Adversary.ALL])
def test_a_log_of_which_all_is_deleted_keeps_its_end_and_its_producers(
    disk: Disk, adversary: Adversary
) -> None:
    log = disk.partition(retention_ms="-1")
    fields = {"producer_id": 7, "producer_epoch": 2}
    append(log, b"a", timestamp=5000, base_sequence=0, **fields)
    disk.flush()
    disk.directories[-1].delete_records({T0: -1})
    for _ in range(3):
        step(disk)
        disk.flush()
    assert log.size_bytes == 0
    disk.crash(adversary)
    log = disk.open().partition("t", 0)
    assert (log.log_start_offset, log.log_end_offset) == (1, 1)
    again = append(log, b"a", timestamp=5000, base_sequence=0, **fields)
    assert again == (0, 0, True)
    assert append(log, b"b", timestamp=5000, base_sequence=1, **fields)[0] == 1


def test_what_cannot_be_deleted_is_refused_and_nothing_is(disk: Disk) -> None:
    log = fill(disk, 3)
    directory = disk.directories[-1]
    for wrong in (4, -2):
        with pytest.raises(OffsetOutOfRangeError):
            directory.delete_records({T0: wrong})
    directory.create_topic("compacted", 1, {"cleanup.policy": "compact"})
    with pytest.raises(PolicyViolationError, match="compact"):
        directory.delete_records({T0: 1, TopicPartition("compacted", 0): 0})
    assert log.log_start_offset == 0


def test_a_configuration_that_changes_counts_from_the_next_check_on(disk: Disk) -> None:
    log = fill(disk)
    directory = disk.directories[-1]
    step(disk)
    assert log.log_start_offset == 0
    directory.alter_config({"log.retention.ms": "1000"})
    directory.alter_topic("t", config={"retention.ms": "-1"})
    step(disk)
    assert log.log_start_offset == 0
    directory.alter_topic("t", config={"retention.ms": None})
    step(disk)
    assert log.log_start_offset == 9


def test_how_often_retention_looks_is_configured_too(disk: Disk) -> None:
    log = fill(disk, retention_ms="1000")
    step(disk)
    disk.directories[-1].alter_config({"log.retention.check.interval.ms": "10"})
    append(log, b"x" * 60, timestamp=5000)
    disk.flush()
    step(disk, 10)
    assert log.log_start_offset == 10


def test_a_reader_beside_the_owner_meets_deletion(disk: Disk) -> None:
    fill(disk, retention_ms="1000")
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        reader = beside.partition("t", 0)
        assert reader.read(3, 10).next_offset == 4
        step(disk)
        assert reader.read(3, 10).next_offset == 4  # it has the file open
        with pytest.raises(OffsetOutOfRangeError):
            reader.read(5, 10)
        beside.refresh()
        assert reader.log_start_offset == 9
        with pytest.raises(OffsetOutOfRangeError):
            reader.read(3, 10)
        assert [value[:2] for value in read_all(reader, 9)] == [b"09"]
        log = disk.directories[-1].partition("t", 0)
        for _ in range(5):
            append(log, b"y" * 60, timestamp=disk.clock.now_ms())
            disk.flush()
        disk.directories[-1].delete_records({T0: 13})
        step(disk, 400_000)
        step(disk, 400_000)
        beside.refresh()
        assert (reader.log_start_offset, reader.high_watermark) == (14, 15)


# Producers


def test_a_producer_is_forgotten_when_it_was_silent_for_too_long(disk: Disk) -> None:
    log = disk.partition()
    disk.directories[-1].alter_config({"producer.id.expiration.ms": "10000"})
    for producer, transactional in ((1, False), (2, True)):
        append(
            log, b"x", timestamp=5000, producer_id=producer, producer_epoch=5, base_sequence=3,
            transactional=transactional,
        )  # fmt: skip
    disk.flush()
    step(disk, HOUR_MS)
    # Any sequence is the first one again, and any epoch.
    assert not append(
        log, b"x", timestamp=5000, producer_id=1, producer_epoch=0, base_sequence=3
    ).duplicate
    assert log.open_transactions() == {2: (5, 1)}


def test_a_producer_that_is_known_stays_known_over_retention_and_a_restart(disk: Disk) -> None:
    log = disk.partition(segment_bytes="100", retention_ms="1000")
    fields = {"producer_id": 7, "producer_epoch": 0}
    append(log, b"a" * 60, timestamp=5000, base_sequence=(1 << 31) - 1, **fields)
    for _ in range(3):
        append(log, b"." * 60, timestamp=5000)
        disk.flush()
    step(disk, HOUR_MS)
    assert log.log_start_offset == 3
    for reopen in (disk.reopen, lambda: (disk.crash(Adversary.NOTHING), disk.open())[1]):
        log = reopen().partition("t", 0)
        again = append(log, b"a" * 60, timestamp=5000, base_sequence=(1 << 31) - 1, **fields)
        assert again == (0, 0, True)
    wrapped = append(log, b"b", timestamp=5000, base_sequence=0, **fields)
    assert wrapped == (4, 4, False)


def test_segments_roll_at_different_times_with_jitter(disk: Disk) -> None:
    directory = disk.open()
    directory.create_topic("t", 8, {"segment.ms": "100000", "segment.jitter.ms": "50000"})
    rolled: list[int] = []
    for partition in range(8):
        log = directory.partition("t", partition)
        age = 0
        while len(log.view().segments) < 2:
            append(log, b"x", timestamp=5000 + age, now_ms=5000 + age)
            age += 1000
        rolled.append(age)
    assert len(set(rolled)) > 3
    assert all(50_000 < age <= 103_000 for age in rolled)
