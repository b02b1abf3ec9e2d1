"""The producer of the embedded transport.

What happens to a record that is sent alone:

1. `send` serializes it and puts it into a queue, under a lock that is held for just that. The first
   record since the last window asks the flusher for a window.
2. The window begins with the producer's drain, which appends what is queued, batch by batch; then
   everything that is dirty is synced at once. A batch that is full before goes into the log from
   the thread that filled it: so a fast sender pays for its own encoding, and waits where the log
   lets it wait.
3. After the sync the window's waiters are called, and handles are done.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, Final

from streamlog.client.appender import Appender, codec_named
from streamlog.client.columns import (
    check_headers,
    check_partition,
    check_timestamp,
    cut_columns,
    spread,
)
from streamlog.client.kernel import Queue, Rows
from streamlog.client.transaction import ProducerTransaction
from streamlog.coordination import INTERNAL_TOPICS
from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTopicError,
    StreamlogError,
    TopicError,
)
from streamlog.serdes import RAW, serde_for
from streamlog.storage.validation import check_records
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from streamlog.client.broker import Broker
    from streamlog.client.contract import GroupMetadata, Headers, SendHandle
    from streamlog.client.session import Session
    from streamlog.errors import StorageError
    from streamlog.storage.topic_config import TopicConfig

MIN_BATCH_BYTES: Final = 1


class EmbeddedProducer:
    """Writes to a log in this process; see `contract.Producer`. Always idempotent.

    Usable from any thread. Records that one thread sends to one partition keep their order, and
    `send` and `send_columns` of one thread keep theirs. Two locks: `_lock` guards the queues and is
    held for a few list operations; `_appending` guards sequences and the order of batches, and is
    held while batches are encoded and appended. Who takes both takes `_appending` first. The
    flusher's thread never waits for `_appending`: its holder may be waiting for the flusher.
    """

    def __init__(
        self,
        session: Session,
        broker: Broker,
        *,
        transactional_id: str | None,
        transaction_timeout_ms: int,
        key: Any,
        value: Any,
        compression: str,
        batch_size: int,
    ) -> None:
        if batch_size < MIN_BATCH_BYTES:
            raise ValueError(f"batch_size is {batch_size}, but must be at least {MIN_BATCH_BYTES}")
        self._session = session
        self._broker = broker
        self._flusher = broker.flusher
        self._now = broker.clock.now_ms
        self._typed_key, self._typed_value = key is not None, value is not None
        self._serialize_key = (RAW if key is None else serde_for(key)).serialize
        self._serialize_value = (RAW if value is None else serde_for(value)).serialize
        self._batch_size = batch_size
        transactional = transactional_id is not None
        self._appender = Appender(broker, codec_named(compression), transactional=transactional)
        self._queues: dict[str, Queue] = {}
        self._configs: dict[str, TopicConfig] = {}
        self._lock = Lock()
        self._appending = Lock()
        self._completed = Condition(Lock())
        self._window_rows: list[Rows] = []
        self._asked = False
        self._missed = False
        self._first_error: BaseException | None = None
        self._refuse: Callable[[str], None] | None = None
        self._closing = False
        self._closed = False
        self._transaction: ProducerTransaction | None = None
        if transactional_id is not None:
            broker.expect_transactions()
            # Last of what may fail: from here on the id is taken until `close`.
            self._transaction = ProducerTransaction(
                broker.transactions, transactional_id, transaction_timeout_ms, topic=broker.topic
            )
            self._refuse = self._transaction.refuse
        broker.flusher.add_drain(self._drain)
        session.add(self)

    # Sending

    def send(
        self,
        topic: str,
        key: Any = None,
        value: Any = None,
        *,
        partition: int | None = None,
        timestamp: int | None = None,
        headers: Headers | None = None,
    ) -> SendHandle:
        """See the contract. Handles of a batch are done together, a flush window later.

        Raises `SerializationError`, `RecordTooLargeError`, `InvalidRecordError` for no key in a
        compacted topic, `InvalidTimestampError` and the errors about topics.
        """
        queue = self._queues.get(topic) or self._open_queue(topic)
        # Bytes as they are need no call; it would be a tenth of the whole.
        if key is not None and (self._typed_key or type(key) is not bytes):
            key = self._serialize_key(key)
        if value is not None and (self._typed_value or type(value) is not bytes):
            value = self._serialize_value(value)
        if timestamp is None:
            timestamp = self._now()
            if key is None and queue.keyed:
                self._check_columns(topic, [None], None, 1)
        else:
            timestamp = check_timestamp(timestamp)
            self._check_columns(topic, [key], [timestamp], 1)
        if headers:
            headers = check_headers(headers)
        if partition is None:
            partition = -1
        else:
            check_partition(queue, partition)
        with self._lock:
            if (refuse := self._refuse) is not None:
                refuse("send")
            handle = queue.add(key, value, timestamp, headers, partition)
        if queue.full:
            self._append_full(queue)
        if not self._asked:
            self._asked = True
            self._flusher.when_durable(self._end_window)
        return handle

    def send_columns(
        self,
        topic: str,
        keys: Sequence[bytes | None] | None,
        values: Sequence[bytes | None],
        *,
        timestamps: Sequence[int] | None = None,
        headers: Sequence[Headers] | None = None,
        partition: int | None = None,
    ) -> None:
        """See the contract. Nothing is appended where an argument is wrong or a row too large."""
        queue = self._queues.get(topic) or self._open_queue(topic)
        batches = cut_columns(
            queue, keys, values, timestamps, headers, partition, now_ms=self._now()
        )
        if batches and (queue.keyed or timestamps is not None):
            self._check_columns(topic, keys, timestamps, len(values))
        if keys is None and partition is None:
            with self._lock:
                spread(queue, batches)
        with self._appending:
            if (refuse := self._refuse) is not None:
                refuse("send")
            self._append_queued()
            for rows in batches:
                self._append(topic, rows)
        self._after_appending()

    def flush(self, timeout: float | None = None) -> None:
        """See the contract. An error is raised once; the handles keep theirs."""
        self._check_open()
        self._append_all()
        self._flusher.wait_durable(timeout)
        self._raise_first_error()

    def wait_rows(self, rows: Rows, timeout: float | None) -> None:
        """For handles: returns when the rows are done; raises `TimeoutError`."""
        if self._session.forked:  # nobody will ever complete them, nor let go of the lock
            self._session.check_open()
        with self._completed:
            if not self._completed.wait_for(lambda: rows.done, timeout):
                raise TimeoutError(f"the record is not durable after {timeout} s")

    # Transactions

    @contextmanager
    def transaction(self) -> Generator[None]:
        """See the contract. Waits for a commit that is under way, and for its own."""
        self.begin_transaction()
        try:
            yield
            self.commit_transaction()
        except BaseException:
            with suppress(StreamlogError):  # what was raised says more than that nothing is open
                self.abort_transaction()
            raise

    def begin_transaction(self) -> None:
        """See the contract. Waits for a commit that is under way."""
        self._check_open()
        self._needed_transaction().begin(self._appender)
        self._refuse = None

    def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, int], group: GroupMetadata
    ) -> None:
        self._check_open()
        self._needed_transaction().send_offsets(offsets, group)

    def commit_transaction(self, timeout: float | None = None) -> None:
        """See the contract. After a `TimeoutError` the commit goes on: commit again to wait on."""
        self.commit_transaction_async().result(timeout)

    def commit_transaction_async(self) -> Future[None]:
        """See the contract. Raises at once what a write of the transaction raised: abort then."""
        self._check_open()
        transaction = self._needed_transaction()
        with self._appending:
            self._refuse = transaction.refuse
            self._append_queued()
            future = transaction.commit()
        self._after_appending()
        return future

    def abort_transaction(self) -> None:
        """See the contract. Handles of what had not been appended yet get the abort as error."""
        self._check_open()
        transaction = self._needed_transaction()
        self._drop(transaction)
        transaction.abort()

    def close(self) -> None:
        """See the contract. Twice is once. Raises the first error that `flush` did not raise."""
        if self._session.forked:
            return
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if self._transaction is None:
                # Before the flush: what another thread would queue behind it would wait for ever.
                self._refuse = self._refuse_closed
        try:
            if self._transaction is None:
                self.flush()
            else:
                self._drop(self._transaction)
                self._transaction.release()
        finally:
            self._closed = True
            self._refuse = self._refuse_closed
            self._flusher.remove_drain(self._drain)
            self._session.discard(self)

    def abandon(self) -> None:
        """In a forked child: `send` finds no queue there and asks the session."""
        self._queues = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error of the block says more than what closing then runs into.
        with nullcontext() if error is None else suppress(StreamlogError):
            self.close()

    def _drop(self, transaction: ProducerTransaction) -> None:
        """Ends sending, and what is queued with the abort as its error."""
        with self._appending:
            self._refuse = transaction.refuse
            unsent = [rows for _, rows in self._take(Queue.take)]
            self._complete(unsent, transaction.abort_error())
        self._first_error = None
        self._after_appending()

    # Queues: `_lock`

    def _open_queue(self, topic: str) -> Queue:
        """The topic's queue, which knows its partitions and limits; checks what `send` may not."""
        self._check_open()
        if topic in INTERNAL_TOPICS:
            raise InvalidTopicError(topic, "only the log's coordinators write to it")
        partitions = self._broker.topic(topic).partitions
        config = self._configs[topic] = self._broker.partition(TopicPartition(topic, 0)).config
        limit = config.max_message_bytes
        if self._transaction is None:
            with self._appending:  # here, because the flusher's thread must not wait for the disk
                self._appender.ensure_identity()
            self._after_appending()
        queue = Queue(self, topic, partitions, min(self._batch_size, limit), limit)
        with self._lock:
            queue = self._queues.setdefault(topic, queue)
        self.topic_changed(topic)  # if it did meanwhile, nobody has told this queue
        return queue

    def topic_changed(self, topic: str) -> None:
        """It was altered or deleted. What is sent to one that is gone has that error."""
        queue = self._queues.get(topic)
        if queue is None:
            return
        with suppress(TopicError):
            partitions = self._broker.topic(topic).partitions
            config = self._configs[topic] = self._broker.partition(TopicPartition(topic, 0)).config
            limit = config.max_message_bytes
            with self._lock:
                queue.keyed = config.compact
                queue.resize(partitions, min(self._batch_size, limit), limit)

    def _check_columns(
        self,
        topic: str,
        keys: Sequence[bytes | None] | None,
        timestamps: Sequence[int] | None,
        count: int,
    ) -> None:
        """Before any of them is appended. Raises as `check_records` does."""
        now_ms = self._now()
        check_records(
            [None] * count if keys is None else keys,
            [now_ms] if timestamps is None else timestamps,
            self._configs[topic],
            now_ms,
            topic,
        )

    def _take(self, take: Callable[[Queue], list[Rows]]) -> list[tuple[str, Rows]]:
        """What waits in the queues. A window is not asked for any more."""
        with self._lock:
            self._asked = False
            return [(queue.topic, rows) for queue in self._queues.values() for rows in take(queue)]

    # Appending: `_appending`, except where said

    def _drain(self) -> None:
        """The flusher calls it at the start of a window, on its thread: never waits.

        Where another thread is appending, that one finds `_missed` when it is done and asks for a
        window. The second attempt is for a holder that let go before it could see `_missed`.
        """
        if not self._appending.acquire(blocking=False):
            self._missed = True
            if not self._appending.acquire(blocking=False):
                return
        try:
            for topic, rows in self._take(Queue.take):
                if self._append_rows(topic, rows):
                    self._window_rows.append(rows)
        finally:
            self._appending.release()

    def _end_window(self, error: StorageError | None) -> None:
        """A window that ran `_drain` is durable; on the flusher's thread, or wherever it failed."""
        rows, self._window_rows = self._window_rows, []
        if error is not None:
            rows += [rows for _, rows in self._take(Queue.take)]
        self._complete(rows, error)

    def _append_all(self) -> None:
        """Appends what is queued. Takes `_appending`."""
        with self._appending:
            self._append_queued()
        self._after_appending()

    def _append_full(self, queue: Queue) -> None:
        """Appends the queue's full batches. Takes `_appending`."""
        with self._appending:
            with self._lock:
                full = queue.take_full()
            self._append_each((queue.topic, rows) for rows in full)
        self._after_appending()

    def _after_appending(self) -> None:
        """To be called with `_appending` let go: asks again for a window that `_drain` missed."""
        if self._missed:
            self._missed = False
            self._flusher.when_durable(self._end_window)

    def _append_queued(self) -> None:
        self._append_each(self._take(Queue.take))

    def _append_each(self, taken: Iterable[tuple[str, Rows]]) -> None:
        appended = [rows for topic, rows in taken if self._append_rows(topic, rows)]
        if appended:
            self._flusher.when_durable(partial(self._complete, appended))

    def _append_rows(self, topic: str, rows: Rows) -> bool:
        """Whether the rows are in the log; otherwise they are done and have the error."""
        try:
            self._append(topic, rows)
        except Exception as error:  # whatever it is belongs to the handles, on any thread
            self._complete([rows], error)
            return False
        rows.drop_columns()
        return True

    def _append(self, topic: str, rows: Rows) -> None:
        partition = TopicPartition(topic, rows.partition)
        log = self._broker.partition(partition)
        try:
            if self._transaction is not None:
                self._transaction.enlist(partition)
            rows.base_offset = self._appender.append(
                log, rows.keys, rows.values, rows.timestamps, rows.headers
            )
        except BaseException as error:
            if self._transaction is not None:
                self._refuse = self._transaction.refuse
                self._transaction.fail(error)
                if isinstance(error, InvalidProducerEpochError):
                    self._transaction.explain(error)
            raise

    def _complete(self, done: Sequence[Rows], error: BaseException | None) -> None:
        """The rows are durable, or never will be. From any thread."""
        if not done:
            return
        if error is not None and self._first_error is None:
            self._first_error = error
        with self._completed:
            for rows in done:
                rows.error = error
                rows.done = True
                rows.drop_columns()
            self._completed.notify_all()

    # States

    def _needed_transaction(self) -> ProducerTransaction:
        if self._transaction is None:
            raise ValueError(
                "the producer has no transactional_id: log.producer(transactional_id=...)"
            )
        return self._transaction

    def _raise_first_error(self) -> None:
        error, self._first_error = self._first_error, None
        if error is not None:
            raise error

    def _check_open(self) -> None:
        if self._closed:
            self._refuse_closed("")
        self._session.check_open()

    def _refuse_closed(self, attempted: str) -> None:
        raise ValueError("the producer is closed")
