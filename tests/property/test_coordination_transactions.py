"""The transaction machine against a model that knows only who owns the id and what is open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamlog.coordination.transaction_record import decode_value, encode_value
from streamlog.coordination.transaction_state import (
    AbortFirst,
    AlreadyEnded,
    Initialize,
    ProducerIdentity,
    StartAbort,
    StartCommit,
    TransactionMetadata,
    add_partitions,
    choose_end,
    choose_initialize,
    complete,
    prepare,
)
from streamlog.errors import (
    ConcurrentTransactionsError,
    InvalidTransactionStateError,
    ProducerFencedError,
    TransactionAbortedError,
)
from streamlog.topic import TopicPartition

PARTITIONS = [TopicPartition(topic, number) for topic in ("a", "b") for number in (0, 1)]
REFUSALS = (InvalidTransactionStateError, TransactionAbortedError)


@dataclass
class Model:
    """`stage` is idle, open, committing, prepared; `outcome` is how the last transaction ended."""

    owner: ProducerIdentity | None = None
    stage: str = "idle"
    open: set[TopicPartition] = field(default_factory=set[TopicPartition])
    outcome: bool | None = None
    ended: ProducerIdentity | None = None


class TransactionMachine(RuleBasedStateMachine):
    """One transactional id, its owner, and every producer that was ever fenced."""

    current: TransactionMetadata
    next_producer_id = 100

    @initialize(epoch=st.sampled_from([0, 32_763, 32_765, 32_766]))
    def first_producer(self, epoch: int) -> None:
        decision = choose_initialize("t", None, timeout_ms=1, new_producer_id=7, now_ms=0)
        assert isinstance(decision, Initialize)
        self.current = replace(decision.metadata, producer_epoch=epoch)
        self.model = Model(owner=self.current.identity)
        self.handed_out = {self.current.identity}
        self.fenced: list[ProducerIdentity] = []

    def hand_out(self) -> None:
        assert self.current.identity not in self.handed_out
        assert self.current.producer_epoch < 32767, "only markers carry the last epoch"
        self.handed_out.add(self.current.identity)
        self.model.owner = self.current.identity

    def new_producer_id(self) -> int:
        self.next_producer_id += 1
        return self.next_producer_id

    def prepare(self, *, commit: bool, because: str = "") -> None:
        new = self.new_producer_id() if self.current.epoch_exhausted else -1
        before = self.current
        self.current = prepare(
            before, commit=commit, now_ms=0, new_producer_id=new, because=because
        )
        assert self.current.producer_id == before.producer_id
        assert self.current.producer_epoch == before.producer_epoch + 1, "markers fence the data"
        assert set(self.current.partitions) == self.model.open, "each gets its marker"

    def complete(self, *, commit: bool) -> None:
        self.current = complete(self.current, now_ms=0)
        self.model.ended, self.model.outcome = self.model.owner, commit
        self.model.stage, self.model.open = "idle", set()
        self.hand_out()

    @rule(partitions=st.sets(st.sampled_from(PARTITIONS), min_size=1))
    def the_owner_adds(self, partitions: set[TopicPartition]) -> None:
        owner = self.model.owner
        assert owner is not None
        if self.model.stage in ("committing", "prepared"):
            with pytest.raises(ConcurrentTransactionsError):
                add_partitions(self.current, owner, partitions, now_ms=0)
            return
        self.current = add_partitions(self.current, owner, partitions, now_ms=0)
        self.model.stage = "open"
        self.model.open |= partitions

    @rule(commit=st.booleans())
    def the_owner_ends(self, commit: bool) -> None:
        owner = self.model.owner
        assert owner is not None
        stage = self.model.stage
        if stage == "open":
            decision = choose_end(self.current, owner, commit=commit)
            if isinstance(decision, StartCommit):
                assert commit
                self.current = decision.metadata
                self.model.stage = "committing"
            else:
                assert decision == StartAbort()
                assert not commit
                self.prepare(commit=False)
                self.complete(commit=False)
        elif commit == (stage != "idle"):
            assert choose_end(self.current, owner, commit=commit) == AlreadyEnded()
        else:
            with pytest.raises(InvalidTransactionStateError):
                choose_end(self.current, owner, commit=commit)

    @precondition(lambda self: self.model.stage == "committing")
    @rule()
    def the_data_is_durable(self) -> None:
        self.prepare(commit=True)
        self.model.stage = "prepared"

    @precondition(lambda self: self.model.stage == "prepared")
    @rule()
    def the_prepare_record_is_durable(self) -> None:
        self.complete(commit=True)

    @precondition(lambda self: self.model.stage == "open")
    @rule()
    def the_transaction_times_out(self) -> None:
        self.prepare(commit=False, because="it was late")
        self.complete(commit=False)

    @precondition(lambda self: self.model.ended is not None)
    @rule(commit=st.booleans())
    def the_last_end_comes_again(self, commit: bool) -> None:
        ended = self.model.ended
        assert ended is not None
        if self.model.stage == "idle" and commit == self.model.outcome:
            assert choose_end(self.current, ended, commit=commit) == AlreadyEnded()
        else:
            with pytest.raises((*REFUSALS, ProducerFencedError)):
                choose_end(self.current, ended, commit=commit)

    @rule()
    def a_successor_comes(self) -> None:
        if self.model.stage in ("committing", "prepared"):
            with pytest.raises(ConcurrentTransactionsError):
                self.choose_successor()
            return
        decision = self.choose_successor()
        if isinstance(decision, AbortFirst):
            assert self.model.stage == "open"
            self.prepare(commit=False)
            self.complete(commit=False)
            decision = self.choose_successor()
        assert isinstance(decision, Initialize)
        self.fenced += [who for who in (self.model.owner, self.model.ended) if who is not None]
        self.current = decision.metadata
        self.model = Model()
        self.hand_out()

    def choose_successor(self) -> AbortFirst | Initialize:
        new = self.new_producer_id() if self.current.epoch_exhausted else -1
        return choose_initialize("t", self.current, timeout_ms=1, new_producer_id=new, now_ms=0)

    @precondition(lambda self: self.fenced)
    @rule(data=st.data())
    def a_fenced_producer_gets_nowhere(self, data: st.DataObject) -> None:
        zombie = data.draw(st.sampled_from(self.fenced))
        with pytest.raises(ProducerFencedError):
            add_partitions(self.current, zombie, PARTITIONS, now_ms=0)
        for commit in (True, False):
            with pytest.raises(ProducerFencedError):
                choose_end(self.current, zombie, commit=commit)

    @invariant()
    def the_record_holds_all_but_what_a_restart_forgets(self) -> None:
        if not hasattr(self, "current"):
            return
        by_topic = tuple(sorted(self.current.partitions))
        remembered = replace(
            self.current, partitions=by_topic, committing=False, aborted_because=""
        )
        assert decode_value("t", encode_value(remembered)) == remembered


TransactionMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestTransactionMachine = TransactionMachine.TestCase
