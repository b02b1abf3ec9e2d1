"""The classic group's requests to a broker as bytes, with parked answers.

One connection a client: a broker answers a connection's requests in order, so a join that waits
for others holds up what comes behind it. Member ids are chosen by the broker.
"""

from __future__ import annotations

import select
import socket
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.coordination.fields import FieldReader, FieldWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from broker import KafkaBroker

OFFSET_COMMIT, FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE = 8, 10, 11, 12, 13, 14, 15
DYNAMIC, STATIC = 3, 5
"""JoinGroup: before version 4 a new member need not ask twice; from 5 on it may be static."""
NOT_READY = (14, 15, 16)
WAIT_S = 240


class Joined(NamedTuple):
    error: int
    generation: int
    protocol: str
    leader: str
    member_id: str
    members: dict[str, bytes]


class Synced(NamedTuple):
    error: int
    assignment: bytes


class Described(NamedTuple):
    state: str
    protocol: str
    members: dict[str, bytes]
    """Assignments by member id."""


class Connection:
    """Sends, and reads when somebody knows that there is an answer."""

    def __init__(self, broker: KafkaBroker) -> None:
        host, port = broker.bootstrap.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=WAIT_S)
        self._answers = self._socket.makefile("rb")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def send(self, api: int, version: int, body: bytes) -> None:
        request = pack(">hhih", api, version, 1, -1) + body
        self._socket.sendall(pack(">i", len(request)) + request)

    def has_answer(self) -> bool:
        """Whether there is one now."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def read(self) -> FieldReader:
        (size,) = unpack_from(">i", self._answers.read(4))
        answer = FieldReader(self._answers.read(size))
        answer.int32()  # the correlation id
        return answer

    def ask(self, api: int, version: int, body: bytes) -> FieldReader:
        self.send(api, version, body)
        return self.read()


class GroupRequests:
    """Bodies of requests, and what is read of answers. All are of one group."""

    def __init__(self, group: str) -> None:
        self.group = group

    def find_coordinator(self, connection: Connection) -> None:
        """Makes the broker create the offsets topic, and waits for it."""
        while True:
            answer = connection.ask(FIND_COORDINATOR, 0, self._body(lambda writer: None))
            if (
                answer.int16() not in NOT_READY
                and self.heartbeat(connection, "x", 1) not in NOT_READY
            ):
                return

    def join(
        self,
        member_id: str,
        instance: str | None,
        protocols: Mapping[str, bytes],
        *,
        session_timeout_ms: int,
        version: int,
    ) -> bytes:
        def write(writer: FieldWriter) -> None:
            writer.int32(session_timeout_ms)
            writer.int32(300_000)
            writer.string(member_id)
            if version >= STATIC:
                writer.string(instance)
            writer.string("consumer")
            writer.array_length(len(protocols))
            for name, metadata in protocols.items():
                writer.string(name)
                writer.bytes(metadata)

        return self._body(write)

    def read_join(self, answer: FieldReader, version: int) -> Joined:
        answer.int32()
        error, generation = answer.int16(), answer.int32()
        protocol, leader, member_id = answer.string(), answer.string(), answer.string()
        members: dict[str, bytes] = {}
        for _ in range(answer.array_length()):
            name = answer.string()
            if version >= STATIC:
                answer.nullable_string()
            members[name] = answer.bytes()
        return Joined(error, generation, protocol, leader, member_id, members)

    def sync(
        self, member_id: str, generation: int, instance: str | None, shares: Mapping[str, bytes]
    ) -> bytes:
        def write(writer: FieldWriter) -> None:
            self._write_member(writer, member_id, generation, instance)
            writer.array_length(len(shares))
            for name, share in shares.items():
                writer.string(name)
                writer.bytes(share)

        return self._body(write)

    def read_sync(self, answer: FieldReader) -> Synced:
        answer.int32()
        return Synced(answer.int16(), answer.bytes())

    def heartbeat(
        self, connection: Connection, member_id: str, generation: int, instance: str | None = None
    ) -> int:
        def write(writer: FieldWriter) -> None:
            self._write_member(writer, member_id, generation, instance)

        answer = connection.ask(HEARTBEAT, 3, self._body(write))
        answer.int32()
        return answer.int16()

    def leave(self, connection: Connection, member_id: str, instance: str | None) -> int:
        def write(writer: FieldWriter) -> None:
            writer.array_length(1)
            writer.string(member_id)
            writer.string(instance)

        answer = connection.ask(LEAVE, 3, self._body(write))
        answer.int32()
        error = answer.int16()
        answer.array_length()
        answer.string()
        answer.nullable_string()
        return error or answer.int16()

    def commit(
        self,
        connection: Connection,
        member_id: str,
        generation: int,
        instance: str | None,
        *,
        partition: int = 0,
    ) -> int:
        """Offset 1 of a partition of the topic that is called like the group."""

        def write(writer: FieldWriter) -> None:
            writer.int32(generation)
            writer.string(member_id)
            writer.string(instance)
            writer.array_length(1)
            writer.string(self.group)
            writer.array_length(1)
            writer.int32(partition)
            writer.int64(1)
            writer.int32(-1)
            writer.string("")

        answer = connection.ask(OFFSET_COMMIT, 7, self._body(write))
        answer.int32()
        answer.array_length()
        answer.string()
        answer.array_length()
        answer.int32()
        return answer.int16()

    def describe(self, connection: Connection) -> Described:
        writer = FieldWriter()
        writer.array_length(1)
        writer.string(self.group)
        answer = connection.ask(DESCRIBE, 0, writer.result())
        answer.array_length()
        answer.int16()
        answer.string()
        state, _, protocol = answer.string(), answer.string(), answer.string()
        state = "Empty" if state == "Dead" else state  # a group that nobody has used yet
        members: dict[str, bytes] = {}
        for _ in range(answer.array_length()):
            name = answer.string()
            answer.string()
            answer.string()
            answer.bytes()
            members[name] = answer.bytes()
        return Described(state, protocol, members)

    def _body(self, write: Callable[[FieldWriter], Any]) -> bytes:
        writer = FieldWriter()
        writer.string(self.group)
        write(writer)
        return writer.result()

    def _write_member(
        self, writer: FieldWriter, member_id: str, generation: int, instance: str | None
    ) -> None:
        writer.int32(generation)
        writer.string(member_id)
        writer.string(instance)
