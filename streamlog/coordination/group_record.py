"""The value of a group's own record in `__consumer_offsets`, byte for byte Kafka's.

    value   int16 version (we write 3)
            string protocol type · int32 generation · string? protocol · string? leader
            int64 since when in this state, ms (2 and up)
            array of members: string member id · string? group instance id (3 and up)
                string client id · string client host
                int32 rebalance timeout ms (1 and up) · int32 session timeout ms
                bytes subscription · bytes assignment
            tags (4: flexible)

Subscription and assignment are bytes of the members, see `consumer_protocol`. Integers are big
endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamlog.coordination.fields import FieldReader, FieldWriter
from streamlog.errors import CorruptRecordError

WRITTEN_VERSION: Final = 3
REBALANCE_TIMEOUT_VERSION: Final = 1
STATE_TIMESTAMP_VERSION: Final = 2
INSTANCE_ID_VERSION: Final = 3
FLEXIBLE_VERSION: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMember:
    """One member as the record has it; `subscription` and `assignment` stay opaque."""

    member_id: str
    group_instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = 300_000
    session_timeout_ms: int = 45_000
    subscription: bytes = b""
    assignment: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupValue:
    """A group at the end of its last rebalance; without members it is empty."""

    protocol_type: str
    generation: int
    protocol: str | None = None
    leader: str | None = None
    since_ms: int = -1
    members: tuple[GroupMember, ...] = ()


def encode_group(group: GroupValue) -> bytes:
    writer = FieldWriter()
    writer.int16(WRITTEN_VERSION)
    writer.string(group.protocol_type)
    writer.int32(group.generation)
    writer.string(group.protocol)
    writer.string(group.leader)
    writer.int64(group.since_ms)
    writer.array_length(len(group.members))
    for member in group.members:
        writer.string(member.member_id)
        writer.string(member.group_instance_id)
        writer.string(member.client_id)
        writer.string(member.client_host)
        writer.int32(member.rebalance_timeout_ms)
        writer.int32(member.session_timeout_ms)
        writer.bytes(member.subscription)
        writer.bytes(member.assignment)
    return writer.result()


def decode_group(value: bytes) -> GroupValue:
    """Raises `CorruptRecordError` for what is no value of version 0 to 4."""
    version = FieldReader(value).int16()
    if not 0 <= version <= FLEXIBLE_VERSION:
        raise CorruptRecordError(f"group value of version {version}")
    reader = FieldReader(value, flexible=version >= FLEXIBLE_VERSION)
    reader.int16()
    protocol_type, generation = reader.string(), reader.int32()
    protocol, leader = reader.nullable_string(), reader.nullable_string()
    since_ms = reader.int64() if version >= STATE_TIMESTAMP_VERSION else -1
    members = tuple(_read_member(reader, version) for _ in range(reader.array_length()))
    reader.tags()
    return GroupValue(
        protocol_type=protocol_type,
        generation=generation,
        protocol=protocol,
        leader=leader,
        since_ms=since_ms,
        members=members,
    )


def _read_member(reader: FieldReader, version: int) -> GroupMember:
    member_id = reader.string()
    instance_id = reader.nullable_string() if version >= INSTANCE_ID_VERSION else None
    client_id, client_host = reader.string(), reader.string()
    timeouts = [reader.int32() for _ in range(2 if version >= REBALANCE_TIMEOUT_VERSION else 1)]
    subscription, assignment = reader.bytes(), reader.bytes()
    reader.tags()
    return GroupMember(
        member_id=member_id,
        group_instance_id=instance_id,
        client_id=client_id,
        client_host=client_host,
        rebalance_timeout_ms=timeouts[0],
        session_timeout_ms=timeouts[-1],
        subscription=subscription,
        assignment=assignment,
    )
