"""Opening after a crash: what is torn is cut off and told, what is corrupt is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.errors import CorruptLogError
from streamlog.files import read_file, write_file
from streamlog.record import ControlType
from streamlog.storage import LogDirectory, ReadOnlyDirectory, partitions
from streamlog.testing import Adversary, Cut

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from streamlog.storage import PartitionLog, ReadableLog

    from .conftest import Disk

FIRST = "00000000000000000000.log"
LAST_ZERO = 1  # a batch ends with its last record's number of headers, and zeros do not count


def write_three(disk: Disk, **config: str) -> int:
    """Three durable batches of 100 bytes and more; returns the size of each."""
    log = disk.partition(**config)
    for value in (b"a", b"b", b"c"):
        append(log, value * 100)
    disk.flush()
    return len(log.read(0, 1).data)


def test_after_the_death_of_the_process_everything_is_there(disk: Disk) -> None:
    write_three(disk)
    append(disk.partition(), b"not acknowledged")
    disk.crash(Adversary.ALL)
    assert read_all(disk.partition())[3:] == [b"not acknowledged"]
    assert disk.directories[-1].truncations == []


def test_a_torn_batch_is_cut_off_and_reported(disk: Disk) -> None:
    size = write_three(disk)
    append(disk.partition(), b"d" * 100)
    disk.crash()
    disk.overwrite(disk.path(FIRST), 3 * size + 70, b"\xff")
    directory = disk.open()
    log = disk.partition()
    assert log.log_end_offset == 3
    (truncation,) = directory.truncations
    assert (truncation.topic_partition, truncation.offset) == (("t", 0), 3)
    assert (truncation.position, truncation.removed_bytes) == (3 * size, size - LAST_ZERO)
    assert "CRC" in truncation.reason
    assert append(log, b"again") == (3, 3, False)


def test_an_intact_batch_behind_a_torn_one_goes_with_it(disk: Disk) -> None:
    size = write_three(disk)
    for value in (b"d", b"e"):
        append(disk.partition(), value * 100)
    disk.crash()
    disk.overwrite(disk.path(FIRST), 3 * size + 70, b"\xff")
    disk.open()
    assert disk.partition().log_end_offset == 3
    assert disk.directories[-1].truncations[0].removed_bytes == 2 * size - LAST_ZERO


def test_preallocated_zeros_are_no_damage(disk: Disk) -> None:
    write_three(disk)
    assert disk.files.size(disk.path(FIRST)) > 10_000
    disk.crash()
    assert disk.partition().log_end_offset == 3
    assert disk.directories[-1].truncations == []


def test_a_damaged_batch_below_the_published_end_is_corrupt_and_nothing_is_changed(
    disk: Disk,
) -> None:
    size = write_three(disk)
    disk.crash()
    disk.overwrite(disk.path(FIRST), size + 70, b"\xff")
    before = len(disk.files.operations)
    with pytest.raises(CorruptLogError) as caught:
        disk.open()
    assert (caught.value.path, caught.value.position) == (disk.path(FIRST), size)
    assert "durable to 3" in caught.value.reason
    assert "Restore it from a copy" in str(caught.value)
    changed = {operation.path for operation in disk.files.operations[before:]}
    assert disk.path(FIRST) not in changed


def test_a_log_that_ends_before_its_published_end_is_corrupt(disk: Disk) -> None:
    size = write_three(disk)
    disk.crash()
    disk.files.open(disk.path(FIRST), "write").truncate(2 * size)
    with pytest.raises(CorruptLogError, match="durable to 3"):
        disk.open()


def test_a_missing_file_below_the_recovery_point_is_corrupt(disk: Disk) -> None:
    write_three(disk)
    disk.reopen()
    disk.crash()
    disk.files.unlink(disk.path(FIRST))
    with pytest.raises(CorruptLogError, match="no segment below offset 3"):
        disk.open()


def test_damage_further_from_the_end_than_a_window_is_corrupt(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MAX_TORN_BYTES", 50)
    size = write_three(disk, max_message_bytes="200")
    for value in (b"d", b"e"):
        append(disk.partition(), value * 100)
    disk.flush()
    disk.crash()
    disk.files.unlink(f"{ROOT}/durable-offsets")  # lost: it is never synced
    disk.overwrite(disk.path(FIRST), 3 * size + 70, b"\xff")
    with pytest.raises(CorruptLogError, match=f"and {2 * size - LAST_ZERO} bytes behind it"):
        disk.open()


def test_a_torn_batch_may_be_as_large_as_the_topic_allows(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MAX_TORN_BYTES", 250)
    size = write_three(disk, max_message_bytes="5000")
    append(disk.partition(), b"d" * 4000)
    disk.crash()
    disk.overwrite(disk.path(FIRST), 3 * size + 70, b"\xff")
    disk.open()
    assert disk.partition().log_end_offset == 3


def test_damage_below_the_recovery_point_is_not_looked_for(disk: Disk) -> None:
    """It costs nothing to open; the reader finds the damage."""
    size = write_three(disk)
    disk.reopen()
    append(disk.partition(), b"d" * 100)
    disk.flush()
    disk.crash()
    disk.overwrite(disk.path(FIRST), 70, b"\xff")
    assert disk.partition().log_end_offset == 4
    disk.overwrite(disk.path(FIRST), size + 8, b"\0\0\0\1")
    with pytest.raises(CorruptLogError) as caught:
        read_all(disk.partition(), 1)
    assert caught.value.position == size


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_segment_that_is_missing_is_named_by_the_reader_and_not_read_over(
    disk: Disk, missing: int
) -> None:
    log = disk.partition(segment_bytes="300")
    for value in (b"a", b"b", b"c", b"d"):
        append(log, value * 100)
    disk.directories.pop().close()
    disk.files.unlink(disk.path(f"{missing:020d}.log"))
    disk.open()
    with pytest.raises(CorruptLogError, match=f"no segment has offset {missing}") as caught:
        read_all(disk.partition(), missing)
    assert caught.value.path == disk.path(f"{missing + 1:020d}.log")


@pytest.mark.parametrize("beside", [False, True])
def test_segments_whose_files_were_swapped_are_named(disk: Disk, beside: bool) -> None:
    log = disk.partition(segment_bytes="100")
    for value in (b"a", b"b", b"c"):
        append(log, value * 60)
    disk.directories.pop().close()
    one, other = FIRST, "00000000000000000001.log"
    contents = [read_file(disk.files, disk.path(name)) for name in (one, other)]
    write_file(disk.files, disk.path(one), contents[1])
    write_file(disk.files, disk.path(other), contents[0])
    if beside:
        directory = ReadOnlyDirectory.open(ROOT, files=disk.files, boot_id="first")
    else:
        directory = disk.open()
    with directory:
        damaged = directory.partition("t", 0)
        for offset in (0, 1):
            with pytest.raises(CorruptLogError, match=r"\.log"):
                damaged.read(offset, 1)
        assert damaged.read(2, 1).next_offset == 3
    if not beside:
        disk.directories.clear()


@pytest.mark.parametrize("crash", [False, True])
def test_a_directory_of_another_topic_is_named(disk: Disk, crash: bool) -> None:
    for topic in ("t", "u"):
        append(disk.partition(topic), topic.encode())
    disk.flush()
    disk.directories[-1].flusher.sync_all()
    disk.crash() if crash else disk.directories.pop().close()
    for source, target in (("t-0", "x"), ("u-0", "t-0"), ("x", "u-0")):
        disk.files.rename(f"{ROOT}/{source}", f"{ROOT}/{target}")
    with pytest.raises(CorruptLogError, match=r"t-0/partition\.metadata.*of topic id"):
        disk.open().partition("t", 0)


def test_a_damaged_topic_id_is_not_taken_for_another_topics(disk: Disk) -> None:
    append(disk.partition(), b"a")
    disk.directories.pop().close()
    path = disk.path("partition.metadata")
    content = bytearray(read_file(disk.files, path))
    content[25] ^= 1
    write_file(disk.files, path, bytes(content))
    with ReadOnlyDirectory.open(ROOT, files=disk.files) as beside:
        assert read_all(beside.partition("t", 0)) == [b"a"]
    assert read_all(disk.open().partition("t", 0)) == [b"a"]


def test_a_damaged_batch_of_the_metadata_log_is_named(disk: Disk) -> None:
    disk.open().create_topic("t")
    disk.directories.pop().close()
    path = disk.path(FIRST, "__streamlog_metadata")
    disk.overwrite(path, 70, b"\xff")
    for reader in (disk.open, lambda: ReadOnlyDirectory.open(ROOT, files=disk.files)):
        with pytest.raises(CorruptLogError, match=r"CRC.*Restore it from a copy") as caught:
            reader()
        assert (caught.value.path, caught.value.position) == (path, 0)


def test_a_damaged_marker_is_named(disk: Disk) -> None:
    log = disk.partition()
    append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
    disk.flush()
    size = len(log.read(0, 1).data)
    log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
    disk.directories.pop().close()
    for name in disk.files.listdir(disk.path("")):
        if name.endswith(".snapshot"):
            disk.files.unlink(disk.path(name))  # so the batches are gone through again
    disk.overwrite(disk.path(FIRST), size + 70, b"\xff")
    disk.open()
    with pytest.raises(CorruptLogError, match="CRC") as caught:
        disk.partition()
    assert (caught.value.path, caught.value.position) == (disk.path(FIRST), size)


def test_a_segment_that_does_not_follow_the_last_is_deleted(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300")
    append(log, b"a" * 100)
    disk.flush()
    for value in (b"b", b"c", b"d", b"e"):
        append(log, value * 100)
    disk.crash()
    disk.files.unlink(disk.path("00000000000000000001.log"))
    disk.open()
    log = disk.partition()
    assert read_all(log) == [b"a" * 100]
    assert [name for name in disk.files.listdir(disk.path("")) if name.endswith(".log")] == [FIRST]


def test_segments_whose_first_lost_its_name_are_deleted(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300")
    for value in (b"a", b"b", b"c"):
        append(log, value * 100)
    disk.crash()
    disk.files.unlink(disk.path(FIRST))  # the names came in one window, which had not ended
    disk.open()
    (truncation,) = disk.directories[-1].truncations
    assert (truncation.offset, truncation.position) == (0, 0)
    assert truncation.path == disk.path("00000000000000000001.log")
    append(disk.partition(), b"again")
    disk.flush()
    assert read_all(disk.partition()) == [b"again"]
    disk.crash()
    assert read_all(disk.partition()) == [b"again"]


def test_transactions_are_rebuilt_from_the_batches(disk: Disk) -> None:
    log = disk.partition()
    for producer_id in (1, 2):
        append(
            log,
            b"x",
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            transactional=True,
        )
    log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
    append(log, b"y")
    disk.flush()
    disk.crash()
    log = disk.partition()
    assert disk.directories[-1].open_transactions() == {("t", 0): {2: (0, 1)}}
    assert log.last_stable_offset == 1
    assert log.read(0, 1, "read_committed").aborted == [(1, 0)]


def aborted_by_offset(log: ReadableLog) -> list[list[tuple[int, int]]]:
    end = log.last_stable_offset
    return [list(log.read(offset, 1, "read_committed").aborted) for offset in range(end)]


def write_aborts(log: PartitionLog) -> None:
    """Transactions over several segments, some of them aborted, and one that stays open."""
    for number in range(9):
        for producer_id, sequence in ((1, number), (2, number)):
            fields = {"producer_epoch": 0, "base_sequence": sequence, "transactional": True}
            append(log, b"t" * 50, producer_id=producer_id, **fields)
        append(log, b"y" * 50)
        if number % 3 == 2:
            kind = ControlType.COMMIT if number == 5 else ControlType.ABORT
            log.append_control(kind, 1, 0, 0, now_ms=0)
        if number % 2:
            log.append_control(ControlType.ABORT, 2, 0, 0, now_ms=0)


def forget_transaction_indexes(disk: Disk) -> None:
    names = disk.files.listdir(f"{ROOT}/t-0")
    lost = [name for name in names if name.endswith(".txnindex")]
    assert lost
    for name in lost:
        disk.files.unlink(disk.path(name))


@pytest.mark.parametrize("end", ["a clean stop", "a crash"])
def test_a_transaction_index_that_was_lost_is_made_anew(disk: Disk, end: str) -> None:
    log = disk.partition(segment_bytes="500")
    write_aborts(log)
    disk.flush()
    expected = aborted_by_offset(log)
    assert any(expected)
    disk.directories.pop().close() if end == "a clean stop" else disk.crash()
    forget_transaction_indexes(disk)
    with ReadOnlyDirectory.open(ROOT, files=disk.files, boot_id="first") as beside:
        assert aborted_by_offset(beside.partition("t", 0)) == expected
    disk.open()
    assert aborted_by_offset(disk.partition()) == expected
    segments = disk.partition().view().segments
    disk.reopen()
    names = disk.files.listdir(f"{ROOT}/t-0")
    assert sum(name.endswith(".txnindex") for name in names) == len(segments)
    assert aborted_by_offset(disk.partition()) == expected


def test_a_crash_while_a_lost_transaction_index_is_made_anew_changes_nothing(disk: Disk) -> None:
    log = disk.partition(segment_bytes="500")
    write_aborts(log)
    disk.flush()
    expected = aborted_by_offset(log)
    disk.directories.pop().close()
    forget_transaction_indexes(disk)
    disk.files.sync_directory(f"{ROOT}/t-0")
    before = len(disk.files.operations)
    disk.open()
    disk.partition()
    for after in range(before, len(disk.files.operations) + 1):
        for adversary in Adversary:
            survivors = disk.files.cut(Cut(after, adversary))
            with LogDirectory.open(ROOT, files=survivors, threaded=False) as directory:
                assert aborted_by_offset(directory.partition("t", 0)) == expected
                names = survivors.listdir(f"{ROOT}/t-0")
                assert not [name for name in names if name.endswith(".cleaned")]


def test_a_transaction_index_that_is_gone_when_it_is_needed_is_named(disk: Disk) -> None:
    log = disk.partition(segment_bytes="500")
    write_aborts(log)
    disk.reopen()
    log = disk.partition()
    forget_transaction_indexes(disk)
    with pytest.raises(CorruptLogError, match=r"txnindex.*the file is gone"):
        log.read(0, 1, "read_committed")


def test_an_older_directory_may_have_segments_without_a_transaction_index(disk: Disk) -> None:
    log = disk.partition(segment_bytes="500")
    for _ in range(9):
        append(log, b"y" * 50)
    disk.directories.pop().close()
    forget_transaction_indexes(disk)
    path = f"{ROOT}/meta.properties"
    lines = read_file(disk.files, path).splitlines(keepends=True)
    write_file(disk.files, path, b"".join(each for each in lines if b"indexes=" not in each))
    disk.open()
    write_aborts(disk.partition())
    disk.flush()
    expected = aborted_by_offset(disk.partition())
    disk.reopen()
    assert aborted_by_offset(disk.partition()) == expected
    assert not disk.files.exists(disk.path("00000000000000000000.txnindex"))


def test_recovery_reads_nothing_below_the_recovery_point(disk: Disk) -> None:
    log = disk.partition(segment_bytes="100000", index_interval_bytes="500")
    for number in range(100):
        append(log, b"%03d" % number * 30, timestamp=number)
    disk.reopen()
    append(disk.partition(), b"new")
    disk.flush()
    disk.crash()
    reads: list[tuple[int, int]] = []
    read_node = disk.files.read_node
    disk.files.read_node = lambda node, size, offset: (  # type: ignore[method-assign]
        reads.append((node, offset)) or read_node(node, size, offset)
    )
    disk.open()
    segment = disk.partition()._segments[0]
    node = disk.files._number(segment.path)
    lowest = min(offset for number, offset in reads if number == node)
    assert lowest > segment.size_bytes - 1000
    assert disk.partition().offset_for_timestamp(50) == (50, 50)


def test_a_crash_in_the_middle_of_a_cut_changes_nothing(disk: Disk) -> None:
    log = disk.partition(segment_bytes="300")
    append(log, b"a" * 100)
    disk.flush()
    for value in (b"b", b"c", b"d", b"e"):
        append(log, value * 100)
    disk.crash()
    size = disk.files.size(disk.path("00000000000000000002.log")) // 2
    disk.overwrite(disk.path(FIRST), 250, b"\xff\xff")
    assert size
    disk.open()
    operations = len(disk.files.operations)
    for after in range(operations):
        for adversary in Adversary:
            survivors = disk.files.cut(Cut(after, adversary))
            with LogDirectory.open(ROOT, files=survivors, threaded=False) as again:
                assert read_all(again.partition("t", 0))[:1] == [b"a" * 100]


def test_a_directory_that_died_before_it_was_set_up_is_set_up_again(disk: Disk) -> None:
    disk.open()
    for after in range(len(disk.files.operations)):
        survivors = disk.files.cut(Cut(after, Adversary.TORN))
        with LogDirectory.open(ROOT, files=survivors, threaded=False) as directory:
            assert directory.topics() == {}
