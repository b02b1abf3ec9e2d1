"""Power is cut after every operation of transactions over several partitions and groups.

Several producers run at once, and each begins its next transaction in the very moment in which
its last one is acknowledged, while the markers of that are not durable: after a crash, a
partition may hold data of two transactions of one producer, the first decided, the second not.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.client.isolation import decode_visible
from streamlog.coordination import (
    Coordination,
    ProducerIdentity,
    TransactionMetadata,
    TransactionState,
)
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, TRANSACTION_TOPIC
from streamlog.coordination.transaction_record import decode_key, decode_value
from streamlog.record import BatchHeader, Columns, decode_batch, encode_batch, read_header
from streamlog.storage import LogDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamlog.errors import StorageError
    from streamlog.storage import Durability
    from streamlog.testing.faulty_files import Operation

    from ..conftest import Sweep

ROOT = "/disk/log"
CUTS_IN_CI = 500
SHARES = 3
RECOVERY_CUTS_IN_CI = 60
PARTITIONS = [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
SOURCE = TopicPartition("source", 0)
NAMES = ("alpha", "beta", "gamma", "delta")
HANGING = ProducerIdentity(1_000_000, 5)
WEEK_MS = 7 * 24 * 60 * 60 * 1000
SMALL = {"segment.bytes": "600", "index.interval.bytes": "150"}
Script = Iterator[Future[ProducerIdentity] | None]


@dataclass
class Attempt:
    """One transaction as it was tried; `ends` is how it was asked to end, if it was."""

    number: int
    producer: str
    identity: ProducerIdentity
    ends: bool | None = None
    values: dict[TopicPartition, list[bytes]] = field(
        default_factory=dict[TopicPartition, list[bytes]]
    )
    offset: int | None = None


class Writer:
    """A producer with its own group, whose offset is the number of its transaction."""

    def __init__(self, workload: Workload, name: str, timeout_ms: int = 60_000) -> None:
        self.workload = workload
        self.name = name
        self.transactions = workload.coordination.transactions
        self.become(self.transactions.init_producer(name, timeout_ms))

    def become(self, identity: ProducerIdentity) -> None:
        self.identity = identity
        self.sequences: dict[TopicPartition, int] = {}
        self.attempt = self.workload.new_attempt(self.name, identity)

    def send(self, *places: TopicPartition, count: int = 1) -> None:
        self.transactions.add_partitions(self.name, self.identity, places)
        for place in places:
            sent = self.attempt.values.setdefault(place, [])
            values = [
                f"{self.name}-{self.attempt.number}-{len(sent) + index}".encode()
                for index in range(count)
            ]
            self.append(place, values)
            sent += values

    def append(self, place: TopicPartition, values: list[bytes]) -> None:
        now_ms = self.workload.clock.now_ms()
        sequence = self.sequences.get(place, 0)
        batch = encode_batch(
            [None] * len(values),
            values,
            [now_ms] * len(values),
            producer_id=self.identity.producer_id,
            producer_epoch=self.identity.producer_epoch,
            base_sequence=sequence,
            transactional=True,
        )
        result = self.workload.directory.partition(*place).append(batch, now_ms=now_ms)
        assert not result.duplicate
        self.sequences[place] = sequence + len(values)

    def send_offset(self) -> None:
        self.attempt.offset = self.attempt.number
        group = GroupMetadata(group_id=f"group-{self.name}")
        self.transactions.send_offsets(
            self.name, self.identity, group, {SOURCE: self.attempt.number}
        )

    def end(self, *, commit: bool) -> Future[ProducerIdentity]:
        attempt = self.attempt
        attempt.ends = commit
        ending = self.transactions.end(self.name, self.identity, commit=commit)

        def ended(future: Future[ProducerIdentity]) -> None:
            self.workload.files.note(("ended", attempt.number))
            self.become(future.result())

        ending.add_done_callback(ended)
        return ending


class Workload:
    """What runs before the cuts."""

    def __init__(self, files: FaultyFiles, durability: Durability = "fsync") -> None:
        self.files = files
        self.durability: Durability = durability
        self.clock = ManualClock()
        self.attempts: list[Attempt] = []
        self.running = 0
        self.errors: list[BaseException] = []
        self.open()

    def open(self) -> None:
        self.directory = LogDirectory.open(
            ROOT,
            files=self.files,
            clock=self.clock,
            threaded=False,
            boot_id="boot",
            durability=self.durability,
        )
        self.coordination = Coordination(self.directory, clock=self.clock)
        self.coordination.open()

    def close(self) -> None:
        self.coordination.close()
        self.directory.close()

    def new_attempt(self, producer: str, identity: ProducerIdentity) -> Attempt:
        attempt = Attempt(len(self.attempts), producer, identity)
        self.attempts.append(attempt)
        self.files.note(("identity", attempt.number))
        return attempt

    def run(self) -> None:
        for topic in (TRANSACTION_TOPIC, OFFSETS_TOPIC):
            self.directory.create_topic(topic, 2)  # not 50, so that reopening is quick
        self.directory.create_topic("a", 2, SMALL)
        self.directory.create_topic("b", 1, SMALL)
        self.commit_plainly(1)
        alpha, beta, gamma = Writer(self, "alpha"), Writer(self, "beta"), Writer(self, "gamma")
        self.together(
            self.back_to_back(alpha, 4), self.slowly(beta, 3), self.offsets_mostly(gamma, 3)
        )
        self.commit_plainly(7)
        self.time_out(gamma)
        self.abort_as_operator(beta)
        self.abort_what_hangs(alpha)
        beta.send(*PARTITIONS)
        alpha.send(*PARTITIONS[:2])
        alpha.send_offset()
        self.directory.flusher.wait_durable()
        for writer in (alpha, beta):
            self.coordination.transactions.release(writer.name)
        alpha, beta = Writer(self, "alpha"), Writer(self, "beta")
        alpha.send(*PARTITIONS)  # before any window: what the identity rests on must be durable
        beta.send(*PARTITIONS)
        self.together(self.back_to_back(alpha, 2), self.slowly(beta, 2))
        gamma.send(PARTITIONS[2])
        self.close()
        self.open()
        alpha, gamma = Writer(self, "alpha"), Writer(self, "gamma")
        self.together(self.back_to_back(alpha, 2), self.offsets_mostly(gamma, 2))
        self.commit_plainly(8)
        self.expire("delta")
        gamma.send(*PARTITIONS)
        gamma.send_offset()
        self.directory.flusher.wait_durable()

    def together(self, *scripts: Script) -> None:
        """Runs scripts side by side, each a step a flush window or an end of a transaction."""
        self.running = len(scripts)

        def start(_: StorageError | None) -> None:
            for script in scripts:
                self.advance(script)

        self.directory.flusher.when_durable(start)
        assert not self.errors, self.errors
        assert not self.running

    def advance(self, script: Script) -> None:
        try:
            awaited = next(script)
        except StopIteration:
            self.running -= 1
        except BaseException as error:  # a future would swallow it
            self.errors.append(error)
        else:
            if awaited is None:
                self.directory.flusher.when_durable(lambda error: self.advance(script))
            else:
                awaited.add_done_callback(lambda _: self.advance(script))

    def back_to_back(self, writer: Writer, count: int) -> Script:
        for turn in range(count):
            writer.send(*PARTITIONS, count=1 + turn % 2)
            writer.send_offset()
            yield writer.end(commit=True)

    def slowly(self, writer: Writer, count: int) -> Script:
        for turn in range(count):
            writer.send(PARTITIONS[turn % 3], count=2)
            yield None
            writer.send(PARTITIONS[(turn + 1) % 3])
            writer.send_offset()
            yield None
            yield writer.end(commit=turn % 2 == 1)

    def offsets_mostly(self, writer: Writer, count: int) -> Script:
        for turn in range(count):
            writer.send_offset()
            if turn % 2:
                writer.send(PARTITIONS[1])
            yield writer.end(commit=True)
            yield None

    def commit_plainly(self, offset: int) -> None:
        group = GroupMetadata(group_id="plain")
        self.coordination.groups.commit(group, {SOURCE: offset}).result(0)
        self.files.note(("plain", offset))

    def time_out(self, writer: Writer) -> None:
        writer.send(*PARTITIONS)
        writer.send_offset()
        for _ in range(70):
            self.coordination.step()
            self.clock.advance(1_000)
        assert self.directory.open_transactions() == {}
        writer.end(commit=False).result(0)

    def abort_as_operator(self, writer: Writer) -> None:
        writer.send(*PARTITIONS)
        writer.send_offset()
        self.coordination.transactions.abort(writer.name)
        assert self.directory.open_transactions() == {}
        writer.end(commit=False).result(0)

    def abort_what_hangs(self, writer: Writer) -> None:
        """A commit behind what hangs is seen when that is aborted, and is there before."""
        now_ms = self.clock.now_ms()
        batch = encode_batch(
            [None],
            [b"hangs"],
            [now_ms],
            producer_id=HANGING.producer_id,
            producer_epoch=HANGING.producer_epoch,
            base_sequence=0,
            transactional=True,
        )
        self.directory.partition(*PARTITIONS[1]).append(batch, now_ms=now_ms)
        writer.send(*PARTITIONS)
        writer.end(commit=True).result(0)
        self.directory.flusher.wait_durable()
        self.coordination.transactions.abort_hanging(PARTITIONS[1], *HANGING)

    def expire(self, name: str) -> None:
        """An id goes and comes back, whose first life nobody may mistake for the second."""
        transactions = self.coordination.transactions
        for _ in range(2):
            writer = Writer(self, name)
            for commit in (True, False):
                writer.send(*PARTITIONS[:2])
                writer.send_offset()
                writer.end(commit=commit).result(0)
            transactions.release(name)
            self.directory.flusher.wait_durable()
            self.clock.advance(WEEK_MS)
            transactions.step()
            assert transactions.describe(name) is None


class Survivor:
    """The log after a crash and its recovery."""

    def __init__(self, files: FaultyFiles, durability: Durability = "fsync") -> None:
        self.clock = ManualClock()
        self.directory = LogDirectory.open(
            ROOT,
            files=files,
            clock=self.clock,
            threaded=False,
            boot_id="boot",
            durability=durability,
        )
        self.coordination = Coordination(self.directory, clock=self.clock)
        self.coordination.open()

    def visible(self) -> dict[TopicPartition, list[bytes]]:
        return {place: self._visible(place) for place in PARTITIONS}

    def _visible(self, place: TopicPartition) -> list[bytes]:
        if place.topic not in self.directory.topics():
            return []
        log = self.directory.partition(*place)
        offset, values = log.log_start_offset, list[bytes]()
        while offset < log.last_stable_offset:
            fetched = log.read(offset, 200, "read_committed")
            columns = decode_visible(fetched.data, offset, fetched.aborted)
            values += [value for value in columns.values if value is not None]
            offset = fetched.next_offset
        return values

    def offset(self, group: str) -> int | None:
        return self.coordination.groups.committed(group, timeout=0).get(SOURCE)

    def close(self) -> None:
        self.coordination.close()
        self.directory.close()


def check(workload: Workload, survivor: Survivor, notes: list[tuple[str, int]]) -> None:
    """All that the notes promise, and nothing by halves."""
    assert survivor.directory.open_transactions() == {}
    assert not [
        each for each in survivor.coordination.transactions.transactions() if each.partitions
    ]
    visible = survivor.visible()
    ended = {number for kind, number in notes if kind == "ended"}
    whole = [attempt for attempt in workload.attempts if is_visible(attempt, visible)]
    for attempt in workload.attempts:
        if attempt.number in ended and attempt.ends and attempt.values:
            assert attempt in whole, f"{attempt} was acknowledged"
    check_nothing_else(whole, visible)
    check_offsets(workload, survivor, whole, ended)
    plain = [number for kind, number in notes if kind == "plain"]
    if plain:
        assert (survivor.offset("plain") or 0) >= plain[-1]


def is_visible(attempt: Attempt, visible: Mapping[TopicPartition, list[bytes]]) -> bool:
    """Whether a transaction's records can be seen: all of them, or none."""
    seen = [value in visible[place] for place, values in attempt.values.items() for value in values]
    assert len(set(seen)) <= 1, f"{attempt} is half visible"
    assert not any(seen) or attempt.ends, f"{attempt} was not committed"
    return any(seen)


def check_nothing_else(whole: list[Attempt], visible: Mapping[TopicPartition, list[bytes]]) -> None:
    """No record twice, and each producer's in the order of its transactions."""
    for place, values in visible.items():
        assert b"hangs" not in values
        for producer in NAMES:
            found = [value for value in values if value.startswith(producer.encode())]
            assert found == [
                value
                for attempt in whole
                if attempt.producer == producer
                for value in attempt.values.get(place, [])
            ]


def check_offsets(
    workload: Workload, survivor: Survivor, whole: list[Attempt], ended: set[int]
) -> None:
    """A producer's group stands at its last committed transaction, as its records say."""
    for producer in NAMES:
        offset = survivor.offset(f"group-{producer}")
        attempts = [each for each in workload.attempts if each.producer == producer]
        by_offset = {each.offset: each for each in attempts if each.offset is not None}
        assert offset is None or by_offset[offset].ends, "of a transaction that was not committed"
        for attempt in attempts:
            if attempt.offset is None or not attempt.ends:
                continue
            if attempt in whole or attempt.number in ended:
                assert offset is not None
                assert offset >= attempt.offset
            elif attempt.values:
                assert offset is None or offset < attempt.offset, "ahead of its records"


def check_producers_go_on(survivor: Survivor, known: set[ProducerIdentity]) -> None:
    """`known` are the identities that were ever handed out."""
    if "b" not in survivor.directory.topics():
        return
    before = survivor.visible()
    later = Workload.__new__(Workload)
    later.files, later.clock, later.attempts = FaultyFiles(), survivor.clock, []
    later.directory, later.coordination = survivor.directory, survivor.coordination
    for name in NAMES:
        writer = Writer(later, name)
        for _ in range(2):
            writer.send(*PARTITIONS)
            writer.send_offset()
            writer.end(commit=True).result(0)
    for place, values in survivor.visible().items():
        assert values[: len(before[place])] == before[place]
        assert len(values) == len(before[place]) + 2 * len(NAMES)
    assert survivor.offset(f"group-{NAMES[-1]}") == max(
        each.number for each in later.attempts if each.offset is not None
    )
    assert known.isdisjoint(attempt.identity for attempt in later.attempts)


def check_cut(workload: Workload, files: FaultyFiles, cut: Cut) -> None:
    notes = workload.files.notes(cut)
    survivor = Survivor(files, workload.durability)
    check(workload, survivor, notes)
    handed_out = [number for kind, number in notes if kind == "identity"]
    check_producers_go_on(survivor, {workload.attempts[n].identity for n in handed_out})
    survivor.close()


@pytest.fixture(scope="module")
def workload() -> Workload:
    workload = Workload(FaultyFiles())
    workload.run()
    return workload


@pytest.mark.parametrize("share", range(SHARES))
def test_no_transaction_is_lost_or_seen_by_halves_wherever_the_power_is_cut(
    workload: Workload, sweep: Sweep, share: int
) -> None:
    check = partial(check_cut, workload)
    sweep.cut(workload.files, check, in_ci=CUTS_IN_CI, seed="commits", share=share, shares=SHARES)


def test_a_second_cut_while_the_first_is_recovered_changes_nothing(
    workload: Workload, sweep: Sweep
) -> None:
    def check_unchanged(survivors: FaultyFiles, before: dict[TopicPartition, list[bytes]]) -> None:
        survived = Survivor(survivors.cut(Cut(len(survivors.operations), Adversary.NOTHING)))
        assert survived.visible() == before, "what a reader has seen, no crash takes away"

    sweep.cut_twice(
        workload.files,
        lambda survivors: Survivor(survivors).visible(),
        partial(check_cut, workload),
        in_ci=RECOVERY_CUTS_IN_CI,
        seed="recovered",
        behind=check_unchanged,
    )


def test_under_durability_os_the_death_of_the_process_takes_nothing_away(sweep: Sweep) -> None:
    workload = Workload(FaultyFiles(), "os")
    workload.run()
    step = 1 if sweep.everything else 20
    cuts = [Cut(at, Adversary.ALL) for at in range(0, len(workload.files.operations) + 1, step)]
    sweep.make(workload.files, cuts, partial(check_cut, workload))


# The order of operations


@dataclass
class Written:
    """A batch of the log as the operation that wrote it."""

    at: int
    operation: Operation
    header: BatchHeader
    records: Columns


def written_batches(files: FaultyFiles) -> list[Written]:
    batches: list[Written] = []
    for at, operation in enumerate(files.operations):
        if operation.kind == "write" and operation.path.endswith(".log"):
            columns = Columns()
            decode_batch(operation.data, 0, columns)
            batches.append(Written(at, operation, read_header(operation.data), columns))
    return batches


def durable_at(files: FaultyFiles, batch: Written) -> int:
    """The operation that made a batch durable: its file is synced, and every name on the way."""
    operations = files.operations
    synced = next_sync(operations, batch.at, "datasync", batch.operation.node)
    child = batch.operation.node
    for at in range(batch.at, -1, -1):
        operation = operations[at]
        if operation.kind in {"create", "mkdir"} and operation.child == child:
            synced = max(synced, next_sync(operations, at, "sync_directory", operation.node))
            child = operation.node
    return synced


def next_sync(operations: Sequence[Operation], after: int, kind: str, node: int) -> int:
    """The first sync of a file or directory behind an operation; the end where there is none."""
    for at in range(after, len(operations)):
        if operations[at].kind == kind and operations[at].node == node:
            return at
    return len(operations)


def prepared_commits(batches: list[Written]) -> list[tuple[Written, TransactionMetadata]]:
    return [
        (batch, metadata)
        for batch in batches
        for metadata in transactions_in(batch)
        if metadata.state is TransactionState.PREPARE_COMMIT
    ]


def transactions_in(batch: Written) -> list[TransactionMetadata]:
    if f"/{TRANSACTION_TOPIC}-" not in batch.operation.path:
        return []
    return [
        decode_value(decode_key(key or b"") or "", value)
        for key, value in zip(batch.records.keys, batch.records.values, strict=True)
        if value is not None
    ]


def test_rule_7_the_prepare_record_comes_after_all_data_is_synced(workload: Workload) -> None:
    """Else a power loss leaves a decision to commit, and not what was decided about."""
    batches = written_batches(workload.files)
    commits = prepared_commits(batches)
    assert len(commits) > 10
    for prepare, metadata in commits:
        data = [
            batch
            for batch in batches
            if batch.header.producer_id == metadata.producer_id
            and batch.header.producer_epoch == metadata.producer_epoch - 1
            and not batch.header.is_control
        ]
        assert data
        assert all(durable_at(workload.files, batch) < prepare.at for batch in data)


def test_rule_7_a_commit_is_acknowledged_when_its_prepare_record_is_synced(
    workload: Workload,
) -> None:
    files = workload.files
    ends = {attempt.identity: attempt.number for attempt in workload.attempts if attempt.ends}
    for prepare, metadata in prepared_commits(written_batches(files)):
        identity = ProducerIdentity(metadata.producer_id, metadata.producer_epoch - 1)
        note = ("ended", ends[identity])
        synced = durable_at(files, prepare) + 1
        assert note not in files.notes(Cut(synced - 1, Adversary.NOTHING))
        assert note in files.notes(Cut(len(files.operations), Adversary.NOTHING))


def test_a_prepare_record_is_not_replaced_before_its_markers_are_synced(
    workload: Workload,
) -> None:
    """Else the decision is gone, and what has no marker yet is aborted by recovery."""
    batches = written_batches(workload.files)
    replaced = 0
    for prepare, metadata in prepared_commits(batches):
        markers = [
            batch
            for batch in batches
            if batch.header.is_control
            and batch.header.producer_id == metadata.producer_id
            and batch.header.producer_epoch == metadata.producer_epoch
        ]
        assert len(markers) == len(metadata.partitions)
        for later in batches:
            names = {each.transactional_id for each in transactions_in(later)}
            if later.at > prepare.at and metadata.transactional_id in names:
                replaced += 1
                assert all(durable_at(workload.files, marker) < later.at for marker in markers)
    assert replaced


def test_the_data_spans_segments_that_roll_within_transactions(workload: Workload) -> None:
    segments = {op.path for op in workload.files.operations if op.path.endswith(".log")}
    assert len([path for path in segments if "/a-0/" in path]) > 3
