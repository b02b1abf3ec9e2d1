"""A consumer group of Kafka's classic protocol. Pure.

    Empty ── join ──► PreparingRebalance ── all have joined, or time is up ──► CompletingRebalance
      ▲                  ▲        ▲   │ nobody is left                                  │
      └──────────────────┼────────┼───┘                                    leader's sync│
                         │        └── join with other metadata, leave, expiry ──┐       ▼
                         └──────── leader's join, join, leave, expiry ───────── Stable ◄┘

`join` and `sync` park the caller's ticket; a later call, of anybody, returns the decision that
answers it. Time comes in with every call; `due_ms` says when `step` has something to do. What a
call returns is to be done in its order: a `WriteGroup` stands before the answers that rely on it.

Rules and timers are those of Kafka's group coordinator (4.1), KIP-345 (static members), KIP-394
(members are told their id before they are waited for) and KIP-814 (a static leader that comes
back assigns nothing). Where Kafka chooses by the order of a hash table, the member that joined
first is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from streamlog.coordination.group_messages import (
    JoinAnswer,
    JoinedMember,
    RebalanceStarted,
    SyncAnswer,
    WriteGroup,
)
from streamlog.coordination.group_record import GroupMember, GroupValue
from streamlog.errors import (
    FencedInstanceError,
    GroupError,
    GroupMaxSizeReachedError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    MemberIdRequiredError,
    RebalanceInProgressError,
    UnknownGroupError,
    UnknownMemberError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamlog.coordination.group_messages import (
        Decision,
        JoinRequest,
        Protocols,
        SyncRequest,
        Ticket,
    )

NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000


class GroupState(StrEnum):
    """Kafka's names."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLimits:
    """Configurations of the log: `group.{min,max}.session.timeout.ms` and so on."""

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    max_size: int = (1 << 31) - 1


@dataclass(kw_only=True, slots=True)
class Member:
    """A member; `expires_ms` is when its session ends."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    joining: Ticket | None = None
    syncing: Ticket | None = None
    is_new: bool = False
    expires_ms: int = 0

    def metadata(self, protocol: str | None) -> bytes:
        return dict(self.protocols).get(protocol or "", b"")

    @property
    def is_judged(self) -> bool:
        """Who waits for the coordinator cannot send heartbeats, but a new member may be gone."""
        return self.is_new or (self.joining is None and self.syncing is None)


class ClassicGroup:
    """One group. Not for two threads at a time."""

    def __init__(self, group: str, *, limits: GroupLimits | None = None) -> None:
        self.group = group
        self.limits = limits or GroupLimits()
        """May be replaced at any time."""
        self.state = GroupState.EMPTY
        self.since_ms = -1
        """Since when it is in its state; -1: not known."""
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self._pending: dict[str, int] = {}
        self._pending_sync: set[str] = set()
        self._static: dict[str, str] = {}
        self._initial = False
        self._member_added = False
        self._delay_ms = 0
        self._remaining_delay_ms = 0
        self._join_due_ms: int | None = None
        self._sync_due_ms: int | None = None

    @classmethod
    def restore(cls, group: str, value: GroupValue, *, now_ms: int) -> ClassicGroup:
        """The group that a record tells of; its members' sessions begin anew."""
        self = cls(group)
        self.generation, self.since_ms = value.generation, value.since_ms
        self.protocol_type = value.protocol_type or None
        self.protocol, self.leader = value.protocol, value.leader
        self.state = GroupState.STABLE if value.members else GroupState.EMPTY
        for each in value.members:
            self.members[each.member_id] = Member(
                member_id=each.member_id,
                group_instance_id=each.group_instance_id,
                client_id=each.client_id,
                client_host=each.client_host,
                rebalance_timeout_ms=each.rebalance_timeout_ms,
                session_timeout_ms=each.session_timeout_ms,
                protocols=((value.protocol or "", each.subscription),),
                assignment=each.assignment,
                expires_ms=now_ms + each.session_timeout_ms,
            )
            if each.group_instance_id is not None:
                self._static[each.group_instance_id] = each.member_id
        return self

    # Requests

    def join(self, request: JoinRequest, ticket: Ticket, now_ms: int) -> list[Decision]:
        """Takes a JoinGroup request; answers it, or parks it."""
        error = self._refuse_join(request)
        if error is not None:
            return [JoinAnswer(ticket=ticket, member_id=request.member_id, error=error)]
        if not request.member_id:
            return self._join_new(request, ticket, now_ms)
        if request.member_id in self._pending:
            return self._add(request, request.member_id, ticket, now_ms)
        return self._join_again(request, self.members[request.member_id], ticket, now_ms)

    def sync(self, request: SyncRequest, ticket: Ticket, now_ms: int) -> list[Decision]:
        """Takes a SyncGroup request; answers it, or parks it until the leader's comes."""
        try:
            self._check_sync(request)
        except GroupError as error:
            return [SyncAnswer(ticket=ticket, error=error)]
        member = self.members[request.member_id]
        self._synced(member.member_id)
        self._refresh(member, now_ms)
        if self.state is GroupState.STABLE:
            return [self._assigned(member, ticket)]
        decisions: list[Decision] = []
        if member.syncing is not None:  # it asked twice: only the later request is listened to
            decisions.append(SyncAnswer(ticket=member.syncing, error=self._rebalancing()))
        member.syncing = ticket
        if member.member_id != self.leader:
            return decisions
        for each in self.members.values():
            each.assignment = request.assignments.get(each.member_id, b"")
        decisions.append(WriteGroup(self.to_value()))
        for each in self.members.values():
            if each.syncing is not None:
                decisions.append(self._assigned(each, each.syncing))
                each.syncing = None
                self._refresh(each, now_ms)
        self._become(GroupState.STABLE, now_ms)
        return decisions

    def heartbeat(
        self,
        member_id: str,
        generation: int,
        now_ms: int,
        *,
        group_instance_id: str | None = None,
    ) -> None:
        """Keeps a member alive.

        Raises `UnknownMemberError`, `FencedInstanceError`, `IllegalGenerationError`, or
        `RebalanceInProgressError` for a member that lives and has to join again.
        """
        member = self.check_member(member_id, group_instance_id)
        self._check_generation(generation)
        if self.state is GroupState.EMPTY:
            raise UnknownMemberError(self.group, member_id)
        self._refresh(member, now_ms)
        if self.state is GroupState.PREPARING_REBALANCE:
            raise self._rebalancing()

    def leave(
        self, member_id: str, now_ms: int, *, group_instance_id: str | None = None
    ) -> list[Decision]:
        """Removes a member; a static one may be named by its instance id alone.

        Raises `UnknownMemberError` or `FencedInstanceError`.
        """
        if not member_id and group_instance_id is not None:
            member_id = self._static.get(group_instance_id, "")
        elif member_id in self._pending:
            del self._pending[member_id]
            return self._after_removal(now_ms)
        member = self.check_member(member_id, group_instance_id)
        return self._remove(member, UnknownMemberError(self.group, member_id), now_ms)

    def check_commit(
        self,
        member_id: str,
        generation: int,
        *,
        group_instance_id: str | None = None,
        transactional: bool = False,
        now_ms: int | None = None,
    ) -> None:
        """Whether somebody may commit offsets, as Kafka's coordinator judges it.

        Who is no member (no id, generation -1) may where the group is empty, and in a
        transaction, which its transactional id fences. A member's commit keeps it alive.

        Raises:
            UnknownMemberError: nobody of that id is in the group.
            FencedInstanceError: another member has the instance id by now.
            IllegalGenerationError: the member has not joined the current generation.
            RebalanceInProgressError: its assignment is being worked out; join again.
        """
        if self.state is GroupState.DEAD:
            raise UnknownGroupError(self.group)
        if generation < 0 and self.state is GroupState.EMPTY:
            return
        if generation < 0 and not member_id and group_instance_id is None:
            if not transactional:
                raise UnknownMemberError(self.group, "")
            return
        member = self.check_member(member_id, group_instance_id)
        self._check_generation(generation)
        if self.state is GroupState.COMPLETING_REBALANCE and not transactional:
            raise self._rebalancing()
        if now_ms is not None:
            self._refresh(member, now_ms)

    def check_member(self, member_id: str, group_instance_id: str | None = None) -> Member:
        """The member. Raises `UnknownMemberError` or `FencedInstanceError`."""
        if group_instance_id is not None:
            current = self._static.get(group_instance_id)
            if current is None:
                raise UnknownMemberError(self.group, member_id)
            if current != member_id:
                raise FencedInstanceError(self.group, group_instance_id, member_id)
        if member_id not in self.members:
            raise UnknownMemberError(self.group, member_id)
        return self.members[member_id]

    # Time

    @property
    def due_ms(self) -> int | None:
        """When `step` is to be called, or None. It may come earlier than anything happens."""
        dues = [member.expires_ms for member in self.members.values() if member.is_judged]
        dues += self._pending.values()
        dues += [due for due in (self._join_due_ms, self._sync_due_ms) if due is not None]
        return min(dues, default=None)

    def step(self, now_ms: int) -> list[Decision]:
        """Ends what is over by now: sessions, and the waiting of a rebalance."""
        decisions: list[Decision] = []
        for member_id in [each for each, due in self._pending.items() if due <= now_ms]:
            del self._pending[member_id]
            if self.state is GroupState.PREPARING_REBALANCE:
                decisions += self._complete_if_all_joined(now_ms)
        for member in list(self.members.values()):
            is_over = member.is_judged and member.expires_ms <= now_ms
            if is_over and member.member_id in self.members:
                error = UnknownMemberError(self.group, member.member_id)
                decisions += self._remove(member, error, now_ms)
        if self._join_due_ms is not None and self._join_due_ms <= now_ms:
            decisions += self._join_time_is_up(now_ms)
        if self._sync_due_ms is not None and self._sync_due_ms <= now_ms:
            decisions += self._sync_time_is_up(now_ms)
        return decisions

    def postpone(self, ms: int) -> None:
        """Moves every deadline: for so long nobody could have been heard."""
        for member in self.members.values():
            member.expires_ms += ms
        self._pending = {member_id: due + ms for member_id, due in self._pending.items()}
        if self._join_due_ms is not None:
            self._join_due_ms += ms
        if self._sync_due_ms is not None:
            self._sync_due_ms += ms

    def die(self) -> None:
        """The group was deleted; it has to be empty."""
        assert self.state is GroupState.EMPTY, self.state
        self.state = GroupState.DEAD

    def to_value(self) -> GroupValue:
        """The group's record."""
        return GroupValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol,
            leader=self.leader,
            since_ms=self.since_ms,
            members=tuple(
                GroupMember(
                    member_id=member.member_id,
                    group_instance_id=member.group_instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    rebalance_timeout_ms=member.rebalance_timeout_ms,
                    session_timeout_ms=member.session_timeout_ms,
                    subscription=member.metadata(self.protocol),
                    assignment=member.assignment,
                )
                for member in self.members.values()
            ),
        )

    # Joining

    def _refuse_join(self, request: JoinRequest) -> GroupError | None:
        limits, member_id = self.limits, request.member_id
        timeout_ms = request.session_timeout_ms
        if self.state is GroupState.DEAD:
            return UnknownMemberError(self.group, member_id)
        if not limits.min_session_timeout_ms <= timeout_ms <= limits.max_session_timeout_ms:
            return InvalidSessionTimeoutError(
                self.group,
                timeout_ms,
                lowest=limits.min_session_timeout_ms,
                highest=limits.max_session_timeout_ms,
            )
        if not self._has_room_for(member_id):
            self._forget(member_id)
            return GroupMaxSizeReachedError(self.group, limits.max_size)
        if not self._fits(request):
            return InconsistentGroupProtocolError(
                self.group, [name for name, _ in request.protocols], self._common_protocols()
            )
        if not member_id or member_id in self._pending:
            return None
        try:
            self.check_member(member_id, request.group_instance_id)
        except GroupError as error:
            return error
        return UnknownMemberError(self.group, member_id) if not self.members else None

    def _has_room_for(self, member_id: str) -> bool:
        """While joining, those count who have come: the last of too many are sent away."""
        member = self.members.get(member_id)
        match self.state:
            case GroupState.PREPARING_REBALANCE:
                joined = sum(each.joining is not None for each in self.members.values())
                waits = member is not None and member.joining is not None
                return waits or joined < self.limits.max_size
            case GroupState.COMPLETING_REBALANCE | GroupState.STABLE:
                return member is not None or len(self.members) < self.limits.max_size
            case _:
                return True

    def _fits(self, request: JoinRequest) -> bool:
        """Whether there would be a protocol that all members know."""
        if not request.protocol_type or not request.protocols:
            return False
        if not self.members:
            return True
        names = {name for name, _ in request.protocols}
        return self.protocol_type == request.protocol_type and bool(
            names & set(self._common_protocols())
        )

    def _join_new(self, request: JoinRequest, ticket: Ticket, now_ms: int) -> list[Decision]:
        fresh = request.fresh_member_id
        if request.group_instance_id is not None:
            if (known := self._static.get(request.group_instance_id)) is not None:
                return self._replace_static(request, self.members[known], ticket, now_ms)
        elif request.member_id_required:
            self._pending[fresh] = now_ms + request.session_timeout_ms
            error = MemberIdRequiredError(self.group, fresh)
            return [JoinAnswer(ticket=ticket, member_id=fresh, error=error)]
        return self._add(request, fresh, ticket, now_ms)

    def _add(
        self, request: JoinRequest, member_id: str, ticket: Ticket, now_ms: int
    ) -> list[Decision]:
        if self._initial:
            self._member_added = True
        if not self.members:
            self.protocol_type = request.protocol_type
        self._pending.pop(member_id, None)
        # It is held without heartbeats, for it does not know its id yet; but not for ever.
        self.members[member_id] = Member(
            member_id=member_id,
            group_instance_id=request.group_instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            session_timeout_ms=request.session_timeout_ms,
            protocols=request.protocols,
            joining=ticket,
            is_new=True,
            expires_ms=now_ms + NEW_MEMBER_JOIN_TIMEOUT_MS,
        )
        if request.group_instance_id is not None:
            self._static[request.group_instance_id] = member_id
        if self.leader is None:
            self.leader = member_id
        return self._rebalance_or_complete(now_ms)

    def _join_again(
        self, request: JoinRequest, member: Member, ticket: Ticket, now_ms: int
    ) -> list[Decision]:
        unchanged = member.protocols == request.protocols
        leads = member.member_id == self.leader
        match self.state:
            case GroupState.COMPLETING_REBALANCE if unchanged:
                # The answer did not arrive: once more.
                return [self._joined(member, ticket)]
            case GroupState.STABLE if unchanged and not leads:
                return [self._joined(member, ticket)]
            case _:  # a leader may know of new partitions, which no metadata shows
                decisions = self._update(request, member, ticket)
                return decisions + self._rebalance_or_complete(now_ms)

    def _update(self, request: JoinRequest, member: Member, ticket: Ticket) -> list[Decision]:
        decisions: list[Decision] = []
        if member.joining is not None:  # it asked twice: only the later request is listened to
            error = self._rebalancing()
            decisions.append(
                JoinAnswer(ticket=member.joining, member_id=member.member_id, error=error)
            )
        member.protocols = request.protocols
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.session_timeout_ms = request.session_timeout_ms
        member.joining = ticket
        return decisions

    def _replace_static(
        self, request: JoinRequest, old: Member, ticket: Ticket, now_ms: int
    ) -> list[Decision]:
        """A static member came back: it takes the place of its former self, which is fenced."""
        assert request.group_instance_id is not None
        former_leader = self.leader
        new = replace(
            old, member_id=request.fresh_member_id, joining=None, syncing=None, is_new=False
        )
        fenced = FencedInstanceError(self.group, request.group_instance_id, old.member_id)
        decisions = self._dismiss(old, fenced)
        self.members = {
            (new.member_id if each is old else each.member_id): (new if each is old else each)
            for each in self.members.values()
        }
        self._static[request.group_instance_id] = new.member_id
        if self.leader == old.member_id:
            self.leader = new.member_id
        if old.member_id in self._pending_sync:
            self._pending_sync.remove(old.member_id)
            self._pending_sync.add(new.member_id)
        self._update(request, new, ticket)
        self._refresh(new, now_ms)
        match self.state:
            case GroupState.STABLE if self._select_protocol() == self.protocol:
                new.joining = None
                decisions.append(WriteGroup(self.to_value()))
                answer = self._joined(new, ticket)
                if request.may_skip_assignment:
                    answer = replace(answer, skip_assignment=bool(answer.members))
                else:  # it must not take itself for the leader, or it would assign
                    answer = replace(answer, leader=former_leader or "", members=())
                return [*decisions, answer]
            case _:
                return decisions + self._rebalance_or_complete(now_ms)

    # Rebalancing

    def _rebalance_or_complete(self, now_ms: int) -> list[Decision]:
        if self.state is GroupState.PREPARING_REBALANCE:
            return self._complete_if_all_joined(now_ms)
        return self._prepare(now_ms)

    def _prepare(self, now_ms: int) -> list[Decision]:
        decisions: list[Decision] = []
        for member in self.members.values():
            if self.state is GroupState.COMPLETING_REBALANCE:
                member.assignment = b""
            if member.syncing is not None:
                decisions.append(SyncAnswer(ticket=member.syncing, error=self._rebalancing()))
                member.syncing = None
                self._refresh(member, now_ms)
        self._sync_due_ms = None
        self._pending_sync.clear()
        self._initial = self.state is GroupState.EMPTY
        self._become(GroupState.PREPARING_REBALANCE, now_ms)
        waited_for = [each.member_id for each in self.members.values() if each.joining is None]
        if waited_for:
            decisions.append(RebalanceStarted(tuple(waited_for), self.generation))
        if self._initial and self.limits.initial_rebalance_delay_ms:
            self._member_added = False
            self._delay_ms = self.limits.initial_rebalance_delay_ms
            self._remaining_delay_ms = max(self._rebalance_timeout_ms - self._delay_ms, 0)
            self._join_due_ms = now_ms + self._delay_ms
            return decisions
        if self._initial:
            return decisions + self._complete_join(now_ms)
        self._join_due_ms = now_ms + self._rebalance_timeout_ms
        if not self._rebalance_timeout_ms:  # nobody is left but who was told its id
            return decisions + self._complete_join(now_ms)
        return decisions + self._complete_if_all_joined(now_ms)

    def _complete_if_all_joined(self, now_ms: int) -> list[Decision]:
        if self._initial or self._pending:
            return []
        if any(member.joining is None for member in self.members.values()):
            return []
        return self._complete_join(now_ms)

    def _join_time_is_up(self, now_ms: int) -> list[Decision]:
        if self._initial and self._member_added and self._remaining_delay_ms:
            self._member_added = False
            delay_ms = min(self.limits.initial_rebalance_delay_ms, self._remaining_delay_ms)
            self._remaining_delay_ms = max(self._remaining_delay_ms - self._delay_ms, 0)
            self._delay_ms = delay_ms
            self._join_due_ms = now_ms + delay_ms
            return []
        return self._complete_join(now_ms)

    def _complete_join(self, now_ms: int) -> list[Decision]:
        """The next generation, of those who have come and of the static members."""
        self._join_due_ms = None
        for member in list(self.members.values()):
            if member.joining is None and member.group_instance_id is None:
                self._forget(member.member_id)
        if self.members and not self._elect_leader():
            # Only static members, and none has come: wait until their sessions end.
            self._join_due_ms = now_ms + self._rebalance_timeout_ms
            return []
        self.generation += 1
        self._initial = False
        self._pending_sync.clear()
        if not self.members:
            self.protocol = None
            self._become(GroupState.EMPTY, now_ms)
            return [WriteGroup(self.to_value())]
        self.protocol = self._select_protocol()
        self._become(GroupState.COMPLETING_REBALANCE, now_ms)
        self._sync_due_ms = now_ms + self._rebalance_timeout_ms
        decisions: list[Decision] = []
        for member in self.members.values():
            if member.joining is not None:
                decisions.append(self._joined(member, member.joining))
                member.joining = None
            member.is_new = False
            self._refresh(member, now_ms)
            self._pending_sync.add(member.member_id)
        return decisions

    def _elect_leader(self) -> bool:
        """Keeps a leader that has come, else takes the first who has; False: nobody has."""
        leader = self.members.get(self.leader or "")
        if leader is not None and leader.joining is not None:
            return True
        come = [each.member_id for each in self.members.values() if each.joining is not None]
        if come:
            self.leader = come[0]
        return bool(come)

    def _sync_time_is_up(self, now_ms: int) -> list[Decision]:
        """Members that took part in the join and never asked for their assignment go."""
        self._sync_due_ms = None
        decisions: list[Decision] = []
        for member_id in sorted(self._pending_sync):
            decisions += self._dismiss(
                self.members[member_id], UnknownMemberError(self.group, member_id)
            )
            self._forget(member_id)
        return decisions + self._prepare(now_ms)

    def _synced(self, member_id: str) -> None:
        self._pending_sync.discard(member_id)
        if not self._pending_sync:
            self._sync_due_ms = None

    def _remove(self, member: Member, error: GroupError, now_ms: int) -> list[Decision]:
        decisions = self._dismiss(member, error)
        self._forget(member.member_id)
        return decisions + self._after_removal(now_ms)

    def _after_removal(self, now_ms: int) -> list[Decision]:
        match self.state:
            case GroupState.STABLE | GroupState.COMPLETING_REBALANCE:
                return self._prepare(now_ms)
            case GroupState.PREPARING_REBALANCE:
                return self._complete_if_all_joined(now_ms)
            case _:
                return []

    def _dismiss(self, member: Member, error: GroupError) -> list[Decision]:
        """Answers what the member has parked."""
        decisions: list[Decision] = []
        if member.joining is not None:
            decisions.append(
                JoinAnswer(ticket=member.joining, member_id=member.member_id, error=error)
            )
        if member.syncing is not None:
            decisions.append(SyncAnswer(ticket=member.syncing, error=error))
        member.joining = member.syncing = None
        return decisions

    def _forget(self, member_id: str) -> None:
        member = self.members.pop(member_id, None)
        if member is not None and member.group_instance_id is not None:
            del self._static[member.group_instance_id]
        if member_id == self.leader:
            self.leader = next(iter(self.members), None)
        self._pending.pop(member_id, None)
        self._pending_sync.discard(member_id)

    # Facts

    @property
    def _rebalance_timeout_ms(self) -> int:
        return max((each.rebalance_timeout_ms for each in self.members.values()), default=0)

    def _common_protocols(self) -> list[str]:
        first, *others = self.members.values() or [None]
        if first is None:
            return []
        return [
            name
            for name, _ in first.protocols
            if all(name in dict(each.protocols) for each in others if each is not None)
        ]

    def _select_protocol(self) -> str:
        """Of what all know, that which most prefer."""
        common = self._common_protocols()
        votes = [self._vote(member, common) for member in self.members.values()]
        return max(votes, key=votes.count)

    def _vote(self, member: Member, common: Iterable[str]) -> str:
        names: Iterator[str] = (name for name, _ in member.protocols if name in common)
        return next(names)

    def _joined(self, member: Member, ticket: Ticket) -> JoinAnswer:
        members = self.members.values() if member.member_id == self.leader else ()
        return JoinAnswer(
            ticket=ticket,
            member_id=member.member_id,
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.leader or "",
            members=tuple(
                JoinedMember(
                    member_id=each.member_id,
                    group_instance_id=each.group_instance_id,
                    metadata=each.metadata(self.protocol),
                )
                for each in members
            ),
        )

    def _assigned(self, member: Member, ticket: Ticket) -> SyncAnswer:
        return SyncAnswer(
            ticket=ticket,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            assignment=member.assignment,
        )

    def _check_sync(self, request: SyncRequest) -> None:
        self.check_member(request.member_id, request.group_instance_id)
        self._check_generation(request.generation)
        for asked, ours in (
            (request.protocol_type, self.protocol_type),
            (request.protocol, self.protocol),
        ):
            if asked is not None and ours is not None and asked != ours:
                raise InconsistentGroupProtocolError(self.group, [asked], [ours])
        if self.state is GroupState.PREPARING_REBALANCE:
            raise self._rebalancing()

    def _check_generation(self, generation: int) -> None:
        if generation != self.generation:
            raise IllegalGenerationError(self.group, current=self.generation, found=generation)

    def _rebalancing(self) -> RebalanceInProgressError:
        return RebalanceInProgressError(self.group)

    def _refresh(self, member: Member, now_ms: int) -> None:
        member.expires_ms = now_ms + member.session_timeout_ms

    def _become(self, state: GroupState, now_ms: int) -> None:
        self.state = state
        self.since_ms = now_ms
