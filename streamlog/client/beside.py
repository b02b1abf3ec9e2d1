"""A log directory read beside its owner: what `broker.py` is for the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.groups import Groups
from streamlog.clock import SystemClock
from streamlog.coordination import (
    read_committed,
    read_group_descriptions,
    read_transactions,
)
from streamlog.coordination.group_members import GroupMembers
from streamlog.coordination.hanging import find_hanging
from streamlog.errors import DirectoryAccessError, UnknownGroupError
from streamlog.storage import ReadOnlyDirectory
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future
    from os import PathLike

    from streamlog.client.contract import GroupDescription, GroupMetadata, HangingTransaction
    from streamlog.client.groups import Member
    from streamlog.client.membership import Membership
    from streamlog.coordination import TransactionMetadata
    from streamlog.coordination.group_record import GroupValue
    from streamlog.files import Files
    from streamlog.storage import ReadableLog
    from streamlog.topic import ConfigEntry, TopicDescription


class BesideBroker:
    """Topics, records and committed offsets up to the last durable end. Usable from any thread.

    Nothing wakes a waiting reader: it looks again with `refresh`.
    """

    read_only = True

    def __init__(self, path: str | PathLike[str], *, files: Files | None) -> None:
        """Raises what `ReadOnlyDirectory.open` raises."""
        self.directory = ReadOnlyDirectory.open(path, files=files)
        self.path = self.directory.root
        offsets = ReadOnlyOffsets(self.directory)
        self.clock = SystemClock()
        self.groups = Groups(
            offsets,
            GroupMembers(self.clock, _write_nothing),
            clock=self.clock,
            topic=self.directory.topic,
        )

    def close(self) -> None:
        self.directory.close()

    def refresh(self) -> None:
        """Takes in what became durable since the last look."""
        self.directory.refresh()

    @property
    def changes(self) -> int:
        """How often topics have changed so far."""
        return self.directory.changes

    def add_topic_listener(self, listener: Callable[[str], None]) -> None:
        """Nobody tells a reader beside the owner: `changes` says whether something has."""

    def remove_topic_listener(self, listener: Callable[[str], None]) -> None: ...

    def topic_config(self, name: str) -> dict[str, ConfigEntry]:
        self.refresh()
        return self.directory.topic_config(name)

    def config(self) -> dict[str, ConfigEntry]:
        self.refresh()
        return self.directory.config()

    def sizes(self) -> dict[TopicPartition, int]:
        self.refresh()
        return self.directory.sizes()

    def topics(self) -> Mapping[str, TopicDescription]:
        self.refresh()
        return self.directory.topics()

    def topic(self, name: str) -> TopicDescription:
        self.refresh()
        return self.directory.topic(name)

    def partition(self, partition: TopicPartition) -> ReadableLog:
        return self.directory.partition(*partition)

    def transaction_states(self) -> list[TransactionMetadata]:
        """Every transactional id, by name, as the log has it: an end may be a second old."""
        transactions = read_transactions(self.directory)
        return sorted(transactions, key=lambda each: each.transactional_id)

    def hanging(self) -> list[HangingTransaction]:
        """As `kafka-transactions.sh find-hanging`: what is older than a transaction may become.

        The owner may be about to write who has what is younger, or to end it.
        """
        self.refresh()
        longest_ms = int(self.directory.config()["transaction.max.timeout.ms"].value)
        oldest_ms = self.clock.now_ms() - longest_ms
        opened: dict[TopicPartition, dict[int, tuple[int, int]]] = {}
        for topic in self.directory.topics().values():
            for number in range(topic.partitions):
                partition = TopicPartition(topic.name, number)
                log = self.directory.partition(*partition)
                if found := log.open_transactions():
                    silent = {
                        each.producer_id
                        for each in log.producers()
                        if each.last_timestamp <= oldest_ms
                    }
                    opened[partition] = {pid: found[pid] for pid in found.keys() & silent}
        return find_hanging(opened, self.transaction_states())

    def enlist(self, membership: Membership, wake: Callable[[], None]) -> Member:
        """The group is this reader's own: the owner knows nothing of it, and no session ends."""
        return self.groups.add(membership, wake)

    def group_descriptions(self) -> dict[str, GroupDescription]:
        """As the owner's records tell."""
        self.refresh()
        return read_group_descriptions(self.directory)

    def group_description(self, name: str) -> GroupDescription:
        """Raises `UnknownGroupError`."""
        self.refresh()
        found = read_group_descriptions(self.directory, name)
        if name not in found:
            raise UnknownGroupError(name, self.group_descriptions())
        return found[name]


class ReadOnlyOffsets:
    """Committed offsets as the owner's topic says; the members of a group are nobody's business.

    Usable from any thread.
    """

    def __init__(self, directory: ReadOnlyDirectory) -> None:
        self._directory = directory

    def commit(self, group: GroupMetadata, offsets: Mapping[TopicPartition, int]) -> Future[None]:
        raise read_only_error(self._directory.root, "commit offsets")

    def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, int]:
        """Without waiting for the owner's open transactions."""
        self._directory.refresh()
        return read_committed(self._directory, group)


def read_only_error(path: str, attempted: str) -> DirectoryAccessError:
    return DirectoryAccessError(path, f"the log is open to be read only: cannot {attempted}")


def _write_nothing(group: str, value: GroupValue) -> None:
    """A group beside the owner leaves no trace."""
