"""What the coordinators know is the same whether or not their topics have been compacted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import GroupMetadata
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, TRANSACTION_TOPIC
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from conftest import World, Writer

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)
GROUPS = [GroupMetadata(group_id="g"), GroupMetadata(group_id="h")]
SMALL = {
    "segment.bytes": "900",
    "min.cleanable.dirty.ratio": "0",
    "delete.retention.ms": "1000",
}


def make_small(world: World) -> None:
    for topic in {OFFSETS_TOPIC, TRANSACTION_TOPIC} & world.directory.topics().keys():
        world.directory.alter_topic(topic, config=SMALL)


def clean(world: World) -> int:
    """Rounds until nothing is left to do."""
    cleaner = world.directory.cleaner
    assert cleaner is not None
    rounds = 0
    while cleaner.step(world.clock.now_ms()):
        rounds += 1
    assert cleaner.faults == {}
    return rounds


def offsets(world: World) -> dict[str, dict[TopicPartition, int]]:
    return {group.group_id: dict(world.groups.committed(group.group_id)) for group in GROUPS}


def work(world: World, writers: list[Writer], start: int) -> None:
    """Plain commits, transactions that commit and abort, on both groups."""
    for number in range(start, start + 12):
        world.clock.advance(100)
        world.groups.commit(GROUPS[number % 2], {A0: number}).result(0)
        writer = writers[number % 2]
        writer.send("a", 1, b"%d" % number)
        writer.send_offsets(GROUPS[0], {A1: number, B0: number})
        if number % 3:
            writer.commit()
        else:
            writer.abort()


def test_both_know_the_same_after_their_topics_were_compacted(world: World) -> None:
    writers = [world.writer("one"), world.writer("two")]
    work(world, writers, 0)
    make_small(world)
    rounds = 0
    for start in (12, 24, 36):
        work(world, writers, start)
        world.clock.advance(1001)
        expected = offsets(world)
        rounds += clean(world)
        assert offsets(world) == expected
        assert offsets(world.after_power_loss()) == expected
    assert rounds > 6
    values = world.committed_values("a", 1)
    world = world.reopened()
    assert offsets(world) == expected
    assert world.committed_values("a", 1) == values
    writers = [world.writer("one"), world.writer("two")]
    work(world, writers, 48)
    clean(world)
    assert offsets(world.reopened()) == {
        "g": {A0: 58, A1: 59, B0: 59},
        "h": {A0: 59},
    }


def test_an_open_transaction_is_ended_after_a_crash_of_a_compacted_log(world: World) -> None:
    writers = [world.writer("one"), world.writer("two")]
    world.groups.commit(GROUPS[0], {A0: 0}).result(0)
    make_small(world)
    work(world, writers, 0)
    writers[0].send("a", 1, b"open")
    writers[0].send_offsets(GROUPS[0], {A1: 99})
    for number in range(20):
        world.groups.commit(GROUPS[1], {A0: number}).result(0)
    assert clean(world)
    values = world.committed_values("a", 1)
    world = world.after_power_loss()
    assert world.groups.committed("g", [A1]) == {A1: 11}
    assert world.committed_values("a", 1) == values
    assert not world.directory.open_transactions()


def test_a_deleted_group_does_not_come_back_when_its_tombstones_are_gone(world: World) -> None:
    for number in range(10):
        world.groups.commit(GROUPS[0], {A0: number, A1: number}).result(0)
    make_small(world)
    world.groups.delete("g").result(0)
    for _ in range(3):
        for number in range(10):
            world.groups.commit(GroupMetadata(group_id="g-2"), {A0: number}).result(0)
            world.groups.commit(GROUPS[0], {B0: number}).result(0)
        world.groups.delete("g").result(0)
        world.clock.advance(1001)
        assert clean(world)
    assert world.reopened().groups.groups() == ["g-2"]
