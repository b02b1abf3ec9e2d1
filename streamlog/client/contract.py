"""The contract between an application and a log, wherever the log lives.

The embedded transport (`embedded.py`) meets it in the process; the Kafka transport will meet it
over the wire. `processors` and `connectors` know nothing else of the log.

Offsets are exclusive next offsets throughout: a committed offset, a position and an end offset
are all "the next one to read".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

# At run time too, because users import these names from here.
from streamlog.topic import ConfigEntry, Isolation, TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from os import PathLike
    from types import TracebackType
    from typing import Self

OffsetReset = Literal["earliest", "latest", "error"]
TailStart: TypeAlias = "Literal['end', 'latest', 'earliest'] | int | datetime | timedelta"
Headers = list[tuple[str, bytes | None]]
RebalanceCallback = Callable[[list[TopicPartition]], None]
DEFAULT_ASSIGNORS: Final = ("range", "cooperative-sticky")
"""Kafka's `partition.assignment.strategy`: the second is there for rolling over to it."""
MAX_PARTITIONS: Final = 100_000
"""Of a topic. More are a typing mistake that could not be undone: a look would take minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMetadata:
    """What a transaction needs to commit offsets for a group and be fenced by it (KIP-447)."""

    group_id: str
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionDescription:
    """A transactional id and its last transaction.

    `state` is Kafka's word: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit,
    CompleteAbort. Times are milliseconds since the epoch; `start_ms` is None before the first
    transaction. `partitions` are those of the transaction that is open or being ended.
    """

    transactional_id: str
    producer_id: int
    producer_epoch: int
    state: str
    timeout_ms: int
    start_ms: int | None
    last_update_ms: int
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HangingTransaction:
    """What a partition has open and no transactional id has; its first record's offset."""

    partition: TopicPartition
    producer_id: int
    producer_epoch: int
    start_offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProducerDescription:
    """What a partition knows of a producer that wrote to it.

    `last_sequence` is -1 where only a marker of it is known, `transaction_start_offset` None
    where it has no transaction open in the partition.
    """

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    transaction_start_offset: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMember:
    """A member of a consumer group: what it wants and what it has been given."""

    member_id: str
    client_id: str
    client_host: str
    group_instance_id: str | None
    topics: tuple[str, ...]
    assignment: tuple[TopicPartition, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupDescription:
    """A consumer group. `offsets` are committed; those of an open transaction are not in it.

    `state` is Kafka's name: Empty, PreparingRebalance, CompletingRebalance or Stable. A group
    that never had a member (its consumers assign partitions themselves) has no protocol type.
    """

    group_id: str
    state: str
    protocol_type: str
    protocol: str
    generation_id: int
    leader: str
    members: tuple[GroupMember, ...]
    offsets: Mapping[TopicPartition, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionLag:
    """How far a group is behind in one partition; None: nothing is committed."""

    committed: int | None
    beginning_offset: int
    end_offset: int

    @property
    def lag(self) -> int:
        """Offsets still to be read, those that are gone and control records counted."""
        start = self.beginning_offset if self.committed is None else self.committed
        return max(self.end_offset - start, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetChoice:
    """Where a group shall go on: exactly one of these, as in `kafka-consumer-groups`.

    `shift_by` counts from the committed offset. `to_time_ms` is the first record of that time or
    later, `by_duration_ms` the same so long before now; behind the last record it is the end.
    Whatever comes out is kept between the partition's beginning and end.
    """

    to_earliest: bool = False
    to_latest: bool = False
    to_offset: int | None = None
    shift_by: int | None = None
    to_time_ms: int | None = None
    by_duration_ms: int | None = None

    def __post_init__(self) -> None:
        numbers = (self.to_offset, self.shift_by, self.to_time_ms, self.by_duration_ms)
        chosen = self.to_earliest + self.to_latest + sum(each is not None for each in numbers)
        if chosen != 1:
            raise ValueError(
                "choose one of to_earliest, to_latest, to_offset, shift_by, to_time_ms and "
                f"by_duration_ms, not {chosen}"
            )


@dataclass(slots=True)
class Record:
    """One record as a consumer sees it; `key` and `value` are what the deserializers return."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: Any
    value: Any
    headers: Headers = field(default_factory=list[tuple[str, bytes | None]])


@dataclass(slots=True)
class FetchedColumns:
    """A run of records of one partition as parallel lists of equal length.

    `keys` and `values` are bytes or None, `timestamps` milliseconds, `offsets` ascending.
    `headers` is None when no record of the run has any, else one list a record.
    `next_offset` is where to read on: it lies behind control records and aborted data, so it may
    move although the lists are empty.
    """

    topic: str
    partition: int
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    offsets: list[int]
    headers: list[Headers] | None
    next_offset: int


class SendHandle(Protocol):
    """A record on its way. `result` waits until it is durable."""

    def result(self, timeout: float | None = None) -> tuple[int, int]:
        """(partition, offset) once the record is durable; raises what the write raised."""
        ...

    def done(self) -> bool: ...


class Producer(Protocol):
    """Writes records. Usable from any thread."""

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
        """Queues one record; batches leave with the next flush window.

        Key and value go through the producer's serializers. Without `partition`, the key's
        murmur2 hash chooses it, and records without a key stick to a partition a batch (KIP-794).
        """
        ...

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
        """Appends many records at once, already encoded; they are in the log on return.

        They are durable after the next `flush` or `commit_transaction`. Lists have equal length.
        `keys` None means no keys; `timestamps` None means now; `partition` None scatters by key.
        """
        ...

    def flush(self, timeout: float | None = None) -> None:
        """Returns when everything sent before is durable; raises the first error."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """A block that is one transaction: committed at its end, aborted where it raises.

            with log.producer(transactional_id="till") as producer:
                with producer.transaction():
                    producer.send("orders", key="lot-7", value=b"120")
                    producer.send("payments", key="lot-7", value=b"120")

        The producer may begin the next one behind it, whatever the block or the commit raised; a
        `StorageError` apart, after which the log is to be opened again.
        """
        ...

    def begin_transaction(self) -> None: ...

    def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, int], group: GroupMetadata
    ) -> None:
        """Commits consumed offsets with this transaction (KIP-98, KIP-447).

        Raises `GroupError` and `TopicError` as `Consumer.commit` does; the transaction can only be
        aborted then.
        """
        ...

    def commit_transaction(self, timeout: float | None = None) -> None:
        """Commits; on return the transaction is durable. Readers see it a flush window later."""
        ...

    def commit_transaction_async(self) -> Future[None]:
        """Starts the commit and returns at once; the future ends when it is durable."""
        ...

    def abort_transaction(self) -> None: ...

    def close(self) -> None:
        """Aborts an open transaction, flushes and releases the transactional id."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Consumer(Protocol):
    """Reads records. One thread at a time, except `wakeup`."""

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Replaces the assignment; positions of kept partitions stay."""
        ...

    def assignment(self) -> list[TopicPartition]: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def seek_to_time(self, partition: TopicPartition, timestamp: int) -> None:
        """To the first record with a timestamp at or after `timestamp`, else to the end."""
        ...

    def seek_to_beginning(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        """To the first records of `partitions`, by default of all that are assigned."""
        ...

    def seek_to_end(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        """Behind the last records of `partitions`, by default of all that are assigned."""
        ...

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to hand out."""
        ...

    def poll(self, timeout: float | None = 0.0, max_records: int = 500) -> list[Record]:
        """The next records, of any assigned partitions; within each they are in order.

        Waits up to `timeout` seconds for the first of them, with None until there is one or
        somebody calls `wakeup`. Takes part in the group's rebalances, so call it often.
        """
        ...

    def poll_columns(
        self,
        timeout: float | None = 0.0,
        *,
        max_bytes: int = 1 << 20,
        partitions: Sequence[TopicPartition] | None = None,
    ) -> list[FetchedColumns]:
        """Reads on in every assigned partition (or only in `partitions`), about `max_bytes` each.

        Returns only partitions whose position moved. Waits for the first as `poll` does.
        """
        ...

    def on_available(self, callback: Callable[[], None] | None) -> None:
        """`callback` runs, in any thread, when an assigned partition may have more to read."""
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed offsets, stable: waits for a predecessor's open transaction."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commits the positions (or `offsets`), durably.

        Raises `GroupError` where another member has its partitions by now, and
        `UnknownTopicError` or `UnknownPartitionError`; nothing is committed then.
        """
        ...

    def group_metadata(self) -> GroupMetadata: ...

    def wakeup(self) -> None:
        """Makes a waiting `poll` return; from any thread."""
        ...

    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Record]:
        """Records as they come, in order a partition. Ends at `wakeup` and when it is closed."""
        ...

    def __aiter__(self) -> AsyncIterator[Record]:
        """The same in an asyncio loop, which goes on meanwhile: no thread waits."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Log(Protocol):
    """A log: topics, producers, consumers. Usable from any thread."""

    @property
    def path(self) -> str:
        """The directory, or the address of a log in memory."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether the log is in this process's memory, and gone when it is closed."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether it is read beside its owner: whatever would change it is refused."""
        ...

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        *,
        config: Mapping[str, str] | None = None,
        exist_ok: bool = False,
    ) -> TopicDescription:
        """Creates a topic.

        Raises `TopicExistsError`, or with `exist_ok` only a `PartitionCountError` where the
        topic that exists has another number of partitions.
        """
        ...

    def topics(self, *, internal: bool = False) -> dict[str, TopicDescription]: ...

    def topic(self, name: str) -> TopicDescription:
        """Raises `UnknownTopicError`."""
        ...

    def alter_topic(
        self,
        name: str,
        *,
        partitions: int | None = None,
        config: Mapping[str, str | None] | None = None,
    ) -> TopicDescription:
        """Adds partitions, up to `partitions`, and changes configurations while the log runs.

        A value of None takes a key back to its default. Running producers and consumers notice; a
        consumer reads partitions that were added under it from their beginning. Records stay
        where they are, so those of one key may be in two partitions then.

        Raises `UnknownTopicError`, `InvalidPartitionsError` for fewer partitions than there are,
        `InvalidConfigError`, and `ProtectedTopicError` for partitions of a topic of the log's own.
        """
        ...

    def delete_topic(self, name: str) -> None:
        """Deletes a topic, its records and the offsets that groups committed for it.

        Clients that still read it get `TopicDeletedError`, also where a topic of that name is
        created again.

        Raises `UnknownTopicError`, `ProtectedTopicError`.
        """
        ...

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        """Every configuration of a topic by Kafka's name, and who set it."""
        ...

    def config(self) -> dict[str, ConfigEntry]:
        """Every configuration of the log, by the name that it has for Kafka's broker."""
        ...

    def alter_config(self, config: Mapping[str, str | None]) -> None:
        """Changes the log's configuration while it runs; None takes a key back to its default.

        Raises `InvalidConfigError`, with the near miss of a key that is unknown.
        """
        ...

    def adopt_topic(
        self,
        name: str,
        source: str | PathLike[str],
        *,
        config: Mapping[str, str] | None = None,
        source_name: str | None = None,
    ) -> TopicDescription:
        """Copies a topic out of the directory (`log.dirs`) of a stopped Kafka broker, durably.

        Records keep their offsets, timestamps and transactions. What the broker had decided to
        commit is committed, other open transactions are aborted. `source` is only read;
        `source_name` is the topic's name there. Returns when all of it is checked and durable.
        The topic's configuration is not in that directory: without `config`, this log's defaults
        hold, and retention deletes what is older than `log.retention.ms`.

        Raises `TopicExistsError`, `DirectoryLockedError` while the broker runs, `StorageError`
        where a partition's directory is missing, and `CorruptLogError` for damage: a broker that
        is started and stopped repairs what it has torn.
        """
        ...

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Deletes the records below these offsets; -1 is the high watermark.

        Returns the log start offsets then. What the records took up is free after the next check
        of retention (`log.retention.check.interval.ms`) and `file.delete.delay.ms`.

        Raises `OffsetOutOfRangeError` above the high watermark, `PolicyViolationError` for a topic
        that is only compacted; nothing is deleted then.
        """
        ...

    def sizes(self) -> dict[TopicPartition, int]:
        """The bytes on the disk of every partition that was ever written."""
        ...

    def producer(
        self,
        *,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        key: Any = None,
        value: Any = None,
        compression: str = "none",
        batch_size: int = 1 << 18,
    ) -> Producer:
        """A producer; `key` and `value` are serdes (`str`, `int`, a class, a `Serde`).

        Without them, keys and values are bytes, str (as UTF-8) or None. A `transactional_id`
        fences every earlier producer of that id; one that a live target of this process holds
        is refused with `TransactionalIdInUseError`.
        """
        ...

    def consumer(
        self,
        *topics: str,
        group: str | None = None,
        isolation: Isolation = "read_committed",
        start: OffsetReset = "earliest",
        key: Any = None,
        value: Any = None,
        auto_commit: bool = True,
        assignors: Sequence[str] = DEFAULT_ASSIGNORS,
        group_instance_id: str | None = None,
        session_timeout_ms: int = 45_000,
        max_poll_interval_ms: int = 300_000,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
        on_lost: RebalanceCallback | None = None,
    ) -> Consumer:
        """A consumer, subscribed to `topics` if any are given (else `assign`).

        With a `group`, it starts at the committed offsets and, with `auto_commit`, commits what
        the caller has taken before the next poll and on close.

        With topics and a group it shares the partitions with the group's other consumers. They
        are divided anew, in `poll`, when one comes, goes, or has not polled for
        `max_poll_interval_ms`; by the assignor that all know ("range", "roundrobin", "sticky",
        "cooperative-sticky") and most prefer. If all `assignors` of a consumer are cooperative,
        it goes on reading meanwhile and gives up only what moves; else it gives up everything
        first. The callbacks get the partitions and run in `poll`: `on_revoked` before they are
        given up (the place to commit), `on_lost` (by default `on_revoked`) when somebody else may
        have them already. A `group_instance_id` makes a static member (KIP-345): it may close and
        come back within `session_timeout_ms` and finds its partitions as it left them.
        """
        ...

    def tail(
        self,
        topic: str,
        *,
        start: TailStart = "end",
        partitions: Iterable[int] | None = None,
        isolation: Isolation = "read_committed",
        key: Any = None,
        value: Any = None,
    ) -> Consumer:
        """The topic's records as they come: `for record in log.tail(...)`, or `async for`.

        A consumer of all partitions (or of `partitions`) without a group. It begins at the "end"
        of now (or "latest", Kafka's word), at the "earliest" record, at an offset (an int, in each
        partition, within what it has), or at a time: a `datetime`, or a `timedelta` for how long
        ago. `close`, `wakeup` and closing the log end the iteration, from any thread.
        """
        ...

    def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]: ...

    def end_offsets(
        self,
        partitions: Iterable[TopicPartition],
        *,
        isolation: Isolation = "read_committed",
    ) -> dict[TopicPartition, int]:
        """High watermarks, or last stable offsets where `isolation` is read_committed."""
        ...

    def offsets_for_time(
        self, partitions: Iterable[TopicPartition], timestamp: int
    ) -> dict[TopicPartition, int | None]:
        """The first offsets with a timestamp at or after `timestamp`; None: nothing is so late."""
        ...

    def committed_offsets(self, group: str) -> dict[TopicPartition, int]:
        """All committed offsets of a group."""
        ...

    def transactions(self) -> list[TransactionDescription]:
        """Every transactional id that has not expired, by name."""
        ...

    def abort_transaction(self, transactional_id: str) -> None:
        """Aborts the open transaction of an id, whoever has it; durable on return.

        The producer's next call raises `TransactionAbortedError`; once it has called
        `abort_transaction` itself, it goes on.

        Raises `UnknownTransactionalIdError`, `ConcurrentTransactionsError` while it is being ended,
        and `InvalidTransactionStateError` where nothing is open.
        """
        ...

    def hanging_transactions(self) -> list[HangingTransaction]:
        """What is open in a partition without any transactional id to end it.

        Beside the owner, who may be about to end it, only what is older than the longest that a
        transaction may take (`transaction.max.timeout.ms`).
        """
        ...

    def abort_hanging(
        self, partition: TopicPartition, producer_id: int, producer_epoch: int
    ) -> None:
        """Aborts what a producer has open in one partition; durable on return.

        Raises `NotHangingError` where that is nothing, or the business of a transactional id, and
        `InvalidProducerEpochError` where the producer has another epoch there.
        """
        ...

    def producers(self, partition: TopicPartition) -> list[ProducerDescription]:
        """The producers that a partition knows, by id; those that have expired are forgotten."""
        ...

    def sync(self) -> None:
        """Returns when everything acknowledged so far survives the end of the machine.

        That is what acknowledgements promise anyhow, except under `durability="os"`.
        """
        ...

    # Groups

    def groups(self) -> dict[str, GroupDescription]:
        """The consumer groups by name, in order."""
        ...

    def group(self, name: str) -> GroupDescription:
        """Raises `UnknownGroupError`."""
        ...

    def group_lag(self, group: str | GroupDescription) -> dict[TopicPartition, PartitionLag]:
        """Lag up to the high watermark: of what is committed, and of what the members read.

        A description that is at hand spares reading the group once more. Raises
        `UnknownGroupError` for a name.
        """
        ...

    def delete_group(self, name: str) -> None:
        """Forgets a group and its offsets, durably.

        Raises `UnknownGroupError`, and `NonEmptyGroupError` for one that has members.
        """
        ...

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int | None]) -> None:
        """Sets committed offsets, durably; None deletes one.

        Raises `NonEmptyGroupError` for a group with members, which would not notice, and
        `UnknownTopicError` or `UnknownPartitionError`; nothing is changed then.
        """
        ...

    def remove_group_members(self, group: str, instances: Iterable[str] | None = None) -> None:
        """Static members leave the group, by their instance ids or all of them; durable on return.

        For those whose processes will not come back: they stay until their sessions end, and keep
        their partitions, also while nobody has the log open. One that lives joins again.

        Raises `UnknownGroupError`, and `UnknownMemberError` for an id that the group does not have;
        nobody is removed then.
        """
        ...

    def choose_group_offsets(
        self,
        group: str,
        choice: OffsetChoice,
        partitions: Iterable[TopicPartition] | None = None,
    ) -> dict[TopicPartition, int]:
        """Where `choice` would set the group, by default in all partitions it has committed.

        Changes nothing: `alter_group_offsets` does.
        """
        ...

    def step(self) -> None:
        """Does what is due by the log's clock; for tests and for logs without threads.

        Such as ending transactions that are open for too long, or retention. Else a thread of the
        log does it, about every second.
        """
        ...

    def close(self) -> None:
        """Closes producers and consumers, writes everything and stops. Twice is once.

        Raises the first error that this meets, after everything is closed.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
