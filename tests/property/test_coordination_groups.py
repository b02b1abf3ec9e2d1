"""The classic group beside a model: clients that join, sync, fall silent and come back at will.

The model knows what the leader of each generation decided and who has been heard when. By it
everything that the group answers is judged; and whoever waits is answered, if nobody does anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamlog.coordination.classic_group import ClassicGroup, GroupLimits, GroupState
from streamlog.coordination.group_messages import (
    JoinAnswer,
    JoinRequest,
    SyncAnswer,
    SyncRequest,
    WriteGroup,
)
from streamlog.errors import GroupError

SESSION_MS = 10_000
REBALANCE_MS = 30_000
NAMES = st.sampled_from(["a", "b", "c", "d"])
METADATA = st.sampled_from([b"x", b"y"])


@dataclass
class Client:
    """What one program knows of its membership."""

    instance: str | None
    member_id: str = ""
    generation: int = -1
    leads: bool = False
    others: tuple[str, ...] = ()
    waits_for: int | None = None
    assignment: bytes | None = None


class Groups(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.group = ClassicGroup("g", limits=GroupLimits(initial_rebalance_delay_ms=0))
        self.clients: dict[str, Client] = {}
        self.tickets: dict[int, Client] = {}
        self.next_ticket = 0
        self.decided: dict[int, dict[str, bytes]] = {}
        self.records: list[Any] = []

    def client(self, name: str) -> Client:
        instance = "static" if name == "d" else None
        return self.clients.setdefault(name, Client(instance))

    def ticket(self, client: Client) -> int:
        self.next_ticket += 1
        self.tickets[self.next_ticket] = client
        client.waits_for = self.next_ticket
        return self.next_ticket

    def take(self, decisions: list[Any]) -> None:
        for decision in decisions:
            match decision:
                case JoinAnswer():
                    self.joined(self.tickets.pop(decision.ticket), decision)
                case SyncAnswer():
                    self.synced(self.tickets.pop(decision.ticket), decision)
                case WriteGroup(value):
                    self.records.append(value)
                case _:
                    pass

    def joined(self, client: Client, answer: JoinAnswer) -> None:
        if client.waits_for != answer.ticket:
            return
        client.waits_for = None
        if answer.error is not None:
            client.member_id, client.generation = "", -1
            return
        assert answer.generation >= client.generation
        client.member_id, client.generation = answer.member_id, answer.generation
        client.leads = bool(answer.members) and not answer.skip_assignment
        client.others = tuple(each.member_id for each in answer.members)
        client.assignment = None
        assert answer.protocol == "range"

    def synced(self, client: Client, answer: SyncAnswer) -> None:
        if client.waits_for != answer.ticket:
            return
        client.waits_for = None
        if answer.error is None:
            decided = self.decided[client.generation]
            client.assignment = answer.assignment
            # A static member's successor has the share that was decided for the one before.
            own = decided.get(client.member_id, b"")
            assert answer.assignment in ({own} if client.instance is None else decided.values())

    @rule(name=NAMES, metadata=METADATA, starts_anew=st.booleans())
    def join(self, name: str, metadata: bytes, starts_anew: bool) -> None:
        client = self.client(name)
        if starts_anew:
            client.member_id, client.generation = "", -1
        ticket = self.ticket(client)
        request = JoinRequest(
            protocol_type="consumer",
            protocols=(("range", metadata),),
            fresh_member_id=f"{name}-{ticket}",
            member_id=client.member_id,
            group_instance_id=client.instance,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
        )
        self.take(self.group.join(request, ticket, self.now_ms))

    @rule(name=NAMES, share=st.binary(max_size=2))
    def sync(self, name: str, share: bytes) -> None:
        client = self.client(name)
        if not client.member_id or client.waits_for is not None:
            return
        shares = {member: share + member.encode() for member in client.others}
        is_current = client.generation == self.group.generation
        if client.leads and is_current and self.group.state is GroupState.COMPLETING_REBALANCE:
            self.decided[client.generation] = shares
        request = SyncRequest(
            member_id=client.member_id,
            generation=client.generation,
            group_instance_id=client.instance,
            assignments=shares if client.leads else {},
        )
        self.take(self.group.sync(request, self.ticket(client), self.now_ms))

    @rule(name=NAMES, commits=st.booleans())
    def show_life(self, name: str, commits: bool) -> None:
        client = self.client(name)
        before = self.group.state
        try:
            if commits:
                self.group.check_commit(
                    client.member_id,
                    client.generation,
                    group_instance_id=client.instance,
                    now_ms=self.now_ms,
                )
            else:
                self.group.heartbeat(
                    client.member_id,
                    client.generation,
                    self.now_ms,
                    group_instance_id=client.instance,
                )
        except GroupError:
            return
        if client.generation >= 0:  # else a commit of nobody, into an empty group
            assert client.member_id in self.group.members
            assert client.generation == self.group.generation
        else:
            assert before is GroupState.EMPTY

    @rule(name=NAMES)
    def leave(self, name: str) -> None:
        client = self.client(name)
        if client.member_id in self.group.members:
            self.take(
                self.group.leave(client.member_id, self.now_ms, group_instance_id=client.instance)
            )
            assert client.member_id not in self.group.members

    @rule(ms=st.sampled_from([1, SESSION_MS // 2, SESSION_MS, REBALANCE_MS]))
    def let_time_pass(self, ms: int) -> None:
        self.now_ms += ms
        self.take(self.group.step(self.now_ms))

    @rule()
    @precondition(lambda self: self.group.state in (GroupState.STABLE, GroupState.EMPTY))
    def restart(self) -> None:
        """Nobody is parked then but those who were answered by the record."""
        if not self.records or self.tickets:
            return
        before = self.group.to_value()
        if before.members == self.records[-1].members:
            self.group = ClassicGroup.restore("g", self.records[-1], now_ms=self.now_ms)
            assert self.group.generation == before.generation
            assert self.group.state is (GroupState.STABLE if before.members else GroupState.EMPTY)

    @invariant()
    def the_group_is_whole(self) -> None:
        members = self.group.members
        assert (self.group.leader in members) if members else self.group.leader is None
        assert (self.group.state is GroupState.EMPTY) == (not members)
        parked = {m.joining for m in members.values()} | {m.syncing for m in members.values()}
        assert parked - {None} == self.tickets.keys()
        assert (self.group.due_ms is not None) == bool(members)

    @invariant()
    def of_a_generation_all_shares_are_the_leaders(self) -> None:
        if self.group.state is GroupState.STABLE:
            for member in self.group.members.values():
                if member.group_instance_id is None:
                    decided = self.decided[self.group.generation]
                    assert member.assignment == decided.get(member.member_id, b"")

    def teardown(self) -> None:
        for _ in range(50):
            if self.group.due_ms is not None:
                self.now_ms = max(self.now_ms, self.group.due_ms)
                self.take(self.group.step(self.now_ms))
        assert self.group.state is GroupState.EMPTY
        assert not self.tickets


TestGroups = Groups.TestCase


def test_the_machine_reaches_a_stable_group_of_two() -> None:
    """Else the rules above could all be refused and prove nothing."""
    machine = Groups()
    machine.join("a", b"x", starts_anew=True)
    machine.join("b", b"x", starts_anew=True)
    machine.join("a", b"y", starts_anew=False)
    machine.sync("b", b"1")
    machine.sync("a", b"2")
    machine.the_group_is_whole()
    machine.of_a_generation_all_shares_are_the_leaders()
    assert machine.group.state is GroupState.STABLE
    with pytest.raises(GroupError):
        machine.group.check_commit("b", 1)
