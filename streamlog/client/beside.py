"""A log directory read beside its owner: what `broker.py` is for the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import GroupMetadata
from streamlog.client.groups import Groups
from streamlog.coordination import read_coordination
from streamlog.errors import DirectoryAccessError
from streamlog.storage import ReadOnlyDirectory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future
    from os import PathLike

    from streamlog.coordination import TransactionMetadata
    from streamlog.files import Files
    from streamlog.storage import ReadableLog
    from streamlog.topic import TopicDescription, TopicPartition


class BesideBroker:
    """Topics, records and committed offsets up to the last durable end. Usable from any thread.

    Nothing wakes a waiting reader: it looks again with `refresh`.
    """

    read_only = True

    def __init__(self, path: str | PathLike[str], *, files: Files | None) -> None:
        """Raises what `ReadOnlyDirectory.open` raises."""
        self.directory = ReadOnlyDirectory.open(path, files=files)
        self.path = self.directory.root
        self.groups = Groups(ReadOnlyOffsets(self.directory))

    def close(self) -> None:
        self.directory.close()

    def refresh(self) -> None:
        """Takes in what became durable since the last look."""
        self.directory.refresh()

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
        transactions = read_coordination(self.directory).transactions
        return sorted(transactions, key=lambda each: each.transactional_id)


class ReadOnlyOffsets:
    """Committed offsets as the owner's topic says; the members of a group are nobody's business.

    Usable from any thread.
    """

    def __init__(self, directory: ReadOnlyDirectory) -> None:
        self._directory = directory

    def join(
        self,
        group: str,
        *,
        client_id: str,
        topics: Iterable[str],
        partitions: Iterable[TopicPartition],
    ) -> GroupMetadata:
        return GroupMetadata(group_id=group)

    def leave(self, member: GroupMetadata) -> None: ...

    def commit(self, group: GroupMetadata, offsets: Mapping[TopicPartition, int]) -> Future[None]:
        raise read_only_error(self._directory.root, "commit offsets")

    def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, int]:
        """Without waiting for the owner's open transactions."""
        self._directory.refresh()
        return read_coordination(self._directory).offsets.get(group, {})


def read_only_error(path: str, attempted: str) -> DirectoryAccessError:
    return DirectoryAccessError(path, f"the log is open to be read only: cannot {attempted}")
