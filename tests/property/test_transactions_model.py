"""Transactions of several producers on the same partitions, against lists of what is visible.

Segments are small, so that transactions begin in one and end in another, and retention takes the
first ones away; whoever ends them may be the producer, its successor, a timeout, an operator, a
restart or a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamlog.client.contract import GroupMetadata
from streamlog.client.isolation import decode_visible
from streamlog.coordination import Coordination, ProducerIdentity, TransactionState
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, TRANSACTION_TOPIC
from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    ProducerError,
    TransactionAbortedError,
)
from streamlog.record import encode_batch
from streamlog.storage import LogDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

ROOT = "/log"
NAMES = ("alpha", "beta", "gamma")
PLACES = [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
SOURCE = TopicPartition("source", 0)
SMALL = {"segment.bytes": "500", "index.interval.bytes": "100", "retention.ms": "-1"}
TIMEOUT_MS = 120_000  # of each time that the process stands still two seconds count
STEP_MS = 2_000
RETENTION_MS = 10 * 60 * 1000
WEEK_MS = 7 * 24 * 60 * 60 * 1000
names, places = st.sampled_from(NAMES), st.sampled_from(PLACES)


@dataclass
class Transaction:
    """Where it wrote and the offset it sent; `outcome` is None while it is open."""

    outcome: bool | None = None
    places: set[TopicPartition] = field(default_factory=set[TopicPartition])
    offset: int | None = None


@dataclass
class Producer:
    """Who has a transactional id, with its open transaction or the one that others have ended."""

    identity: ProducerIdentity
    transaction: Transaction = field(default_factory=Transaction)
    sequences: dict[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])

    @property
    def has_open(self) -> bool:
        transaction = self.transaction
        return transaction.outcome is None and bool(transaction.places)

    def become(self, identity: ProducerIdentity) -> None:
        self.identity, self.transaction, self.sequences = identity, Transaction(), {}


class Written(NamedTuple):
    """A record; of whose transaction, and where."""

    value: bytes
    transaction: Transaction
    offset: int


PLAIN = Transaction(outcome=True)


class TransactionsMachine(RuleBasedStateMachine):
    """`written` has every value of a partition in its order, with the transaction it belongs to."""

    @initialize()
    def begin(self) -> None:
        self.files = FaultyFiles()
        self.clock = ManualClock()
        self.count = 0
        self.written: dict[TopicPartition, list[Written]] = {place: [] for place in PLACES}
        self.starts = dict.fromkeys(PLACES, 0)
        self.offsets: dict[str, int] = {}
        self.producers: dict[str, Producer] = {}
        self.gone: dict[str, list[ProducerIdentity]] = {name: [] for name in NAMES}
        self.fenced: list[tuple[str, ProducerIdentity]] = []
        self.touched: dict[str, int] = {}
        self.hanging: dict[tuple[TopicPartition, int], Transaction] = {}
        self.identities: set[ProducerIdentity] = set()
        self.open()
        for topic in (TRANSACTION_TOPIC, OFFSETS_TOPIC):
            self.directory.create_topic(topic, 2)
        self.directory.create_topic("a", 2, SMALL)
        self.directory.create_topic("b", 1, SMALL)

    def open(self) -> None:
        self.directory = LogDirectory.open(
            ROOT, files=self.files, clock=self.clock, threaded=False, boot_id="boot"
        )
        self.coordination = Coordination(self.directory, clock=self.clock)
        self.coordination.open()
        self.transactions = self.coordination.transactions

    def flush(self) -> None:
        for _ in range(2):  # the markers of what ended in the first one
            self.directory.flusher.wait_durable()

    def hand_out(self, identity: ProducerIdentity) -> ProducerIdentity:
        assert identity not in self.identities, "no two transactions have the same identity"
        self.identities.add(identity)
        return identity

    def all_end(self) -> None:
        """What was open is aborted, and nobody has an id any more."""
        for name in list(self.producers):
            self.leave(name)
        for transaction in self.hanging.values():
            transaction.outcome = False
        self.hanging.clear()

    def leave(self, name: str) -> None:
        self.end(name, commit=False)
        self.gone[name].append(self.producers.pop(name).identity)

    def end(self, name: str, *, commit: bool) -> None:
        producer = self.producers[name]
        if producer.has_open:
            producer.transaction.outcome = commit
            self.touch(name)

    def touch(self, name: str) -> None:
        self.touched[name] = self.clock.now_ms()

    # Writing

    @rule(name=names)
    def a_producer_comes(self, name: str) -> None:
        self.a_producer_goes(name)
        identity = self.transactions.init_producer(name, TIMEOUT_MS)
        self.producers[name] = Producer(self.hand_out(identity))
        self.fenced += [(name, gone) for gone in self.gone[name]]
        self.gone[name].clear()
        self.touch(name)

    @rule(name=names, chosen=st.lists(places, min_size=1, max_size=3, unique=True))
    def send(self, name: str, chosen: list[TopicPartition]) -> None:
        producer = self.producers.get(name)
        if producer is None:
            return
        if producer.transaction.outcome is False:
            with pytest.raises(TransactionAbortedError):
                self.transactions.add_partitions(name, producer.identity, chosen)
            return
        self.transactions.add_partitions(name, producer.identity, chosen)
        self.touch(name)
        for place in chosen:
            producer.transaction.places.add(place)
            sequence = producer.sequences.get(place, 0)
            self.append(place, producer.transaction, producer.identity, sequence)
            producer.sequences[place] = sequence + 1

    @rule(name=names)
    def send_offset(self, name: str) -> None:
        producer = self.producers.get(name)
        if producer is None or producer.transaction.outcome is False:
            return
        self.count += 1
        group = GroupMetadata(group_id=name)
        self.transactions.send_offsets(name, producer.identity, group, {SOURCE: self.count})
        producer.transaction.offset = self.count
        producer.transaction.places.add(self.coordination.groups.home(name))

    @rule(place=places)
    def write_without_transaction(self, place: TopicPartition) -> None:
        self.append(place, PLAIN, None, -1)
        self.flush()

    @rule(place=places)
    def something_hangs(self, place: TopicPartition) -> None:
        producer_id = 1_000_000 + self.count
        transaction = self.hanging[place, producer_id] = Transaction()
        self.append(place, transaction, ProducerIdentity(producer_id, 4), 0)

    def append(
        self,
        place: TopicPartition,
        transaction: Transaction,
        identity: ProducerIdentity | None,
        sequence: int,
    ) -> None:
        self.count += 1
        value = f"value {self.count}".encode()
        producer_id, epoch = identity or (-1, -1)
        now_ms = self.clock.now_ms()
        batch = encode_batch(
            [None],
            [value],
            [now_ms],
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
            transactional=identity is not None,
        )
        result = self.directory.partition(*place).append(batch, now_ms=now_ms)
        self.written[place].append(Written(value, transaction, result.base_offset))

    # Ending

    @rule(name=names, commit=st.booleans())
    def the_producer_ends_it(self, name: str, commit: bool) -> None:
        producer = self.producers.get(name)
        if producer is None:
            return
        transaction = producer.transaction
        if commit and (transaction.outcome is False or not transaction.places):
            expected = (TransactionAbortedError, InvalidTransactionStateError)
            with pytest.raises(expected):
                self.transactions.end(name, producer.identity, commit=True)
            return
        something = bool(transaction.places)
        next_identity = self.transactions.end(name, producer.identity, commit=commit).result(0)
        self.end(name, commit=commit)
        if transaction.outcome and transaction.offset is not None:
            self.offsets[name] = transaction.offset
        producer.become(self.hand_out(next_identity) if something else next_identity)

    @rule(name=names)
    def an_operator_aborts_it(self, name: str) -> None:
        producer = self.producers.get(name)
        if producer is not None and producer.has_open:
            self.transactions.abort(name)
            self.end(name, commit=False)
        elif name in self.touched:
            with pytest.raises(InvalidTransactionStateError):
                self.transactions.abort(name)

    @precondition(lambda self: self.hanging)
    @rule(data=st.data())
    def an_operator_aborts_what_hangs(self, data: st.DataObject) -> None:
        place, producer_id = data.draw(st.sampled_from(sorted(self.hanging)))
        self.transactions.abort_hanging(place, producer_id, 4)
        self.hanging.pop((place, producer_id)).outcome = False

    @rule()
    def the_time_is_over(self) -> None:
        for _ in range(TIMEOUT_MS // STEP_MS + 3):
            self.transactions.step()
            self.clock.advance(STEP_MS)
        for name in self.producers:
            self.end(name, commit=False)
        self.forget()

    @rule()
    def a_week_goes_by_in_which_the_process_stands_still(self) -> None:
        self.transactions.step()
        self.clock.advance(WEEK_MS)
        self.transactions.step()
        self.forget()
        assert self.touched.keys() == self.producers.keys()

    def forget(self) -> None:
        """Ids may have expired that nobody has and nobody used for a week."""
        described = {each.transactional_id for each in self.transactions.transactions()}
        for name in self.touched.keys() - described:
            assert name not in self.producers
            assert self.clock.now_ms() - self.touched.pop(name) >= WEEK_MS

    @rule(name=names)
    def a_producer_goes(self, name: str) -> None:
        if name in self.producers:
            self.transactions.release(name)
            self.leave(name)

    @rule()
    def stop_and_open(self) -> None:
        self.coordination.close()
        self.directory.close()
        self.all_end()
        self.open()

    @rule(adversary=st.sampled_from(list(Adversary)), seed=st.integers(0, 100))
    def crash_and_open(self, adversary: Adversary, seed: int) -> None:
        self.flush()  # what a crash leaves of the rest, tests/crash knows
        survivors = self.files.cut(Cut(len(self.files.operations), adversary), seed=str(seed))
        self.directory.flusher.fail(OSError("the machine stopped"))  # type: ignore[arg-type]
        self.files = survivors
        self.all_end()
        self.touched = dict.fromkeys(self.touched, 0)  # what was held in memory is lost
        self.open()

    # Deleting

    @rule(place=places, data=st.data())
    def records_are_deleted(self, place: TopicPartition, data: st.DataObject) -> None:
        end = self.directory.partition(*place).high_watermark
        start = data.draw(st.integers(self.starts[place], end))
        self.directory.delete_records({place: start})
        self.starts[place] = start

    @rule()
    def retention_runs(self) -> None:
        self.clock.advance(RETENTION_MS)
        self.directory.housekeeper.step(self.clock.now_ms())

    # What must be so

    @precondition(lambda self: getattr(self, "fenced", []))
    @rule(data=st.data(), place=places)
    def a_zombie_gets_nowhere(self, data: st.DataObject, place: TopicPartition) -> None:
        name, identity = data.draw(st.sampled_from(self.fenced))
        with pytest.raises(ProducerError):
            self.transactions.add_partitions(name, identity, [place])
        for commit in (True, False):
            with pytest.raises(ProducerError):
                self.transactions.end(name, identity, commit=commit)
        log = self.directory.partition(*place)
        known = {each.producer_id: each.epoch for each in log.producers()}
        if known.get(identity.producer_id, -1) > identity.producer_epoch:
            with pytest.raises(InvalidProducerEpochError):
                self.append(place, PLAIN, identity, 0)

    @invariant()
    def what_is_visible_is_the_models(self) -> None:
        if not hasattr(self, "directory"):
            return
        self.flush()
        for place, written in self.written.items():
            expected: list[bytes] = []
            for record in written:
                if record.transaction.outcome is None:
                    break  # also where it began with records that are deleted
                if record.transaction.outcome and record.offset >= self.starts[place]:
                    expected.append(record.value)
            assert self.visible(place) == expected

    def visible(self, place: TopicPartition) -> list[bytes]:
        log = self.directory.partition(*place)
        offset, values = log.log_start_offset, list[bytes]()
        while offset < log.last_stable_offset:
            fetched = log.read(offset, 200, "read_committed")
            columns = decode_visible(fetched.data, offset, fetched.aborted)
            values += [value for value in columns.values if value is not None]
            offset = fetched.next_offset
        return values

    @invariant()
    def the_coordinator_says_the_same(self) -> None:
        if not hasattr(self, "directory"):
            return
        described = {each.transactional_id: each for each in self.transactions.transactions()}
        assert described.keys() == self.touched.keys()
        for name, metadata in described.items():
            producer = self.producers.get(name)
            opened = producer is not None and producer.has_open
            assert (metadata.state is TransactionState.ONGOING) == opened
            if producer is not None and opened:
                assert set(metadata.partitions) == producer.transaction.places
        found = {(each.partition, each.producer_id) for each in self.transactions.hanging()}
        assert found == set(self.hanging)
        for name in NAMES:
            producer = self.producers.get(name)
            if producer is None or producer.transaction.offset is None or not producer.has_open:
                committed = self.coordination.groups.committed(name, timeout=0)
                assert committed.get(SOURCE) == self.offsets.get(name)

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.coordination.close()
            self.directory.close()


TransactionsMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None
)
TestTransactions = TransactionsMachine.TestCase
