"""A partition's log as its owner sees it."""

from __future__ import annotations

import linecache
import sys
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import (
    CorruptRecordError,
    LogClosedError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceError,
    RecordTooLargeError,
    StorageError,
)
from streamlog.record import ControlType, check_batch, encode_batch
from streamlog.storage import partition_log
from streamlog.testing import Adversary

from .conftest import Disk, append, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

TRANSACTIONAL = {
    "producer_id": 1,
    "producer_epoch": 0,
    "base_sequence": 0,
    "transactional": True,
}


def names(disk: Disk, suffix: str = ".log") -> list[str]:
    return [name for name in disk.files.listdir(disk.path("")) if name.endswith(suffix)]


def test_offsets_are_given_in_order(disk: Disk) -> None:
    log = disk.partition()
    assert append(log, b"a", b"b") == (0, 1, False)
    assert append(log, b"c") == (2, 2, False)
    assert (log.log_start_offset, log.log_end_offset) == (0, 3)


def test_nothing_is_read_before_a_flush_window_has_made_it_durable(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    assert log.high_watermark == 0
    assert log.read(0, 1000).data == b""
    disk.flush()
    assert log.high_watermark == 1
    assert read_all(log) == [b"a"]


def test_an_offset_outside_the_log_is_an_error_and_at_its_end_is_not(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a")
    assert log.read(1, 1000).next_offset == 1
    with pytest.raises(OffsetOutOfRangeError) as caught:
        log.read(2, 1000)
    assert (caught.value.start, caught.value.end) == (0, 1)
    with pytest.raises(OffsetOutOfRangeError):
        log.read(-1, 1000)


def test_a_read_returns_whole_batches_and_at_least_one(disk: Disk) -> None:
    log = disk.partition()
    for value in (b"x" * 500, b"y" * 500, b"z" * 500):
        append(log, value)
    disk.flush()
    assert log.read(0, 1).next_offset == 1
    assert log.read(0, 1200).next_offset == 2
    assert log.read(1, 1 << 20).next_offset == 3
    fetched = log.read(0, 1200)
    assert check_batch(fetched.data).last_offset == 0


def test_a_read_begins_with_the_batch_that_has_the_offset(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"a", b"b", b"c")
    disk.flush()
    assert check_batch(log.read(2, 1000).data).base_offset == 0


def test_a_batch_over_the_limit_is_refused_and_nothing_is_written(disk: Disk) -> None:
    log = disk.partition(max_message_bytes="200")
    with pytest.raises(RecordTooLargeError, match=r"t-0.*max\.message\.bytes = 200"):
        append(log, b"x" * 300)
    assert log.log_end_offset == 0


def test_a_batch_from_a_wire_is_checked_when_asked(disk: Disk) -> None:
    log = disk.partition()
    batch = encode_batch([None], [b"value"], [1])
    batch[-1] ^= 1
    with pytest.raises(CorruptRecordError):
        log.append(batch, now_ms=0, verify=True)


def test_log_append_time_replaces_the_timestamps(disk: Disk) -> None:
    log = disk.partition(message_timestamp_type="LogAppendTime")
    append(log, b"a", timestamp=5, now_ms=777)
    disk.flush()
    header = check_batch(log.read(0, 1000).data)
    assert (header.timestamp_type, header.max_timestamp) == (1, 777)
    assert log.offset_for_timestamp(700) == (0, 777)


def test_a_duplicate_is_told_where_it_was_appended_the_first_time(disk: Disk) -> None:
    log = disk.partition()
    for sequence in range(3):
        append(log, b"a", producer_id=1, producer_epoch=0, base_sequence=sequence)
    assert append(log, b"a", producer_id=1, producer_epoch=0, base_sequence=1) == (1, 1, True)
    assert log.log_end_offset == 3
    with pytest.raises(OutOfOrderSequenceError):
        append(log, b"a", producer_id=1, producer_epoch=0, base_sequence=7)


def test_a_segment_rolls_by_size(disk: Disk) -> None:
    log = disk.partition(segment_bytes="400")
    for number in range(6):
        append(log, b"x" * 100, timestamp=number)
    disk.flush()
    assert names(disk) == [f"{base:020d}.log" for base in (0, 2, 4)]
    assert read_all(log) == [b"x" * 100] * 6


def test_a_segment_rolls_by_the_time_between_its_first_and_the_next_batch(disk: Disk) -> None:
    log = disk.partition(segment_ms="1000")
    for timestamp in (5000, 6000, 6001, 5500):
        append(log, b"x", timestamp=timestamp)
    assert names(disk) == [f"{base:020d}.log" for base in (0, 2)]


def test_a_segment_of_a_compacted_topic_rolls_by_the_time_at_which_it_is_to_be_compacted(
    disk: Disk,
) -> None:
    for policy, rolled in (("compact", True), ("delete", False)):
        log = disk.partition(policy, cleanup_policy=policy, max_compaction_lag_ms="1000")
        for timestamp in (5000, 6000, 6001):
            batch = encode_batch([b"key"], [b"a"], [timestamp])
            log.append(batch, now_ms=timestamp)
        assert len(log.view().segments) == 1 + rolled


def test_a_segment_rolls_when_an_index_is_full(disk: Disk) -> None:
    log = disk.partition(index_interval_bytes="0", segment_index_bytes="24")
    for number in range(5):
        append(log, b"x", timestamp=number)
    assert len(names(disk)) == 2


def test_a_sealed_segment_has_its_indexes_and_a_snapshot_and_no_zeros(disk: Disk) -> None:
    log = disk.partition(segment_bytes="400", index_interval_bytes="100")
    for number in range(4):
        append(log, b"x" * 100, timestamp=number)
    disk.flush()
    size = disk.files.size(disk.path("00000000000000000000.log"))
    assert size == sum(len(log.read(offset, 1).data) for offset in (0, 1))
    assert disk.files.size(disk.path("00000000000000000000.index")) == 8
    assert disk.files.size(disk.path("00000000000000000000.timeindex")) == 12
    assert names(disk, ".snapshot") == ["00000000000000000002.snapshot"]
    assert log.recovery_point == 2


def test_a_log_that_grows_moves_its_recovery_point_and_keeps_one_snapshot(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_log, "CHECKPOINT_BYTES", 1000)
    log = disk.partition()
    for _ in range(20):
        append(log, b"x" * 200)
        disk.flush()
    assert 0 < log.recovery_point <= 20
    assert names(disk, ".snapshot") == [f"{log.recovery_point:020d}.snapshot"]
    disk.crash()
    again = disk.partition()
    assert again.log_end_offset == 20


def test_the_first_record_at_or_after_a_time_is_found(disk: Disk) -> None:
    log = disk.partition(segment_bytes="500", index_interval_bytes="100")
    for number in range(20):
        append(log, b"x" * 50, b"y", timestamp=1000 + 10 * number)
    disk.flush()
    assert log.offset_for_timestamp(0) == (0, 1000)
    assert log.offset_for_timestamp(1051) == (12, 1060)
    assert log.offset_for_timestamp(1190) == (38, 1190)
    assert log.offset_for_timestamp(1191) is None


def test_a_time_is_found_where_timestamps_go_back(disk: Disk) -> None:
    log = disk.partition(index_interval_bytes="0")
    for timestamp in (100, 50, 300, 200):
        append(log, b"x", timestamp=timestamp)
    disk.flush()
    assert log.offset_for_timestamp(60) == (0, 100)
    assert log.offset_for_timestamp(101) == (2, 300)


def test_what_is_not_durable_is_not_found_by_time(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"x", timestamp=100)
    assert log.offset_for_timestamp(50) is None


def test_a_committed_reader_stops_at_the_oldest_open_transaction(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"plain")
    append(log, b"mine", producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
    append(log, b"later")
    disk.flush()
    assert (log.last_stable_offset, log.high_watermark) == (1, 3)
    assert log.read(0, 1000, "read_committed").next_offset == 1
    assert log.open_transactions() == {1: (0, 1)}
    log.append_control(ControlType.COMMIT, 1, 0, 0, now_ms=0)
    assert log.last_stable_offset == 1
    disk.flush()
    assert log.last_stable_offset == 4
    assert log.read(0, 1000, "read_committed").aborted == []


def test_a_committed_reader_is_told_what_was_aborted_in_its_range(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300")
    for sequence in range(3):
        append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=sequence, transactional=1)
        append(log, b"y")
        log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
    disk.flush()
    found = [log.read(offset, 1, "read_committed").aborted for offset in range(9)]
    assert found == [
        [(1, 0)],
        [(1, 0)],
        [(1, 0)],
        [(1, 3)],
        [(1, 3)],
        [(1, 3)],
        [(1, 6)],
        [(1, 6)],
        [(1, 6)],
    ]
    assert log.read(0, 1000).aborted == ()


def test_listeners_hear_that_there_is_more_to_read(disk: Disk) -> None:
    log = disk.partition()
    heard: list[tuple[int, int]] = []
    listener = lambda: heard.append((log.high_watermark, log.last_stable_offset))  # noqa: E731
    log.add_listener(listener)
    append(log, b"a")
    disk.flush()
    append(log, b"b", producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
    disk.flush()
    log.append_control(ControlType.COMMIT, 1, 0, 0, now_ms=0)
    disk.flush()
    log.remove_listener(listener)
    append(log, b"c")
    disk.flush()
    assert heard == [(1, 1), (2, 1), (3, 3)]


def test_more_than_one_window_may_leave_unsynced_waits_for_the_flusher(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_log, "MAX_UNSYNCED_BYTES", 1000)
    log = disk.partition()
    for _ in range(5):
        append(log, b"x" * 300)
    assert log.high_watermark == 4


def test_a_drain_that_appends_too_much_syncs_on_the_way(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = disk.partition()
    monkeypatch.setattr(partition_log, "MAX_UNSYNCED_BYTES", 1000)
    flusher = disk.directories[-1].flusher

    def drain() -> None:
        flusher.remove_drain(drain)
        for _ in range(5):
            append(log, b"x" * 300)

    flusher.add_drain(drain)
    flusher.request()
    assert log.high_watermark == 5


def test_a_closed_log_takes_nothing(disk: Disk) -> None:
    log = disk.partition()
    disk.directories.pop().close()
    with pytest.raises(LogClosedError):
        append(log, b"a")


def test_a_reopened_log_goes_on_where_it_ended(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300", index_interval_bytes="50")
    for sequence in range(5):
        append(log, b"x" * 60, producer_id=1, producer_epoch=0, base_sequence=sequence)
    disk.reopen()
    log = disk.partition()
    assert (log.log_end_offset, log.high_watermark) == (5, 5)
    assert append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=4).duplicate
    assert append(log, b"y", producer_id=1, producer_epoch=0, base_sequence=5) == (5, 5, False)
    disk.flush()
    assert read_all(log) == [b"x" * 60] * 5 + [b"y"]


@contextmanager
def interrupt(line: int) -> Iterator[None]:
    """Raises `KeyboardInterrupt` before the `line`th line of the storage that is run."""
    lines = count()

    def trace(frame: FrameType, event: str, _: object) -> object:
        if "streamlog/storage/" not in frame.f_code.co_filename:
            return None
        # Where a `with` is left, and at a `try`, Python itself lets nothing come between.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if event == "line" and not source.startswith(("with ", "try:")) and next(lines) == line:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.settrace(before)


def test_wherever_an_append_is_interrupted_nothing_is_doubled_or_shown_too_early() -> None:
    """Ctrl-C raises between any two lines."""
    interrupted = 0
    for line in count():
        disk = Disk()
        log = disk.partition(segment_bytes="200")
        append(log, b"acknowledged" * 10)
        disk.flush()
        try:
            with interrupt(line):
                append(log, b"aborted", **TRANSACTIONAL)  # behind a roll
                log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
        except KeyboardInterrupt:
            interrupted += 1
        else:
            break
        with suppress(StorageError):
            if log.open_transactions():
                log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
            append(log, b"next")
            disk.flush()
        disk.abandon()
        log = disk.partition()
        if log.open_transactions():
            log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
            disk.flush()
        fetched = [log.read(0, 1000, "read_committed")]
        while fetched[-1].next_offset < log.log_end_offset:
            fetched.append(log.read(fetched[-1].next_offset, 1000, "read_committed"))
        data = b"".join(each.data for each in fetched)
        assert b"aborted" not in data or any((1, 1) in each.aborted for each in fetched), line
        assert disk.directories[-1].truncations == []
        disk.abandon()
    assert interrupted > 50


def test_an_index_that_is_gone_or_damaged_is_rebuilt(disk: Disk) -> None:
    log = disk.partition(segment_bytes="2000", index_interval_bytes="100")
    for number in range(30):
        append(log, b"%d" % number * 50, timestamp=number)
    disk.directories.pop().close()
    disk.files.unlink(disk.path("00000000000000000000.index"))
    (second, *_) = [name for name in names(disk, ".timeindex") if not name.startswith("0" * 20)]
    disk.overwrite(disk.path(second), 0, bytes(range(12, 0, -1)))
    disk.open()
    log = disk.partition()
    assert read_all(log, 7) == [b"%d" % number * 50 for number in range(7, 30)]
    assert log.offset_for_timestamp(20) == (20, 20)


def test_the_first_batch_behind_a_roll_survives_a_loss_of_power_however_late_it_comes(
    disk: Disk,
) -> None:
    """Retention ends a segment whose successor has no file before there is something in it."""
    log = disk.partition()
    append(log, b"1")
    disk.flush()
    log.roll(now_ms=5000)
    disk.flush()
    append(log, b"2")
    disk.flush()
    disk.crash(Adversary.NOTHING)
    disk.open()
    assert read_all(disk.partition()) == [b"1", b"2"]
