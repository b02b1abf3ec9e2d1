"""One consumer's side of the classic group protocol. Pure.

    OUT ── Join ──► JOINING ── joined: the leader divides ──► SYNCING ── synced ──► MEMBER
     ▲                                                           │                  │  ▲
     └──── unknown, fenced, put out: what it had is lost ────────┴──────────────────┘  │
                                                   told to join again, or wants to ── Join

What another thread learns (`joined`, `synced`, `told_to_rejoin`, `heartbeat_failed`) only changes
this state. The consumer asks `choose_step` when it polls and does, in its own thread, what comes
out: give up (`Revoke`, `Lose`), take over (`Adopt`), `Join`; and says so with `released`,
`adopted`, `joining`. An eager member gives up everything before it joins again. A cooperative one
keeps it, gives up what it is not assigned any more, and then joins once more, so that the new owner
can be given it (KIP-429).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from streamlog.client.assignors import ASSIGNORS, Subscriber, choose_assignors
from streamlog.client.contract import GroupMetadata
from streamlog.coordination.consumer_protocol import (
    NO_GENERATION,
    PROTOCOL_TYPE,
    Assignment,
    Subscription,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from streamlog.coordination.group_messages import JoinRequest, SyncRequest
from streamlog.errors import (
    IllegalGenerationError,
    RebalanceInProgressError,
    StreamlogError,
    UnknownMemberError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamlog.coordination.group_messages import JoinAnswer, SyncAnswer
    from streamlog.topic import TopicPartition

_INSTANCE_ID = re.compile(r"[a-zA-Z0-9._-]{1,249}")
Counts = dict[str, int]
"""Topics that exist, and how many partitions they have."""


class Phase(Enum):
    OUT = auto()
    JOINING = auto()
    SYNCING = auto()
    MEMBER = auto()


@dataclass(frozen=True, slots=True)
class Revoke:
    """Commit these and give them up."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Lose:
    """These may be somebody else's already: give them up, nothing of them can be committed."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Adopt:
    """Read all these from here on; `added` are those that it did not read before."""

    partitions: tuple[TopicPartition, ...]
    added: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Send a join request."""


Step = Revoke | Lose | Adopt | Join


def check_identity(group: str | None, group_instance_id: str | None) -> None:
    """Raises `ValueError` for ids that Kafka refuses, and for an instance of no group."""
    if group == "":
        raise ValueError("group is '': a group needs a name, and who shares nothing needs no group")
    if group_instance_id is None:
        return
    if group is None:
        raise ValueError(f"group_instance_id is {group_instance_id!r}, but there is no group")
    if not _INSTANCE_ID.fullmatch(group_instance_id) or group_instance_id in {".", ".."}:
        raise ValueError(
            f"group_instance_id is {group_instance_id!r}; it has 1 to 249 letters, digits, '.', "
            "'_' and '-', and is neither '.' nor '..'"
        )


class Membership:
    """Not for two threads at a time."""

    def __init__(
        self,
        group: str,
        topics: Iterable[str],
        *,
        assignors: Iterable[str],
        client_id: str,
        group_instance_id: str | None,
        session_timeout_ms: int,
        max_poll_interval_ms: int,
    ) -> None:
        if max_poll_interval_ms < 1:
            raise ValueError(f"max_poll_interval_ms is {max_poll_interval_ms}, not 1 or more")
        self.group = group
        self.topics = tuple(topics)
        self.group_instance_id = group_instance_id
        self.max_poll_interval_ms = max_poll_interval_ms
        self.member_id = ""
        self.generation = NO_GENERATION
        self.phase = Phase.OUT
        self._assignors = choose_assignors(assignors)
        self._cooperative = all(each.cooperative for each in self._assignors)
        self._client_id = client_id
        self._session_timeout_ms = session_timeout_ms
        self._rejoins = False
        self._lost = False
        self._owned: tuple[TopicPartition, ...] = ()
        self._offered: tuple[TopicPartition, ...] | None = None
        self._last: tuple[tuple[TopicPartition, ...], int] = ((), NO_GENERATION)
        self._divided: Counts | None = None
        self._error: StreamlogError | None = None
        self._former = self.metadata()

    # What the consumer does

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to do. May be asked by the consumer's thread at any time."""
        return (
            self.phase is Phase.MEMBER
            and self._offered is None
            and not (self._rejoins or self._lost)
            and self._error is None
        )

    @property
    def has_joined(self) -> bool:
        return self.generation != NO_GENERATION

    @property
    def has_lost(self) -> bool:
        """Whether it was put out and its partitions may be somebody else's."""
        return self._lost and bool(self._owned)

    def choose_step(self) -> Step | None:
        """What is to be done next; None: nothing, or the others have to do something first.

        Raises what keeps the consumer out of the group. The next call tries again.
        """
        if self.has_lost:
            return Lose(self._owned)
        self._lost = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._offered is not None:
            offered = self._offered
            if surplus := tuple(each for each in self._owned if each not in offered):
                return Revoke(surplus)
            return Adopt(offered, tuple(each for each in offered if each not in self._owned))
        if self.phase is Phase.OUT or (self.phase is Phase.MEMBER and self._rejoins):
            if self._owned and not self._cooperative:
                return Revoke(self._owned)
            return Join()
        return None

    def released(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions have been given up."""
        gone = set(partitions)
        self._owned = tuple(each for each in self._owned if each not in gone)
        if self._offered is not None:
            self._rejoins = True  # so that another member can be given them

    def adopted(self) -> None:
        """The partitions of the last `Adopt` are read."""
        assert self._offered is not None
        self._owned, self._offered = self._offered, None
        self._last = (self._owned, self.generation)

    def joining(self, fresh_member_id: str) -> JoinRequest:
        """The request of a `Join`."""
        self.phase = Phase.JOINING
        self._rejoins = False
        return JoinRequest(
            protocol_type=PROTOCOL_TYPE,
            protocols=tuple(
                (each.name, encode_subscription(self._subscription(each.user_data(*self._last))))
                for each in self._assignors
            ),
            fresh_member_id=fresh_member_id,
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
            client_id=self._client_id,
            session_timeout_ms=self._session_timeout_ms,
            rebalance_timeout_ms=self.max_poll_interval_ms,
        )

    def rejoin_if_changed(self, counts: Counts) -> None:
        """The leader joins again when topics have other partitions than it divided."""
        if self._divided is not None and self._divided != counts:
            self._rejoins = True

    # What the coordinator says

    def joined(
        self, answer: JoinAnswer, count: Callable[[Iterable[str]], Counts]
    ) -> SyncRequest | None:
        """The request that follows; None where there is to be none."""
        if answer.error is not None:
            self._failed(answer.error)
            return None
        self.phase = Phase.SYNCING
        self.member_id, self.generation = answer.member_id, answer.generation
        assignments: dict[str, bytes] = {}
        self._divided = None
        if answer.members:
            try:
                assignments = self._divide(answer, count)
            except StreamlogError as error:  # a member that does not speak the protocol
                self._failed(error)
                return None
        return SyncRequest(
            member_id=self.member_id,
            generation=self.generation,
            group_instance_id=self.group_instance_id,
            protocol_type=answer.protocol_type,
            protocol=answer.protocol,
            assignments=assignments,
        )

    def synced(self, answer: SyncAnswer) -> None:
        if answer.error is not None:
            self._failed(answer.error)
            return
        try:
            self._offered = decode_assignment(answer.assignment).partitions
        except StreamlogError as error:
            self._failed(error)
            return
        self.phase = Phase.MEMBER

    def told_to_rejoin(self, generation: int) -> None:
        """A rebalance has begun behind `generation`; nothing where this joins it already."""
        if self.generation <= generation and self.phase is not Phase.JOINING:
            self._rejoins = True

    def heartbeat_failed(self, sent: GroupMetadata, error: StreamlogError) -> None:
        """Nothing where it joined, or was put out, since the heartbeat was `sent`."""
        if self.phase is Phase.MEMBER and self.metadata() == sent:
            self._failed(error)

    def metadata(self) -> GroupMetadata:
        """What commits of this member are judged by.

        Who was put out and has not given up its partitions yet is still who it was, and refused.
        As nobody in particular it could commit over its successors, once they have left.
        """
        if self.has_lost:
            return self._former
        return GroupMetadata(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.group_instance_id if self.member_id else None,
        )

    def _failed(self, error: StreamlogError) -> None:
        match error:
            case RebalanceInProgressError():
                self.phase = Phase.MEMBER if self.has_joined else Phase.OUT
                self._rejoins = True
                return
            case UnknownMemberError() | IllegalGenerationError():
                pass  # it comes back as a new member
            case _:
                self._error = error
        self._former = self.metadata()
        self.phase = Phase.OUT
        self._lost = True
        self._offered = None
        self._divided = None
        self.member_id, self.generation = "", NO_GENERATION

    def _divide(
        self, answer: JoinAnswer, count: Callable[[Iterable[str]], Counts]
    ) -> dict[str, bytes]:
        subscribers = [
            Subscriber(each.member_id, each.group_instance_id, decode_subscription(each.metadata))
            for each in answer.members
        ]
        counts = count({topic for each in subscribers for topic in each.subscription.topics})
        self._divided = counts
        if answer.skip_assignment:
            return {}
        return _encode(ASSIGNORS[answer.protocol or ""].assign(counts, subscribers))

    def watched_topics(self) -> Iterable[str]:
        """The topics whose partitions this member, as the leader, has divided; else none."""
        return () if self._divided is None else self._divided

    def _subscription(self, user_data: bytes | None) -> Subscription:
        return Subscription(
            topics=self.topics,
            user_data=user_data,
            owned=self._owned if self._cooperative else (),
            generation=self.generation,
        )


def _encode(shares: dict[str, list[TopicPartition]]) -> dict[str, bytes]:
    return {
        member: encode_assignment(Assignment(partitions=tuple(_in_order(share))))
        for member, share in shares.items()
    }


def _in_order(share: Sequence[TopicPartition]) -> list[TopicPartition]:
    return sorted(share)
