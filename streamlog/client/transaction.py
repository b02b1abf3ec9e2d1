"""One producer's transactions, one after another.

Ready ── begin ──► Open ── commit ──► Committing ── durable ──► Ready
                    │ │                   │
                    │ └─ a write fails ─► Failed ◄─ the commit fails
                    │                     │
                    └────── abort ────────┴── abort ──► Ready
"""

from __future__ import annotations

from concurrent.futures import Future
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from streamlog.client.groups import check_known, check_offsets
from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    StorageError,
    TransactionAbortedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamlog.client.appender import Appender
    from streamlog.client.contract import GroupMetadata
    from streamlog.coordination import ProducerIdentity, TransactionCoordinator
    from streamlog.topic import TopicDescription, TopicPartition


class State(Enum):
    """Where the producer is with its transaction; the values are for error messages."""

    READY = "Ready"
    OPEN = "Open"
    COMMITTING = "Committing"
    FAILED = "Failed"


class ProducerTransaction:
    """The client's side of the coordinator. One thread at a time, `fail` and `refuse` excepted.

    Its construction takes the transactional id over, `release` gives it back.
    """

    def __init__(
        self,
        coordinator: TransactionCoordinator,
        transactional_id: str,
        timeout_ms: int,
        *,
        topic: Callable[[str], TopicDescription],
    ) -> None:
        self._coordinator = coordinator
        self._topic = topic
        self._id = transactional_id
        self._identity = coordinator.init_producer(transactional_id, timeout_ms)
        self._state = State.READY
        self._error: BaseException | None = None
        self._enlisted: set[TopicPartition] = set()
        self._has_offsets = False
        self._commit: Future[None] | None = None

    def begin(self, appender: Appender) -> None:
        """Waits for a commit under way; gives the appender the transaction's identity.

        Raises:
            InvalidTransactionStateError: a transaction is open.
            TransactionAbortedError: the last one failed and was not aborted.
        """
        if self._commit is not None and self._state is State.COMMITTING:
            self._commit.exception()
        if self._state is not State.READY:
            self.refuse("begin")
        appender.use(self._identity)
        self._enlisted = set()
        self._has_offsets = False
        self._commit = None
        self._state = State.OPEN

    def enlist(self, partition: TopicPartition) -> None:
        """To be called before a batch for the partition is appended."""
        if partition not in self._enlisted:
            self._coordinator.add_partitions(self._id, self._identity, [partition])
            self._enlisted.add(partition)

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """Offsets that are refused fail the transaction: it must not commit without them."""
        if self._state is not State.OPEN:
            self.refuse("send offsets")
        check_offsets(offsets)
        if not offsets:
            return
        try:
            check_known(offsets, self._topic)
            self._coordinator.send_offsets(self._id, self._identity, group, offsets)
        except BaseException as error:
            self.fail(error)
            raise
        self._has_offsets = True

    def fail(self, error: BaseException) -> None:
        """A write failed: the transaction can only be aborted from here on."""
        if self._state is State.OPEN:
            self._error = error
            self._state = State.FAILED

    def explain(self, error: InvalidProducerEpochError) -> None:
        """Raises what made the log refuse the producer's epoch, where the coordinator knows it."""
        partitions = self._enlisted
        self._coordinator.add_partitions(self._id, self._identity, partitions)
        raise error

    def refuse(self, attempted: str) -> None:
        """Raises why `attempted` cannot be done in this state."""
        if self._state is State.FAILED:
            raise self._failed() from self._error
        raise InvalidTransactionStateError(self._id, self._state.value, attempted)

    def commit(self) -> Future[None]:
        """Starts the commit; until the next transaction begins, again is the same future.

        Raises:
            TransactionAbortedError: a write failed; abort.
            InvalidTransactionStateError: no transaction is open.
        """
        if self._commit is not None:
            return self._commit
        if self._state is not State.OPEN:
            self.refuse("commit")
        commit = Future[None]()
        commit.set_running_or_notify_cancel()
        if not (self._enlisted or self._has_offsets):
            self._state = State.READY
            commit.set_result(None)
        else:
            try:
                ending = self._coordinator.end(self._id, self._identity, commit=True)
            except BaseException as error:
                self.fail(error)
                raise
            self._state = State.COMMITTING
            ending.add_done_callback(partial(self._committed, commit))
        self._commit = commit
        return commit

    def abort(self) -> None:
        """Aborts, durably.

        Raises:
            InvalidTransactionStateError: no transaction is open, or its commit is under way.
            StorageError: what made the commit fail. Its outcome shows when the log is reopened.
        """
        if self._state not in (State.OPEN, State.FAILED):
            self.refuse("abort")
        if isinstance(self._error, StorageError):
            raise self._error
        if self._enlisted or self._has_offsets or self._error is not None:
            ending = self._coordinator.end(self._id, self._identity, commit=False)
            self._identity = ending.result()
        self._error = None
        self._commit = None
        self._state = State.READY

    def release(self) -> None:
        """Ends whatever is open and gives the transactional id back."""
        if self._commit is not None and self._state is State.COMMITTING:
            self._commit.exception()
        self._coordinator.release(self._id)

    def abort_error(self) -> TransactionAbortedError:
        """What the handles of records get that an abort leaves unwritten."""
        return TransactionAbortedError(self._id, "abort_transaction was called")

    def _committed(self, commit: Future[None], ending: Future[ProducerIdentity]) -> None:
        """On the flusher's thread, or wherever the commit failed."""
        if error := ending.exception():
            self._error = error
            self._state = State.FAILED
            commit.set_exception(error)
            return
        self._identity = ending.result()
        self._state = State.READY
        commit.set_result(None)

    def _failed(self) -> TransactionAbortedError:
        return TransactionAbortedError(self._id, f"{self._error}; abort it and begin again")
