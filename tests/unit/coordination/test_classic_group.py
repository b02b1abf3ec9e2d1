"""The classic group's rules, one test each: what Kafka's coordinator answers, and when."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.coordination.classic_group import ClassicGroup, GroupLimits, GroupState
from streamlog.coordination.group_messages import (
    JoinAnswer,
    JoinRequest,
    RebalanceStarted,
    SyncAnswer,
    SyncRequest,
    WriteGroup,
)
from streamlog.errors import (
    FencedInstanceError,
    GroupMaxSizeReachedError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    MemberIdRequiredError,
    RebalanceInProgressError,
    UnknownGroupError,
    UnknownMemberError,
)

SESSION_MS = 10_000
REBALANCE_MS = 60_000
RANGE = (("range", b"topics"),)


class Desk:
    """A group with a clock, and what it has answered to whom."""

    def __init__(self, **limits: int) -> None:
        self.group = ClassicGroup("g", limits=GroupLimits(**limits))
        self.now_ms = 1_000
        self.answers: dict[str, Any] = {}
        self.records: list[Any] = []
        self.told: list[str] = []

    def take(self, decisions) -> None:
        for decision in decisions:
            match decision:
                case JoinAnswer() | SyncAnswer():
                    self.answers[decision.ticket] = decision
                case WriteGroup(value):
                    self.records.append(value)
                case RebalanceStarted(members, _):
                    self.told = list(members)

    def join(self, ticket: str, member_id: str = "", *, protocols=RANGE, **options: Any):
        """Asks to join; the answer, or None while it is parked. A new member is called `ticket`."""
        self.answers.pop(ticket, None)
        options = {"session_timeout_ms": SESSION_MS, "rebalance_timeout_ms": REBALANCE_MS} | options
        request = JoinRequest(
            protocol_type=options.pop("protocol_type", "consumer"),
            protocols=protocols,
            fresh_member_id=ticket,
            member_id=member_id,
            **options,
        )
        self.take(self.group.join(request, ticket, self.now_ms))
        return self.answers.get(ticket)

    def sync(self, member_id: str, assignments=None, *, generation: int | None = None, **options):
        ticket = f"sync {member_id}"
        self.answers.pop(ticket, None)
        request = SyncRequest(
            member_id=member_id,
            generation=self.group.generation if generation is None else generation,
            assignments=assignments or {},
            **options,
        )
        self.take(self.group.sync(request, ticket, self.now_ms))
        return self.answers.get(ticket)

    def heartbeat(self, member_id: str, generation: int | None = None, **options: Any) -> None:
        chosen = self.group.generation if generation is None else generation
        self.group.heartbeat(member_id, chosen, self.now_ms, **options)

    def leave(self, member_id: str, **options: Any) -> None:
        self.take(self.group.leave(member_id, self.now_ms, **options))

    def advance(self, ms: int) -> None:
        """Time passes; `step` comes at each moment at which something is due."""
        end = self.now_ms + ms
        while (due := self.group.due_ms) is not None and due <= end:
            self.now_ms = max(due, self.now_ms)
            self.take(self.group.step(self.now_ms))
        self.now_ms = end

    def stable(self, *members: str, **options: Any) -> None:
        """Members that have joined and synced; the first one leads."""
        for member in members:
            self.join(member, **options.get(member, {}))
        for member in members[:-1]:
            if member not in self.group.members or self.answers.get(member) is not None:
                self.join(member, member, **options.get(member, {}))
        shares = {member: f"share of {member}".encode() for member in members}
        for member in reversed(members):
            self.sync(member, shares if member == self.group.leader else None)
        assert self.group.state is GroupState.STABLE
        assert list(self.group.members) == list(members)


# Joining


def test_a_first_member_is_leader_of_generation_1_at_once() -> None:
    desk = Desk()
    answer = desk.join("a")
    assert (answer.member_id, answer.leader, answer.generation) == ("a", "a", 1)
    assert (answer.protocol_type, answer.protocol) == ("consumer", "range")
    assert [(each.member_id, each.metadata) for each in answer.members] == [("a", b"topics")]
    assert desk.group.state is GroupState.COMPLETING_REBALANCE


def test_a_join_is_parked_until_all_known_members_have_joined_again() -> None:
    desk = Desk()
    desk.stable("a")
    assert desk.join("b") is None
    assert desk.told == ["a"]
    assert desk.group.state is GroupState.PREPARING_REBALANCE
    leader = desk.join("a", "a")
    follower = desk.answers["b"]
    assert leader.generation == follower.generation == 2
    assert [each.member_id for each in leader.members] == ["a", "b"]
    assert (follower.leader, follower.members) == ("a", ())


def test_members_that_do_not_join_again_in_the_rebalance_timeout_are_dropped() -> None:
    desk = Desk()
    desk.stable("a", "b", "c")
    desk.join("d", rebalance_timeout_ms=REBALANCE_MS // 2)
    desk.join("b", "b")
    for _ in range(REBALANCE_MS // 1_000 - 1):
        with pytest.raises(RebalanceInProgressError):
            desk.heartbeat("a")
        with pytest.raises(RebalanceInProgressError):
            desk.heartbeat("c")
        desk.advance(1_000)
    assert desk.group.generation == 2
    desk.advance(1_000)
    assert list(desk.group.members) == ["b", "d"]
    assert desk.answers["d"].leader == "b"
    with pytest.raises(UnknownMemberError):
        desk.heartbeat("a")


def test_the_leader_stays_while_it_joins_and_else_the_first_joined_takes_over() -> None:
    desk = Desk()
    desk.stable("a", "b")
    desk.join("c")
    desk.join("b", "b")
    desk.join("a", "a")
    assert desk.group.leader == "a"
    desk.leave("a")
    assert desk.group.leader == "b"


def test_the_protocol_is_the_one_that_most_prefer_of_those_that_all_know() -> None:
    desk = Desk()
    known = {
        "a": (("x", b"1"), ("y", b"2"), ("z", b"3")),
        "b": (("z", b"4"), ("y", b"5")),
        "c": (("y", b"6"), ("z", b"7")),
    }
    for member, protocols in known.items():
        desk.join(member, protocols=protocols)
    for member, protocols in list(known.items())[:2]:
        desk.join(member, member, protocols=protocols)
    assert desk.answers["a"].protocol == "y"
    assert [each.metadata for each in desk.answers["a"].members] == [b"2", b"5", b"6"]


def test_a_member_without_a_common_protocol_or_of_another_type_is_refused() -> None:
    desk = Desk()
    desk.stable("a")
    for options in ({"protocols": (("sticky", b""),)}, {"protocol_type": "connect"}):
        assert isinstance(desk.join("b", **options).error, InconsistentGroupProtocolError)
    assert isinstance(Desk().join("b", protocols=()).error, InconsistentGroupProtocolError)
    assert desk.group.state is GroupState.STABLE


def test_session_timeouts_out_of_bounds_are_refused() -> None:
    desk = Desk(min_session_timeout_ms=6_000, max_session_timeout_ms=30_000)
    for timeout_ms in (5_999, 30_001):
        answer = desk.join("a", session_timeout_ms=timeout_ms)
        assert isinstance(answer.error, InvalidSessionTimeoutError)
    assert desk.join("a", session_timeout_ms=6_000).error is None


def test_an_unknown_member_id_is_refused() -> None:
    desk = Desk()
    assert isinstance(desk.join("t", "nobody").error, UnknownMemberError)
    desk.stable("a")
    assert isinstance(desk.join("t", "nobody").error, UnknownMemberError)


def test_a_group_takes_no_more_members_than_it_may() -> None:
    desk = Desk(max_size=2)
    desk.stable("a", "b")
    assert isinstance(desk.join("c").error, GroupMaxSizeReachedError)
    assert desk.group.state is GroupState.STABLE


def test_while_joining_the_last_of_too_many_are_sent_away() -> None:
    desk = Desk()
    desk.stable("a", "b", "c")
    desk.group.limits = GroupLimits(max_size=2)
    desk.join("a", "a", protocols=(("range", b"other"),))
    desk.join("b", "b")
    assert isinstance(desk.join("c", "c").error, GroupMaxSizeReachedError)
    assert list(desk.group.members) == ["a", "b"]


def test_an_initial_delay_is_extended_by_each_new_member_up_to_the_rebalance_timeout() -> None:
    desk = Desk(initial_rebalance_delay_ms=3_000)
    assert desk.join("a", rebalance_timeout_ms=8_000) is None
    desk.advance(2_000)
    desk.join("b", rebalance_timeout_ms=8_000)
    desk.advance(2_000)
    assert desk.answers == {}
    desk.advance(2_000)
    assert desk.answers["a"].generation == 1
    assert len(desk.group.members) == 2


def test_the_initial_delay_ends_with_the_rebalance_timeout_whoever_comes() -> None:
    desk = Desk(initial_rebalance_delay_ms=3_000)
    for number in range(7):
        assert desk.answers == {}
        desk.join(f"m{number}", rebalance_timeout_ms=8_000)
        desk.advance(1_000)
    desk.advance(1_000)
    assert desk.group.generation == 1


def test_in_a_stable_group_a_leader_that_joins_again_starts_a_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b")
    assert desk.join("a", "a") is None
    assert desk.group.state is GroupState.PREPARING_REBALANCE


def test_in_a_stable_group_a_follower_with_equal_metadata_just_gets_its_generation() -> None:
    desk = Desk()
    desk.stable("a", "b")
    answer = desk.join("b", "b")
    assert (answer.generation, answer.members, answer.error) == (2, (), None)
    assert desk.group.state is GroupState.STABLE
    assert desk.sync("b").assignment == b"share of b"


def test_in_a_stable_group_a_follower_with_other_metadata_starts_a_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b")
    assert desk.join("b", "b", protocols=(("range", b"others"),)) is None
    assert desk.group.state is GroupState.PREPARING_REBALANCE


def test_before_the_sync_the_same_metadata_gets_the_generation_once_more() -> None:
    desk = Desk()
    desk.join("a")
    again = desk.join("t", "a")
    assert (again.generation, len(again.members)) == (1, 1)
    assert desk.group.state is GroupState.COMPLETING_REBALANCE
    changed = desk.join("t", "a", protocols=(("range", b"others"),))
    assert changed.generation == 2


def test_with_known_member_ids_a_new_member_is_told_its_id_first() -> None:
    desk = Desk()
    answer = desk.join("a", member_id_required=True)
    assert isinstance(answer.error, MemberIdRequiredError)
    assert answer.member_id == answer.error.member_id == "a"
    assert desk.group.state is GroupState.EMPTY
    assert desk.join("t", "a", member_id_required=True).generation == 1


def test_a_rebalance_waits_for_a_member_that_was_told_its_id_until_its_session_ends() -> None:
    desk = Desk()
    desk.stable("a")
    desk.join("b", member_id_required=True)
    desk.join("c")
    assert desk.join("a", "a") is None
    desk.advance(SESSION_MS)
    assert sorted(desk.group.members) == ["a", "c"]
    assert desk.answers["a"].generation == 2


def test_a_member_that_was_told_its_id_may_leave() -> None:
    desk = Desk()
    desk.join("a", member_id_required=True)
    desk.leave("a")
    assert isinstance(desk.join("t", "a").error, UnknownMemberError)


def test_a_member_that_leaves_before_it_joined_starts_a_rebalance_all_the_same() -> None:
    """A broker's does; one that only falls silent starts none."""
    desk = Desk()
    desk.stable("a")
    desk.join("b", member_id_required=True)
    desk.advance(SESSION_MS - 1)
    desk.heartbeat("a")
    desk.advance(1)
    assert desk.group.state is GroupState.STABLE
    desk.join("c", member_id_required=True)
    desk.leave("c")
    assert desk.group.state is GroupState.PREPARING_REBALANCE


def test_a_group_is_empty_when_its_last_member_leaves_whoever_was_told_an_id() -> None:
    desk = Desk()
    desk.stable("a")
    desk.join("b", member_id_required=True)
    desk.leave("a")
    assert desk.group.state is GroupState.EMPTY
    assert desk.join("t", "b").generation == 3


# Syncing


def test_a_sync_is_parked_until_the_leader_has_assigned() -> None:
    desk = Desk()
    desk.join("a")
    desk.join("b")
    desk.join("a", "a", protocols=(("range", b"others"),))
    assert desk.sync("b") is None
    assert desk.sync("a", {"a": b"1", "b": b"2"}).assignment == b"1"
    assert desk.answers["sync b"].assignment == b"2"
    assert desk.answers["sync b"].protocol == "range"
    assert desk.group.state is GroupState.STABLE


def test_the_groups_record_is_written_before_the_assignments_are_told() -> None:
    desk = Desk()
    desk.join("a", client_id="c", client_host="h")
    decisions = desk.group.sync(
        SyncRequest(member_id="a", generation=1, assignments={"a": b"1"}), "t", 5
    )
    assert [type(each) for each in decisions] == [WriteGroup, SyncAnswer]
    value = decisions[0].value
    assert (value.generation, value.protocol, value.leader) == (1, "range", "a")
    assert [
        (each.member_id, each.client_id, each.client_host, each.subscription, each.assignment)
        for each in value.members
    ] == [("a", "c", "h", b"topics", b"1")]


def test_a_member_that_the_leader_left_out_is_assigned_nothing() -> None:
    desk = Desk()
    desk.join("a")
    assert desk.sync("a", {}).assignment == b""


def test_a_sync_is_refused_by_name() -> None:
    desk = Desk()
    assert isinstance(desk.sync("a").error, UnknownMemberError)
    desk.stable("a")
    assert isinstance(desk.sync("b").error, UnknownMemberError)
    assert isinstance(desk.sync("a", generation=0).error, IllegalGenerationError)
    for options in ({"protocol": "sticky"}, {"protocol_type": "connect"}):
        assert isinstance(desk.sync("a", **options).error, InconsistentGroupProtocolError)
    desk.join("b")
    assert isinstance(desk.sync("a").error, RebalanceInProgressError)


def test_a_parked_sync_is_ended_by_the_next_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b")
    desk.join("a", "a")
    desk.join("b", "b")
    assert desk.sync("b") is None
    desk.join("c")
    assert isinstance(desk.answers["sync b"].error, RebalanceInProgressError)


def test_members_that_never_sync_are_removed_after_the_rebalance_timeout() -> None:
    desk = Desk()
    desk.stable("a", "b")
    desk.join("a", "a")
    desk.join("b", "b")
    desk.sync("a", {"a": b"1"})
    for _ in range(REBALANCE_MS // 1_000):
        desk.heartbeat("a", 3)
        desk.heartbeat("b", 3)
        desk.advance(1_000)
    assert list(desk.group.members) == ["a"]
    assert desk.group.state is GroupState.PREPARING_REBALANCE


# Heartbeats and sessions


def test_heartbeats_are_answered_as_the_state_asks() -> None:
    desk = Desk()
    with pytest.raises(UnknownMemberError):
        desk.heartbeat("a")
    desk.join("a")
    desk.heartbeat("a")
    desk.sync("a")
    desk.heartbeat("a")
    with pytest.raises(IllegalGenerationError):
        desk.heartbeat("a", 7)
    desk.join("b")
    with pytest.raises(RebalanceInProgressError):
        desk.heartbeat("a")


def test_a_heartbeat_during_a_rebalance_keeps_the_member() -> None:
    desk = Desk()
    desk.stable("a")
    desk.join("b")
    for _ in range(5):
        desk.advance(SESSION_MS - 1)
        with pytest.raises(RebalanceInProgressError):
            desk.heartbeat("a")
    assert "a" in desk.group.members


def test_a_member_whose_session_ends_is_removed_and_the_others_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b")
    desk.advance(SESSION_MS - 1)
    desk.heartbeat("b")
    desk.advance(1)
    assert list(desk.group.members) == ["b"]
    assert desk.told == ["b"]
    desk.advance(SESSION_MS)
    assert desk.group.state is GroupState.EMPTY
    assert desk.records[-1].members == ()


def test_a_session_begins_when_the_join_is_answered() -> None:
    desk = Desk()
    desk.stable("a")
    desk.join("b")
    desk.advance(SESSION_MS - 1)
    desk.join("a", "a")
    desk.advance(SESSION_MS - 1)
    assert list(desk.group.members) == ["a", "b"]
    desk.advance(1)
    assert desk.group.members == {}


def test_who_waits_for_others_needs_no_heartbeats_but_a_new_member_not_for_ever() -> None:
    desk = Desk()
    desk.stable("a", "b", a={"rebalance_timeout_ms": 900_000})
    desk.join("c")
    desk.join("b", "b")
    for _ in range(299):
        with pytest.raises(RebalanceInProgressError):
            desk.heartbeat("a")
        desk.advance(1_000)
    assert list(desk.group.members) == ["a", "b", "c"]
    with pytest.raises(RebalanceInProgressError):
        desk.heartbeat("a")
    desk.advance(1_000)
    assert list(desk.group.members) == ["a", "b"]
    assert isinstance(desk.answers["c"].error, UnknownMemberError)


def test_a_member_that_leaves_starts_a_rebalance_and_the_last_one_empties_the_group() -> None:
    desk = Desk()
    desk.stable("a", "b")
    desk.leave("b")
    assert desk.group.state is GroupState.PREPARING_REBALANCE
    desk.leave("a")
    assert desk.group.state is GroupState.EMPTY
    assert (desk.group.generation, desk.group.protocol) == (3, None)
    with pytest.raises(UnknownMemberError):
        desk.leave("a")


# Static members


def test_a_static_member_that_comes_back_takes_its_place_without_a_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b", b={"group_instance_id": "two"})
    answer = desk.join("b2", group_instance_id="two")
    assert (answer.member_id, answer.generation, answer.skip_assignment) == ("b2", 2, False)
    assert desk.group.state is GroupState.STABLE
    assert desk.sync("b2", group_instance_id="two").assignment == b"share of b"
    assert [each.member_id for each in desk.records[-1].members] == ["a", "b2"]
    for attempt in (desk.heartbeat, desk.leave):
        with pytest.raises(FencedInstanceError):
            attempt("b", group_instance_id="two")


def test_a_static_leader_that_comes_back_leads_and_assigns_nothing() -> None:
    desk = Desk()
    desk.stable("a", "b", a={"group_instance_id": "one"})
    answer = desk.join("a2", group_instance_id="one")
    assert (answer.leader, answer.skip_assignment, len(answer.members)) == ("a2", True, 2)
    older = desk.join("a3", group_instance_id="one", may_skip_assignment=False)
    assert (older.leader, older.members) == ("a2", ())
    assert desk.group.leader == "a3"


def test_a_static_member_that_changes_the_protocol_starts_a_rebalance() -> None:
    desk = Desk()
    both = (("range", b"1"), ("sticky", b"2"))
    desk.stable("a", "b", a={"protocols": both}, b={"group_instance_id": "two", "protocols": both})
    assert desk.join("b2", group_instance_id="two", protocols=(("sticky", b"2"),)) is None
    assert desk.group.state is GroupState.PREPARING_REBALANCE
    assert desk.join("a", "a", protocols=both).protocol == "sticky"


def test_a_static_member_that_comes_back_before_the_sync_starts_a_rebalance() -> None:
    desk = Desk()
    desk.stable("a", "b", b={"group_instance_id": "two"})
    desk.join("a", "a")
    desk.join("b", "b", group_instance_id="two")
    assert desk.join("b2", group_instance_id="two") is None
    assert desk.join("a", "a").generation == 4


def test_whoever_is_parked_under_an_instance_id_is_fenced_by_its_successor() -> None:
    desk = Desk()
    desk.stable("a")
    desk.join("b", group_instance_id="two")
    assert desk.join("b2", group_instance_id="two") is None
    assert isinstance(desk.answers["b"].error, FencedInstanceError)
    desk.join("a", "a")
    assert desk.answers["b2"].error is None


def test_static_members_stay_when_they_do_not_join_again_and_go_with_their_session() -> None:
    desk = Desk()
    desk.stable("a", "b", b={"group_instance_id": "two", "session_timeout_ms": 100_000})
    desk.join("a", "a", protocols=(("range", b"others"),))
    desk.advance(REBALANCE_MS)
    assert desk.answers["a"].generation == 3
    assert list(desk.group.members) == ["a", "b"]
    desk.sync("a", {"b": b"kept"})
    desk.heartbeat("a")
    for _ in range(11):
        desk.advance(SESSION_MS - 1)
        if "a" in desk.group.members and desk.group.state is GroupState.STABLE:
            desk.heartbeat("a")
    assert "b" not in desk.group.members


def test_an_administrator_removes_a_static_member_by_its_instance_id() -> None:
    desk = Desk()
    desk.stable("a", "b", b={"group_instance_id": "two"})
    desk.leave("", group_instance_id="two")
    assert list(desk.group.members) == ["a"]
    with pytest.raises(UnknownMemberError):
        desk.leave("", group_instance_id="two")


# Commits


def test_who_may_commit_offsets() -> None:
    desk = Desk()
    desk.group.check_commit("", -1)
    desk.join("a")
    with pytest.raises(RebalanceInProgressError):
        desk.group.check_commit("a", 1)
    desk.group.check_commit("a", 1, transactional=True)
    desk.sync("a")
    desk.group.check_commit("a", 1)
    with pytest.raises(IllegalGenerationError):
        desk.group.check_commit("a", 0)
    with pytest.raises(UnknownMemberError):
        desk.group.check_commit("b", 1)
    with pytest.raises(UnknownMemberError):
        desk.group.check_commit("", -1)
    desk.group.check_commit("", -1, transactional=True)
    desk.join("b")
    desk.group.check_commit("a", 1)


def test_a_fenced_static_member_cannot_commit() -> None:
    desk = Desk()
    desk.stable("a", a={"group_instance_id": "one"})
    desk.join("a2", group_instance_id="one")
    for transactional in (False, True):
        with pytest.raises(FencedInstanceError):
            desk.group.check_commit("a", 1, group_instance_id="one", transactional=transactional)


def test_a_commit_keeps_a_member() -> None:
    desk = Desk()
    desk.stable("a")
    desk.advance(SESSION_MS - 1)
    desk.group.check_commit("a", 1, now_ms=desk.now_ms)
    desk.advance(SESSION_MS - 1)
    assert "a" in desk.group.members


def test_a_deleted_group_takes_neither_members_nor_commits() -> None:
    desk = Desk()
    desk.group.die()
    assert isinstance(desk.join("a").error, UnknownMemberError)
    with pytest.raises(UnknownGroupError):
        desk.group.check_commit("", -1)


# Restoring


def test_a_group_comes_back_from_its_record_with_new_sessions() -> None:
    desk = Desk()
    desk.stable("a", "b", b={"group_instance_id": "two"})
    restored = Desk()
    restored.group = ClassicGroup.restore("g", desk.records[-1], now_ms=restored.now_ms)
    assert restored.group.to_value() == desk.records[-1]
    restored.heartbeat("a", 2)
    assert restored.sync("a").assignment == b"share of a"
    assert restored.join("b2", group_instance_id="two").generation == 2
    restored.advance(SESSION_MS)
    assert restored.group.state is GroupState.EMPTY


def test_an_empty_group_keeps_its_generation_over_a_restart() -> None:
    desk = Desk()
    desk.stable("a")
    desk.leave("a")
    restored = ClassicGroup.restore("g", desk.records[-1], now_ms=5)
    assert (restored.state, restored.generation, restored.since_ms) == ("Empty", 2, 1_000)
    assert restored.due_ms is None
