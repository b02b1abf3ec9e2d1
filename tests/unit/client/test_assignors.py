"""What the assignors promise; that they decide as Kafka's do is tests/conformance's matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.client.assignors import ASSIGNORS, Subscriber, choose_assignors
from streamlog.coordination.consumer_protocol import Subscription
from streamlog.topic import TopicPartition

TOPICS = {"a": 5, "b": 3, "c": 1}


def divide(name, partitions, wishes, owned=None, generation=1):
    assignor, owned = ASSIGNORS[name], owned or {}
    subscribers = [
        Subscriber(
            member,
            None,
            Subscription(
                topics=tuple(topics),
                user_data=assignor.user_data(owned.get(member, ()), generation),
                owned=tuple(owned.get(member, ())) if assignor.cooperative else (),
                generation=generation,
            ),
        )
        for member, topics in wishes.items()
    ]
    return assignor.assign(partitions, subscribers)


wishes = st.dictionaries(
    st.sampled_from(["m1", "m2", "m3", "m4"]),
    st.sets(st.sampled_from([*TOPICS, "unknown"])),
    min_size=1,
)


@pytest.mark.parametrize("name", ASSIGNORS)
@given(first=wishes, second=wishes)
def test_every_wanted_partition_has_one_owner_who_wants_it(name, first, second) -> None:
    shares: dict = {}
    for generation, wanted in enumerate((first, second)):
        before = {member: share for member, share in shares.items() if member in wanted}
        shares = divide(name, TOPICS, wanted, before, generation)
        assert shares.keys() == wanted.keys()
        while ASSIGNORS[name].cooperative and sum(map(len, shares.values())) < missing(wanted):
            settled = divide(name, TOPICS, wanted, shares, generation)
            assert sum(map(len, settled.values())) > sum(map(len, shares.values()))
            shares = settled
        given_out = [partition for share in shares.values() for partition in share]
        assert len(given_out) == len(set(given_out)) == missing(wanted)
        for member, share in shares.items():
            assert {partition.topic for partition in share} <= wanted[member]


def missing(wanted) -> int:
    return sum(TOPICS[topic] for topic in set().union(*wanted.values()) if topic in TOPICS)


@pytest.mark.parametrize("name", ["sticky", "cooperative-sticky"])
def test_a_sticky_share_moves_only_what_has_to_move(name) -> None:
    topics = {"a": 6}
    two = divide(name, topics, {"m1": {"a"}, "m2": {"a"}})
    three = divide(name, topics, {"m1": {"a"}, "m2": {"a"}, "m3": {"a"}}, two)
    for member in two:
        assert set(three[member]) < set(two[member])
        assert len(three[member]) == 2


def test_a_cooperative_member_gets_nothing_that_another_still_holds() -> None:
    topics = {"a": 4}
    one = divide("cooperative-sticky", topics, {"m1": {"a"}})
    both = divide("cooperative-sticky", topics, {"m1": {"a"}, "m2": {"a"}}, one)
    assert (len(both["m1"]), both["m2"]) == (2, [])
    both = divide("cooperative-sticky", topics, {"m1": {"a"}, "m2": {"a"}}, both)
    assert (len(both["m1"]), len(both["m2"])) == (2, 2)


def test_a_partition_that_two_claim_belongs_to_the_later_generation() -> None:
    claimed = TopicPartition("a", 0)
    subscribers = [
        Subscriber(name, None, Subscription(topics=("a",), owned=(claimed,), generation=generation))
        for name, generation in (("m1", 1), ("m2", 2))
    ]
    shares = ASSIGNORS["cooperative-sticky"].assign({"a": 2}, subscribers)
    assert claimed in shares["m2"]


def test_an_unknown_assignor_is_refused_with_the_near_miss() -> None:
    with pytest.raises(ValueError, match="did you mean 'roundrobin'"):
        choose_assignors(["round-robin"])
    with pytest.raises(ValueError, match="at least one"):
        choose_assignors([])
