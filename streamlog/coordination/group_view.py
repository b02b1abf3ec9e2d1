"""A group as it is described to people and programs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import GroupDescription, GroupMember
from streamlog.coordination.classic_group import GroupState
from streamlog.coordination.consumer_protocol import (
    PROTOCOL_TYPE,
    decode_assignment,
    decode_subscription,
)
from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.coordination.classic_group import ClassicGroup
    from streamlog.coordination.group_record import GroupMember as MemberRecord
    from streamlog.coordination.group_record import GroupValue
    from streamlog.coordination.offset_record import OffsetAndMetadata
    from streamlog.topic import TopicPartition


def describe_group(
    name: str, group: ClassicGroup | None, offsets: Mapping[TopicPartition, OffsetAndMetadata]
) -> GroupDescription:
    """A group as it is now; None: it has offsets and never had a member."""
    if group is None:
        return describe_value(name, None, offsets)
    return describe_value(name, group.to_value(), offsets, state=group.state)


def describe_value(
    name: str,
    value: GroupValue | None,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    *,
    state: GroupState | None = None,
) -> GroupDescription:
    """A group as its record tells: stable if it has members, unless its `state` is known."""
    members = () if value is None else value.members
    protocol_type = "" if value is None else value.protocol_type
    if state is None:
        state = GroupState.STABLE if members else GroupState.EMPTY
    return GroupDescription(
        group_id=name,
        state=state.value,
        protocol_type=protocol_type,
        protocol="" if value is None else value.protocol or "",
        generation_id=0 if value is None else value.generation,
        leader="" if value is None else value.leader or "",
        members=tuple(_describe_member(each, protocol_type) for each in members),
        offsets={partition: each.offset for partition, each in sorted(offsets.items())},
    )


def _describe_member(member: MemberRecord, protocol_type: str) -> GroupMember:
    """Other protocols than the consumers' have bytes of their own, which only they know."""
    topics: tuple[str, ...] = ()
    assignment: tuple[TopicPartition, ...] = ()
    if protocol_type == PROTOCOL_TYPE:
        try:
            topics = decode_subscription(member.subscription).topics if member.subscription else ()
            assignment = tuple(sorted(decode_assignment(member.assignment).partitions))
        except CorruptRecordError:
            pass  # a member's mistake, which must not hide the group
    return GroupMember(
        member_id=member.member_id,
        client_id=member.client_id,
        client_host=member.client_host,
        group_instance_id=member.group_instance_id,
        topics=topics,
        assignment=assignment,
    )
