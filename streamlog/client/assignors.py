"""How the members of a consumer group divide partitions: Kafka's four assignors. Pure.

    range                runs of partitions, topic by topic; the default, beside the last one
    roundrobin           all partitions dealt out in turn
    sticky               even, and as few partitions move as can be; everything is given up first
    cooperative-sticky   the same; members give up only what moves, which takes a second round

The first member that joined decides for all with the assignor that all know and most prefer, so
members of other programs may take part. Results are those of Kafka's clients (4.1) without racks.
Where Kafka's depend on the order of its hash tables, the members' order decides here.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol

from streamlog.client import sticky
from streamlog.coordination.consumer_protocol import (
    decode_generation,
    decode_sticky_data,
    encode_generation,
    encode_sticky_data,
)
from streamlog.errors import did_you_mean
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streamlog.coordination.consumer_protocol import Subscription

Shares = dict[str, list[TopicPartition]]
"""Partitions by member id; every member is in it."""


class Subscriber(NamedTuple):
    """A member as its leader knows it."""

    member_id: str
    group_instance_id: str | None
    subscription: Subscription


class Assignor(Protocol):
    """Divides partitions. Holds no state."""

    name: ClassVar[str]
    cooperative: ClassVar[bool]
    """Whether members keep what they have while they join again."""

    def user_data(self, assigned: Sequence[TopicPartition], generation: int) -> bytes | None:
        """What a member tells the leader of its last assignment, -1 being none."""
        ...

    def assign(self, partitions: Mapping[str, int], subscribers: Sequence[Subscriber]) -> Shares:
        """Shares of topics, of which `partitions` has the counts; an unknown one is left out."""
        ...


class RangeAssignor:
    """Topic by topic: with 7 partitions and 3 members 0 to 2, 3 and 4, 5 and 6."""

    name: ClassVar[str] = "range"
    cooperative: ClassVar[bool] = False

    def user_data(self, assigned: Sequence[TopicPartition], generation: int) -> bytes | None:
        return None

    def assign(self, partitions: Mapping[str, int], subscribers: Sequence[Subscriber]) -> Shares:
        shares: Shares = {each.member_id: [] for each in subscribers}
        in_order = sorted(subscribers, key=_by_instance)
        for topic, count in partitions.items():
            takers = [each.member_id for each in in_order if topic in each.subscription.topics]
            for member_id, run in zip(takers, choose_ranges(count, len(takers)), strict=True):
                shares[member_id] += [TopicPartition(topic, number) for number in run]
        return shares


class RoundRobinAssignor:
    """All partitions in order, each to the next member that wants its topic."""

    name: ClassVar[str] = "roundrobin"
    cooperative: ClassVar[bool] = False

    def user_data(self, assigned: Sequence[TopicPartition], generation: int) -> bytes | None:
        return None

    def assign(self, partitions: Mapping[str, int], subscribers: Sequence[Subscriber]) -> Shares:
        shares: Shares = {each.member_id: [] for each in subscribers}
        turns = cycle(sorted(subscribers, key=_by_instance))
        wanted = {topic for each in subscribers for topic in each.subscription.topics}
        for topic in sorted(wanted & partitions.keys()):
            for number in range(partitions[topic]):
                taker = next(each for each in turns if topic in each.subscription.topics)
                shares[taker.member_id].append(TopicPartition(topic, number))
        return shares


class StickyAssignor:
    """Even, and stays as it was where it can (KIP-54). Members give up everything first."""

    name: ClassVar[str] = "sticky"
    cooperative: ClassVar[bool] = False

    def user_data(self, assigned: Sequence[TopicPartition], generation: int) -> bytes | None:
        return encode_sticky_data(assigned, generation) if generation >= 0 else None

    def assign(self, partitions: Mapping[str, int], subscribers: Sequence[Subscriber]) -> Shares:
        def previous(subscription: Subscription) -> sticky.Previous:
            if not subscription.user_data:
                return sticky.Previous([], None)
            return sticky.Previous(*decode_sticky_data(subscription.user_data))

        return sticky.choose_shares(partitions, _claims(subscribers, previous)).shares


class CooperativeStickyAssignor:
    """The same division, but a partition is given only when its owner has let go (KIP-429)."""

    name: ClassVar[str] = "cooperative-sticky"
    cooperative: ClassVar[bool] = True

    def user_data(self, assigned: Sequence[TopicPartition], generation: int) -> bytes | None:
        return encode_generation(generation)

    def assign(self, partitions: Mapping[str, int], subscribers: Sequence[Subscriber]) -> Shares:
        def previous(subscription: Subscription) -> sticky.Previous:
            generation = subscription.generation
            if generation is None and subscription.user_data is not None:
                generation = decode_generation(subscription.user_data)
            return sticky.Previous(list(subscription.owned), generation)

        chosen = sticky.choose_shares(partitions, _claims(subscribers, previous))
        moving = chosen.moving
        if moving is None:
            moving = _moving(subscribers, chosen.shares)
        for partition, member_id in moving.items():
            if partition in chosen.shares[member_id]:
                chosen.shares[member_id].remove(partition)
        return chosen.shares


def choose_ranges(partitions: int, members: int) -> list[range]:
    """Runs of partitions, the first members getting the odd ones; no run for no members."""
    if not members:
        return []
    size, odd = divmod(partitions, members)
    ends = [size * (index + 1) + min(index + 1, odd) for index in range(members)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


ASSIGNORS: Final[Mapping[str, Assignor]] = {
    assignor.name: assignor
    for assignor in (
        RangeAssignor(),
        RoundRobinAssignor(),
        StickyAssignor(),
        CooperativeStickyAssignor(),
    )
}


def choose_assignors(names: Iterable[str]) -> list[Assignor]:
    """Raises `ValueError` for a name that is none, and for no names at all."""
    chosen: list[Assignor] = []
    for name in names:
        if name not in ASSIGNORS:
            known = ", ".join(map(repr, ASSIGNORS))
            raise ValueError(f"assignor {name!r}{did_you_mean(name, ASSIGNORS)}; one of {known}")
        chosen.append(ASSIGNORS[name])
    if not chosen:
        raise ValueError("a member of a group needs at least one assignor")
    return chosen


def _by_instance(subscriber: Subscriber) -> tuple[bool, str]:
    """Static members come first, by their instance: their ids change with every start."""
    instance = subscriber.group_instance_id
    return (instance is None, subscriber.member_id if instance is None else instance)


class _Reading(Protocol):
    def __call__(self, subscription: Subscription, /) -> sticky.Previous: ...


def _claims(subscribers: Iterable[Subscriber], previous: _Reading) -> list[sticky.Claim]:
    return [
        sticky.Claim(
            member_id=each.member_id,
            topics=each.subscription.topics,
            previous=previous(each.subscription),
            told_generation=each.subscription.generation,
        )
        for each in subscribers
    ]


def _moving(subscribers: Sequence[Subscriber], shares: Shares) -> dict[TopicPartition, str]:
    """Partitions that one member gets and another has yet to give up."""
    gained: dict[TopicPartition, str] = {}
    lost: set[TopicPartition] = set()
    for each in subscribers:
        owned, share = set(each.subscription.owned), set(shares[each.member_id])
        gained |= dict.fromkeys(share - owned, each.member_id)
        lost |= owned - share
    return {partition: taker for partition, taker in gained.items() if partition in lost}
