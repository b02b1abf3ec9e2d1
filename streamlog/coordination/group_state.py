"""A consumer group of at most one member. Pure.

    Empty ──────── join (generation + 1) ──────► Stable ──┐
      ▲                                            │ ▲    │ join by another member
      └─────────── leave (generation + 1) ─────────┘ └────┘ (generation + 1; the first is fenced)

A log that one process owns needs no more: the process is the member, and divides the partitions
among its consumers itself. Whoever joins takes over, and the member before it is told so when it
commits next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamlog.coordination.group_record import (
    GroupMember,
    GroupValue,
    encode_assignment,
    encode_subscription,
)
from streamlog.errors import IllegalGenerationError, UnknownMemberError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.client.contract import GroupMetadata
    from streamlog.topic import TopicPartition

PROTOCOL_TYPE = "consumer"
PROTOCOL = "range"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupState:
    """A group, its generation and its member, if it has one."""

    group: str
    generation: int = 0
    member: GroupMember | None = None
    since_ms: int = -1

    @property
    def empty(self) -> bool:
        return self.member is None


def join(
    state: GroupState,
    *,
    member_id: str,
    client_id: str,
    topics: Iterable[str],
    partitions: Iterable[TopicPartition],
    now_ms: int,
) -> GroupState:
    """The next generation, which belongs to `member_id` alone; whoever was in it is fenced."""
    member = GroupMember(
        member_id=member_id,
        client_id=client_id,
        subscription=encode_subscription(topics),
        assignment=encode_assignment(partitions),
    )
    return replace(state, generation=state.generation + 1, member=member, since_ms=now_ms)


def leave(state: GroupState, member_id: str, *, now_ms: int) -> GroupState:
    """The empty group; unchanged where the member is not, or no longer, in it."""
    if state.member is None or state.member.member_id != member_id:
        return state
    return replace(state, generation=state.generation + 1, member=None, since_ms=now_ms)


def check_commit(state: GroupState, committer: GroupMetadata, *, transactional: bool) -> None:
    """Whether `committer` may commit offsets, as Kafka's coordinator judges it.

    Without generation and member id it is no member: allowed where the group is empty, and in a
    transaction, which its transactional id fences. Raises `IllegalGenerationError` for a member
    of a generation that has ended, `UnknownMemberError` for who is no member.
    """
    anonymous = committer.generation_id < 0 and not committer.member_id
    if anonymous and (state.empty or transactional):
        return
    if anonymous:
        raise UnknownMemberError(state.group, "")
    if 0 <= committer.generation_id < state.generation:
        raise IllegalGenerationError(
            state.group, current=state.generation, found=committer.generation_id
        )
    if state.member is None or state.member.member_id != committer.member_id:
        raise UnknownMemberError(state.group, committer.member_id)
    if committer.generation_id != state.generation:
        raise IllegalGenerationError(
            state.group, current=state.generation, found=committer.generation_id
        )


def to_value(state: GroupState) -> GroupValue:
    """The group's record."""
    return GroupValue(
        protocol_type=PROTOCOL_TYPE,
        generation=state.generation,
        protocol=None if state.member is None else PROTOCOL,
        leader=None if state.member is None else state.member.member_id,
        since_ms=state.since_ms,
        members=() if state.member is None else (state.member,),
    )


def from_value(group: str, value: GroupValue) -> GroupState:
    """The state after a restart: members of a process that ended are gone, the generation stays."""
    return GroupState(group=group, generation=value.generation, since_ms=value.since_ms)
