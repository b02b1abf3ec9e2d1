"""Consumer groups as this process has them: its members, and the offsets they commit.

Every consumer is a member of its own, as a remote one would be, but costs no thread: what the
coordinator answers arrives in the thread whose request completed the rebalance, and the log's
housekeeping sends the heartbeats of all of them.
"""

from __future__ import annotations

from contextlib import suppress
from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from streamlog.client.arguments import partitions_of
from streamlog.client.contract import GroupMetadata
from streamlog.client.membership import Phase
from streamlog.coordination.group_members import LONGEST_STEP_MS, STEP_MS
from streamlog.errors import (
    GroupError,
    TopicError,
    UnknownMemberError,
    UnknownPartitionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from concurrent.futures import Future

    from streamlog.client.membership import Counts, Membership, Step
    from streamlog.clock import Clock
    from streamlog.coordination.group_members import GroupMembers
    from streamlog.coordination.group_messages import JoinAnswer, RebalanceStarted, SyncAnswer
    from streamlog.topic import TopicDescription, TopicPartition

CLIENT_ID: Final = "streamlog"
MAX_OFFSET: Final = (1 << 63) - 1


class Offsets(Protocol):
    """What groups ask of a coordinator."""

    def commit(
        self, group: GroupMetadata, offsets: Mapping[TopicPartition, int]
    ) -> Future[None]: ...

    def committed(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, int]:
        """Stable ones, all of the group's by default."""
        ...


class Member:
    """A consumer's membership, and how to wake the consumer.

    `_lock` guards the membership: answers come from any thread. It is never held while the
    coordinator is asked.
    """

    def __init__(
        self,
        groups: Groups,
        coordinator: GroupMembers,
        membership: Membership,
        wake: Callable[[], None],
    ) -> None:
        self._groups = groups
        self._coordinator = coordinator
        self._membership = membership
        self._wake = wake
        self._lock = Lock()
        self._fresh_member_id = ""
        self.group = membership.group
        self.last_poll_ms = 0
        self.is_closed = False

    # The consumer's thread

    @property
    def is_settled(self) -> bool:
        return self._membership.is_settled

    @property
    def has_joined(self) -> bool:
        return self._membership.has_joined

    @property
    def is_static(self) -> bool:
        return self._membership.group_instance_id is not None

    @property
    def has_lost(self) -> bool:
        return self._membership.has_lost

    def choose_step(self) -> Step | None:
        """Nothing once it is closed, which a log does from another thread."""
        with self._lock:
            return None if self.is_closed else self._membership.choose_step()

    def released(self, partitions: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._membership.released(partitions)

    def adopted(self) -> None:
        with self._lock:
            self._membership.adopted()

    def join(self) -> None:
        """The answer may have come when this returns."""
        self._fresh_member_id = f"{CLIENT_ID}-{uuid4()}"
        with self._lock:
            request = self._membership.joining(self._fresh_member_id)
        self._coordinator.join(self.group, request, self._joined)

    def look_at_topics(self) -> None:
        """A leader joins again where topics have got other partitions."""
        with self._lock:
            if topics := self._membership.watched_topics():
                self._membership.rejoin_if_changed(self._groups.count(topics))

    def metadata(self) -> GroupMetadata:
        with self._lock:
            return self._membership.metadata()

    def leave(self) -> None:
        """A static member that was in the group stays until its session ends. Twice is once."""
        if self.is_closed:
            return
        self.is_closed = True
        self._groups.discard(self)
        if not (self.is_static and self.has_joined):
            self._depart()

    # Any thread

    def _joined(self, answer: JoinAnswer) -> None:
        with self._lock:
            request = self._membership.joined(answer, self._groups.count)
        if request is not None:
            self._coordinator.sync(self.group, request, self._synced)
        else:
            self._wake()

    def _synced(self, answer: SyncAnswer) -> None:
        with self._lock:
            self._membership.synced(answer)
        self._wake()

    def told_to_rejoin(self, started: RebalanceStarted) -> None:
        with self._lock:
            if self._membership.member_id not in started.members:
                return
            self._membership.told_to_rejoin(started.generation)
        self._wake()

    def keep_alive(self, now_ms: int) -> None:
        """Sends a heartbeat, or leaves for one that has not polled for too long."""
        with self._lock:
            if self._membership.phase is not Phase.MEMBER:
                return
            metadata = self._membership.metadata()
        silent_ms = now_ms - self.last_poll_ms
        try:
            if silent_ms <= self._membership.max_poll_interval_ms:
                self._coordinator.heartbeat(metadata)
                return
            if metadata.group_instance_id is not None:
                return  # its session ends if it stays silent
            self._coordinator.leave(metadata)
            raise UnknownMemberError(self.group, metadata.member_id)
        except GroupError as error:
            with self._lock:
                self._membership.heartbeat_failed(metadata, error)
        self._wake()

    def _depart(self) -> None:
        """Also where it still waits for the others, and has not been told its id."""
        member_id = self.metadata().member_id or self._fresh_member_id
        with suppress(GroupError):  # it was removed before, or never joined
            self._coordinator.leave(GroupMetadata(group_id=self.group, member_id=member_id))


class Groups:
    """The groups of one log directory. Usable from any thread."""

    def __init__(
        self,
        offsets: Offsets,
        coordinator: GroupMembers,
        *,
        clock: Clock,
        topic: Callable[[str], TopicDescription],
    ) -> None:
        self._offsets = offsets
        self._coordinator = coordinator
        self._clock = clock
        self._topic = topic
        self._lock = Lock()  # guards the members
        self._members: list[Member] = []
        self._last_step_ms: int | None = None
        coordinator.on_rebalance = self._rebalance_started

    # Members

    def add(self, membership: Membership, wake: Callable[[], None]) -> Member:
        """A consumer that will join; `wake` is called when it should look after its group."""
        member = Member(self, self._coordinator, membership, wake)
        member.last_poll_ms = self._clock.now_ms()
        with self._lock:
            self._members.append(member)
        return member

    def discard(self, member: Member) -> None:
        with self._lock:
            if member in self._members:
                self._members.remove(member)

    def polled(self, member: Member) -> None:
        member.last_poll_ms = self._clock.now_ms()

    def count(self, topics: Iterable[str]) -> Counts:
        """The partitions of those topics that exist."""
        counts: Counts = {}
        for topic in topics:
            try:
                counts[topic] = self._topic(topic).partitions
            except TopicError:
                continue
        return counts

    def step(self) -> int | None:
        """Heartbeats and timeouts; to be called again at the time that it returns.

        A stall of the process counts for nobody. None: nothing is due until somebody joins.
        """
        now_ms = self._clock.now_ms()
        last_ms, self._last_step_ms = self._last_step_ms, now_ms
        gap_ms = 0 if last_ms is None else now_ms - last_ms
        with self._lock:
            members = list(self._members)
        for member in members:
            if not 0 <= gap_ms <= LONGEST_STEP_MS:
                member.last_poll_ms = min(member.last_poll_ms + gap_ms, now_ms)
            member.keep_alive(now_ms)
        due_ms = self._coordinator.step()
        if not members and due_ms is None:
            self._last_step_ms = None
            return None
        return now_ms + STEP_MS

    def _rebalance_started(self, group: str, started: RebalanceStarted) -> None:
        with self._lock:
            members = [each for each in self._members if each.group == group]
        for member in members:
            member.told_to_rejoin(started)

    # Offsets

    def commit(
        self, committer: GroupMetadata, offsets: Mapping[TopicPartition, int]
    ) -> Future[None]:
        """Commits offsets; done, and to be seen by all, when they are durable.

        Raises:
            GroupError: the committer may not, as `ClassicGroup.check_commit` tells.
            TopicError: a topic or partition that is not there; nothing is committed then.
            ValueError: an offset that cannot be one.
        """
        check_offsets(offsets)
        check_known(offsets, self._topic)
        return self._offsets.commit(committer, offsets)

    def committed(
        self, name: str, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int | None]:
        """Waits while an open transaction is about to change one of them."""
        found = self._offsets.committed(name, partitions)
        return {partition: found.get(partition) for partition in partitions}

    def all_committed(self, name: str) -> dict[TopicPartition, int]:
        return self._offsets.committed(name)


def check_known(
    partitions: Iterable[TopicPartition], topic: Callable[[str], TopicDescription]
) -> None:
    """Raises `UnknownTopicError` or `UnknownPartitionError` (UNKNOWN_TOPIC_OR_PARTITION)."""
    counts: Counts = {}
    for name, number in partitions:
        if name not in counts:
            counts[name] = topic(name).partitions
        if not 0 <= number < counts[name]:
            raise UnknownPartitionError(name, number, counts[name])


def check_offsets(offsets: Mapping[TopicPartition, int]) -> None:
    """Raises `ValueError`, or `TypeError` for what is no integer: a group would start anywhere."""
    for partition, offset in zip(partitions_of(offsets), offsets.values(), strict=True):
        if not 0 <= index(offset) <= MAX_OFFSET:
            raise ValueError(f"{partition}: offset {offset} cannot be committed")
