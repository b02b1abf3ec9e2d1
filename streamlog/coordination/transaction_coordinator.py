"""Transactions over any number of partitions, in `__transaction_state`.

A commit, step by step, and what a crash right behind each step leaves:

1. `end` waits for a flush window that begins after the call: all data of the transaction, and the
   folders it is in, are durable. Crash: nothing was decided, recovery aborts.
2. The prepare record is appended, and another window waited for. Its sync is the commit point.
   Crash before: recovery aborts. Crash after: recovery commits.
3. Markers are appended to every partition, unsynced, and the caller's future is done. Readers see
   the transaction when its markers are below the high watermark, one window later. Crash:
   recovery appends the markers that are missing.
4. Nothing may replace the prepare record in the log before its markers are durable. So records
   that only say what could be found out without them (Complete, Ongoing) are held in memory. They
   go into the log with the next record that matters, or at a step of the housekeeping.

An abort needs no order: what recovery finds undecided, it aborts. But every identity is handed out
only when the record that has it is durable. Else a crash could make it be handed out again, and
the new producer's batches would be taken for duplicates of the old one's.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Final

from streamlog.coordination.deadlines import TransactionDeadlines
from streamlog.coordination.hanging import find_hanging, find_knower
from streamlog.coordination.internal_topic import OFFSETS_TOPIC
from streamlog.coordination.recovery import COORDINATOR_EPOCH, end_leftovers
from streamlog.coordination.transaction_log import Transaction, TransactionLog, read_transactions
from streamlog.coordination.transaction_record import encode_key
from streamlog.coordination.transaction_state import (
    NO_PRODUCER_ID,
    AbortFirst,
    AlreadyEnded,
    ProducerIdentity,
    StartAbort,
    StartCommit,
    TransactionState,
    abandon,
    add_partitions,
    choose_end,
    choose_initialize,
    complete,
    expired,
    overdue,
    prepare,
)
from streamlog.errors import (
    ConcurrentTransactionsError,
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    NotHangingError,
    StorageError,
    TopicDeletedError,
    TransactionAbortedError,
    TransactionalIdInUseError,
    UnknownTransactionalIdError,
)
from streamlog.record import ControlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamlog.client.contract import GroupMetadata, HangingTransaction
    from streamlog.clock import Clock
    from streamlog.coordination.group_coordinator import GroupCoordinator
    from streamlog.coordination.transaction_state import TransactionMetadata
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition


Ending = Future[ProducerIdentity]
"""A transaction's end, under way or done; its result is the identity of the next one."""
ABORTED_BY_OPERATOR: Final = "an operator aborted it"


class TransactionCoordinator:
    """One coordinator for all transactional ids of a log directory. Usable from any thread.

    One lock guards everything. Callbacks take it on the flusher's thread, so nothing that waits
    for the flusher may hold it: producer ids are taken and offsets appended outside. (Any append
    waits where its partition has 32 MB unsynced; in the state topic, with a few records an id and
    window, none has.)
    """

    def __init__(self, directory: LogDirectory, groups: GroupCoordinator, *, clock: Clock) -> None:
        self._directory = directory
        self._flusher = directory.flusher
        self._groups = groups
        self._clock = clock
        self._log = TransactionLog(directory)
        self._lock = RLock()
        self._transactions: dict[str, Transaction] = {}
        self._deadlines = TransactionDeadlines()
        self._owned: set[str] = set()
        self._expired_at_ms: int | None = None

    def open(self) -> None:
        """Loads all transactional ids and ends what a crash left open, durably.

        The group coordinator is open already.
        """
        loaded = list(read_transactions(self._directory))
        now_ms = self._clock.now_ms()
        if end_leftovers(self._directory, self._groups, loaded, now_ms=now_ms):
            self._flusher.wait_durable()
        for metadata in loaded:
            transaction = Transaction(metadata)
            self._transactions[metadata.transactional_id] = transaction
            if metadata.unfinished:
                transaction.hold(complete(metadata, now_ms=now_ms))
            elif metadata.state is TransactionState.ONGOING:
                new_id = self._id_if_exhausted(transaction)
                transaction.hold(abandon(metadata, now_ms=now_ms, new_producer_id=new_id))
            self._log.write_held(transaction, now_ms=now_ms)

    # Producers

    def init_idempotent(self) -> ProducerIdentity:
        """A new identity for a producer without transactions."""
        return ProducerIdentity(self._directory.next_producer_id(), 0)

    def init_producer(self, transactional_id: str, timeout_ms: int) -> ProducerIdentity:
        """Takes the id over: fences every earlier producer of it, aborts what one left open.

        Returns when the new identity is durable. `release` gives the id free again.

        Raises `TransactionalIdInUseError` where a live producer of this process has the id,
        `InvalidTransactionTimeoutError` for one over transaction.max.timeout.ms, and
        `ValueError` for an id that is empty or too long.
        """
        if not transactional_id:
            raise ValueError("a transactional id must not be empty")
        encode_key(transactional_id)  # refuses one that is too long
        with self._lock:
            if transactional_id in self._owned:
                raise TransactionalIdInUseError(transactional_id)
            self._owned.add(transactional_id)
        try:
            return self._initialize(transactional_id, timeout_ms)
        except BaseException:
            with self._lock:
                self._owned.discard(transactional_id)
            raise

    def release(self, transactional_id: str) -> None:
        """The owner is gone: aborts what it left open, and the id may be taken again.

        Once for each `init_producer` that returned. Does not wait, and does not raise where
        writing has ended: recovery aborts as well.
        """
        self._abort_if(self._known(transactional_id), lambda transaction: transaction.abortable)
        with self._lock:
            self._owned.discard(transactional_id)

    def add_partitions(
        self,
        transactional_id: str,
        identity: ProducerIdentity,
        partitions: Iterable[TopicPartition],
    ) -> None:
        """Has to come before the transaction's first batch in each of the partitions.

        Raises `ProducerFencedError`, `TransactionAbortedError` (it timed out, or an operator
        aborted it), `ConcurrentTransactionsError` (its end is under way), and for a partition
        that is unknown the `TopicError`.
        """
        logs = {each: self._directory.partition(*each) for each in partitions}
        with self._lock:
            transaction = self._known(transactional_id)
            before = transaction.metadata
            after = add_partitions(before, identity, logs, now_ms=self._clock.now_ms())
            if after is not before:
                if before.state is not TransactionState.ONGOING:
                    transaction.begin()
                transaction.logs |= logs
                transaction.hold(after)

    def send_offsets(
        self,
        transactional_id: str,
        identity: ProducerIdentity,
        group: GroupMetadata,
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        """Commits consumed offsets with the transaction (KIP-98, KIP-447).

        By the owner, one call at a time. Raises as `add_partitions` does, and
        `IllegalGenerationError` or `UnknownMemberError` where `group` is not, or no longer, the
        group's member.
        """
        if not offsets:
            return
        home = self._groups.home(group.group_id)
        self.add_partitions(transactional_id, identity, [home])
        transaction = self._known(transactional_id)
        sequence = transaction.sequences.get(home, 0)
        try:
            self._groups.commit_in_transaction(identity, group, offsets, base_sequence=sequence)
        except InvalidProducerEpochError as error:
            reason = "the coordinator ended it"
            raise TransactionAbortedError(transactional_id, reason) from error
        transaction.sequences[home] = sequence + len(offsets)

    def end(self, transactional_id: str, identity: ProducerIdentity, *, commit: bool) -> Ending:
        """Commits or aborts. The future is done when that is durable; nothing is waited for here.

        Its result is the identity of the producer's next transaction, whose sequences begin at 0
        in every partition; until then nothing may be appended. A storage error in it means that
        nobody knows the outcome before the log is opened again. Ending again the same way gives
        the same outcome.

        Raises `InvalidTransactionStateError` for the opposite of what happened and for a commit
        of nothing, `ProducerFencedError`, and for the commit of a transaction that timed out or
        was aborted by an operator `TransactionAbortedError`: abort it, and go on with the identity
        that the abort gives.
        """
        transaction = self._known(transactional_id)
        new_producer_id = self._id_if_exhausted(transaction)
        with self._lock:
            match choose_end(transaction.metadata, identity, commit=commit):
                case AlreadyEnded():
                    return transaction.ending or _done(transaction.metadata.identity)
                case StartAbort():
                    return self._abort(transaction, new_producer_id)
                case StartCommit(metadata):
                    transaction.metadata = metadata
                    future = transaction.ending = _started()
        self._when_durable(
            future, partial(self._prepare_commit, transaction, future, new_producer_id)
        )
        return future

    # Housekeeping

    def step(self) -> None:
        """Aborts what is overdue, writes what was held back, forgets what was idle for too long.

        To be called about every second. Does nothing once writing has ended.
        """
        if self._flusher.failure is not None:
            return
        now_ms = self._clock.now_ms()
        with self._lock:
            transactions = list(self._transactions.values())
            due = self._deadlines.step(now_ms, [each.metadata for each in transactions])
            for transaction in transactions:
                if transaction.markers_durable:
                    self._log.write_held(transaction, now_ms=now_ms)
        for late in due:
            self._abort_if(
                self._transactions[late.transactional_id],
                lambda transaction, late=late: (
                    transaction.abortable and transaction.metadata.identity == late.identity
                ),
                because=overdue(late),
            )
        self.expire(now_ms)

    def expire(self, now_ms: int) -> int:
        """Writes tombstones of ids that nobody has and that are idle for too long.

        Returns when to look again. Not durable: if a crash takes a tombstone away the id is there
        again, and expires again. An id that comes back behind its tombstone gets a producer id
        that was never used.
        """
        limits = self._directory.log_config
        interval_ms = limits.transaction_remove_expired_transaction_cleanup_interval_ms
        with self._lock:
            looked_ms = self._expired_at_ms
            if looked_ms is not None and 0 <= now_ms - looked_ms < interval_ms:
                return looked_ms + interval_ms
            if self._flusher.failure is None:
                self._expired_at_ms = now_ms
                self._expire(now_ms, limits.transactional_id_expiration_ms)
        return now_ms + interval_ms

    def _expire(self, now_ms: int, expiration_ms: int) -> None:
        for name, transaction in list(self._transactions.items()):
            if (
                name not in self._owned
                and transaction.markers_durable
                and expired(transaction.metadata, now_ms=now_ms, expiration_ms=expiration_ms)
            ):
                self._log.write_held(transaction, now_ms=now_ms)
                self._log.forget(name, now_ms=now_ms)
                del self._transactions[name]

    # Operators

    def abort(self, transactional_id: str) -> None:
        """Aborts the id's open transaction, whoever has it; durable on return.

        Its producer is told by the next call, as after a timeout.

        Raises `UnknownTransactionalIdError`, `ConcurrentTransactionsError` where its end is under
        way, and `InvalidTransactionStateError` where nothing is open.
        """
        transaction = self._known(transactional_id)
        new_producer_id = self._id_if_exhausted(transaction)
        with self._lock:
            metadata = transaction.metadata
            if metadata.unfinished:
                raise ConcurrentTransactionsError(transactional_id)
            if not metadata.abortable:
                state = metadata.state.kafka_name
                raise InvalidTransactionStateError(transactional_id, state, "abort")
            ending = self._abort(transaction, new_producer_id, because=ABORTED_BY_OPERATOR)
        ending.result()

    def hanging(self) -> list[HangingTransaction]:
        """What is open in partitions and belongs to no transaction that the coordinator knows."""
        with self._lock:
            return find_hanging(self._directory.open_transactions(), self._metadata())

    def abort_hanging(
        self, partition: TopicPartition, producer_id: int, producer_epoch: int
    ) -> None:
        """Ends a producer's open transaction in one partition by a marker; durable on return.

        Raises `NotHangingError` where it has none there or the coordinator knows it, and
        `InvalidProducerEpochError` where it has another epoch.
        """
        log = self._directory.partition(*partition)
        topic, number = partition
        with self._lock:
            found = log.open_transactions().get(producer_id)
            if found is None:
                raise NotHangingError(topic, number, producer_id, "it has no open transaction")
            epoch, _ = found
            if epoch != producer_epoch:
                raise InvalidProducerEpochError(
                    topic, number, producer_id, current=epoch, found=producer_epoch
                )
            if knower := find_knower(self._metadata(), partition, producer_id):
                reason = f"transactional id {knower!r} has it open; abort that"
                raise NotHangingError(topic, number, producer_id, reason)
            now_ms = self._clock.now_ms()
            log.append_control(
                ControlType.ABORT, producer_id, epoch, COORDINATOR_EPOCH, now_ms=now_ms
            )
            if topic == OFFSETS_TOPIC:
                self._groups.end_transaction(number, producer_id, commit=False)
        self._flusher.wait_durable()

    def transactions(self) -> list[TransactionMetadata]:
        """All transactional ids, by name."""
        with self._lock:
            return [each.metadata for _, each in sorted(self._transactions.items())]

    def describe(self, transactional_id: str) -> TransactionMetadata | None:
        with self._lock:
            transaction = self._transactions.get(transactional_id)
            return None if transaction is None else transaction.metadata

    def close(self) -> None:
        """Aborts what is open, waits for what is ending, and writes what was held back.

        Raises the `StorageError` that ended writing if it comes up here.
        """
        if self._flusher.failure is not None:
            return
        transactions = list(self._transactions.values())
        for transaction in transactions:
            self._abort_if(transaction, lambda transaction: transaction.abortable)
        for transaction in transactions:
            if transaction.ending is not None:
                transaction.ending.result()
        if any(transaction.held for transaction in transactions):
            self._flusher.wait_durable()
            with self._lock:
                for transaction in transactions:
                    self._log.write_held(transaction, now_ms=self._clock.now_ms())

    def _known(self, transactional_id: str) -> Transaction:
        """Raises `UnknownTransactionalIdError`, also for an id that has expired."""
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            raise UnknownTransactionalIdError(transactional_id, list(self._transactions))
        return transaction

    def _metadata(self) -> list[TransactionMetadata]:
        return [transaction.metadata for transaction in self._transactions.values()]

    # Beginning

    def _initialize(self, transactional_id: str, timeout_ms: int) -> ProducerIdentity:
        self._log.create(transactional_id)
        transaction, metadata = self._take_over(transactional_id, timeout_ms)
        if not transaction.markers_durable:
            self._flusher.wait_durable()
        with self._lock:
            self._log.write_held(transaction, now_ms=self._clock.now_ms())
        self._flusher.wait_durable()
        return metadata.identity

    def _take_over(
        self, transactional_id: str, timeout_ms: int
    ) -> tuple[Transaction, TransactionMetadata]:
        """Ends what a predecessor left, fences it, and holds the new identity's record."""
        while True:
            known = self._transactions.get(transactional_id)
            if known is None:
                new_producer_id = self._directory.next_producer_id()
            else:
                self._abort_if(known, lambda transaction: transaction.abortable)
                if known.ending is not None:
                    known.ending.result()
                new_producer_id = self._id_if_exhausted(known)
            with self._lock:
                decision = choose_initialize(
                    transactional_id,
                    None if known is None else known.metadata,
                    timeout_ms=timeout_ms,
                    new_producer_id=new_producer_id,
                    now_ms=self._clock.now_ms(),
                    max_timeout_ms=self._directory.log_config.transaction_max_timeout_ms,
                )
                if isinstance(decision, AbortFirst):
                    continue  # the predecessor, though released, has begun another one meanwhile
                transaction = known or Transaction(decision.metadata)
                self._transactions[transactional_id] = transaction
                transaction.begin()
                transaction.hold(decision.metadata)
                return transaction, decision.metadata

    def _id_if_exhausted(self, transaction: Transaction) -> int:
        """The producer id that an end or initialization needs; may wait for the flusher."""
        if transaction.metadata.epoch_exhausted:
            return self._directory.next_producer_id()
        return NO_PRODUCER_ID

    # Aborting

    def _abort_if(
        self,
        transaction: Transaction,
        condition: Callable[[Transaction], bool],
        *,
        because: str = "",
    ) -> None:
        if self._flusher.failure is not None or not condition(transaction):
            return
        new_producer_id = self._id_if_exhausted(transaction)
        with self._lock:
            if condition(transaction):
                self._abort(transaction, new_producer_id, because=because)

    def _abort(
        self, transaction: Transaction, new_producer_id: int, *, because: str = ""
    ) -> Ending:
        """Under the lock. The future is done when the next identity is durable."""
        now_ms = self._clock.now_ms()
        prepared = prepare(
            transaction.metadata,
            commit=False,
            now_ms=now_ms,
            new_producer_id=new_producer_id,
            because=because,
        )
        ended = complete(prepared, now_ms=now_ms)
        transaction.hold(prepared)
        transaction.hold(ended)
        future = transaction.ending = _started()
        try:
            self._append_markers(transaction, prepared)
            if transaction.markers_durable:
                self._write_abort(transaction, future, ended.identity)
            else:  # the markers of the commit before it
                self._when_durable(
                    future, partial(self._write_abort, transaction, future, ended.identity)
                )
        except StorageError as error:
            future.set_exception(error)
        except BaseException as error:  # Ctrl-C; some partitions may be without their marker
            path = self._directory.root
            self._flusher.fail(StorageError(path, f"an abort was interrupted ({error!r})"))
            future.set_exception(error)
            raise
        return future

    def _write_abort(
        self, transaction: Transaction, future: Ending, identity: ProducerIdentity
    ) -> None:
        self._log.write_held(transaction, now_ms=self._clock.now_ms())
        self._when_durable(future, lambda: identity)

    # Committing: the steps run on the flusher's thread, under the lock

    def _prepare_commit(
        self, transaction: Transaction, future: Ending, new_producer_id: int
    ) -> None:
        """The data is durable. So are the markers of the commit before it: they came earlier."""
        now_ms = self._clock.now_ms()
        transaction.hold(
            prepare(
                transaction.metadata, commit=True, now_ms=now_ms, new_producer_id=new_producer_id
            )
        )
        self._log.write_held(transaction, now_ms=now_ms)
        self._when_durable(future, partial(self._finish_commit, transaction))

    def _finish_commit(self, transaction: Transaction) -> ProducerIdentity:
        """The prepare record is durable: the transaction is committed, whatever happens."""
        prepared = transaction.metadata
        transaction.markers_durable = False
        with suppress(StorageError):  # writing has ended, and recovery appends the markers
            self._append_markers(transaction, prepared)
        transaction.hold(complete(prepared, now_ms=self._clock.now_ms()))
        self._flusher.when_durable(partial(self._note_markers, transaction))
        return transaction.metadata.identity

    def _note_markers(self, transaction: Transaction, error: StorageError | None) -> None:
        if error is None:
            with self._lock:
                transaction.markers_durable = True

    def _append_markers(self, transaction: Transaction, prepared: TransactionMetadata) -> None:
        """To every partition, also where nothing was written: they fence the old epoch there."""
        committed = prepared.state is TransactionState.PREPARE_COMMIT
        kind = ControlType.COMMIT if committed else ControlType.ABORT
        producer_id, epoch = prepared.identity
        try:
            for log in transaction.logs.values():
                now_ms = self._clock.now_ms()
                with suppress(TopicDeletedError):  # and its data with it
                    log.append_control(kind, producer_id, epoch, COORDINATOR_EPOCH, now_ms=now_ms)
        finally:
            for topic, number in transaction.logs:
                if topic == OFFSETS_TOPIC:
                    self._groups.end_transaction(number, producer_id, commit=committed)

    def _when_durable(self, future: Ending, step: Callable[[], ProducerIdentity | None]) -> None:
        """Runs `step` under the lock once everything appended so far is durable.

        What it returns, if anything, is the future's result, and what it raises its error.
        """

        def run(error: StorageError | None) -> None:
            try:
                if error is not None:
                    raise error
                with self._lock:
                    identity = step()
            except BaseException as raised:  # whoever waits must hear of it, and the flusher not
                self._groups.wake()
                future.set_exception(raised)
                return
            if identity is not None:
                future.set_result(identity)

        self._flusher.when_durable(run)


def _started() -> Ending:
    """A future that cannot be cancelled: nobody can take a commit back."""
    future: Ending = Future()
    future.set_running_or_notify_cancel()
    return future


def _done(identity: ProducerIdentity) -> Ending:
    future = _started()
    future.set_result(identity)
    return future
