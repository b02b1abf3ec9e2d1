"""A topic out of another directory becomes one of ours, whole or not at all."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import (
    CorruptLogError,
    DirectoryLockedError,
    StorageError,
    TopicExistsError,
)
from streamlog.record import Columns, ControlType, decode_batch, read_header
from streamlog.storage import LogDirectory
from streamlog.testing import Adversary, Cut
from streamlog.topic import TopicPartition

from .conftest import ROOT, append, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.record import BatchHeader
    from streamlog.storage import ReadableLog

    from .conftest import Disk

VALUES = [[b"%d of %d" % (number, partition) for number in range(20)] for partition in (0, 1)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two partitions in several segments; producer 0 has written, producer 1 aborted, 2 is open."""
    with LogDirectory.open(tmp_path, durability="os") as directory:
        directory.create_topic("theirs", 2, {"segment.bytes": "300"})
        for partition, values in enumerate(VALUES):
            log = directory.partition("theirs", partition)
            for number, value in enumerate(values[:12]):
                append(log, value, producer_id=0, producer_epoch=5, base_sequence=number)
            for number, value in enumerate(values[12:16]):
                fields = {"producer_epoch": 0, "base_sequence": number, "transactional": True}
                append(log, value, producer_id=1, **fields)
            log.append_control(ControlType.ABORT, 1, 0, 0, now_ms=0)
            for number, value in enumerate(values[16:]):
                fields = {"producer_epoch": 0, "base_sequence": number, "transactional": True}
                append(log, value, producer_id=2, **fields)
    return tmp_path


def check(directory: LogDirectory) -> None:
    for partition, values in enumerate(VALUES):
        log = directory.partition("ours", partition)
        assert read_all(log) == values
        assert (log.log_end_offset, log.last_stable_offset) == (21, 17)
        assert log.open_transactions() == {2: (0, 17)}
        aborted = log.read(12, 1 << 20, "read_committed").aborted
        assert [(each.producer_id, each.first_offset) for each in aborted] == [(1, 12)]


def test_a_topic_is_taken_over_with_its_offsets_and_transactions(disk: Disk, source: Path) -> None:
    directory = disk.open()
    description = directory.adopt_topic("ours", source, source_name="theirs")
    assert description.partitions == 2
    assert directory.topics() == {"ours": description}
    check(directory)
    check(disk.reopen())
    disk.crash(Adversary.NOTHING)
    check(disk.open())


def test_an_adopted_partition_is_trusted_and_goes_on(disk: Disk, source: Path) -> None:
    directory = disk.open()
    directory.adopt_topic("ours", source, {"segment.bytes": "300"}, source_name="theirs")
    log = directory.partition("ours", 0)
    assert log.recovery_point == 21
    assert append(log, b"more").base_offset == 21
    disk.flush()
    disk.crash(Adversary.NOTHING)
    assert read_all(disk.open().partition("ours", 0)) == [*VALUES[0], b"more"]


def test_a_producer_of_ours_is_not_taken_for_a_foreign_one(disk: Disk, source: Path) -> None:
    directory = disk.open()
    directory.adopt_topic("ours", source, source_name="theirs")
    log = directory.partition("ours", 0)
    first = append(log, b"new", producer_id=0, producer_epoch=0, base_sequence=0)
    assert first == (21, 21, False)
    log = disk.reopen().partition("ours", 0)
    again = append(log, b"new", producer_id=0, producer_epoch=0, base_sequence=0)
    assert again == (21, 21, True)


def test_what_is_open_gets_its_marker_and_its_producer_is_forgotten(
    disk: Disk, source: Path
) -> None:
    asked: list[tuple[TopicPartition, int, int]] = []

    def commit(partition: TopicPartition, producer_id: int, epoch: int) -> tuple[ControlType, int]:
        asked.append((partition, producer_id, epoch))
        return ControlType.COMMIT, epoch + 1

    directory = disk.open()
    directory.adopt_topic("ours", source, source_name="theirs", choose_marker=commit)
    assert asked == [(TopicPartition("theirs", each), 2, 0) for each in (0, 1)]
    for reopen in (disk.reopen, lambda: (disk.crash(Adversary.NOTHING), disk.open())[1]):
        log = directory.partition("ours", 0)
        assert log.open_transactions() == {}
        assert (log.log_end_offset, log.last_stable_offset) == (22, 22)
        assert read_all(log) == VALUES[0]
        directory = reopen()
    log = directory.partition("ours", 0)
    again = append(log, b"new", producer_id=2, producer_epoch=0, base_sequence=0)
    assert again == (22, 22, False)


def test_a_start_above_zero_and_an_empty_partition_are_kept(disk: Disk, source: Path) -> None:
    (source / "log-start-offset-checkpoint").write_text("0\n1\ntheirs 0 5\n")
    segments = sorted((source / "theirs-1").glob("*.log"))
    for segment in segments[:-1]:
        segment.unlink()
    segments[-1].write_bytes(b"")
    end = int(segments[-1].stem)
    directory = disk.open()
    directory.adopt_topic("ours", source, source_name="theirs")
    for _ in range(2):
        logs = [directory.partition("ours", each) for each in (0, 1)]
        assert [log.log_start_offset for log in logs] == [5, end]
        assert [log.log_end_offset for log in logs] == [21, end]
        assert read_all(logs[0], 5) == VALUES[0][5:]
        directory = disk.reopen()
    assert append(directory.partition("ours", 1), b"new").base_offset == end


def batches(path: Path) -> list[tuple[int, BatchHeader]]:
    content, position = path.read_bytes(), 0
    found: list[tuple[int, BatchHeader]] = []
    while position < len(content):
        header = read_header(content, position)
        found.append((position, header))
        position += header.size_bytes
    return found


@pytest.mark.parametrize("last", ["kept", "cut", "empty"])
def test_gaps_between_segments_that_a_brokers_compaction_has_left_are_read_over(
    disk: Disk, source: Path, last: str
) -> None:
    """The end of one segment is gone, all of another, and the last is as `last` says."""
    segments = sorted((source / "theirs-0").glob("*.log"))
    assert len(segments) > 4
    gone: set[int] = set()
    for place, keep in ((0, 1), (2, 0), *({"cut": [(-2, 1)], "empty": [(-1, 0)]}.get(last, []))):
        found = batches(segments[place])
        position = found[keep][0]
        gone |= {header.base_offset for at, header in found if at >= position}
        segments[place].write_bytes(segments[place].read_bytes()[:position])
    end = int(segments[-1].stem) if last == "empty" else 21
    expected = [(n, b"%d of 0" % n) for n in range(min(end, 16)) if n not in gone]
    expected += [(n, b"%d of 0" % (n - 1)) for n in range(17, end) if n not in gone]
    directory = disk.open()
    config = {"cleanup.policy": "compact,delete", "segment.bytes": "300"}
    directory.adopt_topic("ours", source, config, source_name="theirs")
    for reopen in (disk.reopen, lambda: (disk.crash(Adversary.NOTHING), disk.open())[1]):
        log = directory.partition("ours", 0)
        assert (log.log_start_offset, log.log_end_offset) == (0, end)
        for start in range(end):
            assert offsets_and_values(log, start) == [row for row in expected if row[0] >= start]
        directory = reopen()
    log = directory.partition("ours", 0)
    assert append(log, b"more").base_offset == end
    disk.flush()
    assert offsets_and_values(log)[-1] == (end, b"more")


def test_a_gap_wider_than_a_segment_can_be_is_read_over(disk: Disk, source: Path) -> None:
    (source / "theirs-0" / "00000000020000000000.log").write_bytes(b"")
    directory = disk.open()
    directory.adopt_topic("ours", source, source_name="theirs")
    log = directory.partition("ours", 0)
    assert append(log, b"more").base_offset == 20_000_000_000
    disk.flush()
    for start in (20, 21, 5_000_000_000, 19_999_999_999):
        assert offsets_and_values(log, start)[-1] == (20_000_000_000, b"more")
    disk.crash(Adversary.NOTHING)
    assert offsets_and_values(disk.open().partition("ours", 0), 21) == [(20_000_000_000, b"more")]


def offsets_and_values(log: ReadableLog, start: int = 0) -> list[tuple[int, bytes]]:
    columns, offset = Columns(), start
    while offset < log.high_watermark:
        fetched = log.read(offset, 1 << 20)
        position = 0
        while position < len(fetched.data):
            if read_header(fetched.data, position).is_control:
                position += read_header(fetched.data, position).size_bytes
            else:
                position = decode_batch(fetched.data, position, columns, min_offset=start)
        offset = fetched.next_offset
    return [(n, value or b"") for n, value in zip(columns.offsets, columns.values, strict=True)]


def test_what_is_missing_there_already_or_damaged_is_refused(disk: Disk, source: Path) -> None:
    directory = disk.open()
    with pytest.raises(StorageError, match="there is no directory other-0"):
        directory.adopt_topic("other", source)
    (source / "theirs-1").rename(source / "theirs-2")
    with pytest.raises(StorageError, match="there is no directory theirs-1"):
        directory.adopt_topic("ours", source, source_name="theirs")
    (source / "theirs-2").rename(source / "theirs-1")
    segment = sorted((source / "theirs-1").glob("*.log"))[1]
    content = segment.read_bytes()
    segment.write_bytes(content[:70] + b"?" + content[71:])
    with pytest.raises(CorruptLogError, match=rf"ours-1/{segment.name}.* byte 0"):
        directory.adopt_topic("ours", source, source_name="theirs")
    assert not any(name.startswith("ours") for name in disk.files.listdir(ROOT))
    segment.write_bytes(content)
    directory.adopt_topic("ours", source, source_name="theirs")
    with pytest.raises(TopicExistsError):
        directory.adopt_topic("ours", source, source_name="theirs")
    check(directory)


def test_an_adoption_that_failed_leaves_nothing_and_can_be_tried_again(
    disk: Disk, source: Path
) -> None:
    directory = disk.open()
    for kind in ("write", "rename"):
        disk.files.fail(kind, error=errno.ENOSPC)
        with pytest.raises(StorageError, match="no space left"):
            directory.adopt_topic("ours", source, source_name="theirs")
        assert not [name for name in disk.files.listdir(ROOT) if name.startswith("ours-")]
    directory.adopt_topic("ours", source, source_name="theirs")
    check(directory)
    check(disk.reopen())


def test_a_log_that_is_open_is_refused(disk: Disk, source: Path) -> None:
    directory = disk.open()
    with LogDirectory.open(source), pytest.raises(DirectoryLockedError, match=str(source)):
        directory.adopt_topic("ours", source, source_name="theirs")
    directory.adopt_topic("ours", source, source_name="theirs")
    check(directory)


@pytest.mark.parametrize("adversary", [Adversary.NOTHING, Adversary.ALL])
def test_a_crash_leaves_the_whole_topic_or_none(
    disk: Disk, source: Path, adversary: Adversary
) -> None:
    directory = disk.open()
    begin = len(disk.files.operations)
    directory.adopt_topic("ours", source, source_name="theirs")
    files, end = disk.files, len(disk.files.operations)
    there: list[bool] = []
    for after in range(begin, end + 1, 3):
        disk.abandon()
        disk.files = files.cut(Cut(after, adversary))
        directory = disk.open()
        there.append("ours" in directory.topics())
        for name in () if there[-1] else disk.files.listdir(ROOT):
            if name.startswith("ours-"):  # left behind; it would be refused as it is
                assert f"{ROOT}/{name}" in directory.strays
                disk.files.rmtree(f"{ROOT}/{name}")
        if not there[-1]:
            directory.adopt_topic("ours", source, source_name="theirs")
        check(directory)
    assert there == sorted(there)
    assert not there[0]
    disk.abandon()
    disk.files = files.cut(Cut(end, adversary))
    check(disk.open())
