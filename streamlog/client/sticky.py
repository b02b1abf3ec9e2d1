"""The division that moves as few partitions as an even one allows (KIP-54, KIP-341). Pure.

Where all members want the same topics, shares differ by one at most, and everybody keeps what it
had up to its share: `_Even`. Else partitions go one by one to the member with the fewest, and then
are moved while that makes the shares more even: `_Balanced`. Both are Kafka's algorithms, because
members of a group take turns in leading it, and a leader that decided otherwise would move
partitions for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NO_GENERATION: Final = -1


class Previous(NamedTuple):
    """What a member had, and in which generation; None is not known."""

    partitions: list[TopicPartition]
    generation: int | None


class Claim(NamedTuple):
    """A member: what it wants and what it had."""

    member_id: str
    topics: Sequence[str]
    previous: Previous
    told_generation: int | None
    """As the subscription tells it; `previous` may have it from elsewhere."""


class Division(NamedTuple):
    """Shares by member id, and which partitions change hands: None where nobody kept count."""

    shares: dict[str, list[TopicPartition]]
    moving: dict[TopicPartition, str] | None


def choose_shares(partitions: Mapping[str, int], claims: Sequence[Claim]) -> Division:
    """Divides the topics, of which `partitions` has the counts, among members.

    A partition that two members claim from the same generation is nobody's; of two generations
    the newer one's claim holds.
    """
    if not claims:
        return Division({}, {})
    wanted = {topic for each in claims for topic in each.topics}
    partitions = {topic: count for topic, count in partitions.items() if topic in wanted}
    owned, contested = _owned(partitions, claims)
    first = set(claims[0].topics)
    if all(len(each.topics) == len(first) and first.issuperset(each.topics) for each in claims):
        even = _Even(partitions, owned, contested)
        even.divide()
        return Division(even.shares, even.moving)
    balanced = _Balanced(partitions, owned, claims)
    balanced.divide()
    return Division(balanced.shares, None)


def _owned(
    partitions: Mapping[str, int], claims: Sequence[Claim]
) -> tuple[dict[str, list[TopicPartition]], set[TopicPartition]]:
    """What each member holds, and what several hold at once."""
    owned: dict[str, list[TopicPartition]] = {}
    contested: set[TopicPartition] = set()
    holders: dict[TopicPartition, Claim] = {}
    for claim in claims:
        mine = owned[claim.member_id] = []
        generation = _known(claim.previous.generation)
        for partition in claim.previous.partitions:
            if partition.topic not in partitions:
                continue
            holder = holders.get(partition)
            theirs = _known(holder.told_generation) if holder else NO_GENERATION
            if holder is None or generation > theirs:
                mine.append(partition)
            elif generation == theirs:
                contested.add(partition)
            else:
                continue
            if holder is not None and partition in owned[holder.member_id]:
                owned[holder.member_id].remove(partition)
            holders[partition] = claim
    return owned, contested


def _known(generation: int | None) -> int:
    return NO_GENERATION if generation is None else generation


def _all_partitions(topics: Iterable[str], partitions: Mapping[str, int]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number) for topic in topics for number in range(partitions[topic])
    ]


class _Even:
    """All members want the same: each gets `least`, and `extra` of them one more."""

    def __init__(
        self,
        partitions: Mapping[str, int],
        owned: Mapping[str, list[TopicPartition]],
        contested: set[TopicPartition],
    ) -> None:
        self._all = _all_partitions(sorted(partitions), partitions)
        self._owned = owned
        self._contested = contested
        self._least, self._extra = divmod(len(self._all), len(owned))
        self._most = self._least + bool(self._extra)
        self._with_extra = 0
        self._below: list[str] = []
        self._at_least: list[str] = []
        self._given_up: dict[TopicPartition, str] = {}
        self.shares: dict[str, list[TopicPartition]] = {member: [] for member in owned}
        self.moving: dict[TopicPartition, str] = {}

    def divide(self) -> None:
        for member, owned in self._owned.items():
            kept = sorted(set(owned) - self._contested, key=lambda each: (each[1], each[0]))
            self._keep(member, kept)
        taken = {partition for share in self.shares.values() for partition in share}
        self._deal([partition for partition in self._all if partition not in taken])

    def _keep(self, member: str, owned: list[TopicPartition]) -> None:
        """What the member may keep, up to its share; who comes first gets what is odd."""
        room_for_extra = self._with_extra < self._extra
        if len(owned) < self._least:
            self._below.append(member)
            limit = len(owned)
        elif len(owned) >= self._most and room_for_extra:
            limit = self._most
            self._with_extra += 1
            if self._with_extra == self._extra:
                self._at_least.clear()
        else:
            limit = self._least
            if room_for_extra:
                self._at_least.append(member)
        self.shares[member] += owned[:limit]
        self._given_up |= dict.fromkeys(owned[limit:], member)

    def _deal(self, unassigned: list[TopicPartition]) -> None:
        """In turn, first to those below the least share, then one each to the next in order."""
        below, at_least = sorted(self._below), sorted(self._at_least)
        turn = 0
        for partition in unassigned:
            if turn >= len(below):
                turn = 0
            member = below[turn] if below else at_least.pop(0)
            share = self.shares[member]
            share.append(partition)
            turn += 1
            former = self._given_up.get(partition, member)
            if former != member or partition in self._contested:
                self.moving[partition] = member
            if len(share) == self._least:
                turn -= 1
                below.remove(member)
                at_least.append(member)


class _Movements:
    """Who gave what to whom: rather than both ways, partitions of a topic move back."""

    def __init__(self) -> None:
        self._by_pair: dict[tuple[str, str, str], list[TopicPartition]] = {}
        self._moves: dict[TopicPartition, tuple[str, str]] = {}

    def choose(self, partition: TopicPartition, source: str, target: str) -> TopicPartition:
        """The partition to move instead: one of the topic that went the other way, if any."""
        if partition in self._moves:
            source = self._moves[partition][0]
        return self._by_pair.get((partition.topic, target, source), [partition])[0]

    def add(self, partition: TopicPartition, source: str, target: str) -> None:
        if partition in self._moves:
            first, second = self._moves.pop(partition)
            pair = self._by_pair[partition.topic, first, second]
            pair.remove(partition)
            if not pair:
                del self._by_pair[partition.topic, first, second]
            if first == target:
                return  # it is back where it was
            source = first
        self._moves[partition] = (source, target)
        self._by_pair.setdefault((partition.topic, source, target), []).append(partition)


class _Balanced:
    """Members want different topics."""

    def __init__(
        self,
        partitions: Mapping[str, int],
        owned: Mapping[str, list[TopicPartition]],
        claims: Sequence[Claim],
    ) -> None:
        self._partitions = partitions
        self._wants = {
            each.member_id: [topic for topic in each.topics if topic in partitions]
            for each in claims
        }
        self._takers: dict[str, list[str]] = {topic: [] for topic in partitions}
        for member, topics in self._wants.items():
            for topic in topics:
                self._takers[topic].append(member)
        self._before = _before(claims)
        self._movements = _Movements()
        self.shares = {member: list(share) for member, share in owned.items()}
        self._owner = {tp: member for member, share in owned.items() for tp in share}
        topics = sorted(partitions, key=lambda topic: (len(self._takers[topic]), topic))
        self._all = _all_partitions(topics, partitions)
        self._active: set[str] = set()

    def divide(self) -> None:
        revoked = self._drop_unwanted()
        kept = {partition for share in self.shares.values() for partition in share}
        unassigned = [partition for partition in self._all if partition not in kept]
        started_empty = not any(self.shares.values())
        self._active = set(self.shares)
        for partition in unassigned:
            self._give(partition)
        movable = [tp for tp in self._all if len(self._takers[tp.topic]) >= 2]
        self._active = {member for member in self.shares if self._can_change(member)}
        before, owners_before = self._copy(), dict(self._owner)
        if not revoked:
            self._move([tp for tp in unassigned if len(self._takers[tp.topic]) >= 2])
        moved = self._move(movable)
        if not started_empty and moved and self._score(self.shares) >= self._score(before):
            self.shares, self._owner = before, owners_before

    def _drop_unwanted(self) -> bool:
        """Whether a member had what it does not want any more."""
        revoked = False
        for member, share in self.shares.items():
            kept = [partition for partition in share if partition.topic in self._wants[member]]
            revoked = revoked or len(kept) < len(share)
            self.shares[member] = kept
        return revoked

    def _give(self, partition: TopicPartition) -> None:
        """To the member with the fewest, of those that want it."""
        if takers := self._takers[partition.topic]:
            taker = min(takers, key=self._rank)
            self.shares[taker].append(partition)
            self._owner[partition] = taker

    def _can_change(self, member: str) -> bool:
        share = self.shares[member]
        return len(share) < self._largest(member) or any(
            len(self._takers[partition.topic]) >= 2 for partition in share
        )

    def _move(self, candidates: list[TopicPartition]) -> bool:
        """Moves partitions until nothing gets more even by it; whether any was moved."""
        performed, again = False, True
        while again:
            again = False
            for partition in candidates:
                if self._is_balanced():
                    break
                if (target := self._better_owner(partition)) is not None:
                    owner = self._owner[partition]
                    self._hand_over(self._movements.choose(partition, owner, target), target)
                    performed = again = True
        return performed

    def _better_owner(self, partition: TopicPartition) -> str | None:
        """The member that had it before, or the one with the fewest, if it has two fewer."""
        size = len(self.shares[self._owner[partition]])
        former = self._before.get(partition)
        if former is not None and size > len(self.shares[former]) + 1:
            return former
        takers = self._takers[partition.topic]
        if any(size > len(self.shares[taker]) + 1 for taker in takers):
            return min((each for each in takers if each in self._active), key=self._rank)
        return None

    def _hand_over(self, partition: TopicPartition, target: str) -> None:
        owner = self._owner[partition]
        self._movements.add(partition, owner, target)
        self.shares[owner].remove(partition)
        self.shares[target].append(partition)
        self._owner[partition] = target

    def _is_balanced(self) -> bool:
        """Whether nobody could get what another has more of."""
        sizes = {member: len(self.shares[member]) for member in self._active}
        if min(sizes.values(), default=0) >= max(sizes.values(), default=0) - 1:
            return True
        for member, size in sorted(sizes.items(), key=lambda item: item[1]):
            if size == self._largest(member):
                continue
            for partition in _all_partitions(self._wants[member], self._partitions):
                owner = self._owner[partition]
                if owner != member and size + 1 < len(self.shares[owner]):
                    return False
        return True

    def _score(self, shares: Mapping[str, list[TopicPartition]]) -> int:
        """The sum of the differences of all pairs; 0 is even."""
        sizes = [len(shares[member]) for member in self._active]
        return sum(
            abs(size - other) for index, size in enumerate(sizes) for other in sizes[index + 1 :]
        )

    def _largest(self, member: str) -> int:
        return sum(self._partitions[topic] for topic in self._wants[member])

    def _rank(self, member: str) -> tuple[int, str]:
        return len(self.shares[member]), member

    def _copy(self) -> dict[str, list[TopicPartition]]:
        return {member: list(share) for member, share in self.shares.items()}


def _before(claims: Sequence[Claim]) -> dict[TopicPartition, str]:
    """Who had a partition in the latest generation before the last one that anybody tells of."""
    newest = max(_known(each.previous.generation) for each in claims)
    before: dict[TopicPartition, tuple[int, str]] = {}
    for claim in claims:
        generation = _known(claim.previous.generation)
        if generation < newest:
            for partition in claim.previous.partitions:
                if partition not in before or generation > before[partition][0]:
                    before[partition] = (generation, claim.member_id)
    return {partition: member for partition, (_, member) in before.items()}
