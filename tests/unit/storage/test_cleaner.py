"""Compaction of logs on a disk, beside what appends to them and reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.errors import StorageError
from streamlog.record import ControlType, encode_batch, read_header
from streamlog.storage import ReadOnlyDirectory
from streamlog.storage.directory_files import read_offsets
from streamlog.topic import TopicPartition

from .conftest import ROOT, Disk

if TYPE_CHECKING:
    from streamlog.storage import PartitionLog, ReadableLog

START = 1_700_000_000_000
SMALL = {"cleanup.policy": "compact", "segment.bytes": "400", "index.interval.bytes": "100"}
T = TopicPartition("t", 0)


def put(log: PartitionLog, key: str, value: str | None, **fields: object) -> int:
    """One record of a key; about 100 bytes."""
    content = None if value is None else value.encode().ljust(20, b".")
    batch = encode_batch([key.encode()], [content], [START], **fields)  # type: ignore[arg-type]
    return log.append(batch, now_ms=START).base_offset


def fill(disk: Disk, *keys: str, **config: str) -> PartitionLog:
    """One record a key, durable, then enough of others for another segment."""
    log = disk.partition(**(SMALL | config))
    for number, key in enumerate(keys):
        put(log, key, f"{key}-{number}")
        disk.flush()
    return log


def step(disk: Disk, now_ms: int = START) -> bool:
    cleaner = disk.directories[-1].cleaner
    assert cleaner is not None
    return cleaner.step(now_ms)


def keys_of(log: ReadableLog) -> dict[int, str]:
    """Offset to key of every record below the high watermark, read batch by batch."""
    from streamlog.record import Columns, decode_batch

    columns, offset = Columns(), log.log_start_offset
    while offset < log.high_watermark:
        fetched = log.read(offset, 1)
        position = 0
        while position < len(fetched.data):
            position = decode_batch(fetched.data, position, columns, min_offset=offset)
        assert fetched.next_offset > offset
        offset = fetched.next_offset
    return dict(zip(columns.offsets, [(key or b"").decode() for key in columns.keys], strict=True))


def files_of(disk: Disk) -> list[str]:
    return disk.files.listdir(disk.path(""))


def test_only_the_last_record_of_each_key_stays_below_the_active_segment(disk: Disk) -> None:
    log = fill(disk, *"abababababab")
    active = log.view().segments[-1].base_offset
    assert active == 12 - len("ab") * 2
    assert step(disk)
    left = keys_of(log)
    assert left == {6: "a", 7: "b"} | {offset: "ab"[offset % 2] for offset in range(active, 12)}
    assert not step(disk)


def test_small_segments_become_one(disk: Disk) -> None:
    log = fill(disk, *"abcdabcdabcdabcdabcdabcd")
    assert step(disk)
    assert len(log.view().segments) == 6
    for key in [*"efghefghefghefghefghefghefgh"]:
        put(log, key, "more")
        disk.flush()
    assert len(log.view().segments) == 13
    assert step(disk)
    assert keys_of(log).items() > {(20, "a"), (21, "b"), (22, "c"), (23, "d")}
    bases = [segment.base_offset for segment in log.view().segments]
    assert bases[:3] == [0, 16, 20]
    names = [name for name in files_of(disk) if name.endswith(".log")]
    assert names == [f"{base:020d}.log" for base in bases]
    disk.directories[-1].housekeeper.step(disk.clock.advance(60_000))
    assert not [name for name in files_of(disk) if name.count(".") > 1]


def test_the_checkpoint_says_how_far_a_log_was_cleaned(disk: Disk) -> None:
    log = fill(disk, *"abababababab")
    step(disk)
    active = log.view().segments[-1].base_offset
    assert read_offsets(disk.files, ROOT, "cleaner-offset-checkpoint") == {T: active}


def test_a_log_is_cleaned_again_when_more_than_half_of_it_is_dirty(disk: Disk) -> None:
    log = fill(disk, *"abcdefghijklmnopqrstuvwx")
    assert step(disk)
    put_more = [*"abcdefgh"]
    for key in put_more:
        put(log, key, "new")
        disk.flush()
    assert not step(disk)
    for key in [*"abcdefghabcdefghabcdefgh"]:
        put(log, key, "newer")
        disk.flush()
    assert step(disk)


def test_a_compacted_log_is_what_it_was_after_a_clean_stop_and_after_a_crash(disk: Disk) -> None:
    log = fill(disk, *"abcabcabcabcabc")
    step(disk)
    left, end = keys_of(log), log.log_end_offset
    log = disk.reopen().partition("t", 0)
    assert (keys_of(log), log.log_end_offset) == (left, end)
    put(log, "z", "new")
    disk.flush()
    disk.crash()
    log = disk.open().partition("t", 0)
    assert keys_of(log) == left | {end: "z"}


def test_who_has_a_segment_open_reads_on_and_who_has_not_takes_the_new_one(disk: Disk) -> None:
    log = fill(disk, *"ababababababab")
    opened, closed = log.view().segments[0], log.view().segments[1]
    data = opened.pread(61, 0)
    file = opened.file()
    closed.release()
    step(disk)
    assert file.pread(61, 0) == data
    with pytest.raises(FileNotFoundError):
        closed.pread(61, 0)
    with pytest.raises(FileNotFoundError):
        opened.pread(61, 0)
    assert keys_of(log)


def test_a_reader_in_the_middle_of_a_log_finds_its_offset(disk: Disk) -> None:
    log = fill(disk, *"abcabcabcabcabc")
    offset = log.read(1, 1).next_offset
    step(disk)
    for start in range(log.log_end_offset):
        fetched = log.read(start, 1)
        assert read_header(fetched.data).last_offset >= start
        assert fetched.next_offset > start
    assert log.read(offset, 1).next_offset > offset


def test_time_finds_records_that_are_left(disk: Disk) -> None:
    log = fill(disk, *"abcabcabcabcabc")
    step(disk)
    assert log.offset_for_timestamp(START) == (min(keys_of(log)), START)


def test_a_reader_beside_the_owner_reads_a_compacted_log(disk: Disk) -> None:
    log = fill(disk, *"abcabcabcabcabc")
    step(disk)
    with ReadOnlyDirectory.open(ROOT, files=disk.files, boot_id="first") as beside:
        assert keys_of(beside.partition("t", 0)) == keys_of(log)


def test_open_transactions_and_what_lies_behind_them_are_left_alone(disk: Disk) -> None:
    log = fill(disk, *"ababab")
    put(log, "a", "open", producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
    for key in [*"abababab"]:
        put(log, key, "later")
        disk.flush()
    step(disk)
    assert set(range(6, 15)) <= set(keys_of(log))
    log.append_control(ControlType.COMMIT, 1, 0, 0, now_ms=START)
    for key in [*"abababab"]:
        put(log, key, "latest")
        disk.flush()
    assert step(disk)
    assert 6 not in keys_of(log)


def transaction(disk: Disk, log: PartitionLog, kind: ControlType, sequence: int) -> None:
    fields = {"producer_id": 1, "producer_epoch": 0, "transactional": True}
    for place, key in enumerate("xy"):
        put(log, key, kind.name, base_sequence=sequence + place, **fields)
    disk.flush()
    log.append_control(kind, 1, 0, 0, now_ms=START)
    disk.flush()


def test_aborted_data_go_and_the_index_tells_of_them_as_long_as_the_marker_does(
    disk: Disk,
) -> None:
    log = fill(disk, "a", **{"delete.retention.ms": "1000"})
    transaction(disk, log, ControlType.COMMIT, 0)
    transaction(disk, log, ControlType.ABORT, 2)
    for key in [*"bcbcbcbc"]:
        put(log, key, "plain")
        disk.flush()
    assert step(disk)
    assert [key for key in keys_of(log).values() if key in "xy"] == ["x", "y"]
    kept = [entry for segment in log.view().segments for entry in segment.aborted()]
    assert [(entry.first_offset, entry.last_offset) for entry in kept] == [(4, 6)]
    log = disk.reopen().partition("t", 0)
    found = [entry for segment in log.view().segments for entry in segment.aborted()]
    assert found == kept
    assert log.read(4, 1000, "read_committed").aborted == [(1, 4)]


def test_a_duplicate_of_a_producers_last_batch_is_known_after_its_records_are_gone(
    disk: Disk,
) -> None:
    log = fill(disk)
    fields = {"producer_id": 7, "producer_epoch": 0}
    for sequence in range(3):
        put(log, "a", "from 7", base_sequence=sequence, **fields)
    for key in [*"abababab"]:
        put(log, key, "plain")
        disk.flush()
    step(disk)
    assert 2 not in keys_of(log)
    headers = [
        header
        for segment in log.view().segments
        for _, header in segment.walk(0, segment.size_bytes)
    ]
    assert [h.record_count for h in headers if h.producer_id == 7] == [0]
    log = disk.reopen().partition("t", 0)
    duplicate = encode_batch([b"a"], [b"from 7"], [START], base_sequence=2, **fields)  # type: ignore[arg-type]
    assert log.append(duplicate, now_ms=START) == (2, 2, True)


def test_with_little_room_for_keys_it_takes_several_rounds(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fill(disk, *"abcdefabcdefabcdefabcdef", **{"min.cleanable.dirty.ratio": "0"})
    reference = {offset: key for offset, key in keys_of(log).items() if offset >= 12}
    cleaner = disk.directories[-1].cleaner
    assert cleaner is not None
    from streamlog.storage.log_config import LogConfig

    monkeypatch.setattr(cleaner, "_config", lambda: LogConfig(log_cleaner_dedupe_buffer_size=300))
    rounds = 0
    while step(disk):
        rounds += 1
    assert rounds > 2
    active = log.view().segments[-1].base_offset
    left = keys_of(log)
    assert len(left) == 6 + 24 - active
    assert set(left.items()) <= set(reference.items())


def test_a_damaged_batch_ends_the_cleaning_of_its_log_alone(disk: Disk) -> None:
    log = fill(disk, *"abababababab")
    path = log.view().segments[0].path
    disk.overwrite(path, 90, b"\xff\xff")
    assert step(disk)
    cleaner = disk.directories[-1].cleaner
    assert cleaner is not None
    assert list(cleaner.faults) == [T]
    assert path in str(cleaner.faults[T])
    assert not [name for name in files_of(disk) if name.endswith(".cleaned")]
    assert not step(disk)
    put(log, "c", "goes on")


@pytest.mark.parametrize("damage", ["a header", "no file"])
def test_a_log_whose_first_batch_cannot_be_read_keeps_no_other_from_being_cleaned(
    disk: Disk, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for topic in ("t", "u"):
        log = disk.partition(topic, **SMALL)
        for number in range(12):
            put(log, "ab"[number % 2], "value")
            disk.flush()
    disk.reopen()
    logs = [disk.partition(topic) for topic in ("t", "u")]
    path = disk.path("00000000000000000000.log")
    if damage == "a header":
        disk.overwrite(path, 16, b"\xff")
    else:
        disk.files.unlink(path)
    assert step(disk)
    assert not step(disk)
    cleaner = disk.directories[-1].cleaner
    assert cleaner is not None
    assert list(cleaner.faults) == [T]
    assert path in caplog.text
    assert logs[1].size_bytes < logs[0].size_bytes


def test_old_segments_are_removed_after_their_topics_delay(disk: Disk) -> None:
    fill(disk, *"abababababab", file_delete_delay_ms="5")
    assert step(disk)
    assert any(name.endswith(".deleted") for name in files_of(disk))
    disk.directories[-1].housekeeper.step(disk.clock.advance(5))
    assert not any(name.endswith(".deleted") for name in files_of(disk))


@pytest.mark.parametrize("kind", ["write", "datasync", "create"])
def test_a_disk_that_refuses_before_the_swap_leaves_the_log_as_it_was(
    disk: Disk, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = fill(disk, *"abababababab")
    before = keys_of(log)
    disk.files.fail(kind)
    assert not step(disk)
    assert "t-0 is not compacted" in caplog.text
    assert keys_of(log) == before
    assert not [name for name in files_of(disk) if name.count(".") > 1]
    assert step(disk)
    assert len(keys_of(log)) < len(before)


@pytest.mark.parametrize("after", range(8))
def test_a_disk_that_refuses_during_the_swap_ends_all_writing(disk: Disk, after: int) -> None:
    log = fill(disk, *"abababababab")
    disk.files.fail("rename", after=after)
    with pytest.raises(StorageError):
        step(disk)
    assert disk.directories[-1].flusher.failure is not None
    assert keys_of(log)
    disk.crash()
    assert keys_of(disk.open().partition("t", 0))


def test_a_topic_without_the_policy_is_left_alone(disk: Disk) -> None:
    log = fill(disk, *"abababababab", **{"cleanup.policy": "delete"})
    assert not step(disk)
    assert len(keys_of(log)) == 12


def test_a_segment_that_was_deleted_meanwhile_is_not_brought_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fill(disk, *"abababababab")
    first = log.view().segments[0]
    original = log.has_segments

    def delete_first(segments: object) -> bool:
        monkeypatch.setattr(log, "has_segments", original)
        assert log.replace_segments([first], [])
        disk.files.unlink(first.path)
        return original(segments)  # type: ignore[arg-type]

    monkeypatch.setattr(log, "has_segments", delete_first)
    assert step(disk)
    assert not disk.files.exists(first.path)
    assert not [name for name in files_of(disk) if name.count(".") > 1]


def test_a_reader_beside_the_owner_never_takes_another_segments_file_for_its_own(
    disk: Disk,
) -> None:
    fill(disk, *"abcabcabcabcabc")
    with ReadOnlyDirectory.open(ROOT, files=disk.files, boot_id="first") as beside:
        first = beside.partition("t", 0)._segments[0]  # pyright: ignore[reportPrivateUsage]
        step(disk)
        with pytest.raises(FileNotFoundError):
            first.pread(61, 0)
        with pytest.raises(FileNotFoundError):
            _ = first.indexes


def test_a_topic_that_is_deleted_while_it_is_cleaned_leaves_nothing_to_the_next_one(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(disk, *"abababababab")
    directory = disk.directories[-1]
    cleaner = directory.cleaner
    assert cleaner is not None
    original = cleaner._copy  # pyright: ignore[reportPrivateUsage]

    def delete_meanwhile(*arguments: object) -> None:
        monkeypatch.setattr(cleaner, "_copy", original)
        directory.delete_topic("t")
        put(disk.partition(**SMALL), "new", "new")
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cleaner, "_copy", delete_meanwhile)
    assert step(disk)
    disk.flush()
    log = directory.partition("t", 0)
    assert keys_of(log) == {0: "new"}
    assert not [name for name in files_of(disk) if name.count(".") > 1]
    assert cleaner.cleaned_offset(T) == 0
    assert read_offsets(disk.files, ROOT, "cleaner-offset-checkpoint") == {}
