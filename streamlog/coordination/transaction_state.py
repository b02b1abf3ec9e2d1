"""The life of a transactional id: events in, decisions out. Pure.

    (unknown)                                                                 Ongoing
        │ initialize                                                          │     ▲
        ▼            add partitions                                           │     │
      Empty ───────────────────────────────► Ongoing                  start commit  │ add
        ▲                                    │     │                          │     │ partitions
        │ initialize (epoch + 1,             │     ▼                          ▼     │
        │ or a new producer id)              │  Ongoing, its data being synced      │
        │                       abort,       │     │ prepare: the commit point      │
        │                     timeout or     │     ▼                                │
        │                      successor     │  PrepareCommit (epoch + 1)           │
        │                                    ▼     │ prepare record durable         │
        │              PrepareAbort (epoch + 1)    ▼ acknowledged, markers written  │
        │                       │                CompleteCommit ────────────────────┤
        │                       ▼ markers          │                                │
        │                  CompleteAbort ──────────┼────────────────────────────────┘
        └───────────────────────┴──────────────────┘

Every end of a transaction bumps the producer's epoch, as in Kafka since KIP-890, and markers carry
the bumped epoch. Two things rest on that. A producer whose transaction was ended behind its back
can write nowhere any more. And after a crash, data of the transaction that a prepare record ends
(epochs below the record's) and data of the one begun behind it (the record's epoch) are told apart
in every partition, so the next transaction may begin when the prepare record is durable and need
not wait for the markers to be.

An epoch is exhausted at 32766; 32767 is only ever seen in markers, and the producer goes on with a
new producer id at epoch 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import (
    ConcurrentTransactionsError,
    InvalidTransactionStateError,
    InvalidTransactionTimeoutError,
    ProducerFencedError,
    TransactionAbortedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.topic import TopicPartition

NO_PRODUCER_ID: Final = -1
NO_TIMESTAMP: Final = -1
MAX_EPOCH: Final = 32767
EPOCH_BUMPING_VERSION: Final = 2  # Kafka's feature level transaction.version of KIP-890
MAX_TRANSACTION_TIMEOUT_MS: Final = 15 * 60 * 1000
"""Kafka's default of transaction.max.timeout.ms."""


class TransactionState(IntEnum):
    """Kafka's states, by the numbers in the log; the last two are never written by us."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7

    @property
    def kafka_name(self) -> str:
        """`CompleteCommit` and the like, as Kafka's tools print it."""
        return self.name.title().replace("_", "")


PREPARED: Final = frozenset({TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT})
IDLE: Final = frozenset(
    {TransactionState.EMPTY, TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT}
)


class ProducerIdentity(NamedTuple):
    """What a producer's batches carry; no two producers and no two transactions share one."""

    producer_id: int
    producer_epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionMetadata:
    """A transactional id as the coordinator knows it.

    `committing` and `aborted_because` are not in the log: while the data of a commit is being
    synced the log still says Ongoing, and why a transaction was aborted behind its producer's back
    matters only to that producer, while it lives; empty where the producer aborted it.
    `next_producer_id` is set between prepare and complete when the epoch is exhausted.
    """

    transactional_id: str
    producer_id: int
    producer_epoch: int
    timeout_ms: int
    state: TransactionState = TransactionState.EMPTY
    partitions: tuple[TopicPartition, ...] = ()
    last_update_ms: int = NO_TIMESTAMP
    start_ms: int = NO_TIMESTAMP
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    client_transaction_version: int = 0
    committing: bool = False
    aborted_because: str = ""

    @property
    def identity(self) -> ProducerIdentity:
        return ProducerIdentity(self.producer_id, self.producer_epoch)

    @property
    def epoch_exhausted(self) -> bool:
        """Whether the next end or initialization needs a new producer id."""
        return self.producer_epoch >= MAX_EPOCH - 1

    @property
    def unfinished(self) -> bool:
        """Whether an end is under way, so that nothing else may begin."""
        return self.committing or self.state in PREPARED

    @property
    def abortable(self) -> bool:
        """Whether a transaction is open that nothing is decided about."""
        return self.state is TransactionState.ONGOING and not self.committing

    @property
    def ended_identity(self) -> ProducerIdentity | None:
        """Whose transaction was the last to end, while no other producer took over."""
        if self.state in IDLE and self.state is not TransactionState.EMPTY:
            if self.producer_epoch > 0:
                return ProducerIdentity(self.producer_id, self.producer_epoch - 1)
            if self.previous_producer_id != NO_PRODUCER_ID:
                return ProducerIdentity(self.previous_producer_id, MAX_EPOCH - 1)
        elif self.state in PREPARED:
            return ProducerIdentity(self.producer_id, self.producer_epoch - 1)
        return None


@dataclass(frozen=True, slots=True)
class AbortFirst:
    """A predecessor's transaction is open: abort it, then initialize."""


@dataclass(frozen=True, slots=True)
class Initialize:
    """Write `metadata`; its identity is the new producer's once the record is durable."""

    metadata: TransactionMetadata


@dataclass(frozen=True, slots=True)
class StartCommit:
    """Sync the data of every partition, then `prepare`."""

    metadata: TransactionMetadata


@dataclass(frozen=True, slots=True)
class StartAbort:
    """`prepare` the abort; nothing has to be synced first, an aborted record may be lost."""


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """A repeated end, or nothing to abort: the outcome stands, or the one under way will."""


def choose_initialize(
    transactional_id: str,
    current: TransactionMetadata | None,
    *,
    timeout_ms: int,
    new_producer_id: int,
    now_ms: int,
    max_timeout_ms: int = MAX_TRANSACTION_TIMEOUT_MS,
) -> AbortFirst | Initialize:
    """What a new producer of `transactional_id` gets. Fences every earlier one.

    `new_producer_id` is used where there is none yet or its epochs are exhausted. Raises
    `ConcurrentTransactionsError` while an end is under way, and `InvalidTransactionTimeoutError`
    for a timeout that is not positive or above `max_timeout_ms` (transaction.max.timeout.ms).
    """
    if not 0 < timeout_ms <= max_timeout_ms:
        raise InvalidTransactionTimeoutError(transactional_id, timeout_ms, highest=max_timeout_ms)
    if current is not None and current.unfinished:
        raise ConcurrentTransactionsError(transactional_id)
    if current is not None and current.state is TransactionState.ONGOING:
        return AbortFirst()
    if current is None or current.epoch_exhausted:
        identity, client_version = ProducerIdentity(new_producer_id, 0), 0
    else:
        identity = ProducerIdentity(current.producer_id, current.producer_epoch + 1)
        client_version = current.client_transaction_version
    return Initialize(
        TransactionMetadata(
            transactional_id=transactional_id,
            producer_id=identity.producer_id,
            producer_epoch=identity.producer_epoch,
            timeout_ms=timeout_ms,
            last_update_ms=now_ms,
            client_transaction_version=client_version,
        )
    )


def add_partitions(
    current: TransactionMetadata,
    identity: ProducerIdentity,
    partitions: Iterable[TopicPartition],
    *,
    now_ms: int,
) -> TransactionMetadata:
    """Begins the transaction or widens it; the very same metadata where nothing is new.

    Raises `ProducerFencedError` for an identity that was replaced, `TransactionAbortedError` for
    one whose transaction a timeout or an operator ended, `ConcurrentTransactionsError` while an
    end is under way.
    """
    _check_owner(current, identity, "add partitions")
    if current.unfinished:
        raise ConcurrentTransactionsError(current.transactional_id)
    known = dict.fromkeys(current.partitions)
    widened = known | dict.fromkeys(partitions)
    if len(widened) == len(known):
        return current
    starts = current.state is not TransactionState.ONGOING
    return replace(
        current,
        state=TransactionState.ONGOING,
        partitions=tuple(widened),
        last_update_ms=now_ms,
        start_ms=now_ms if starts else current.start_ms,
        client_transaction_version=EPOCH_BUMPING_VERSION,
    )


def choose_end(
    current: TransactionMetadata, identity: ProducerIdentity, *, commit: bool
) -> StartCommit | StartAbort | AlreadyEnded:
    """What an end asks for. A repeated end is no error; the opposite one is.

    Raises `InvalidTransactionStateError` for the opposite of what happened or is under way and
    for a commit where nothing is open, `ProducerFencedError` for an identity that was replaced,
    and `TransactionAbortedError` for a commit of what was aborted by a timeout or an operator (an
    abort gets on with it).
    """
    attempted = "commit" if commit else "abort"
    if identity == current.ended_identity:
        if _was_committed(current) == commit:
            return AlreadyEnded()
        if current.aborted_because:
            raise TransactionAbortedError(current.transactional_id, current.aborted_because)
        raise InvalidTransactionStateError(
            current.transactional_id, current.state.kafka_name, attempted
        )
    _check_owner(current, identity, attempted)
    if current.committing:
        if commit:
            return AlreadyEnded()
        raise InvalidTransactionStateError(
            current.transactional_id, TransactionState.PREPARE_COMMIT.kafka_name, attempted
        )
    if current.state is TransactionState.ONGOING:
        return StartCommit(replace(current, committing=True)) if commit else StartAbort()
    if commit:
        raise InvalidTransactionStateError(
            current.transactional_id, current.state.kafka_name, attempted
        )
    return AlreadyEnded()


def prepare(
    current: TransactionMetadata,
    *,
    commit: bool,
    now_ms: int,
    new_producer_id: int = NO_PRODUCER_ID,
    because: str = "",
) -> TransactionMetadata:
    """The prepare record. A commit's may be appended only when all its data is durable.

    Its epoch is that of the markers. `new_producer_id` is needed where the epoch is exhausted;
    `because` is for an abort that the producer did not ask for.
    """
    assert current.state is TransactionState.ONGOING, current
    assert current.committing == commit, current
    assert (new_producer_id != NO_PRODUCER_ID) == current.epoch_exhausted, current
    return replace(
        current,
        state=TransactionState.PREPARE_COMMIT if commit else TransactionState.PREPARE_ABORT,
        producer_epoch=current.producer_epoch + 1,
        next_producer_id=new_producer_id,
        last_update_ms=now_ms,
        client_transaction_version=EPOCH_BUMPING_VERSION,
        committing=False,
        aborted_because=because,
    )


def complete(current: TransactionMetadata, *, now_ms: int) -> TransactionMetadata:
    """What holds once every partition has its marker; the identity is the next transaction's."""
    assert current.state in PREPARED, current
    committed = current.state is TransactionState.PREPARE_COMMIT
    ended = replace(
        current,
        state=TransactionState.COMPLETE_COMMIT if committed else TransactionState.COMPLETE_ABORT,
        partitions=(),
        last_update_ms=now_ms,
    )
    if current.next_producer_id == NO_PRODUCER_ID:
        return ended
    return replace(
        ended,
        producer_id=current.next_producer_id,
        producer_epoch=0,
        previous_producer_id=current.producer_id,
        next_producer_id=NO_PRODUCER_ID,
    )


def abandon(
    current: TransactionMetadata, *, now_ms: int, new_producer_id: int = NO_PRODUCER_ID
) -> TransactionMetadata:
    """What recovery makes of an open transaction: aborted, without a record of the decision.

    Its markers have its own epoch, because nobody is alive to be fenced.
    """
    prepared = prepare(current, commit=False, now_ms=now_ms, new_producer_id=new_producer_id)
    return complete(prepared, now_ms=now_ms)


def settles(prepared: TransactionMetadata, partition: TopicPartition, open_epoch: int) -> bool:
    """Whether a prepare record decides a transaction that a partition has open.

    `open_epoch` is that of the open data of the record's producer id. Data of the record's own
    epoch was written behind it, in a transaction that nothing was decided about.
    """
    assert prepared.state in PREPARED, prepared
    return open_epoch < prepared.producer_epoch and partition in prepared.partitions


def _was_committed(current: TransactionMetadata) -> bool:
    return current.state in (TransactionState.PREPARE_COMMIT, TransactionState.COMPLETE_COMMIT)


def _check_owner(current: TransactionMetadata, identity: ProducerIdentity, attempted: str) -> None:
    if identity == current.identity and current.state not in PREPARED:
        return
    if identity == current.ended_identity:
        if current.aborted_because:
            raise TransactionAbortedError(current.transactional_id, current.aborted_because)
        if current.state in PREPARED:
            raise ConcurrentTransactionsError(current.transactional_id)
        raise InvalidTransactionStateError(
            current.transactional_id, current.state.kafka_name, f"{attempted} with its old epoch"
        )
    raise ProducerFencedError(
        current.transactional_id, current=current.producer_epoch, found=identity.producer_epoch
    )


def overdue(current: TransactionMetadata) -> str:
    """Why a transaction was aborted that is past its timeout."""
    return f"it was open for longer than {current.timeout_ms} ms"


def expired(current: TransactionMetadata, *, now_ms: int, expiration_ms: int) -> bool:
    """Whether a transactional id is idle for so long that it may be forgotten.

    Kafka's transactional.id.expiration.ms, and its rule: from then on, inclusive.
    """
    return current.state in IDLE and now_ms - current.last_update_ms >= expiration_ms
