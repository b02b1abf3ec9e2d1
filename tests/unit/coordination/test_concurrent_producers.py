from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import TYPE_CHECKING

from streamlog.client.contract import GroupMetadata
from streamlog.client.isolation import decode_visible
from streamlog.clock import SystemClock
from streamlog.coordination import Coordination
from streamlog.coordination.offset_record import (
    OffsetAndMetadata,
    OffsetKey,
    encode_key,
    encode_offset,
)
from streamlog.errors import UnstableOffsetCommitError
from streamlog.record import encode_batch
from streamlog.storage import LogDirectory
from streamlog.storage.partition_log import MAX_UNSYNCED_BYTES
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from pathlib import Path

PARTITIONS = [TopicPartition("a", number) for number in range(3)]
PRODUCERS, TRANSACTIONS = 5, 12
PATIENCE_S = 300
TIMEOUT_MS = 900_000


class Application:
    """One producer in one thread: every third transaction is aborted."""

    def __init__(self, directory: LogDirectory, coordination: Coordination, name: str) -> None:
        self.directory = directory
        self.coordination = coordination
        self.transactions = coordination.transactions
        self.name = name

    def run(self) -> None:
        identity = self.transactions.init_producer(self.name, TIMEOUT_MS)
        group = GroupMetadata(group_id=self.name)
        for turn in range(TRANSACTIONS):
            commit = turn % 3 != 2
            now_ms = self.directory.clock.now_ms()
            for place in PARTITIONS:
                self.transactions.add_partitions(self.name, identity, [place])
                batch = encode_batch(
                    [None],
                    [f"{self.name}-{turn}-{commit}".encode()],
                    [now_ms],
                    producer_id=identity.producer_id,
                    producer_epoch=identity.producer_epoch,
                    base_sequence=0,
                    transactional=True,
                )
                self.directory.partition(*place).append(batch, now_ms=now_ms)
            self.transactions.send_offsets(
                self.name, identity, group, {PARTITIONS[0]: turn if commit else -1}
            )
            identity = self.transactions.end(self.name, identity, commit=commit).result(PATIENCE_S)
            committed = self.coordination.groups.committed(self.name, timeout=PATIENCE_S)
            assert committed == {PARTITIONS[0]: turn if commit else turn - 1}
        self.transactions.release(self.name)


def committed_values(directory: LogDirectory, place: TopicPartition) -> list[bytes | None]:
    log = directory.partition(*place)
    assert log.last_stable_offset == log.log_end_offset
    values, offset = list[bytes | None](), 0
    while offset < log.last_stable_offset:
        fetched = log.read(offset, 1 << 20, "read_committed")
        values += decode_visible(fetched.data, offset, fetched.aborted).values
        offset = fetched.next_offset
    return values


def test_producers_in_threads_share_partitions_without_getting_into_each_others_way(
    tmp_path: Path,
) -> None:
    with LogDirectory.open(tmp_path) as directory:
        directory.create_topic("a", len(PARTITIONS))
        coordination = Coordination(directory, clock=SystemClock())
        coordination.open()
        stop = Event()

        def keep_house() -> None:
            while not stop.wait(0.001):
                coordination.step()

        house = Thread(target=keep_house)
        house.start()
        try:
            names = [f"app-{number}" for number in range(PRODUCERS)]
            with ThreadPoolExecutor(PRODUCERS) as pool:
                applications = [Application(directory, coordination, name) for name in names]
                for outcome in [pool.submit(application.run) for application in applications]:
                    outcome.result(PATIENCE_S)
        finally:
            stop.set()
            house.join()
        directory.flusher.wait_durable()
        expected = Counter(
            f"{name}-{turn}-True".encode()
            for name in names
            for turn in range(TRANSACTIONS)
            if turn % 3 != 2
        )
        for place in PARTITIONS:
            assert Counter(committed_values(directory, place)) == expected
        coordination.close()


def size_of_commit(partitions: int, metadata: int) -> int:
    """The bytes that a commit of offsets for group `g` appends."""
    keys = [encode_key(OffsetKey("g", TopicPartition("many", 0)))] * partitions
    value = encode_offset(OffsetAndMetadata(1, 1, "x" * metadata))
    return len(encode_batch(keys, [value] * partitions, [0] * partitions))


def fill_up(coordination: Coordination, unsynced: int) -> None:
    """Commits offsets until the next batch would have to wait for the flusher."""
    group = GroupMetadata(group_id="g")
    room = MAX_UNSYNCED_BYTES - unsynced
    for partitions, metadata in ((200, 4096), (1, 4096), (1, 0)):
        size = size_of_commit(partitions, metadata)
        offsets = {TopicPartition("many", number): 1 for number in range(partitions)}
        while room >= size:
            coordination.groups.commit(group, offsets, metadata="x" * metadata)
            room -= size


def test_a_partition_with_too_much_unsynced_holds_up_nobody_for_ever(tmp_path: Path) -> None:
    """An append waits for the flusher then, and the flusher for the coordinators' locks."""
    with LogDirectory.open(tmp_path) as directory:
        coordination = Coordination(directory, clock=SystemClock())
        coordination.open()
        transactions, groups = coordination.transactions, coordination.groups
        group, stalled, go_on = GroupMetadata(group_id="g"), Event(), Event()
        first = transactions.init_producer("first", TIMEOUT_MS)
        second = transactions.init_producer("second", TIMEOUT_MS)
        transactions.send_offsets("first", first, group, {PARTITIONS[0]: 1})
        directory.flusher.wait_durable()

        def stall() -> None:
            stalled.set()
            go_on.wait()

        directory.flusher.add_drain(stall)
        committing = transactions.end("first", first, commit=True)
        stalled.wait()
        fill_up(coordination, 0)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(
                transactions.send_offsets, "second", second, group, {PARTITIONS[2]: 2}
            )
            while is_stable(coordination, PARTITIONS[2]):
                assert not sending.done()
            go_on.set()
            committing.result(PATIENCE_S)
            sending.result(PATIENCE_S)
        transactions.end("second", second, commit=True).result(PATIENCE_S)
        assert groups.committed("g", [PARTITIONS[0]]) == {PARTITIONS[0]: 1}
        assert groups.committed("g", [PARTITIONS[2]]) == {PARTITIONS[2]: 2}
        coordination.close()


def is_stable(coordination: Coordination, partition: TopicPartition) -> bool:
    """Whether no transaction is about to commit an offset of the partition."""
    try:
        coordination.groups.committed("g", [partition], timeout=0)
    except UnstableOffsetCommitError:
        return False
    return True
