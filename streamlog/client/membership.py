"""Who reads what in a consumer group whose members are all in this process.

Members join with the topics they want. Each topic's partitions are divided by Kafka's range
assignor, and every change of members begins a generation. A partition changes hands in two steps,
as in Kafka's cooperative rebalance (KIP-429): its owner gives it up at its next poll, after
committing, and only then does the new owner get it.

    join, leave -> targets change -> old owner: `surplus`, commit, `release`
                                  -> new owner: `claim`

Pure: no clock, no threads. `embedded.py` holds one lock over all groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamlog.client.contract import TopicPartition
from streamlog.errors import IllegalGenerationError, UnknownMemberError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(slots=True)
class Member:
    """A member's wishes (topic to partition count), its share, and what of it it holds."""

    wants: Mapping[str, int]
    target: set[TopicPartition] = field(default_factory=set[TopicPartition])
    holds: set[TopicPartition] = field(default_factory=set[TopicPartition])
    generation_id: int = 0


class Membership:
    """The members of one group. Not for two threads at a time."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.generation_id = 0
        self._members: dict[str, Member] = {}
        self._holders: dict[TopicPartition, str] = {}

    @property
    def members(self) -> list[str]:
        return list(self._members)

    def wants(self) -> list[str]:
        """The topics that any member wants."""
        return sorted({topic for member in self._members.values() for topic in member.wants})

    def targets(self) -> list[TopicPartition]:
        """The partitions that are anybody's share."""
        return sorted(each for member in self._members.values() for each in member.target)

    def join(self, member_id: str, wants: Mapping[str, int]) -> None:
        """Adds a member, or changes what it wants."""
        member = self._members.setdefault(member_id, Member(wants))
        member.wants = wants
        self._divide()

    def leave(self, member_id: str) -> None:
        """Removes a member and frees what it holds; no-op for one that is gone."""
        if member := self._members.pop(member_id, None):
            self._free(member_id, member.holds)
            self._divide()

    def surplus(self, member_id: str) -> set[TopicPartition]:
        """What the member holds and should give up."""
        member = self._member(member_id)
        return member.holds - member.target

    def release(self, member_id: str, partitions: Iterable[TopicPartition]) -> None:
        """The member gives partitions up."""
        member = self._member(member_id)
        released = member.holds & set(partitions)
        member.holds -= released
        self._free(member_id, released)

    def claim(self, member_id: str) -> set[TopicPartition]:
        """All that the member now holds, with what of its share has become free.

        It is of the current generation from here on.
        """
        member = self._member(member_id)
        for partition in member.target - member.holds:
            if partition not in self._holders:
                self._holders[partition] = member_id
                member.holds.add(partition)
        member.generation_id = self.generation_id
        return set(member.holds)

    def settled(self, member_id: str) -> bool:
        """Whether the member is of the current generation and holds just its share."""
        member = self._member(member_id)
        return member.generation_id == self.generation_id and member.holds == member.target

    def generation_of(self, member_id: str) -> int:
        return self._member(member_id).generation_id

    def check_holds(self, member_id: str, partitions: Iterable[TopicPartition]) -> None:
        """Raises where the member may not commit a partition.

        Raises:
            UnknownMemberError: the member left.
            IllegalGenerationError: the partition is another member's by now.
        """
        member = self._member(member_id)
        if any(self._holders.get(partition, member_id) != member_id for partition in partitions):
            raise IllegalGenerationError(
                self.group, current=self.generation_id, found=member.generation_id
            )

    def _member(self, member_id: str) -> Member:
        if member_id not in self._members:
            raise UnknownMemberError(self.group, member_id)
        return self._members[member_id]

    def _free(self, member_id: str, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            assert self._holders[partition] == member_id
            del self._holders[partition]

    def _divide(self) -> None:
        self.generation_id += 1
        for member in self._members.values():
            member.target = set()
        topics = {
            topic: n for member in self._members.values() for topic, n in member.wants.items()
        }
        for topic, partitions in topics.items():
            takers = sorted(name for name, member in self._members.items() if topic in member.wants)
            for name, share in zip(takers, choose_ranges(partitions, takers), strict=True):
                self._members[name].target |= {TopicPartition(topic, index) for index in share}


def choose_ranges(partitions: int, members: Sequence[str]) -> list[range]:
    """Kafka's range assignor: runs of partitions, the first members getting the odd ones."""
    size, odd = divmod(partitions, len(members))
    ends = [size * (index + 1) + min(index + 1, odd) for index in range(len(members))]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
