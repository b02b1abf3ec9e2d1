"""Power is cut after every operation of a small storage workload; nothing promised is lost."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import StorageError
from streamlog.record import Columns, ControlType, decode_batch, encode_batch, read_header
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from uuid import UUID

    from streamlog.storage import Durability, PartitionLog, ReadableLog

    from ..conftest import Sweep

ROOT = "/disk/log"
CUTS_IN_CI = 700
SHARES = 3
RECOVERY_CUTS_IN_CI = 120
OS_CUTS_IN_CI = 150
FAILURES_IN_CI = 10  # of each kind
READ_FAILURES_IN_CI = 30
PARTITIONS = [TopicPartition("events", 0), TopicPartition("events", 1)]
SMALL = {"segment.bytes": "700", "index.interval.bytes": "150"}


@dataclass
class Appended:
    """A batch as the workload appended it: what must be found at its offset, or nothing."""

    values: list[bytes]
    producer_id: int = -1
    transactional: bool = False
    control: ControlType | None = None


@dataclass
class History:
    """Everything that was ever appended to a partition, in order, by base offset."""

    batches: dict[int, Appended] = field(default_factory=dict)

    def lso(self, end: int) -> int:
        """The last stable offset of the history's first `end` offsets."""
        return min(self.open_transactions(end).values(), default=end)

    def open_transactions(self, end: int) -> dict[int, int]:
        opened: dict[int, int] = {}
        for offset, batch in self.batches.items():
            if offset >= end:
                break
            if batch.control is not None:
                opened.pop(batch.producer_id, None)
            elif batch.transactional:
                opened.setdefault(batch.producer_id, offset)
        return opened

    def aborted(self, end: int) -> list[tuple[int, int]]:
        opened: dict[int, int] = {}
        found: list[tuple[int, int]] = []
        for offset, batch in self.batches.items():
            if offset >= end:
                break
            if batch.control is ControlType.ABORT and batch.producer_id in opened:
                found.append((batch.producer_id, opened[batch.producer_id]))
            if batch.control is not None:
                opened.pop(batch.producer_id, None)
            elif batch.transactional:
                opened.setdefault(batch.producer_id, offset)
        return sorted(found, key=lambda entry: entry[1])


class Workload:
    """Idempotent and transactional batches, rolls, a clean stop, a reopening, more batches."""

    def __init__(self, files: FaultyFiles, durability: Durability = "fsync") -> None:
        self.files = files
        self.durability: Durability = durability
        self.clock = ManualClock()
        self.histories = {partition: History() for partition in PARTITIONS}
        self.sequences: dict[tuple[TopicPartition, int], int] = {}
        self.directory: LogDirectory | None = None

    def open(self) -> LogDirectory:
        return LogDirectory.open(
            ROOT,
            files=self.files,
            clock=self.clock,
            threaded=False,
            boot_id="boot",
            durability=self.durability,
        )

    def run(self) -> None:
        self.directory = self.open()
        topic = self.directory.create_topic("events", 2, SMALL)
        self.files.note(("topic", topic.topic_id))
        plain, transactional = self.new_producer(), self.new_producer()
        for step in range(6):
            self.append(0, f"plain-{step}", count=3)
            self.append(1, f"idempotent-{step}", producer_id=plain)
            self.flush()
        for step, kind in enumerate([ControlType.COMMIT, ControlType.ABORT, ControlType.COMMIT]):
            for partition in (0, 1):
                self.append(partition, f"transactional-{step}", 2, transactional, True)
            self.append(0, f"between-{step}")
            self.flush()
            for partition in (0, 1):
                self.end(partition, kind, transactional)
            self.append(1, f"after-{step}", producer_id=plain)
        self.flush()
        self.append(1, "left-open", producer_id=transactional, transactional=True)
        self.directory.close()
        self.files.note("clean")
        self.directory = self.open()
        for step in range(4):
            self.append(0, f"reopened-{step}", count=2)
            self.append(1, f"continued-{step}", producer_id=plain)
            self.flush()
        self.end(1, ControlType.ABORT, transactional)
        self.append(0, "never-flushed")
        self.directory.close()

    def new_producer(self) -> int:
        producer_id = self.directory.next_producer_id()
        self.files.note(("producer", producer_id))
        return producer_id

    def append(
        self,
        partition: int,
        name: str,
        count: int = 1,
        producer_id: int = -1,
        transactional: bool = False,
    ) -> None:
        name_of = PARTITIONS[partition]
        now_ms = self.clock.advance(10)
        values = [f"{name}-{number}".encode() * 4 for number in range(count)]
        sequence = -1
        if producer_id >= 0:
            sequence = self.sequences.get((name_of, producer_id), 0)
            self.sequences[name_of, producer_id] = sequence + count
        batch = encode_batch(
            [b"key"] * count,
            values,
            [now_ms] * count,
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=sequence,
            transactional=transactional,
        )
        offset = self.directory.partition(*name_of).append(batch, now_ms=now_ms).base_offset
        self.histories[name_of].batches[offset] = Appended(values, producer_id, transactional)

    def end(self, partition: int, kind: ControlType, producer_id: int) -> None:
        log = self.directory.partition(*PARTITIONS[partition])
        offset = log.append_control(kind, producer_id, 0, 0, now_ms=self.clock.now_ms()).base_offset
        self.histories[PARTITIONS[partition]].batches[offset] = Appended(
            [], producer_id, True, kind
        )

    def flush(self) -> None:
        self.directory.flusher.wait_durable()
        for name in PARTITIONS:
            log = self.directory.partition(*name)
            assert log.high_watermark == log.log_end_offset
            self.files.note(("acknowledged", name, log.high_watermark))


def check_survivors(workload: Workload, survivors: FaultyFiles, cut: Cut) -> None:
    """Everything that was acknowledged before the cut is there, and nothing that never was."""
    notes = workload.files.notes(cut)
    acknowledged = dict.fromkeys(PARTITIONS, 0)
    topic_id: UUID | None = None
    last_producer_id = -1
    for note in notes:
        match note:
            case ("acknowledged", name, offset):
                acknowledged[name] = offset
            case ("topic", found):
                topic_id = found
            case ("producer", producer_id):
                last_producer_id = producer_id
            case _:
                pass
    if workload.durability == "os":  # which promises nothing over a loss of power
        acknowledged, topic_id, last_producer_id = dict.fromkeys(PARTITIONS, 0), None, -1
    check_reader(workload, survivors)
    clock = ManualClock()
    with LogDirectory.open(
        ROOT, files=survivors, clock=clock, threaded=False, boot_id="next"
    ) as directory:
        assert workload.durability == "os" or not directory.unclean_boot
        if topic_id is not None:
            assert directory.topic("events").topic_id == topic_id
        if "events" not in directory.topics():
            return
        for name in PARTITIONS:
            check_partition(workload.histories[name], directory, name, acknowledged[name])
        assert directory.next_producer_id() > last_producer_id
    with LogDirectory.open(ROOT, files=survivors, threaded=False, boot_id="next") as directory:
        assert directory.truncations == []
        for name in PARTITIONS:
            log = directory.partition(*name)
            assert log.read(log.log_end_offset - 1, 1).next_offset == log.high_watermark


def check_reader(workload: Workload, survivors: FaultyFiles) -> None:
    """A reader beside the owner that died sees a prefix, and changes nothing."""
    if not survivors.exists(f"{ROOT}/meta.properties"):
        return
    before = len(survivors.operations)
    with ReadOnlyDirectory.open(ROOT, files=survivors, boot_id="next") as directory:
        if "events" in directory.topics():
            for name in PARTITIONS:
                log = directory.partition(*name)
                found = read_values(log, log.high_watermark)
                history = workload.histories[name]
                assert found == values_below(history, log.high_watermark)
                assert log.last_stable_offset == history.lso(log.high_watermark)
    assert len(survivors.operations) == before


def check_partition(
    history: History, directory: LogDirectory, name: TopicPartition, acknowledged: int
) -> None:
    log = directory.partition(*name)
    end = log.log_end_offset
    assert log.high_watermark == end
    assert end >= acknowledged
    assert all(t.offset >= acknowledged for t in directory.truncations if t.topic_partition == name)
    assert read_values(log, end) == values_below(history, end)
    check_transactions(history, log, end)
    check_producers(history, log, end)


def read_values(log: ReadableLog, end: int) -> list[tuple[int, bytes]]:
    columns, offset = Columns(), log.log_start_offset
    while offset < end:
        fetched = log.read(offset, 300)
        position = 0
        assert fetched.data, f"{log} has nothing at {offset}"
        while position < len(fetched.data):
            position = decode_batch(fetched.data, position, columns)
        offset = fetched.next_offset
    return list(zip(columns.offsets, columns.values, strict=True))


def values_below(history: History, end: int) -> list[tuple[int, bytes]]:
    return [
        (offset + place, value)
        for offset, batch in history.batches.items()
        if offset < end
        for place, value in enumerate(batch.values)
    ]


def check_transactions(history: History, log: ReadableLog, end: int) -> None:
    opened = {producer_id: first for producer_id, (_, first) in log.open_transactions().items()}
    assert opened == history.open_transactions(end)
    assert log.last_stable_offset == history.lso(end)
    if log.last_stable_offset > 0:
        aborted: set[tuple[int, int]] = set()
        offset = 0
        while offset < log.last_stable_offset:
            fetched = log.read(offset, 300, "read_committed")
            aborted |= {tuple(entry) for entry in fetched.aborted}
            offset = fetched.next_offset
        expected = [e for e in history.aborted(end) if e[1] < log.last_stable_offset]
        assert sorted(aborted, key=lambda entry: entry[1]) == expected


def check_producers(history: History, log: PartitionLog, end: int) -> None:
    """The next sequence is accepted at the next offset; the last batch again is a duplicate."""
    sequences: dict[int, int] = {}
    last: dict[int, tuple[int, int, int]] = {}
    for offset, batch in history.batches.items():
        if offset < end and batch.producer_id >= 0 and batch.control is None:
            sequence = sequences.get(batch.producer_id, 0)
            last[batch.producer_id] = (sequence, len(batch.values), offset)
            sequences[batch.producer_id] = sequence + len(batch.values)
    for producer_id, (sequence, count, offset) in last.items():
        transactional = producer_id in log.open_transactions()
        again = encode_batch(
            [None] * count,
            [b""] * count,
            [0] * count,
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=sequence,
            transactional=transactional,
        )
        assert log.append(again, now_ms=0) == (offset, offset + count - 1, True)
        following = encode_batch(
            [None],
            [b"next"],
            [0],
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=sequence + count,
            transactional=transactional,
        )
        assert log.append(following, now_ms=0).base_offset == end
        assert read_header(following).base_offset == end
        end += 1
    log.append(encode_batch([None], [b"last"], [0]), now_ms=0)


@pytest.fixture(scope="module")
def workload() -> Workload:
    workload = Workload(FaultyFiles())
    workload.run()
    return workload


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_acknowledged_is_lost_wherever_the_power_is_cut(
    workload: Workload, sweep: Sweep, share: int
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut(workload.files, check, in_ci=CUTS_IN_CI, seed="storage", share=share, shares=SHARES)


def test_a_second_cut_while_the_first_is_recovered_loses_nothing_either(
    workload: Workload, sweep: Sweep
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut_twice(workload.files, recover, check, in_ci=RECOVERY_CUTS_IN_CI, seed="recovery")


def recover(survivors: FaultyFiles) -> None:
    LogDirectory.open(
        ROOT, files=survivors, clock=ManualClock(), threaded=False, boot_id="next"
    ).close()


def test_without_fsync_a_loss_of_power_leaves_a_prefix(sweep: Sweep) -> None:
    """And never something that refuses to open: no recovery point is ahead of the disk."""
    workload = Workload(FaultyFiles(), "os")
    workload.run()
    check = partial(check_survivors, workload)
    sweep.cut(workload.files, check, in_ci=OS_CUTS_IN_CI, seed="os")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("datasync", errno.EIO),
        ("sync_directory", errno.EIO),
        ("write", errno.ENOSPC),
        ("create", errno.ENOSPC),
        ("rename", errno.EIO),
    ],
)
def test_nothing_acknowledged_is_lost_whichever_operation_fails(
    workload: Workload, sweep: Sweep, kind: str, error: int
) -> None:
    def check(files: FaultyFiles, place: int) -> None:
        failing = run_failing(files)
        cut = Cut(len(files.operations), Adversary.NOTHING if place % 2 else Adversary.ALL)
        survivors = files.cut(cut)
        close_failed(failing)
        check_survivors(failing, survivors, cut)

    sweep.fail(workload.files, kind, check, in_ci=FAILURES_IN_CI, error=error)


def test_what_is_read_after_a_failed_sync_survives_a_loss_of_power(
    workload: Workload, sweep: Sweep
) -> None:
    """Reopened in the same boot, the log finds in memory what the failed sync has not written."""

    def check(files: FaultyFiles, place: int) -> None:
        failing = run_failing(files)
        close_failed(failing)
        directory = failing.open()
        if "events" in directory.topics():
            for name in PARTITIONS:
                files.note(("acknowledged", name, directory.partition(*name).high_watermark))
        cut = Cut(len(files.operations), Adversary.NOTHING)
        survivors = files.cut(cut)
        directory.close()
        check_survivors(failing, survivors, cut)

    sweep.fail(workload.files, "datasync", check, in_ci=READ_FAILURES_IN_CI, error=errno.EIO)


def run_failing(files: FaultyFiles) -> Workload:
    failing = Workload(files)
    with contextlib.suppress(StorageError):
        failing.run()
    return failing


def close_failed(failing: Workload) -> None:
    if failing.directory is not None:
        with contextlib.suppress(StorageError):
            failing.directory.close()


def test_the_workload_reaches_what_it_is_meant_to_reach(workload: Workload) -> None:
    kinds = {operation.kind for operation in workload.files.operations}
    names = {operation.path.rsplit(".", 1)[-1] for operation in workload.files.operations}
    assert kinds >= {"create", "write", "truncate", "preallocate", "datasync", "rename", "mkdir"}
    assert kinds >= {"unlink", "sync_directory"}
    assert names >= {"log", "index", "timeindex", "txnindex", "snapshot"}
