"""Consumer groups as this process has them: members, and the offsets they commit.

To the coordinator the process is one member, in whose name its consumers commit; `membership.py`
divides the partitions among them. Every change makes the process join again, so that whoever has
not polled since commits with a generation that has ended and is refused.
"""

from __future__ import annotations

from operator import index
from threading import RLock
from typing import TYPE_CHECKING, Final, Protocol

from streamlog.client.contract import GroupMetadata
from streamlog.client.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from concurrent.futures import Future

    from streamlog.topic import TopicPartition

CLIENT_ID: Final = "streamlog"
MAX_OFFSET: Final = (1 << 63) - 1


class Offsets(Protocol):
    """What groups ask of a coordinator."""

    def join(
        self,
        group: str,
        *,
        client_id: str,
        topics: Iterable[str],
        partitions: Iterable[TopicPartition],
    ) -> GroupMetadata:
        """Makes the process the group's member, in a new generation."""
        ...

    def leave(self, member: GroupMetadata) -> None: ...

    def commit(
        self, group: GroupMetadata, offsets: Mapping[TopicPartition, int]
    ) -> Future[None]: ...

    def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, int]:
        """Stable ones, all of the group's by default."""
        ...


class _Group:
    """A group's members, whom to tell of changes, and the generation each has seen."""

    def __init__(self, name: str) -> None:
        self.membership = Membership(name)
        self.listeners: dict[str, Callable[[], None]] = {}
        self.current: GroupMetadata | None = None
        self.seen: dict[str, GroupMetadata] = {}


class Groups:
    """The groups of one log directory. Usable from any thread: one lock guards the members."""

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self._lock = RLock()
        self._groups: dict[str, _Group] = {}

    def join(
        self, name: str, member_id: str, wants: Mapping[str, int], listener: Callable[[], None]
    ) -> None:
        """Adds a member; `listener` is called when it should look at its partitions again."""
        with self._lock:
            group = self._groups.setdefault(name, _Group(name))
            group.membership.join(member_id, wants)
            group.listeners[member_id] = listener
            self._changed(name, group)

    def leave(self, name: str, member_id: str) -> None:
        """Removes a member; nothing for one that is gone."""
        with self._lock:
            group = self._groups.get(name)
            if group is None or group.listeners.pop(member_id, None) is None:
                return
            group.membership.leave(member_id)
            group.seen.pop(member_id, None)
            self._changed(name, group)

    def settled(self, name: str, member_id: str) -> bool:
        with self._lock:
            return self._groups[name].membership.settled(member_id)

    def surplus(self, name: str, member_id: str) -> set[TopicPartition]:
        """What the member has to give up, after committing it."""
        with self._lock:
            return self._groups[name].membership.surplus(member_id)

    def release(self, name: str, member_id: str, partitions: Iterable[TopicPartition]) -> None:
        with self._lock:
            group = self._groups[name]
            group.membership.release(member_id, partitions)
            self._tell(group)

    def claim(self, name: str, member_id: str) -> set[TopicPartition]:
        """All that the member may read now; it has seen the current generation from here on."""
        with self._lock:
            group = self._groups[name]
            if group.current is not None:
                group.seen[member_id] = group.current
            return group.membership.claim(member_id)

    def metadata(self, name: str, member_id: str | None) -> GroupMetadata:
        """What fences a transaction that commits offsets of the member, or of no member."""
        with self._lock:
            if member_id is not None and (group := self._groups.get(name)):
                return group.seen.get(member_id) or GroupMetadata(group_id=name)
            return GroupMetadata(group_id=name)

    def commit(
        self, name: str, member_id: str | None, offsets: Mapping[TopicPartition, int]
    ) -> Future[None]:
        """Commits offsets; done, and to be seen by all, when they are durable.

        Raises:
            IllegalGenerationError: a partition is another member's by now.
            UnknownMemberError: the member left, or the group has members and this is none.
            ValueError: an offset that cannot be one.
        """
        check_offsets(offsets)
        with self._lock:
            committer = GroupMetadata(group_id=name)
            if member_id is not None:
                group = self._groups[name]
                group.membership.check_holds(member_id, offsets)
                committer = group.current or committer
            return self._offsets.commit(committer, offsets)

    def committed(
        self, name: str, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int | None]:
        """Waits while an open transaction is about to change one of them."""
        found = self._offsets.committed(name, partitions)
        return {partition: found.get(partition) for partition in partitions}

    def all_committed(self, name: str) -> dict[TopicPartition, int]:
        return self._offsets.committed(name)

    def _changed(self, name: str, group: _Group) -> None:
        if group.membership.members:
            group.current = self._offsets.join(
                name,
                client_id=CLIENT_ID,
                topics=group.membership.wants(),
                partitions=group.membership.targets(),
            )
        elif group.current is not None:
            self._offsets.leave(group.current)
            group.current = None
        self._tell(group)

    def _tell(self, group: _Group) -> None:
        for listener in group.listeners.values():
            listener()


def check_offsets(offsets: Mapping[TopicPartition, int]) -> None:
    """Raises `ValueError`, or `TypeError` for what is no integer: a group would start anywhere."""
    for (topic, partition), offset in offsets.items():
        if not 0 <= index(offset) <= MAX_OFFSET:
            raise ValueError(f"{topic}-{partition}: offset {offset} cannot be committed")
