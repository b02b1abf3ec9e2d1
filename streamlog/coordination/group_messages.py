"""What members ask of a classic group, and what is to be done about it: decisions. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.coordination.group_record import GroupValue
    from streamlog.errors import StreamlogError

Ticket = Any
"""What the shell knows a parked request by; it is handed back and never looked at."""
Protocols = tuple[tuple[str, bytes], ...]
"""Names of assignors and the member's metadata for each, the preferred one first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinRequest:
    """A JoinGroup request. `fresh_member_id` is what the caller would be called as a new member."""

    protocol_type: str
    protocols: Protocols
    fresh_member_id: str
    member_id: str = ""
    group_instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    session_timeout_ms: int = 45_000
    rebalance_timeout_ms: int = 300_000
    member_id_required: bool = False
    """A new dynamic member has to join again with its id: versions 4 and up on the wire."""
    may_skip_assignment: bool = True
    """The member understands `skip_assignment`: versions 9 and up on the wire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRequest:
    """A SyncGroup request; only a leader has assignments, by member id."""

    member_id: str
    generation: int
    group_instance_id: str | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedMember:
    """What a leader is told of each member."""

    member_id: str
    group_instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinAnswer:
    """The end of a join. `members` is for the leader alone; with an error the rest is void."""

    ticket: Ticket
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: tuple[JoinedMember, ...] = ()
    skip_assignment: bool = False
    error: StreamlogError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncAnswer:
    """The end of a sync."""

    ticket: Ticket
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""
    error: StreamlogError | None = None


@dataclass(frozen=True, slots=True)
class WriteGroup:
    """The group's record is to be appended."""

    value: GroupValue


@dataclass(frozen=True, slots=True)
class RebalanceStarted:
    """Members of a generation have to join again. Remote ones hear it with the next heartbeat."""

    members: tuple[str, ...]
    generation: int


Decision = JoinAnswer | SyncAnswer | WriteGroup | RebalanceStarted
