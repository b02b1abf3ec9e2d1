"""The transport that keeps the log in this process."""

from __future__ import annotations

from operator import index
from os import fspath
from typing import TYPE_CHECKING, Any, get_args

from streamlog.allocation import keep_freed_buffers
from streamlog.client import lifetime
from streamlog.client.arguments import check_choice, partitions_of
from streamlog.client.beside import BesideBroker, read_only_error
from streamlog.client.broker import Broker
from streamlog.client.consumer import EmbeddedConsumer
from streamlog.client.contract import DEFAULT_ASSIGNORS, MAX_PARTITIONS
from streamlog.client.description import describe_producers, describe_transaction
from streamlog.client.group_offsets import choose_offsets, measure_lag
from streamlog.client.groups import check_known, check_offsets
from streamlog.client.producer import EmbeddedProducer
from streamlog.client.session import Session
from streamlog.client.tail import seek_to_start
from streamlog.errors import ProtectedTopicError
from streamlog.memory_files import files_in_memory, is_memory
from streamlog.topic import Isolation, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from streamlog.client.contract import (
        GroupDescription,
        HangingTransaction,
        OffsetChoice,
        OffsetReset,
        PartitionLag,
        ProducerDescription,
        RebalanceCallback,
        TailStart,
        TransactionDescription,
    )
    from streamlog.clock import Clock
    from streamlog.files import Files
    from streamlog.storage import Durability, Truncation
    from streamlog.topic import ConfigEntry, TopicDescription

INTERNAL_PREFIX = "__"


class EmbeddedLog:
    """A log directory that this process owns, or reads beside its owner; see `contract.Log`.

    Usable from any thread. It is closed by `close`, at the end of a `with` block, or when the
    interpreter ends. After a fork it cannot be used in the child.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._broker = session.broker
        lifetime.register(session)

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        durability: Durability = "fsync",
        read_only: bool = False,
        files: Files | None = None,
        clock: Clock | None = None,
        threaded: bool = True,
    ) -> EmbeddedLog:
        """See `streamlog.open`."""
        keep_freed_buffers()
        address = fspath(path)
        in_memory = is_memory(address)
        if in_memory:
            if files is not None:
                raise ValueError(f"a log at {address!r} brings its own files: leave out files=")
            # There is nothing to sync; a root keeps the working directory out of it.
            path, files, durability = f"/{address}", files_in_memory(address), "os"
        broker: Broker | BesideBroker
        if read_only:
            broker = BesideBroker(path, files=files)
        else:
            broker = Broker.open(
                path, durability=durability, files=files, clock=clock, threaded=threaded
            )
        return cls(Session(broker, address if in_memory else None))

    @property
    def path(self) -> str:
        """The directory, or the address of a log in memory."""
        return self._session.path

    @property
    def in_memory(self) -> bool:
        """Whether the log is in this process's memory, and gone when it is closed."""
        return is_memory(self.path)

    @property
    def read_only(self) -> bool:
        return self._broker.read_only

    @property
    def durability(self) -> Durability:
        """What an acknowledgement promises."""
        return self._owner("tell its durability").directory.durability

    @property
    def unclean_boot(self) -> bool:
        """Whether data acknowledged under durability="os" may be lost: the machine has stopped."""
        return self._owner("tell how the last owner ended").directory.unclean_boot

    @property
    def truncations(self) -> list[Truncation]:
        """What recovery cut off when the log was opened; none of it had been acknowledged."""
        return self._owner("tell how the last owner ended").directory.truncations

    # Topics

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        *,
        config: Mapping[str, str] | None = None,
        exist_ok: bool = False,
    ) -> TopicDescription:
        """See the contract. Durable on return."""
        self._session.check_open()
        broker = self._owner("create a topic")
        _check_not_protected(name, "create it")
        partitions = _check_partitions(name, partitions)
        return broker.create_topic(name, partitions, _texts(config), exist_ok=exist_ok)

    def alter_topic(
        self,
        name: str,
        *,
        partitions: int | None = None,
        config: Mapping[str, str | None] | None = None,
    ) -> TopicDescription:
        """See the contract. Durable on return."""
        self._session.check_open()
        broker = self._owner("alter a topic")
        if partitions is not None:
            _check_not_protected(name, "add partitions to it")
            partitions = _check_partitions(name, partitions)
        changes = _texts_or_none(config)
        return broker.directory.alter_topic(name, partitions=partitions, config=changes)

    def delete_topic(self, name: str) -> None:
        """See the contract. Durable on return."""
        self._session.check_open()
        broker = self._owner("delete a topic")
        _check_not_protected(name, "delete it")
        broker.delete_topic(name)

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        self._session.check_open()
        return self._broker.topic_config(name)

    def config(self) -> dict[str, ConfigEntry]:
        self._session.check_open()
        return self._broker.config()

    def alter_config(self, config: Mapping[str, str | None]) -> None:
        """See the contract. Durable on return."""
        self._session.check_open()
        self._owner("change its configuration").directory.alter_config(_texts_or_none(config))

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """See the contract. Durable on return."""
        self._session.check_open()
        broker = self._owner("delete records")
        for topic, _ in partitions_of(offsets):
            _check_not_protected(topic, "delete its records")
        return broker.directory.delete_records(
            dict(zip(partitions_of(offsets), offsets.values(), strict=True))
        )

    def sizes(self) -> dict[TopicPartition, int]:
        self._session.check_open()
        return self._broker.sizes()

    def adopt_topic(
        self,
        name: str,
        source: str | PathLike[str],
        *,
        config: Mapping[str, str] | None = None,
        source_name: str | None = None,
    ) -> TopicDescription:
        """See the contract."""
        self._session.check_open()
        broker = self._owner("adopt a topic")
        _check_not_protected(name, "adopt it")
        return broker.adopt_topic(name, fspath(source), _texts(config), source_name)

    def topics(self, *, internal: bool = False) -> dict[str, TopicDescription]:
        self._session.check_open()
        return {
            name: description
            for name, description in sorted(self._broker.topics().items())
            if internal or not name.startswith(INTERNAL_PREFIX)
        }

    def topic(self, name: str) -> TopicDescription:
        self._session.check_open()
        return self._broker.topic(name)

    # Clients

    def producer(
        self,
        *,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        key: Any = None,
        value: Any = None,
        compression: str = "none",
        batch_size: int = 1 << 18,
    ) -> EmbeddedProducer:
        """See the contract. With a `transactional_id`, waits for what its predecessor left."""
        self._session.check_open()
        return EmbeddedProducer(
            self._session,
            self._owner("write records"),
            transactional_id=transactional_id,
            transaction_timeout_ms=transaction_timeout_ms,
            key=key,
            value=value,
            compression=compression,
            batch_size=batch_size,
        )

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
    ) -> EmbeddedConsumer:
        """See the contract. Heartbeats are the log's matter; a consumer costs no thread."""
        self._session.check_open()
        return EmbeddedConsumer(
            self._session,
            topics,
            group=group,
            isolation=isolation,
            start=start,
            key=key,
            value=value,
            auto_commit=auto_commit,
            assignors=assignors,
            group_instance_id=group_instance_id,
            session_timeout_ms=session_timeout_ms,
            max_poll_interval_ms=max_poll_interval_ms,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            on_lost=on_lost,
        )

    def tail(
        self,
        topic: str,
        *,
        start: TailStart = "end",
        partitions: Iterable[int] | None = None,
        isolation: Isolation = "read_committed",
        key: Any = None,
        value: Any = None,
    ) -> EmbeddedConsumer:
        """See the contract."""
        topics = [topic] if partitions is None else []
        consumer = self.consumer(*topics, isolation=isolation, key=key, value=value)
        try:
            if partitions is not None:
                consumer.assign(TopicPartition(topic, each) for each in partitions)
            now_ms = self._broker.clock.now_ms()
            seek_to_start(self, consumer, start, isolation, now_ms=now_ms)
        except BaseException:
            consumer.close()
            raise
        return consumer

    # Offsets

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._session.check_open()
        named = partitions_of(partitions)
        return {each: self._broker.partition(each).log_start_offset for each in named}

    def end_offsets(
        self,
        partitions: Iterable[TopicPartition],
        *,
        isolation: Isolation = "read_committed",
    ) -> dict[TopicPartition, int]:
        self._session.check_open()
        check_choice("isolation", isolation, get_args(Isolation))
        self._broker.refresh()
        named = partitions_of(partitions)
        return {each: self._broker.partition(each).bound(isolation) for each in named}

    def offsets_for_time(
        self, partitions: Iterable[TopicPartition], timestamp: int
    ) -> dict[TopicPartition, int | None]:
        self._session.check_open()
        self._broker.refresh()
        logs = {each: self._broker.partition(each) for each in partitions_of(partitions)}
        places = {each: log.offset_for_timestamp(timestamp) for each, log in logs.items()}
        return {each: None if place is None else place[0] for each, place in places.items()}

    def committed_offsets(self, group: str) -> dict[TopicPartition, int]:
        """See the contract. Waits while an open transaction is about to change one of them."""
        self._session.check_open()
        return self._broker.groups.all_committed(group)

    # Transactions

    def transactions(self) -> list[TransactionDescription]:
        """See the contract. Beside the owner, an end may show a second late."""
        self._session.check_open()
        self._broker.refresh()
        return [describe_transaction(each) for each in self._broker.transaction_states()]

    def abort_transaction(self, transactional_id: str) -> None:
        self._session.check_open()
        self._owner("abort a transaction").transactions.abort(transactional_id)

    def hanging_transactions(self) -> list[HangingTransaction]:
        """See the contract."""
        self._session.check_open()
        return self._broker.hanging()

    def abort_hanging(
        self, partition: TopicPartition, producer_id: int, producer_epoch: int
    ) -> None:
        self._session.check_open()
        transactions = self._owner("abort a transaction").transactions
        transactions.abort_hanging(partition, producer_id, producer_epoch)

    def producers(self, partition: TopicPartition) -> list[ProducerDescription]:
        self._session.check_open()
        self._broker.refresh()
        return describe_producers(self._broker.partition(partition).producers())

    # Groups

    def groups(self) -> dict[str, GroupDescription]:
        self._session.check_open()
        return self._broker.group_descriptions()

    def group(self, name: str) -> GroupDescription:
        self._session.check_open()
        return self._broker.group_description(name)

    def group_lag(self, group: str | GroupDescription) -> dict[TopicPartition, PartitionLag]:
        self._session.check_open()
        if isinstance(group, str):
            group = self._broker.group_description(group)
        return measure_lag(self._broker, group)

    def delete_group(self, name: str) -> None:
        """See the contract."""
        self._session.check_open()
        self._owner("delete a group").group_coordinator.delete(name).result()

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int | None]) -> None:
        """See the contract."""
        self._session.check_open()
        coordinator = self._owner("change offsets").group_coordinator
        set_ = {each: offset for each, offset in offsets.items() if offset is not None}
        check_offsets(set_)
        check_known(set_, self._broker.topic)
        coordinator.alter_offsets(group, offsets).result()

    def remove_group_members(self, group: str, instances: Iterable[str] | None = None) -> None:
        """See the contract."""
        self._session.check_open()
        self._owner("remove members of a group").remove_members(group, instances)

    def choose_group_offsets(
        self,
        group: str,
        choice: OffsetChoice,
        partitions: Iterable[TopicPartition] | None = None,
    ) -> dict[TopicPartition, int]:
        """See the contract."""
        self._session.check_open()
        committed = self._broker.groups.all_committed(group)
        return choose_offsets(self._broker, committed, choice, partitions)

    # The end

    def sync(self) -> None:
        """See the contract."""
        self._session.check_open()
        self._owner("sync").directory.sync()

    def step(self) -> None:
        """See the contract."""
        self._session.check_open()
        self._owner("end transactions").step()

    def close(self) -> None:
        """Closes producers and consumers, writes everything and stops. Twice is once.

        Raises the first error that this meets, after everything is closed. Other threads may be
        in the middle of anything: what they had sent is written, and their iterations end.
        """
        try:
            self._session.close()
        finally:
            lifetime.unregister(self._session)

    def _owner(self, attempted: str) -> Broker:
        """Raises `DirectoryAccessError` where the log can only be read."""
        if isinstance(self._broker, BesideBroker):
            raise read_only_error(self.path, attempted)
        return self._broker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_partitions(topic: str, partitions: int) -> int:
    """Raises `TypeError` for what is no whole number, and `ValueError`."""
    try:
        partitions = index(partitions)
    except TypeError:
        raise TypeError(
            f"topic {topic!r}: a number of partitions is a whole number, not {partitions!r}"
        ) from None
    if partitions < 1:
        raise ValueError(f"topic {topic!r} needs at least one partition, not {partitions}")
    if partitions > MAX_PARTITIONS:
        raise ValueError(f"topic {topic!r}: {partitions} partitions are over {MAX_PARTITIONS}")
    return partitions


def _check_not_protected(topic: str, attempted: str) -> None:
    if topic.startswith(INTERNAL_PREFIX):
        raise ProtectedTopicError(topic, attempted)


def _texts(config: Mapping[str, str] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (config or {}).items()}


def _texts_or_none(config: Mapping[str, str | None] | None) -> dict[str, str | None]:
    return {key: None if value is None else str(value) for key, value in (config or {}).items()}
