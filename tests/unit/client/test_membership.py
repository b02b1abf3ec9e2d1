"""A group's partitions are divided among its members and change hands in two steps."""

import pytest

from streamlog.client.contract import TopicPartition
from streamlog.client.membership import Membership, choose_ranges
from streamlog.errors import IllegalGenerationError, UnknownMemberError


def partitions(topic, *numbers):
    return {TopicPartition(topic, number) for number in numbers}


def test_ranges_are_kafkas():
    assert choose_ranges(7, ["a", "b", "c"]) == [range(3), range(3, 5), range(5, 7)]
    assert choose_ranges(1, ["a", "b"]) == [range(1), range(1, 1)]


def test_a_lone_member_holds_everything_it_wants():
    group = Membership("g")
    group.join("a", {"t": 3, "u": 1})
    assert group.claim("a") == partitions("t", 0, 1, 2) | partitions("u", 0)
    assert group.settled("a")


def test_a_partition_reaches_its_new_owner_only_when_the_old_one_gives_it_up():
    group = Membership("g")
    group.join("a", {"t": 4})
    group.claim("a")
    group.join("b", {"t": 4})
    assert group.claim("b") == set()
    assert not group.settled("b")
    assert group.surplus("a") == partitions("t", 2, 3)
    group.release("a", group.surplus("a"))
    assert group.claim("b") == partitions("t", 2, 3)
    assert group.claim("a") == partitions("t", 0, 1)
    assert group.settled("a")
    assert group.settled("b")


def test_a_member_that_leaves_frees_what_it_holds():
    group = Membership("g")
    group.join("a", {"t": 2})
    group.join("b", {"t": 2})
    group.claim("a")
    group.leave("a")
    assert group.claim("b") == partitions("t", 0, 1)
    group.leave("a")


def test_a_topic_is_divided_only_among_those_who_want_it():
    group = Membership("g")
    group.join("a", {"t": 2})
    group.join("b", {"t": 2, "u": 2})
    assert group.claim("a") == partitions("t", 0)
    assert group.claim("b") == partitions("t", 1) | partitions("u", 0, 1)


def test_every_change_is_a_generation():
    group = Membership("g")
    group.join("a", {"t": 1})
    group.claim("a")
    before = group.generation_of("a")
    group.join("b", {"t": 1})
    assert group.generation_id == before + 1
    assert group.generation_of("a") == before
    group.claim("a")
    assert group.generation_of("a") == before + 1


def test_a_member_may_not_commit_what_another_holds():
    group = Membership("g")
    group.join("a", {"t": 2})
    group.claim("a")
    group.join("b", {"t": 2})
    group.check_holds("a", partitions("t", 0, 1))
    group.release("a", group.surplus("a"))
    group.claim("b")
    with pytest.raises(IllegalGenerationError):
        group.check_holds("a", partitions("t", 1))


def test_a_member_that_left_may_commit_nothing():
    group = Membership("g")
    with pytest.raises(UnknownMemberError):
        group.check_holds("a", [])
