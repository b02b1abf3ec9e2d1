"""Every error that `streamlog` raises on purpose.

Errors carry fields and build their message from them. A caller's misuse is a `ValueError` or
`TypeError`; a bug of ours is an `AssertionError`; everything that the world does (bytes, disk,
another process) is here:

    StreamlogError
    ├── CorruptRecordError          bytes that are no valid record batch
    ├── UnsupportedCompressionError
    ├── RejectedRecordsError        records that a topic does not take
    │   └── InvalidRecordError, InvalidTimestampError
    ├── SerializationError          a value that a serde cannot write or read
    ├── StorageError                the directory on disk
    │   ├── CorruptLogError         a file below its recovery point is damaged
    │   ├── DirectoryLockedError    another process owns the directory
    │   ├── FormatVersionError      a directory of a newer format
    │   ├── DirectoryAccessError    read-only or unreadable directory
    │   ├── DiskFullError           ENOSPC: nothing acknowledged is lost
    │   ├── SyncFailedError         a failed fsync: writes stop until the log is reopened
    │   ├── LogClosedError
    │   └── LogForkedError          used in a child of the process that opened it
    ├── TopicError
    │   ├── UnknownTopicError, UnknownPartitionError, TopicExistsError, InvalidTopicError
    │   ├── PartitionCountError     a topic exists with another number of partitions
    │   ├── TopicDeletedError       an UnknownTopicError: deleted under a client
    │   ├── InvalidPartitionsError  a number of partitions that a topic cannot have
    │   ├── ProtectedTopicError     a topic of the log's own
    │   ├── PolicyViolationError    what a configuration does not allow
    │   └── InvalidConfigError      unknown or refused configuration
    ├── RecordTooLargeError, BatchTooLargeError
    ├── OffsetOutOfRangeError
    ├── NoOffsetError               no committed offset, and the consumer was told not to guess
    ├── UnsupportedLogError         an address of a log that this version cannot open
    ├── ProducerError
    │   ├── OutOfOrderSequenceError, InvalidProducerEpochError, ProducerFencedError
    │   ├── InvalidTransactionStateError, ConcurrentTransactionsError, TransactionAbortedError
    │   ├── InvalidTransactionTimeoutError, UnknownTransactionalIdError
    │   ├── NotHangingError             an abort in a partition that has nothing to abort
    │   └── TransactionalIdInUseError   a second live owner of a transactional id
    ├── GroupError
    │   ├── IllegalGenerationError, UnknownMemberError, FencedInstanceError
    │   ├── RebalanceInProgressError, UnstableOffsetCommitError
    │   ├── InconsistentGroupProtocolError, InvalidSessionTimeoutError
    │   ├── GroupMaxSizeReachedError, MemberIdRequiredError
    │   └── UnknownGroupError, NonEmptyGroupError
    ├── TargetError                 an argument of `streamlog run` or `reset` that names no target
    ├── LineError                   a line of text that is not what `streamlog produce` was told
    ├── FileFormatError             a file that `streamlog import` cannot read
    └── MissingExtraError           an optional dependency is not installed
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from streamlog.topic import TopicPartition

SHOWN_FAULTS: Final = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, or the empty string."""
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class StreamlogError(Exception):
    """Base of every error of the package.

    `kafka_error` is what a broker would answer with, by its name in Kafka's protocol.
    """

    kafka_error: ClassVar[str] = "UNKNOWN_SERVER_ERROR"


class CorruptRecordError(StreamlogError):
    """Bytes that are not a valid v2 record batch (Kafka's CORRUPT_MESSAGE).

    `index` is the record's in its batch where the fault is one record's, else None.
    """

    kafka_error = "CORRUPT_MESSAGE"

    def __init__(self, reason: str, *, position: int = 0) -> None:
        self.reason = reason
        self.position = position
        self.index: int | None = None
        super().__init__(f"corrupt record batch at byte {position}: {reason}")


class UnsupportedCompressionError(StreamlogError):
    """A batch names a codec that v2 does not define."""

    kafka_error = "UNSUPPORTED_COMPRESSION_TYPE"

    def __init__(self, codec: int) -> None:
        self.codec = codec
        super().__init__(f"unknown compression codec {codec} (v2 batches know 0 to 4)")


@dataclass(frozen=True, slots=True)
class RecordFault:
    """What is wrong with one record; `index` is its place in the batch, from 0."""

    index: int
    reason: str


class RejectedRecordsError(StreamlogError):
    """A batch that the log does not take; nothing of it was appended.

    `faults` names the records at fault, and is empty where it is the batch as a whole. `partition`
    is None where the records were refused before they had one.
    """

    def __init__(
        self,
        place: TopicPartition | str,
        reason: str,
        faults: tuple[RecordFault, ...] = (),
    ) -> None:
        self.topic, self.partition = (place, None) if isinstance(place, str) else place
        self.reason = reason
        self.faults = faults
        message = f"{place}: {reason}"
        for fault in faults[:SHOWN_FAULTS]:
            message += f"; record {fault.index}: {fault.reason}"
        if len(faults) > SHOWN_FAULTS:
            message += f"; and {len(faults) - SHOWN_FAULTS} more"
        super().__init__(message)


class InvalidRecordError(RejectedRecordsError):
    """A batch or record of a form that no client may send (INVALID_RECORD)."""

    kafka_error = "INVALID_RECORD"


class InvalidTimestampError(RejectedRecordsError):
    """A timestamp out of the topic's bounds, `message.timestamp.*` (INVALID_TIMESTAMP)."""

    kafka_error = "INVALID_TIMESTAMP"


class BatchTooLargeError(StreamlogError):
    """A batch that no segment of the topic has room for (RECORD_LIST_TOO_LARGE)."""

    kafka_error = "RECORD_LIST_TOO_LARGE"

    def __init__(
        self, topic_partition: TopicPartition, *, size_bytes: int, limit_bytes: int
    ) -> None:
        self.topic, self.partition = topic_partition
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"{topic_partition}: a batch of {size_bytes} bytes is over segment.bytes = "
            f"{limit_bytes}; send smaller batches"
        )


class SerializationError(StreamlogError):
    """A value could not be written or read by a serde; `index` is its place in the column."""

    def __init__(self, serde: str, reason: str, *, index: int = 0) -> None:
        self.serde = serde
        self.reason = reason
        self.index = index
        super().__init__(f"serde {serde}: {reason}")


class StorageError(StreamlogError):
    """Something about the directory or its files."""

    kafka_error = "KAFKA_STORAGE_ERROR"

    def __init__(self, path: str | PathLike[str], message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class CorruptLogError(StorageError):
    """A file that should be whole is damaged; nothing was changed on disk."""

    def __init__(self, path: str | PathLike[str], position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(
            path,
            f"corrupt at byte {position}: {reason}; nothing was changed. "
            "Restore it from a copy of the log directory, or let `streamlog fsck DIR` say what can "
            "be saved",
        )


class DirectoryLockedError(StorageError):
    """Another process owns the log directory."""

    def __init__(self, path: str | PathLike[str], pid: int | None, *, running: bool = True) -> None:
        self.pid = pid
        owner = f"process {pid}" if pid is not None else "another process"
        if not running:
            owner += " (not to be seen from here: it ended and a child of it goes on, or it runs in"
            owner += " another container)"
        super().__init__(
            path,
            f"the log is open in {owner}; a directory has one writing owner. Stop that process, "
            "or run both targets in one `streamlog run`; `streamlog topics`, `info` and "
            "`consume` read beside it",
        )


class FormatVersionError(StorageError):
    """The directory was written by a newer format than this version reads."""

    def __init__(
        self, path: str | PathLike[str], found: int, supported: int, written_by: str
    ) -> None:
        self.found = found
        self.supported = supported
        self.written_by = written_by
        super().__init__(
            path,
            f"directory format {found} was written by streamlog {written_by}; this version reads "
            f"up to format {supported}: upgrade streamlog",
        )


class DirectoryAccessError(StorageError):
    """The directory cannot be created, read or written."""


class DiskFullError(StorageError):
    """The file system has no room; everything acknowledged before is safe."""

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(
            path,
            "no space left on the device; everything acknowledged so far is safe. Free some "
            "space and open the log again",
        )


class SyncFailedError(StorageError):
    """An fsync failed, so the fate of recent writes is unknown; writing stops until reopened."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.reason = reason
        super().__init__(
            path,
            f"fsync failed ({reason}); unacknowledged writes are lost or unknown, and no more are "
            "taken. Check the disk, then close the log and open it again",
        )


class LogClosedError(StorageError):
    """The log was closed."""

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(path, "the log is closed")


class LogForkedError(StorageError):
    """The log was opened before this process was forked."""

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(
            path,
            "the log was opened before this process was forked; only the parent may use it. Open "
            "logs in the process that uses them (multiprocessing: the 'spawn' method)",
        )


class TopicError(StreamlogError):
    """Something about a topic; `topic` names it."""

    def __init__(self, topic: str, message: str) -> None:
        self.topic = topic
        super().__init__(message)


class UnknownTopicError(TopicError):
    """No such topic (Kafka's UNKNOWN_TOPIC_OR_PARTITION)."""

    kafka_error = "UNKNOWN_TOPIC_OR_PARTITION"

    def __init__(self, topic: str, known: Iterable[str] = ()) -> None:
        super().__init__(topic, f"unknown topic {topic!r}{did_you_mean(topic, known)}")


class TopicDeletedError(UnknownTopicError):
    """The topic was deleted under a client; one of that name that exists now is another."""

    def __init__(self, topic: str) -> None:
        TopicError.__init__(
            self,
            topic,
            f"topic {topic!r} was deleted; for one that was created again under its name, "
            "make a new consumer",
        )


class UnknownPartitionError(TopicError):
    """The topic has no such partition."""

    kafka_error = "UNKNOWN_TOPIC_OR_PARTITION"

    def __init__(self, topic: str, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        super().__init__(
            topic, f"topic {topic!r} has partitions 0 to {partitions - 1}, not {partition}"
        )


class TopicExistsError(TopicError):
    """The topic exists already (Kafka's TOPIC_ALREADY_EXISTS)."""

    kafka_error = "TOPIC_ALREADY_EXISTS"

    def __init__(self, topic: str) -> None:
        super().__init__(topic, f"topic {topic!r} exists already")


class InvalidTopicError(TopicError):
    """The name is not one that Kafka allows (INVALID_TOPIC_EXCEPTION)."""

    kafka_error = "INVALID_TOPIC_EXCEPTION"

    def __init__(self, topic: str, reason: str) -> None:
        self.reason = reason
        super().__init__(topic, f"invalid topic name {topic!r}: {reason}")


class PartitionCountError(TopicError):
    """A topic exists with another number of partitions than is asked for."""

    def __init__(self, topic: str, *, found: int, wanted: int) -> None:
        self.found = found
        self.wanted = wanted
        super().__init__(
            topic,
            f"topic {topic!r} has {found} partitions, but {wanted} are asked for: ask for {found}, "
            "or use another topic name",
        )


class InvalidPartitionsError(TopicError):
    """A number of partitions that the topic cannot have (INVALID_PARTITIONS)."""

    def __init__(self, topic: str, partitions: object, reason: str) -> None:
        self.partitions = partitions
        self.reason = reason
        super().__init__(topic, f"topic {topic!r} cannot have {partitions} partitions: {reason}")


class ProtectedTopicError(TopicError):
    """The topic is the log's own: it can be read, and its configuration changed."""

    def __init__(self, topic: str, attempted: str) -> None:
        self.attempted = attempted
        super().__init__(
            topic, f"topic {topic!r} is the log's own ('__'): nobody else may {attempted}"
        )


class PolicyViolationError(TopicError):
    """The topic's configuration does not allow it."""

    kafka_error = "POLICY_VIOLATION"

    def __init__(self, topic: str, reason: str) -> None:
        self.reason = reason
        super().__init__(topic, f"topic {topic!r}: {reason}")


class InvalidConfigError(TopicError):
    """A configuration that is unknown, wrong or not supported (INVALID_CONFIG).

    `topic` None is the log's own.
    """

    kafka_error = "INVALID_CONFIG"

    def __init__(self, topic: str | None, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        whose = "the log" if topic is None else f"topic {topic!r}"
        super().__init__(topic or "", f"{whose}: configuration {key!r}: {reason}")


class RecordTooLargeError(StreamlogError):
    """A record or batch is over `max.message.bytes` (Kafka's MESSAGE_TOO_LARGE)."""

    kafka_error = "MESSAGE_TOO_LARGE"

    def __init__(self, topic: str, partition: int, *, size_bytes: int, limit_bytes: int) -> None:
        self.topic = topic
        self.partition = partition
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"{topic}-{partition}: a batch of {size_bytes} bytes is over max.message.bytes = "
            f"{limit_bytes}; send smaller records, or make a topic with a larger max.message.bytes"
        )


class OffsetOutOfRangeError(StreamlogError):
    """The offset is below the log's start or above its end (Kafka's OFFSET_OUT_OF_RANGE)."""

    kafka_error = "OFFSET_OUT_OF_RANGE"

    def __init__(self, topic: str, partition: int, offset: int, *, start: int, end: int) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.start = start
        self.end = end
        super().__init__(f"{topic}-{partition}: offset {offset} is outside [{start}, {end}]")


class NoOffsetError(StreamlogError):
    """A partition has no committed offset and the consumer starts with `start="error"`."""

    def __init__(self, topic: str, partition: int, group: str | None) -> None:
        self.topic = topic
        self.partition = partition
        self.group = group
        whose = f"group {group!r} has no committed offset" if group else "the consumer has no group"
        super().__init__(f"{topic}-{partition}: {whose}; seek, or start at 'earliest' or 'latest'")


class UnsupportedLogError(StreamlogError):
    """The address names a kind of log that this version does not open."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"cannot open {address!r}: {reason}")


class ProducerError(StreamlogError):
    """Something about a producer's identity, sequence or transaction."""


class OutOfOrderSequenceError(ProducerError):
    """A gap in an idempotent producer's sequence (OUT_OF_ORDER_SEQUENCE_NUMBER)."""

    kafka_error = "OUT_OF_ORDER_SEQUENCE_NUMBER"

    def __init__(
        self, topic: str, partition: int, producer_id: int, *, expected: int, found: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.producer_id = producer_id
        self.expected = expected
        self.found = found
        super().__init__(
            f"{topic}-{partition}: producer {producer_id} sent sequence {found}, "
            f"expected {expected}"
        )


class InvalidProducerEpochError(ProducerError):
    """A batch of an old producer epoch (INVALID_PRODUCER_EPOCH)."""

    kafka_error = "INVALID_PRODUCER_EPOCH"

    def __init__(
        self, topic: str, partition: int, producer_id: int, *, current: int, found: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.producer_id = producer_id
        self.current = current
        self.found = found
        super().__init__(
            f"{topic}-{partition}: producer {producer_id} has epoch {current}, "
            f"the batch says {found}"
        )


class ProducerFencedError(ProducerError):
    """A newer producer took over this transactional id (PRODUCER_FENCED)."""

    kafka_error = "PRODUCER_FENCED"

    def __init__(self, transactional_id: str, *, current: int, found: int) -> None:
        self.transactional_id = transactional_id
        self.current = current
        self.found = found
        super().__init__(
            f"transactional id {transactional_id!r}: epoch {found} is fenced by epoch {current}"
        )


class InvalidTransactionStateError(ProducerError):
    """The call does not fit the transaction's state (INVALID_TXN_STATE)."""

    kafka_error = "INVALID_TXN_STATE"

    def __init__(self, transactional_id: str, state: str, attempted: str) -> None:
        self.transactional_id = transactional_id
        self.state = state
        self.attempted = attempted
        super().__init__(
            f"transactional id {transactional_id!r} is in state {state}: cannot {attempted}"
        )


class InvalidTransactionTimeoutError(ProducerError, ValueError):
    """A transaction timeout that the log does not allow (INVALID_TRANSACTION_TIMEOUT)."""

    kafka_error = "INVALID_TRANSACTION_TIMEOUT"

    def __init__(self, transactional_id: str, timeout_ms: int, *, highest: int) -> None:
        self.transactional_id = transactional_id
        self.timeout_ms = timeout_ms
        self.highest = highest
        super().__init__(
            f"transactional id {transactional_id!r}: transaction timeout {timeout_ms} ms is not "
            f"between 1 and {highest} (transaction.max.timeout.ms)"
        )


class UnknownTransactionalIdError(ProducerError):
    """No such transactional id (TRANSACTIONAL_ID_NOT_FOUND)."""

    kafka_error = "TRANSACTIONAL_ID_NOT_FOUND"

    def __init__(self, transactional_id: str, known: Iterable[str] = ()) -> None:
        self.transactional_id = transactional_id
        super().__init__(
            f"unknown transactional id {transactional_id!r}{did_you_mean(transactional_id, known)}"
        )


class NotHangingError(ProducerError):
    """No transaction of that producer hangs in the partition, so none is aborted there."""

    def __init__(self, topic: str, partition: int, producer_id: int, reason: str) -> None:
        self.topic = topic
        self.partition = partition
        self.producer_id = producer_id
        self.reason = reason
        super().__init__(f"{topic}-{partition}: producer {producer_id}: {reason}")


class ConcurrentTransactionsError(ProducerError):
    """The previous transaction is still being completed (CONCURRENT_TRANSACTIONS); try again."""

    kafka_error = "CONCURRENT_TRANSACTIONS"

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        super().__init__(
            f"transactional id {transactional_id!r}: its last transaction is being completed"
        )


class TransactionAbortedError(ProducerError):
    """The transaction was aborted, by a timeout or an earlier error; abort and begin again."""

    kafka_error = "TRANSACTION_ABORTABLE"

    def __init__(self, transactional_id: str, reason: str) -> None:
        self.transactional_id = transactional_id
        self.reason = reason
        super().__init__(f"transactional id {transactional_id!r}: transaction aborted: {reason}")


class TransactionalIdInUseError(ProducerError):
    """Another live producer of this process uses the transactional id."""

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        super().__init__(
            f"transactional id {transactional_id!r} is in use by another live target of this "
            "process: give each application and connector a name of its own"
        )


class GroupError(StreamlogError):
    """Something about a consumer group; `group` names it."""

    def __init__(self, group: str, message: str) -> None:
        self.group = group
        super().__init__(f"group {group!r}: {message}")


class IllegalGenerationError(GroupError):
    """The member commits for a generation that has ended (ILLEGAL_GENERATION)."""

    kafka_error = "ILLEGAL_GENERATION"

    def __init__(self, group: str, *, current: int, found: int) -> None:
        self.current = current
        self.found = found
        super().__init__(group, f"generation {found} has ended, the current one is {current}")


class UnknownMemberError(GroupError):
    """The group has no such member (UNKNOWN_MEMBER_ID)."""

    kafka_error = "UNKNOWN_MEMBER_ID"

    def __init__(self, group: str, member_id: str, known: Iterable[str] = ()) -> None:
        self.member_id = member_id
        super().__init__(group, f"no member {member_id!r}{did_you_mean(member_id, known)}")


class FencedInstanceError(GroupError):
    """Another member has the instance id by now (FENCED_INSTANCE_ID)."""

    kafka_error = "FENCED_INSTANCE_ID"

    def __init__(self, group: str, group_instance_id: str, member_id: str) -> None:
        self.group_instance_id = group_instance_id
        self.member_id = member_id
        super().__init__(
            group,
            f"instance id {group_instance_id!r} has been taken over from member {member_id!r}: "
            "give each consumer an instance id of its own",
        )


class RebalanceInProgressError(GroupError):
    """The partitions are being divided anew (REBALANCE_IN_PROGRESS); poll, then try again."""

    kafka_error = "REBALANCE_IN_PROGRESS"

    def __init__(self, group: str) -> None:
        super().__init__(group, "a rebalance is under way: poll to take part in it")


class InconsistentGroupProtocolError(GroupError):
    """No assignor is known to all members (INCONSISTENT_GROUP_PROTOCOL)."""

    kafka_error = "INCONSISTENT_GROUP_PROTOCOL"

    def __init__(self, group: str, offered: Iterable[str], known: Iterable[str]) -> None:
        self.offered = list(offered)
        self.known = list(known)
        super().__init__(
            group,
            f"the members know {', '.join(self.known) or 'nothing'} in common, and this one "
            f"offers {', '.join(self.offered) or 'nothing'}: use the same assignors everywhere",
        )


class InvalidSessionTimeoutError(GroupError):
    """A session timeout that the log does not allow (INVALID_SESSION_TIMEOUT)."""

    kafka_error = "INVALID_SESSION_TIMEOUT"

    def __init__(self, group: str, timeout_ms: int, *, lowest: int, highest: int) -> None:
        self.timeout_ms = timeout_ms
        super().__init__(
            group,
            f"session timeout {timeout_ms} ms is not between {lowest} "
            f"(group.min.session.timeout.ms) and {highest} (group.max.session.timeout.ms)",
        )


class GroupMaxSizeReachedError(GroupError):
    """The group has as many members as it may (GROUP_MAX_SIZE_REACHED)."""

    kafka_error = "GROUP_MAX_SIZE_REACHED"

    def __init__(self, group: str, max_size: int) -> None:
        self.max_size = max_size
        super().__init__(group, f"it has {max_size} members (group.max.size)")


class MemberIdRequiredError(GroupError):
    """The member has to join again with its new id (MEMBER_ID_REQUIRED, KIP-394)."""

    kafka_error = "MEMBER_ID_REQUIRED"

    def __init__(self, group: str, member_id: str) -> None:
        self.member_id = member_id
        super().__init__(group, f"join again as {member_id!r}")


class UnknownGroupError(GroupError):
    """There is no such group (GROUP_ID_NOT_FOUND)."""

    kafka_error = "GROUP_ID_NOT_FOUND"

    def __init__(self, group: str, known: Iterable[str] = ()) -> None:
        super().__init__(group, f"there is no such group{did_you_mean(group, known)}")


class NonEmptyGroupError(GroupError):
    """The group has members, which would not notice (NON_EMPTY_GROUP)."""

    kafka_error = "NON_EMPTY_GROUP"

    def __init__(self, group: str, attempted: str) -> None:
        self.attempted = attempted
        super().__init__(
            group,
            "it has members: close its consumers, remove static ones that are gone, then "
            f"{attempted}",
        )


class UnstableOffsetCommitError(GroupError):
    """An open transaction is about to change offsets (UNSTABLE_OFFSET_COMMIT); try again."""

    kafka_error = "UNSTABLE_OFFSET_COMMIT"

    def __init__(self, group: str, partitions: Iterable[object]) -> None:
        self.partitions = sorted(str(partition) for partition in partitions)
        super().__init__(
            group,
            f"an open transaction is about to commit offsets of {', '.join(self.partitions)}",
        )


class TargetError(StreamlogError):
    """What `streamlog run` or `reset` cannot load, run or find; `target` is as written."""

    def __init__(self, target: str, message: str) -> None:
        self.target = target
        super().__init__(f"{target}: {message}")


class LineError(StreamlogError):
    """A line of input that is not of the form asked for; `number` counts from 1."""

    def __init__(self, source: str, number: int, reason: str) -> None:
        self.source = source
        self.number = number
        self.reason = reason
        super().__init__(f"{source}:{number}: {reason}")


class FileFormatError(StreamlogError):
    """A file that is not of the format asked for."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class MissingExtraError(StreamlogError, ImportError):
    """An optional dependency is missing; the message says which extra to install."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(f"{feature} needs an extra: pip install 'streamlog[{extra}]'")
