"""Power is cut after every operation of retention, deletion, growth and changed configurations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import CorruptLogError, TopicDeletedError
from streamlog.record import Columns, decode_batch, encode_batch
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock, choose_cuts
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from uuid import UUID

    from streamlog.storage import ReadableLog

    from ..conftest import Sweep

ROOT = "/disk/log"
CUTS_IN_CI = 260
RECOVERY_CUTS_IN_CI = 40
SHARES = 2
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Promised:
    """What was acknowledged of the topic `t`."""

    topic_id: UUID | None = None
    partitions: int = 0
    config: tuple[tuple[str, str], ...] = ()
    log_config: tuple[tuple[str, str], ...] = ()
    ends: dict[int, int] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)


class Workload:
    """Each change is noted when it was acknowledged; `values` has all that was ever appended."""

    def __init__(self) -> None:
        self.files = FaultyFiles()
        self.clock = ManualClock()
        self.promised = Promised()
        self.values: dict[tuple[UUID, int], list[bytes]] = {}

    def open(self) -> LogDirectory:
        return LogDirectory.open(
            ROOT, files=self.files, clock=self.clock, threaded=False, boot_id="boot"
        )

    def note(self, **changes: object) -> None:
        self.promised = replace(self.promised, **changes)  # type: ignore[arg-type]
        self.files.note(self.promised)

    def create(self, directory: LogDirectory, partitions: int) -> None:
        config = {"segment.bytes": "150", "retention.ms": str(DAY_MS)}
        topic = directory.create_topic("t", partitions, config)
        self.note(
            topic_id=topic.topic_id, partitions=partitions, config=tuple(sorted(config.items()))
        )

    def append(self, directory: LogDirectory, partition: int, count: int = 4) -> None:
        log = directory.partition("t", partition)
        values = self.values.setdefault((log.topic_id, partition), [])
        for _ in range(count):
            values.append(b"%d of %s" % (len(values), log.topic_id.bytes) * 2)
            now_ms = self.clock.advance(10)
            log.append(encode_batch([None], [values[-1]], [now_ms]), now_ms=now_ms)
            directory.flusher.wait_durable()
            self.note(ends=self.promised.ends | {partition: len(values)})

    def step(self, directory: LogDirectory, ms: int) -> None:
        directory.housekeeper.step(self.clock.advance(ms))

    def run(self) -> None:
        directory = self.open()
        self.create(directory, 1)
        self.append(directory, 0, 6)
        directory.alter_topic("t", partitions=3)
        self.note(partitions=3)
        self.append(directory, 2)
        directory.alter_topic("t", config={"segment.index.bytes": "1000"})
        self.note(config=tuple(sorted(directory.topic("t").config.items())))
        directory.alter_config({"log.retention.bytes": "100000"})
        self.note(log_config=(("log.retention.bytes", "100000"),))
        directory.delete_records({TopicPartition("t", 0): 3})
        self.note(starts={0: 3})
        self.step(directory, 1_000_000)
        self.append(directory, 0)
        self.step(directory, 2 * DAY_MS)  # by time
        self.append(directory, 0, 2)
        self.step(directory, 1_000_000)  # removes the files
        directory.close()
        directory = self.open()
        self.append(directory, 2, 2)
        directory.delete_records({TopicPartition("t", 2): -1})
        self.note(starts=self.promised.starts | {2: len(self.values[self.promised.topic_id, 2])})
        for _ in range(3):
            self.step(directory, 1_000_000)  # ends the segment, and then it goes
            directory.flusher.wait_durable()
        self.append(directory, 2, 1)
        self.forget(directory)
        self.create(directory, 2)
        self.append(directory, 0, 5)
        self.step(directory, 1_000_000)
        self.append(directory, 1, 2)
        self.forget(directory)
        directory.close()

    def forget(self, directory: LogDirectory) -> None:
        self.files.note("deleting")
        directory.delete_topic("t")
        self.note(topic_id=None, partitions=0, config=(), ends={}, starts={})


def read(log: ReadableLog) -> list[bytes | None]:
    columns, offset = Columns(), log.log_start_offset
    while offset < log.high_watermark:
        fetched = log.read(offset, 300)
        assert fetched.data, f"{log} has nothing at {offset}"
        position = 0
        while position < len(fetched.data):
            position = decode_batch(fetched.data, position, columns, min_offset=offset)
        offset = fetched.next_offset
    return columns.values


def check_topic(workload: Workload, directory: LogDirectory, notes: list[object]) -> None:
    promises = [note for note in notes if isinstance(note, Promised)]
    promised = promises[-1] if promises else Promised()
    topic = directory.topics().get("t")
    may_be_gone = promised.topic_id is None or notes[-1] == "deleting"
    if may_be_gone and (topic is None or topic.topic_id != promised.topic_id):
        return  # gone, or created again without anybody having been told
    assert topic is not None
    assert topic.topic_id == promised.topic_id
    assert topic.partitions >= promised.partitions
    assert set(topic.config.items()) >= set(promised.config)
    config = {key: entry.value for key, entry in directory.config().items()}
    assert set(config.items()) >= set(promised.log_config)
    for partition in range(promised.partitions):
        log = directory.partition("t", partition)
        assert log.log_start_offset >= promised.starts.get(partition, 0)
        assert log.log_end_offset >= promised.ends.get(partition, 0)
        everything = workload.values.get((topic.topic_id, partition), [])
        assert read(log) == everything[log.log_start_offset : log.log_end_offset]


def check_reader(workload: Workload, survivors: FaultyFiles, *, deleting: bool) -> None:
    """A reader beside the owner that died sees a prefix of what is not deleted."""
    if not survivors.exists(f"{ROOT}/meta.properties"):
        return
    # What was published of the metadata may be older than the directories: then it is refused.
    refused = (CorruptLogError, TopicDeletedError) if deleting else ()
    with (
        suppress(*refused),
        ReadOnlyDirectory.open(ROOT, files=survivors, boot_id="next") as beside,
    ):
        topic = beside.topics().get("t")
        for number in range(topic.partitions if topic else 0):
            log = beside.partition("t", number)
            everything = workload.values.get((topic.topic_id, number), [])
            assert read(log) == everything[log.log_start_offset : log.high_watermark]


def check_survivors(workload: Workload, survivors: FaultyFiles, cut: Cut) -> None:
    notes = list(workload.files.notes(cut))
    clock = ManualClock(workload.clock.now_ms())
    check_reader(workload, survivors, deleting="deleting" in notes)
    for _ in range(2):
        with LogDirectory.open(
            ROOT, files=survivors, clock=clock, threaded=False, boot_id="next"
        ) as directory:
            assert directory.strays == []
            check_topic(workload, directory, notes)
            # What was under way ends, and what is created now has nothing of the old one.
            directory.housekeeper.step(clock.advance(60_000))
            names = survivors.listdir(ROOT)
            assert not [name for name in names if name.endswith("-delete")]
            if "t" not in directory.topics():
                directory.create_topic("t", 1)
                assert directory.partition("t", 0).log_end_offset == 0
                directory.delete_topic("t")


@pytest.fixture(scope="module")
def workload() -> Workload:
    workload = Workload()
    workload.run()
    return workload


@pytest.mark.parametrize("share", range(SHARES))
def test_changes_of_topics_survive_wherever_the_power_is_cut(
    workload: Workload, sweep: Sweep, share: int
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut(workload.files, check, in_ci=CUTS_IN_CI, seed="topics", share=share, shares=SHARES)


def test_a_second_cut_while_a_deletion_is_finished_changes_nothing(
    workload: Workload, sweep: Sweep
) -> None:
    check = partial(check_survivors, workload)
    sweep.cut_twice(workload.files, recover, check, in_ci=RECOVERY_CUTS_IN_CI, seed="again")


def recover(survivors: FaultyFiles) -> None:
    LogDirectory.open(
        ROOT, files=survivors, clock=ManualClock(), threaded=False, boot_id="next"
    ).close()


def test_the_workload_deletes_what_it_is_meant_to_delete(workload: Workload) -> None:
    operations = workload.files.operations
    renamed = [each.source for each in operations if each.kind == "rename"]
    assert any(path.endswith(".log") for path in renamed)
    assert any(path.endswith("t-0") for path in renamed)
    assert len(choose_cuts(len(operations))) > CUTS_IN_CI
    assert workload.files.cut(Cut(len(operations), Adversary.ALL)).exists(ROOT)


def test_a_checkpoint_leaves_the_file_alone_that_says_whose_a_directory_is(
    workload: Workload,
) -> None:
    for after in range(100, len(workload.files.operations), 150):
        survivors = workload.files.cut(Cut(after, Adversary.ALL))
        recover(survivors)
        assert not [
            operation
            for operation in survivors.operations
            if operation.kind == "truncate" and operation.path.endswith("partition.metadata")
        ]
