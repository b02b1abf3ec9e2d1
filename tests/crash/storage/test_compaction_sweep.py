"""Power is cut after every operation of a log that is compacted again and again.

What holds at any cut: every key has its last value, nothing is there that was never appended or
that was aborted, and compaction goes on from what is left as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import errno
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streamlog.client.isolation import decode_visible
from streamlog.errors import StorageError
from streamlog.record import ControlType, encode_batch
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from streamlog.storage import PartitionLog, ReadableLog

    from ..conftest import Sweep

ROOT = "/disk/log"
CUTS_IN_CI = 300
RECOVERY_CUTS_IN_CI = 60
FAILURES_IN_CI = 8  # of each kind
NAME = TopicPartition("table", 0)
RETENTION_MS = 500
CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": "600",
    "index.interval.bytes": "150",
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(RETENTION_MS),
}


@dataclass(frozen=True)
class Written:
    """A record as it was appended; `outcome` is known when its transaction has ended."""

    key: bytes
    value: bytes | None
    transaction: int | None


@dataclass
class History:
    records: dict[int, Written] = field(default_factory=dict)
    outcomes: dict[int, tuple[int, ControlType]] = field(default_factory=dict)
    """Transaction to the offset of its marker and what that says."""

    def outcome(self, record: Written, end: int) -> ControlType | None:
        """What is known of the record's transaction below `end`."""
        if record.transaction is None:
            return ControlType.COMMIT
        offset, kind = self.outcomes.get(record.transaction, (end, None))
        return kind if offset < end else None


class Workload:
    """Values, tombstones and transactions of a few keys, and rounds of cleaning between them."""

    def __init__(self, files: FaultyFiles) -> None:
        self.files = files
        self.clock = ManualClock()
        self.history = History()
        self.sequence = 0
        self.transaction = 0
        self.rounds = 0
        self.directory: LogDirectory | None = None

    def run(self) -> None:
        self.open().create_topic("table", 1, CONFIG)
        for number in range(14):
            self.put(number % 4, number)
        self.clean()
        self.transact(range(4), ControlType.ABORT)
        self.transact(range(2, 6), ControlType.COMMIT)
        for number in range(8):
            self.put(number % 4, None if number == 5 else number)
        self.clean()
        self.directory.close()
        self.files.note("clean")
        self.open()
        for number in range(10):
            self.put(number % 5, number)
            if number % 4 == 3:
                self.clean()
        self.clock.advance(RETENTION_MS + 1)
        for number in range(8):
            self.put(number % 3, number)
        self.clean()
        self.put(7, 1, sync=False)
        self.directory.close()

    def open(self) -> LogDirectory:
        self.directory = LogDirectory.open(
            ROOT, files=self.files, clock=self.clock, threaded=False, boot_id="boot"
        )
        return self.directory

    @property
    def log(self) -> PartitionLog:
        assert self.directory is not None
        return self.directory.partition(*NAME)

    def put(self, key: int, value: int | None, *, sync: bool = True) -> None:
        self._append([key], [value])
        if sync:
            self.sync()

    def transact(self, keys: range, kind: ControlType) -> None:
        self.transaction += 1
        for key in keys:
            self._append([key, key + 1], [key, None if key == 3 else 7], transactional=True)
        self.sync()
        log, now_ms = self.log, self.clock.now_ms()
        offset = log.append_control(kind, 1, 0, 0, now_ms=now_ms).base_offset
        self.history.outcomes[self.transaction] = (offset, kind)
        self.sync()

    def _append(
        self, keys: list[int], values: list[int | None], *, transactional: bool = False
    ) -> None:
        now_ms = self.clock.advance(10)
        written = [
            Written(
                b"key-%d" % key,
                None if value is None else b"value-%d-%d" % (value, now_ms),
                self.transaction if transactional else None,
            )
            for key, value in zip(keys, values, strict=True)
        ]
        batch = encode_batch(
            [each.key for each in written],
            [each.value for each in written],
            [now_ms] * len(keys),
            producer_id=1 if transactional else -1,
            producer_epoch=0 if transactional else -1,
            base_sequence=self.sequence if transactional else -1,
            transactional=transactional,
        )
        if transactional:
            self.sequence += len(keys)
        base = self.log.append(batch, now_ms=now_ms).base_offset
        self.history.records.update(enumerate(written, base))

    def sync(self) -> None:
        assert self.directory is not None
        self.directory.flusher.wait_durable()
        self.files.note(self.log.high_watermark)

    def clean(self) -> None:
        assert self.directory is not None
        while clean(self.directory, self.clock.now_ms()):
            self.rounds += 1


def clean(directory: LogDirectory, now_ms: int) -> bool:
    assert directory.cleaner is not None
    done = directory.cleaner.step(now_ms)
    assert directory.cleaner.faults == {}
    return done


def check_survivors(workload: Workload, survivors: FaultyFiles, cut: Cut) -> None:
    acknowledged = max(
        (note for note in workload.files.notes(cut) if isinstance(note, int)), default=0
    )
    if survivors.exists(f"{ROOT}/meta.properties"):
        with ReadOnlyDirectory.open(ROOT, files=survivors, boot_id="next") as beside:
            if NAME.topic in beside.topics():
                check_log(workload.history, beside.partition(*NAME))
    clock = ManualClock()
    with LogDirectory.open(
        ROOT, files=survivors, clock=clock, threaded=False, boot_id="next"
    ) as directory:
        if NAME.topic not in directory.topics():
            assert not acknowledged
            return
        log = directory.partition(*NAME)
        assert log.log_end_offset >= acknowledged
        assert all(each.offset >= acknowledged for each in directory.truncations)
        check_log(workload.history, log)
        check_files(survivors)
        before = len(read(log))
        while clean(directory, workload.clock.now_ms()):
            pass
        check_log(workload.history, log)
        check_files(survivors, ".deleted")
        assert len(read(log)) <= before
        log.append(encode_batch([b"key-0"], [b"last"], [0]), now_ms=0)
        expected = check_log(workload.history, log)
    with LogDirectory.open(ROOT, files=survivors, threaded=False, boot_id="next") as directory:
        assert directory.truncations == []
        found = read(directory.partition(*NAME))
        assert found.items() >= expected.items()
        if not directory.open_transactions():
            assert list(found.values())[-1] == (b"key-0", b"last")


def check_log(history: History, log: ReadableLog) -> dict[int, tuple[bytes | None, bytes | None]]:
    """Nothing is there that was not appended, and what is missing may be missing."""
    end = log.last_stable_offset
    found = read(log)
    known = {
        offset: record
        for offset, record in history.records.items()
        if offset < end and history.outcome(record, log.high_watermark) is ControlType.COMMIT
    }
    for offset, row in found.items():
        assert row == (known[offset].key, known[offset].value), f"offset {offset}"
    last = {record.key: offset for offset, record in known.items()}
    for offset, record in known.items():
        if offset not in found:
            assert offset < last[record.key] or record.value is None, f"offset {offset} is lost"
    return found


def read(log: ReadableLog) -> dict[int, tuple[bytes | None, bytes | None]]:
    """What a reader of committed data sees, by offset."""
    rows: dict[int, tuple[bytes | None, bytes | None]] = {}
    offset, end = log.log_start_offset, log.last_stable_offset
    while offset < end:
        fetched = log.read(offset, 200, "read_committed")
        assert fetched.next_offset > offset, f"nothing at {offset}"
        columns = decode_visible(fetched.data, offset, fetched.aborted)
        rows.update(
            zip(columns.offsets, zip(columns.keys, columns.values, strict=True), strict=True)
        )
        offset = fetched.next_offset
    return rows


def check_files(files: FaultyFiles, *expected: str) -> None:
    """Every file in the directory is one of a segment's, or one that is expected."""
    path = f"{ROOT}/{NAME}"
    names = files.listdir(path) if files.exists(path) else []
    states = {".cleaned", ".swap", ".deleted"} - set(expected)
    assert not [name for name in names if name.endswith(tuple(states))]
    logs = {name.split(".")[0] for name in names if name.endswith(".log")}
    for name in names:
        if name.endswith(("index", ".log")):
            assert name.split(".")[0] in logs, name


@pytest.fixture(scope="module")
def workload() -> Workload:
    workload = Workload(FaultyFiles())
    workload.run()
    return workload


def test_every_key_keeps_its_last_value_wherever_the_power_is_cut(
    workload: Workload, sweep: Sweep
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut(workload.files, check, in_ci=CUTS_IN_CI, seed="compaction")


def test_a_second_cut_while_the_first_is_recovered_changes_nothing(
    workload: Workload, sweep: Sweep
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut_twice(
        workload.files, recover, check, in_ci=RECOVERY_CUTS_IN_CI, seed="recovery", again=3
    )


def recover(survivors: FaultyFiles) -> None:
    LogDirectory.open(ROOT, files=survivors, threaded=False, boot_id="next").close()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("datasync", errno.EIO),
        ("sync_directory", errno.EIO),
        ("write", errno.ENOSPC),
        ("create", errno.ENOSPC),
        ("rename", errno.EIO),
        ("unlink", errno.EIO),
    ],
)
def test_every_key_keeps_its_last_value_whichever_operation_fails(
    workload: Workload, sweep: Sweep, kind: str, error: int
) -> None:
    def check(files: FaultyFiles, place: int) -> None:
        failing = Workload(files)
        with contextlib.suppress(StorageError):
            failing.run()
        cut = Cut(len(files.operations), Adversary.NOTHING if place % 2 else Adversary.ALL)
        survivors = files.cut(cut)
        if failing.directory is not None:
            with contextlib.suppress(StorageError):
                failing.directory.close()
        check_survivors(failing, survivors, cut)

    sweep.fail(workload.files, kind, check, in_ci=FAILURES_IN_CI, error=error)


def test_the_workload_reaches_what_it_is_meant_to_reach(workload: Workload) -> None:
    paths = {operation.path for operation in workload.files.operations}
    for state in (".cleaned", ".swap"):
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            assert any(path.endswith(suffix + state) for path in paths), suffix + state
    assert workload.rounds >= 4
    renamed = [each for each in workload.files.operations if each.kind == "rename"]
    assert len(renamed) > 50


@pytest.mark.parametrize("seed", range(6))
def test_a_reader_beside_the_owner_goes_on_over_compaction(seed: int) -> None:
    """It opens files late, and finds other segments' under the names that it knows."""
    chosen = random.Random(f"beside {seed}")
    workload = Workload(FaultyFiles())
    owner = workload.open()
    owner.create_topic("table", 1, CONFIG)
    workload.put(0, 1)
    with owner, ReadOnlyDirectory.open(ROOT, files=workload.files, boot_id="boot") as beside:
        beside._pool._limit = chosen.choice([1, 2, 100])  # pyright: ignore[reportPrivateUsage]
        log = beside.partition(*NAME)
        for number in range(60):
            match chosen.choice(["put", "put", "put", "put", "transact", "clean", "wait"]):
                case "put":
                    workload.put(chosen.randrange(5), chosen.choice([number, number, None]))
                case "transact":
                    kind = chosen.choice([ControlType.ABORT, ControlType.COMMIT])
                    workload.transact(range(chosen.randrange(3), 4), kind)
                case "clean":
                    workload.clean()
                case _:
                    workload.clock.advance(RETENTION_MS)
            if chosen.random() < 0.5:
                beside.refresh()
                assert last_values(check_log(workload.history, log)) == last_values(
                    read(workload.log)
                )
                log.read(chosen.randrange(log.high_watermark), 100)
                log.offset_for_timestamp(workload.clock.now_ms() - chosen.randrange(2000))


def last_values(
    rows: dict[int, tuple[bytes | None, bytes | None]],
) -> dict[bytes | None, bytes | None]:
    return {key: value for key, value in dict(rows.values()).items() if value is not None}
