"""The same requests to a group of ours and to a real broker's: same answers, parked and given.

A generator with a seed chooses what four clients do: join with this metadata or that, anew or
again, with right and wrong generations, as static members, before the others have come and after.
Ours says which parked requests are answered by a step, and these are read from the broker; what
ours leaves parked may have no answer there either.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from broker_topics import create_topics
from group_requests import (
    DYNAMIC,
    JOIN,
    STATIC,
    SYNC,
    WAIT_S,
    Connection,
    Described,
    GroupRequests,
)

import streamlog
from streamlog import TopicPartition
from streamlog.coordination.classic_group import ClassicGroup, GroupState
from streamlog.coordination.group_messages import (
    JoinAnswer,
    JoinRequest,
    SyncAnswer,
    SyncRequest,
)
from streamlog.errors import (
    FencedInstanceError,
    GroupError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    MemberIdRequiredError,
    RebalanceInProgressError,
    TopicError,
    UnknownMemberError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from broker import KafkaBroker

STEPS = 60
SESSION_MS = 1_800_000
"""The longest that a broker allows: nobody here sends heartbeats so as to stay."""
ROUND_TRIPS = 5
UNKNOWN_TOPIC_OR_PARTITION = 3
CODES: dict[type, int] = {
    type(None): 0,
    IllegalGenerationError: 22,
    InconsistentGroupProtocolError: 23,
    UnknownMemberError: 25,
    InvalidSessionTimeoutError: 26,
    RebalanceInProgressError: 27,
    MemberIdRequiredError: 79,
    FencedInstanceError: 82,
}
ASSIGNORS = ({"range": b"x"}, {"range": b"y"}, {"range": b"x", "sticky": b"s"}, {"sticky": b"s"})


class DrewLots(Exception):
    """The broker went by the order of a hash table: another leader, another of equal assignors."""


@dataclass
class Client:
    """What it knows, in our member ids."""

    name: str
    instance: str | None
    connection: Connection
    version: int
    member_id: str = ""
    generation: int = -1
    members: tuple[str, ...] = ()
    parked: str | None = None
    told: Any = None


class Beside:
    """One group, twice."""

    def __init__(self, broker: KafkaBroker, name: str, seed: int) -> None:
        self.broker = broker
        self.random = Random(seed)
        self.ours = ClassicGroup(name)
        self.requests = GroupRequests(name)
        self.control = Connection(broker)
        self.requests.find_coordinator(self.control)
        self.clients = [
            Client(each, "static" if each == "d" else None, Connection(broker), version)
            for each, version in (("a", DYNAMIC), ("b", DYNAMIC), ("c", STATIC), ("d", STATIC))
        ]
        self.theirs: dict[str, str] = {"": ""}
        self.answers: list[Any] = []
        self.doing = ""
        self.fresh = 0
        self.errors: set[int] = set()

    def close(self) -> None:
        for connection in (self.control, *(each.connection for each in self.clients)):
            connection.close()

    def step(self) -> str:
        """What was done, for a message."""
        client = self.random.choice(self.clients)
        action = self.random.choice([self.join] * 4 + [self.sync] * 4 + [self.check, self.leave])
        if client.parked is not None:
            action = self.random.choice([self.check, self.check, self.leave])
        self.doing = f"{action.__name__} of {client}"
        action(client)
        self.compare_parked()
        self.compare_states()
        return self.doing

    def join(self, client: Client) -> None:
        if self.random.random() < 0.1:
            client.member_id, client.generation = "", -1
        protocols = self.random.choice(ASSIGNORS[: 2 + 2 * (self.random.random() < 0.2)])
        timeout_ms = 5_999 if self.random.random() < 0.02 else SESSION_MS
        self.fresh += 1
        request = JoinRequest(
            protocol_type="consumer",
            protocols=tuple(protocols.items()),
            fresh_member_id=f"{client.name}{self.fresh}",
            member_id=client.member_id,
            group_instance_id=client.instance,
            session_timeout_ms=timeout_ms,
            rebalance_timeout_ms=300_000,
            member_id_required=client.version >= STATIC,
            may_skip_assignment=False,
        )
        client.parked = "join"
        body = self.requests.join(
            self.theirs[client.member_id],
            client.instance,
            protocols,
            session_timeout_ms=timeout_ms,
            version=client.version,
        )
        client.connection.send(JOIN, client.version, body)
        self.answers += self.ours.join(request, client, 0)

    def sync(self, client: Client) -> None:
        if not client.member_id:
            return
        generation = client.generation - (self.random.random() < 0.1)
        shares = {each: b"share of " + each.encode() for each in client.members}
        request = SyncRequest(
            member_id=client.member_id,
            generation=generation,
            group_instance_id=client.instance,
            assignments=shares,
        )
        client.parked = "sync"
        theirs = {self.theirs[each]: share for each, share in shares.items()}
        body = self.requests.sync(
            self.theirs[client.member_id], generation, client.instance, theirs
        )
        client.connection.send(SYNC, 3, body)
        self.answers += self.ours.sync(request, client, 0)

    def check(self, client: Client) -> None:
        """A heartbeat and a commit, now and then of another generation, or of nobody."""
        generation = client.generation - (self.random.random() < 0.2)
        member, instance = client.member_id, client.instance
        if self.random.random() < 0.1:
            member, generation, instance = "", -1, None
        name = self.theirs[member]

        def heartbeat() -> None:
            self.ours.heartbeat(member, generation, 0, group_instance_id=instance)

        def commit() -> None:
            self.ours.check_commit(member, generation, group_instance_id=instance)

        error = self.requests.heartbeat(self.control, name, generation, instance)
        assert self.code(heartbeat) == error, ("heartbeat", client)
        error = self.requests.commit(self.control, name, generation, instance)
        assert self.code(commit) == error, ("commit", client)

    def leave(self, client: Client) -> None:
        member = client.member_id
        if client.instance is not None and self.random.random() < 0.5:
            member = ""

        def leave() -> None:
            self.answers += self.ours.leave(member, 0, group_instance_id=client.instance)

        error = self.requests.leave(self.control, self.theirs[member], client.instance)
        assert self.code(leave) == error, ("leave", client)
        for answer in self.answers:
            if isinstance(answer, SyncAnswer) and isinstance(answer.error, UnknownMemberError):
                # A broker never answers the sync of a member that has left.
                self.answers.remove(answer)
                client.parked = None
                client.connection.close()
                client.connection = Connection(self.broker)
                break

    def code(self, attempt: Callable[[], None]) -> int:
        try:
            attempt()
        except GroupError as error:
            self.errors.add(CODES[type(error)])
            return CODES[type(error)]
        return 0

    def compare_parked(self) -> None:
        answers, self.answers = self.answers, []
        # Ids first: a leader is told of members that hear of theirs later.
        for answer in answers:
            if isinstance(answer, JoinAnswer):
                self.compare_join(answer.ticket, answer)
        for answer in answers:
            if isinstance(answer, JoinAnswer) and answer.error is None:
                client = answer.ticket
                if self.theirs[answer.leader] != client.told.leader:
                    assert client.told.leader in map(self.theirs.get, self.ours.members)
                    raise DrewLots
                members = {self.theirs[each.member_id]: each.metadata for each in answer.members}
                assert members == client.told.members
            if isinstance(answer, SyncAnswer):
                self.compare_sync(answer.ticket, answer)
        for client in self.clients:
            assert client.parked is None or not client.connection.has_answer(), client

    def compare_join(self, client: Client, answer: JoinAnswer) -> None:
        client.parked = None
        told = self.requests.read_join(client.connection.read(), client.version)
        assert told.error == CODES[type(answer.error)], (client, answer)
        self.errors.add(told.error)
        client.told = told
        if answer.error is None or isinstance(answer.error, MemberIdRequiredError):
            self.theirs[answer.member_id] = told.member_id
            client.member_id = answer.member_id
        else:
            client.member_id, client.generation = "", -1
        if answer.error is None:
            assert told.generation == answer.generation
            if told.protocol != answer.protocol:
                assert all(
                    told.protocol in dict(each.protocols) for each in self.ours.members.values()
                )
                raise DrewLots
            client.generation = answer.generation
            client.members = tuple(each.member_id for each in answer.members)

    def compare_sync(self, client: Client, answer: SyncAnswer) -> None:
        client.parked = None
        told = self.requests.read_sync(client.connection.read())
        assert (told.error, told.assignment) == (CODES[type(answer.error)], answer.assignment)
        self.errors.add(told.error)

    def compare_states(self) -> None:
        """Until they are alike: what is described may lie a moment behind what was answered.

        A request that stays parked is answered by nothing, so it may still be on its way: a few
        round trips of another connection let it arrive, as the broker takes the requests of all
        connections in one thread.
        """
        for _ in range(ROUND_TRIPS if any(each.parked for each in self.clients) else 0):
            self.requests.describe(self.control)
        deadline = time.monotonic() + WAIT_S
        while not self.is_like(described := self.requests.describe(self.control)):
            assert time.monotonic() < deadline, (described, self.ours.state, self.ours.members)

    def is_like(self, described: Described) -> bool:
        members = self.ours.members.values()
        if described.state != self.ours.state or len(described.members) != len(members):
            return False
        if any(each.member_id not in self.theirs for each in members):
            return True  # of whom nobody has been told the id yet
        if self.ours.state == GroupState.STABLE:
            shares = {self.theirs[each.member_id]: each.assignment for each in members}
            return described.members == shares and described.protocol == self.ours.protocol
        return described.members.keys() == {self.theirs[each.member_id] for each in members}


def test_groups_answer_as_a_brokers_do(kafka: KafkaBroker, request: pytest.FixtureRequest) -> None:
    seen, steps = set[int](), 0
    sequences = request.config.getoption("--sequences")
    names = {f"group-{seed}": seed for seed in range(sequences)}
    create_topics(kafka, {name: (1, {}) for name in names})
    for name, seed in names.items():
        beside = Beside(kafka, name, seed)
        done: list[str] = []
        try:
            for _ in range(STEPS):
                done.append(beside.step())
        except DrewLots:
            pass  # what follows is not the same sequence any more
        except BaseException as error:
            error.add_note(f"seed {seed}, in {beside.doing}, behind {done[-3:]}")
            raise
        finally:
            beside.close()
        seen |= beside.errors
        steps += len(done)
    assert steps > sequences * STEPS / 3
    assert {0, 22, 25, 27} <= seen


def test_offsets_of_what_is_not_there_are_refused_as_by_a_broker(kafka: KafkaBroker) -> None:
    create_topics(kafka, {"offsets-known": (1, {})})
    with streamlog.open(":memory:") as log, closing(Connection(kafka)) as connection:
        log.create_topic("offsets-known")
        for topic, number, code in (
            ("offsets-known", 0, 0),
            ("offsets-known", 1, UNKNOWN_TOPIC_OR_PARTITION),
            ("offsets-unknown", 0, UNKNOWN_TOPIC_OR_PARTITION),
        ):
            requests = GroupRequests(topic)
            requests.find_coordinator(connection)
            assert requests.commit(connection, "", -1, None, partition=number) == code
            error = None
            try:
                log.alter_group_offsets(topic, {TopicPartition(topic, number): 1})
            except TopicError as raised:
                error = raised.kafka_error
            assert error == ("UNKNOWN_TOPIC_OR_PARTITION" if code else None)
