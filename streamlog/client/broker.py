"""What a broker is to Kafka's clients: a log directory and its coordinators."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

from streamlog.client.contract import GroupMetadata
from streamlog.client.groups import Groups
from streamlog.coordination import ForeignTransactions, GroupCoordinator, TransactionCoordinator
from streamlog.coordination.group_members import STEP_MS
from streamlog.errors import UnknownGroupError, UnknownMemberError
from streamlog.storage import LogDirectory
from streamlog.storage.housekeeper import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future
    from os import PathLike

    from streamlog.client.contract import GroupDescription, HangingTransaction
    from streamlog.client.groups import Member
    from streamlog.client.membership import Membership
    from streamlog.clock import Clock
    from streamlog.coordination import ProducerIdentity, TransactionMetadata
    from streamlog.files import Files
    from streamlog.storage import Durability, PartitionLog
    from streamlog.topic import ConfigEntry, TopicDescription, TopicPartition

TRANSACTION_STEP_MS: Final = 1000
_brokers: dict[LogDirectory, Broker] = {}
_brokers_lock = Lock()


def _forget_brokers() -> None:
    """In a forked child: the parent's logs are not the child's, and the lock may be held."""
    global _brokers_lock
    _brokers_lock = Lock()
    _brokers.clear()


os.register_at_fork(after_in_child=_forget_brokers)


class Broker:
    """One for a directory in this process, shared by all who opened it. Usable from any thread."""

    read_only = False

    def __init__(self, directory: LogDirectory) -> None:
        """Recovers what a crash left of transactions."""
        self.directory = directory
        self.path = directory.root
        self.clock = directory.clock
        self.flusher = directory.flusher
        self.group_coordinator = GroupCoordinator(directory, clock=directory.clock)
        self.group_coordinator.open()
        self.transactions = TransactionCoordinator(
            directory, self.group_coordinator, clock=directory.clock
        )
        self.transactions.open()
        self.groups = Groups(
            self.group_coordinator,
            self.group_coordinator.members,
            clock=directory.clock,
            topic=directory.topic,
        )
        self._forget_offsets()
        self._expects_transactions = False
        self._expects_members = False
        self._users = 0
        if self.transactions.transactions():
            directory.housekeeper.add(self.transactions.expire)
        if self.group_coordinator.members.names():
            self._expect_members()

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        durability: Durability,
        files: Files | None,
        clock: Clock | None,
        threaded: bool,
    ) -> Broker:
        """The directory's broker; raises what `LogDirectory.open` raises."""
        with _brokers_lock:
            directory = LogDirectory.open(
                path, durability=durability, files=files, clock=clock, threaded=threaded
            )
            broker = _brokers.get(directory)
            if broker is None:
                try:
                    broker = _brokers[directory] = cls(directory)
                except BaseException:
                    directory.close()
                    raise
            else:
                directory.close()  # the broker is one user of it, for all of its own
            broker._users += 1
            return broker

    def close(self) -> None:
        """Ends what is open and stops cleanly, once the last user closes it.

        Raises the `StorageError` that ended writing if it happens here.
        """
        with _brokers_lock:
            self._users -= 1
            if self._users:
                return
            del _brokers[self.directory]
            self.directory.housekeeper.stop()
            failed_before = self.flusher.failure
            try:
                if failed_before is None:
                    self.transactions.close()
            finally:
                self.directory.close()

    def step(self) -> None:
        """What is due by now; transactions and sessions are looked at in any case."""
        self.directory.housekeeper.wake(self._end_transactions)
        self.directory.housekeeper.wake(self._keep_groups)
        self.directory.housekeeper.step(self.clock.now_ms())

    def expect_transactions(self) -> None:
        """From here on the housekeeper ends those that are open for too long."""
        if not self._expects_transactions:
            self._expects_transactions = True
            self.directory.housekeeper.add(self._end_transactions)

    def transaction_states(self) -> list[TransactionMetadata]:
        """Every transactional id, by name."""
        return self.transactions.transactions()

    def _forget_offsets(self) -> None:
        """Of topics that are gone: one of the same name that is created one day begins anew.

        At opening, too, as a crash may have come between the topic's end and this.
        """
        topics = self.directory.topics()
        forgotten: list[Future[None]] = []
        for group in self.group_coordinator.groups():
            known = self.group_coordinator.committed_now(group)
            gone = [partition for partition in known if partition.topic not in topics]
            if gone:
                forgotten.append(self.group_coordinator.delete_offsets(group, gone))
        for future in forgotten:
            future.result()

    def _end_transactions(self, now_ms: int) -> int:
        self.transactions.step()
        return now_ms + TRANSACTION_STEP_MS

    def enlist(self, membership: Membership, wake: Callable[[], None]) -> Member:
        """A consumer that joins a group; from here on the housekeeper sends its heartbeats."""
        member = self.groups.add(membership, wake)
        self._expect_members()
        return member

    def _expect_members(self) -> None:
        if self._expects_members:
            self.directory.housekeeper.wake(self._keep_groups)
            return
        self._expects_members = True
        self.directory.housekeeper.add(self._keep_groups)
        self.directory.housekeeper.add(self._expire_offsets)

    def _keep_groups(self, now_ms: int) -> int:
        return NEVER if self.groups.step() is None else now_ms + STEP_MS

    def _expire_offsets(self, now_ms: int) -> int:
        self.group_coordinator.expire()
        return now_ms + self.directory.log_config.offsets_retention_check_interval_ms

    def group_descriptions(self) -> dict[str, GroupDescription]:
        found: dict[str, GroupDescription] = {}
        for name in self.group_coordinator.groups():
            with suppress(UnknownGroupError):  # deleted meanwhile
                found[name] = self.group_coordinator.describe(name)
        return found

    def group_description(self, name: str) -> GroupDescription:
        return self.group_coordinator.describe(name)

    def remove_members(self, group: str, instances: Iterable[str] | None) -> None:
        """Static members leave, as if they said so themselves; durable on return."""
        known = [each.group_instance_id for each in self.group_description(group).members]
        static = [each for each in known if each is not None]
        chosen = static if instances is None else list(instances)
        for instance in chosen:
            if instance not in static:
                raise UnknownMemberError(group, instance, static)
        for instance in chosen:
            with suppress(UnknownMemberError):  # its session has ended meanwhile
                self.group_coordinator.members.leave(
                    GroupMetadata(group_id=group, group_instance_id=instance)
                )
        self.flusher.wait_durable()

    def hanging(self) -> list[HangingTransaction]:
        return self.transactions.hanging()

    def refresh(self) -> None:
        """Nothing: an owner's view is always the newest."""

    def topics(self) -> Mapping[str, TopicDescription]:
        return self.directory.topics()

    def create_topic(
        self,
        name: str,
        partitions: int,
        config: Mapping[str, str],
        *,
        exist_ok: bool,
    ) -> TopicDescription:
        return self.directory.create_topic(name, partitions, config, exist_ok=exist_ok)

    @property
    def changes(self) -> int:
        """How often topics have changed so far."""
        return self.directory.changes

    def add_topic_listener(self, listener: Callable[[str], None]) -> None:
        self.directory.add_topic_listener(listener)

    def remove_topic_listener(self, listener: Callable[[str], None]) -> None:
        self.directory.remove_topic_listener(listener)

    def delete_topic(self, name: str) -> None:
        """With the offsets that groups have committed for it, as Kafka does."""
        self.directory.delete_topic(name)
        self._forget_offsets()

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        return self.directory.topic_config(name)

    def config(self) -> dict[str, ConfigEntry]:
        return self.directory.config()

    def sizes(self) -> dict[TopicPartition, int]:
        return self.directory.sizes()

    def adopt_topic(
        self, name: str, source: str, config: Mapping[str, str], source_name: str | None
    ) -> TopicDescription:
        transactions = ForeignTransactions(source)
        return self.directory.adopt_topic(
            name,
            source,
            config,
            source_name=source_name,
            choose_marker=transactions.choose_marker,
        )

    def topic(self, name: str) -> TopicDescription:
        return self.directory.topic(name)

    def partition(self, partition: TopicPartition) -> PartitionLog:
        return self.directory.partition(*partition)

    def new_identity(self) -> ProducerIdentity:
        """For a producer without transactions."""
        return self.transactions.init_idempotent()
