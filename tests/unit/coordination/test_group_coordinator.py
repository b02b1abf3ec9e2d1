from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination import (
    CoordinationView,
    read_coordination,
    read_group_descriptions,
)
from streamlog.coordination.consumer_protocol import (
    Assignment,
    Subscription,
    encode_assignment,
    encode_subscription,
)
from streamlog.coordination.group_messages import JoinRequest, SyncRequest
from streamlog.errors import (
    FencedInstanceError,
    IllegalGenerationError,
    NonEmptyGroupError,
    SyncFailedError,
    TransactionAbortedError,
    UnknownGroupError,
    UnknownMemberError,
    UnstableOffsetCommitError,
)
from streamlog.storage import ReadOnlyDirectory
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from conftest import World

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)
GROUP = GroupMetadata(group_id="g")
TEN_YEARS_MS = 10 * 365 * 24 * 3_600_000


def test_a_commit_is_seen_when_it_is_done_and_survives(world: World) -> None:
    world.groups.commit(GROUP, {A0: 5, A1: 7}).result(0)
    world.groups.commit(GROUP, {A0: 6}, metadata="words").result(0)
    assert world.groups.committed("g") == {A0: 6, A1: 7}
    assert world.groups.committed("g", [A0, B0]) == {A0: 6}
    assert world.after_power_loss().groups.committed("g") == {A0: 6, A1: 7}
    assert world.reopened().groups.groups() == ["g"]


def test_a_commit_of_nothing_is_done_at_once(world: World) -> None:
    world.groups.commit(GROUP, {}).result(0)
    assert world.groups.groups() == []
    assert world.groups.committed("nobody") == {}


def test_a_commit_that_was_not_synced_is_not_acknowledged(world: World) -> None:
    world.groups.commit(GROUP, {A0: 5}).result(0)
    world.files.fail("datasync")
    with pytest.raises(SyncFailedError):
        world.groups.commit(GROUP, {A0: 6}).result(0)
    assert world.groups.committed("g") == {A0: 5}
    assert world.after_power_loss().groups.committed("g") == {A0: 5}


def test_metadata_and_names_over_kafkas_limits_are_misuse(world: World) -> None:
    with pytest.raises(ValueError, match="4097 bytes is over 4096"):
        world.groups.commit(GROUP, {A0: 1}, metadata="x" * 4097)
    with pytest.raises(ValueError, match="over 32767"):
        world.groups.commit(GroupMetadata(group_id="g" * 32768), {A0: 1})
    with pytest.raises(ValueError, match="over 32767"):
        world.writer("t" * 32768)
    assert world.transactions.transactions() == []
    assert world.groups.groups() == []


def test_rule_13_offsets_of_an_application_do_not_expire(world: World) -> None:
    """Else an application that rests for a week begins at the wrong place."""
    world.groups.commit(GROUP, {A0: 5}).result(0)
    world.clock.advance(TEN_YEARS_MS)
    world.coordination.step()
    assert world.groups.expire() == {}
    assert world.reopened().groups.committed("g") == {A0: 5}


def test_deleted_offsets_are_gone_for_good(world: World) -> None:
    world.groups.commit(GROUP, {A0: 5, A1: 7}).result(0)
    world.groups.delete_offsets("g", [A0]).result(0)
    assert world.groups.committed("g") == {A1: 7}
    world.groups.delete_offsets("g").result(0)
    assert world.groups.groups() == []
    assert world.reopened().groups.committed("g") == {}


# In transactions


def test_offsets_in_a_transaction_commit_with_its_records_or_not_at_all(world: World) -> None:
    writer = world.writer("t")
    for end, records, offset in ((writer.abort, [], {}), (writer.commit, [b"1"], {A0: 5})):
        writer.send("b", 0, b"1")
        writer.send_offsets(GROUP, {A0: 5})
        end()
        assert world.committed_values("b") == records
        assert world.groups.committed("g") == offset
    survived = world.after_power_loss()
    assert survived.committed_values("b") == [b"1"]
    assert survived.groups.committed("g") == {A0: 5}


def test_a_transaction_of_offsets_alone_commits(world: World) -> None:
    writer = world.writer("t")
    writer.send_offsets(GROUP, {A0: 5})
    writer.commit()
    assert world.groups.committed("g") == {A0: 5}


def test_offsets_of_several_groups_and_calls_are_one_transaction(world: World) -> None:
    writer = world.writer("t")
    for number in range(60):
        writer.send_offsets(GroupMetadata(group_id=f"g{number}"), {A0: number})
        writer.send_offsets(GroupMetadata(group_id=f"g{number}"), {A0: number + 1, A1: 9})
    writer.commit()
    for each in (world, world.after_power_loss()):
        assert [each.groups.committed(f"g{number}") for number in range(60)] == [
            {A0: number + 1, A1: 9} for number in range(60)
        ]


def test_a_transaction_that_was_ended_takes_no_more_offsets(world: World) -> None:
    writer = world.writer("t", timeout_ms=1_000)
    writer.send_offsets(GROUP, {A0: 5})
    for _ in range(3):
        world.transactions.step()
        world.clock.advance(1_000)
    with pytest.raises(TransactionAbortedError):
        writer.send_offsets(GROUP, {A0: 6})
    assert world.groups.committed("g") == {}


def test_committed_offsets_are_stable(world: World) -> None:
    """Else a successor begins before what its predecessor is about to commit."""
    world.groups.commit(GROUP, {A0: 4, A1: 1}).result(0)
    writer = world.writer("t")
    writer.send_offsets(GROUP, {A0: 5})
    with pytest.raises(UnstableOffsetCommitError, match="a-0"):
        world.groups.committed("g", timeout=0)
    assert world.groups.committed("g", [A1], timeout=0) == {A1: 1}
    writer.commit()
    assert world.groups.committed("g", timeout=0) == {A0: 5, A1: 1}


def test_who_waits_for_stable_offsets_gets_them_with_the_transactions_end(world: World) -> None:
    writer = world.writer("t")
    writer.send_offsets(GROUP, {A0: 5})
    found: list[dict[TopicPartition, int]] = []
    asked = Event()

    def ask() -> None:
        asked.set()
        found.append(world.groups.committed("g", timeout=60))

    thread = Thread(target=ask)
    thread.start()
    asked.wait()
    writer.commit()
    thread.join()
    assert found == [{A0: 5}]


def test_nobody_waits_for_offsets_that_a_failed_disk_leaves_undecided(world: World) -> None:
    writer = world.writer("t")
    writer.send_offsets(GROUP, {A0: 5})
    world.files.fail("datasync")
    with pytest.raises(SyncFailedError):
        writer.commit()
    with pytest.raises(SyncFailedError):
        world.groups.committed("g")


# Members


def join(world: World, group: str = "g", **options: Any) -> GroupMetadata:
    """A member that has joined and been assigned; the others have to be gone."""
    answers: list[Any] = []
    fresh = f"c-{uuid4()}"
    subscription = encode_subscription(Subscription(topics=("a",)))
    request = JoinRequest(
        protocol_type="consumer",
        protocols=(("range", subscription),),
        fresh_member_id=fresh,
        client_id="c",
        **options,
    )
    members = world.groups.members
    members.join(group, request, answers.append)
    joined = answers.pop()
    assert joined.error is None, joined.error
    assignment = encode_assignment(Assignment(partitions=(A0, A1)))
    request = SyncRequest(
        member_id=joined.member_id,
        generation=joined.generation,
        group_instance_id=options.get("group_instance_id"),
        assignments={} if joined.skip_assignment else {joined.member_id: assignment},
    )
    members.sync(group, request, answers.append)
    assert answers.pop().assignment == assignment
    return GroupMetadata(
        group_id=group,
        generation_id=joined.generation,
        member_id=joined.member_id,
        group_instance_id=options.get("group_instance_id"),
    )


def pass_time(world: World, ms: int) -> None:
    """As the housekeeping lets it pass."""
    world.groups.members.step()
    for _ in range(0, ms, 1_000):
        world.clock.advance(1_000)
        world.groups.members.step()


def test_a_former_member_is_fenced_in_commits_and_transactions(world: World) -> None:
    first = join(world)
    world.groups.commit(first, {A0: 1}).result(0)
    pass_time(world, 45_000)
    second = join(world)
    writer = world.writer("t")
    stale = replace(second, generation_id=second.generation_id - 1)
    for fenced, error in ((first, UnknownMemberError), (stale, IllegalGenerationError)):
        with pytest.raises(error):
            world.groups.commit(fenced, {A0: 9})
        with pytest.raises(error):
            writer.send_offsets(fenced, {A0: 9})
    writer.send_offsets(second, {A0: 2})
    writer.commit()
    with pytest.raises(UnknownMemberError):
        world.groups.commit(GROUP, {A0: 9})
    world.groups.members.leave(second)
    world.groups.commit(GROUP, {A0: 3}).result(0)
    assert world.groups.committed("g") == {A0: 3}


def test_a_generation_is_never_taken_twice_over_a_clean_stop(world: World) -> None:
    before = join(world)
    after = join(world.reopened())
    assert after.generation_id > before.generation_id


def test_members_end_with_their_process_but_static_ones_may_come_back(world: World) -> None:
    join(world, "dynamic")
    before = join(world, "static", group_instance_id="one")
    world.directory.flusher.wait_durable()
    survived = world.after_power_loss()
    assert survived.groups.describe("dynamic").state == "Empty"
    described = survived.groups.describe("static")
    assert (described.state, described.members[0].assignment) == ("Stable", (A0, A1))
    after = join(survived, "static", group_instance_id="one")
    assert after.generation_id == before.generation_id
    with pytest.raises(FencedInstanceError):
        survived.groups.commit(before, {A0: 1})
    pass_time(survived, 45_000)
    assert survived.groups.describe("static").state == "Empty"


def test_rule_16_a_stalled_process_ends_no_session(world: World) -> None:
    member = join(world)
    pass_time(world, 40_000)
    world.clock.advance(TEN_YEARS_MS)
    pass_time(world, 4_000)
    world.groups.members.heartbeat(member)
    world.clock.advance(-TEN_YEARS_MS)
    pass_time(world, 44_000)
    world.groups.members.heartbeat(member)
    pass_time(world, 45_000)
    with pytest.raises(UnknownMemberError):
        world.groups.members.heartbeat(member)


def test_requests_to_unknown_groups_are_refused(world: World) -> None:
    stranger = GroupMetadata(group_id="nobody", generation_id=1, member_id="m")
    for attempt in (
        lambda: world.groups.members.heartbeat(stranger),
        lambda: world.groups.members.leave(stranger),
        lambda: world.groups.commit(stranger, {A0: 1}),
    ):
        with pytest.raises(UnknownMemberError):
            attempt()
    answers: list[Any] = []
    request = SyncRequest(member_id="m", generation=1)
    world.groups.members.sync("nobody", request, answers.append)
    assert isinstance(answers[0].error, UnknownMemberError)


# Describing, deleting, setting


def test_a_group_is_described_with_its_members_and_offsets(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A1: 4}).result(0)
    described = world.groups.describe("g")
    assert (described.state, described.protocol_type, described.protocol) == (
        "Stable",
        "consumer",
        "range",
    )
    assert (described.generation_id, described.leader) == (1, member.member_id)
    assert described.offsets == {A1: 4}
    assert [(each.client_id, each.topics, each.assignment) for each in described.members] == [
        ("c", ("a",), (A0, A1))
    ]
    with pytest.raises(UnknownGroupError, match="did you mean"):
        world.groups.describe("gg")


def test_a_deleted_group_leaves_nothing_behind(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A0: 5}).result(0)
    with pytest.raises(NonEmptyGroupError):
        world.groups.delete("g")
    world.groups.members.leave(member)
    world.groups.delete("g").result(0)
    for each in (world, world.after_power_loss()):
        assert each.groups.groups() == []
        with pytest.raises(UnknownGroupError):
            each.groups.delete("g")


def test_offsets_are_set_only_where_no_member_would_miss_it(world: World) -> None:
    world.groups.alter_offsets("g", {A0: 5, A1: 6}).result(0)
    world.groups.alter_offsets("g", {A0: 1, A1: None}).result(0)
    assert world.groups.committed("g") == {A0: 1}
    join(world)
    with pytest.raises(NonEmptyGroupError):
        world.groups.alter_offsets("g", {A0: 2})
    assert world.after_power_loss().groups.committed("g") == {A0: 1}


def test_the_logs_configuration_rules_groups_as_it_is_now(world: World) -> None:
    world.directory.alter_config(
        {
            "group.max.session.timeout.ms": "10000",
            "offsets.retention.minutes": "1",
            "offset.metadata.max.bytes": "3",
        }
    )
    with pytest.raises(AssertionError, match="between 6000"):
        join(world)
    member = join(world, session_timeout_ms=10_000)
    with pytest.raises(ValueError, match="4 bytes is over 3"):
        world.groups.commit(member, {A0: 5}, metadata="four")
    world.groups.commit(member, {A0: 5}).result(0)
    world.groups.members.leave(member)
    world.clock.advance(60_000)
    assert world.groups.expire() == {"g": [A0]}


# Expiry

WEEK_MS = 7 * 24 * 3_600_000


def test_a_group_expires_a_week_after_its_last_member_left(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A0: 5, B0: 1}).result(0)
    world.clock.advance(2 * WEEK_MS)
    world.groups.members.leave(member)
    world.clock.advance(WEEK_MS - 1)
    assert world.groups.expire() == {}
    world.clock.advance(1)
    assert world.groups.expire() == {"g": [A0, B0]}
    world.directory.flusher.wait_durable()
    for each in (world, world.after_power_loss()):
        assert each.groups.groups() == []


def test_a_group_with_members_loses_only_what_nobody_reads(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A0: 5, B0: 1}).result(0)
    world.clock.advance(WEEK_MS)
    assert world.groups.expire() == {"g": [B0]}
    world.directory.flusher.wait_durable()
    assert world.groups.committed("g") == {A0: 5}


def test_what_a_transaction_is_about_to_commit_does_not_expire(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A0: 5, B0: 1}).result(0)
    writer = world.writer("t", timeout_ms=900_000)
    writer.send_offsets(member, {A0: 6})
    world.groups.members.leave(member)
    world.clock.advance(WEEK_MS)
    assert world.groups.expire() == {"g": [B0]}
    writer.commit()
    assert world.groups.committed("g") == {A0: 6}


# Reading beside the owner


def test_a_reader_beside_the_owner_sees_what_is_durable(world: World) -> None:
    assert view(world) == CoordinationView([], {})
    writer = world.writer("t")
    writer.send_offsets(GROUP, {A0: 5})
    writer.commit()
    world.groups.commit(GroupMetadata(group_id="h"), {B0: 1}).result(0)
    seen = view(world)
    assert seen.offsets == {"g": {A0: 5}, "h": {B0: 1}}
    assert [(each.transactional_id, each.state.kafka_name) for each in seen.transactions] == [
        ("t", "PrepareCommit")
    ]
    world.coordination.step()
    world.directory.flusher.wait_durable()
    assert view(world).transactions == world.transactions.transactions()


def test_a_reader_beside_the_owner_describes_groups_as_the_owner_does(world: World) -> None:
    member = join(world)
    world.groups.commit(member, {A0: 5}).result(0)
    world.groups.commit(GroupMetadata(group_id="h"), {B0: 1}).result(0)
    with ReadOnlyDirectory.open("/log", files=world.files) as directory:
        described = read_group_descriptions(directory)
    assert described == {name: world.groups.describe(name) for name in ("g", "h")}


def view(world: World) -> CoordinationView:
    with ReadOnlyDirectory.open("/log", files=world.files) as directory:
        return read_coordination(directory)
