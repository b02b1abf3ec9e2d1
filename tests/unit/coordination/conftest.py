"""A log directory in memory whose flush windows run where they are waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.client.isolation import decode_visible
from streamlog.coordination import Coordination, ProducerIdentity
from streamlog.coordination.internal_topic import PARTITIONS, TRANSACTION_TOPIC, choose_home
from streamlog.coordination.transaction_record import decode_value
from streamlog.record import Columns, decode_batch, encode_batch
from streamlog.storage import LogDirectory
from streamlog.testing.faulty_files import Adversary, Cut, FaultyFiles
from streamlog.testing.manual_clock import ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from streamlog.client.contract import GroupMetadata

ROOT = "/log"
TOPICS = {"a": 2, "b": 1}


class World:
    """One directory, its coordinators, and what survives of them."""

    def __init__(self, files: FaultyFiles | None = None, clock: ManualClock | None = None) -> None:
        self.files = files or FaultyFiles()
        self.clock = clock or ManualClock()
        self.directory = LogDirectory.open(
            ROOT, files=self.files, clock=self.clock, threaded=False, boot_id="boot"
        )
        for topic, partitions in TOPICS.items():
            self.directory.create_topic(topic, partitions, exist_ok=True)
        self.coordination = Coordination(self.directory, clock=self.clock)
        self.coordination.open()
        self.transactions = self.coordination.transactions
        self.groups = self.coordination.groups

    def reopened(self) -> World:
        """After a clean stop."""
        self.coordination.close()
        self.directory.close()
        return World(self.files, self.clock)

    def after_power_loss(
        self, adversary: Adversary = Adversary.NOTHING, *, at: int | None = None
    ) -> World:
        """After the first `at` operations, by default all of them."""
        after = len(self.files.operations) if at is None else at
        return World(self.files.cut(Cut(after, adversary)), self.clock)

    def writer(self, transactional_id: str, timeout_ms: int = 60_000) -> Writer:
        return Writer(self, transactional_id, timeout_ms)

    def committed_values(self, topic: str, partition: int = 0) -> list[bytes]:
        """What a read_committed reader of the whole partition sees."""
        log = self.directory.partition(topic, partition)
        offset, values = log.log_start_offset, list[bytes]()
        while offset < log.last_stable_offset:
            fetched = log.read(offset, 1 << 20, "read_committed")
            columns = decode_visible(fetched.data, offset, fetched.aborted)
            values += [value for value in columns.values if value is not None]
            offset = fetched.next_offset
        return values

    def states(self, transactional_id: str) -> list[tuple[str, int]]:
        """State and epoch of every record that the id has in the log."""
        log = self.directory.partition(TRANSACTION_TOPIC, choose_home(transactional_id, PARTITIONS))
        data, columns, position = log.read(0, 1 << 30).data, Columns(), 0
        while position < len(data):
            position = decode_batch(data, position, columns)
        found = [decode_value(transactional_id, value) for value in columns.values if value]
        return [(each.state.kafka_name, each.producer_epoch) for each in found]


class Writer:
    """A producer as simple as can be: what it appends is in its transaction at once."""

    def __init__(self, world: World, transactional_id: str, timeout_ms: int) -> None:
        self.world = world
        self.transactions = world.transactions
        self.id = transactional_id
        self.become(self.transactions.init_producer(transactional_id, timeout_ms))

    def become(self, identity: ProducerIdentity) -> None:
        self.identity = identity
        self.sequences: dict[TopicPartition, int] = {}

    def send(self, topic: str, partition: int, *values: bytes) -> None:
        self.transactions.add_partitions(self.id, self.identity, [TopicPartition(topic, partition)])
        self.append(topic, partition, *values)

    def append(self, topic: str, partition: int, *values: bytes) -> None:
        """Without asking the coordinator."""
        place = TopicPartition(topic, partition)
        sequence = self.sequences.get(place, 0)
        now_ms = self.world.clock.now_ms()
        batch = encode_batch(
            [None] * len(values),
            list(values),
            [now_ms] * len(values),
            producer_id=self.identity.producer_id,
            producer_epoch=self.identity.producer_epoch,
            base_sequence=sequence,
            transactional=True,
        )
        self.world.directory.partition(topic, partition).append(batch, now_ms=now_ms)
        self.sequences[place] = sequence + len(values)

    def send_offsets(self, group: GroupMetadata, offsets: Mapping[TopicPartition, int]) -> None:
        self.transactions.send_offsets(self.id, self.identity, group, offsets)

    def start_end(self, *, commit: bool) -> Future[ProducerIdentity]:
        return self.transactions.end(self.id, self.identity, commit=commit)

    def commit(self) -> None:
        self.become(self.start_end(commit=True).result(0))

    def abort(self) -> None:
        self.become(self.start_end(commit=False).result(0))

    def release(self) -> None:
        self.transactions.release(self.id)


@pytest.fixture
def world() -> World:
    return World()
