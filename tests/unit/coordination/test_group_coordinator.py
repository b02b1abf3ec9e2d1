from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination import CoordinationView, read_coordination
from streamlog.errors import (
    IllegalGenerationError,
    SyncFailedError,
    TransactionAbortedError,
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


def join(world: World) -> GroupMetadata:
    return world.groups.join("g", client_id="c", topics=["a"], partitions=[A0, A1])


def test_a_second_member_fences_the_first_in_commits_and_transactions(world: World) -> None:
    first = join(world)
    world.groups.commit(first, {A0: 1}).result(0)
    second = join(world)
    with pytest.raises(IllegalGenerationError):
        world.groups.commit(first, {A0: 9})
    writer = world.writer("t")
    with pytest.raises(IllegalGenerationError):
        writer.send_offsets(first, {A0: 9})
    writer.send_offsets(second, {A0: 2})
    writer.commit()
    world.groups.leave(first)
    with pytest.raises(UnknownMemberError):
        world.groups.commit(GROUP, {A0: 9})
    world.groups.leave(second)
    world.groups.commit(GROUP, {A0: 3}).result(0)
    assert world.groups.committed("g") == {A0: 3}


def test_a_generation_is_never_taken_twice_over_a_clean_stop(world: World) -> None:
    before = join(world)
    after = join(world.reopened())
    assert after.generation_id > before.generation_id


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


def view(world: World) -> CoordinationView:
    with ReadOnlyDirectory.open("/log", files=world.files) as directory:
        return read_coordination(directory)
