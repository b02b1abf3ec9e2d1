from __future__ import annotations

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination.internal_topic import (
    OFFSETS_TOPIC,
    TRANSACTION_TOPIC,
    choose_home,
    java_string_hash,
)
from streamlog.errors import CorruptLogError
from streamlog.topic import TopicPartition

from .conftest import World


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("hello", 99162322),
        ("polygenelubricants", -(1 << 31)),
        ("group-number-1", -119955909),
        ("é", 233),
        ("\N{GRINNING FACE}", 1772899),
    ],
)
def test_a_hash_is_javas(text: str, value: int) -> None:
    assert java_string_hash(text) == value


@pytest.mark.parametrize(
    ("key", "home"),
    [("tx-v1", 0), ("tx-v0", 3), ("group-number-1", 1), ("group-number-3", 3)],
)
def test_a_home_is_where_a_broker_with_four_partitions_put_it(key: str, home: int) -> None:
    assert choose_home(key, 4) == home


def test_a_hash_without_an_absolute_value_has_a_home_too() -> None:
    assert choose_home("polygenelubricants", 50) == 0


def test_partitions_are_made_at_their_first_write_only(world: World) -> None:
    world.groups.commit(GroupMetadata(group_id="g"), {TopicPartition("a", 0): 1}).result(0)
    names = [name for name in world.files.listdir("/log") if name.startswith("__")]
    assert names == [f"{OFFSETS_TOPIC}-3", "__streamlog_metadata-0"]


@pytest.mark.parametrize("topic", [OFFSETS_TOPIC, TRANSACTION_TOPIC])
def test_a_damaged_batch_is_named_when_the_log_is_opened(world: World, topic: str) -> None:
    writer = world.writer("t")
    writer.send_offsets(GroupMetadata(group_id="t"), {TopicPartition("a", 0): 1})
    writer.commit()
    world.coordination.close()
    world.directory.close()
    path = f"/log/{topic}-{choose_home('t', 50)}/00000000000000000000.log"
    world.files.open(path, "write").pwrite(b"\xff", 70)
    with pytest.raises(CorruptLogError, match=r"CRC.*Restore it from a copy") as caught:
        World(world.files)
    assert (caught.value.path, caught.value.position) == (path, 0)


def test_a_topic_that_has_another_number_of_partitions_keeps_it(world: World) -> None:
    world.directory.create_topic(OFFSETS_TOPIC, 1)
    for group in ("g", "h", "i"):
        world.groups.commit(GroupMetadata(group_id=group), {TopicPartition("a", 0): 1}).result(0)
    assert world.reopened().groups.groups() == ["g", "h", "i"]
