"""Requests to a broker as bytes, for what no client library would send.

One connection, one request at a time, in the oldest versions that a broker of today takes: their
encoding is the simplest. Kafka's error codes are returned, not raised.
"""

from __future__ import annotations

import socket
import time
from struct import pack, unpack_from
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

    from broker import KafkaBroker

    from streamlog.topic import Isolation

PRODUCE, LIST_OFFSETS, DELETE_RECORDS, WRITE_MARKERS = 0, 2, 21, 27
CLIENT = b"streamlog"
TIMEOUT_MS = 240_000
WAIT_S = 240
NOT_YET = (3, 6)  # UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER
EARLIEST, LATEST = -2, -1


class Answer(NamedTuple):
    """Of one partition: Kafka's error code, and an offset where there is one."""

    error: int
    offset: int


class RawClient:
    """All requests are for partition 0 of a topic. For one thread."""

    def __init__(self, broker: KafkaBroker) -> None:
        host, port = broker.bootstrap.split(":")
        self._connection = socket.create_connection((host, int(port)), timeout=WAIT_S)
        self._answers = self._connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answers.close()
        self._connection.close()

    def wait_leader(self, topic: str) -> None:
        """A topic is there before its partition has a leader."""
        deadline = time.monotonic() + WAIT_S
        while self.list_offset(topic, LATEST).error in NOT_YET:
            assert time.monotonic() < deadline, topic
            time.sleep(0.02)

    def produce(self, topic: str, batch: bytes, *, transactional_id: str | None = None) -> Answer:
        """Produce, acks=all: error, base offset. An id is needed for transactional batches."""
        body = _nullable(transactional_id) + pack(">hi", -1, TIMEOUT_MS)
        body += pack(">i", 1) + _string(topic) + pack(">iii", 1, 0, len(batch)) + batch
        answer = self._exchange(PRODUCE, 7, body)
        # The only partition's error; base offset, append time, log start and throttle follow.
        error, offset = unpack_from(">hq", answer, len(answer) - 30)
        return Answer(error, offset)

    def list_offset(
        self, topic: str, timestamp: int, isolation: Isolation = "read_uncommitted"
    ) -> Answer:
        """ListOffsets: the offset for a timestamp, -1 for none; `EARLIEST`, `LATEST`."""
        body = pack(">ib", -1, isolation == "read_committed")
        body += pack(">i", 1) + _string(topic) + pack(">iiq", 1, 0, timestamp)
        answer = self._exchange(LIST_OFFSETS, 2, body)
        error, _, offset = unpack_from(">hqq", answer, len(answer) - 18)
        return Answer(error, offset)

    def delete_records(self, topic: str, offset: int) -> Answer:
        """DeleteRecords: error, new log start offset; -1 deletes up to the high watermark."""
        body = pack(">i", 1) + _string(topic) + pack(">iiq", 1, 0, offset) + pack(">i", TIMEOUT_MS)
        answer = self._exchange(DELETE_RECORDS, 1, body)
        low_watermark, error = unpack_from(">qh", answer, len(answer) - 10)
        return Answer(error, low_watermark)

    def write_marker(
        self, topic: str, producer_id: int, epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> int:
        """WriteTxnMarkers, which brokers send each other: the error."""
        name = topic.encode()
        body = b"\x02" + pack(">qh?", producer_id, epoch, commit)
        body += b"\x02" + bytes([len(name) + 1]) + name + b"\x02" + pack(">i", 0) + b"\0"
        body += pack(">i", coordinator_epoch) + b"\0" + b"\0"
        answer = self._exchange(WRITE_MARKERS, 1, body, flexible=True)
        # Behind the only partition's error: tags of it, its topic, its marker and the answer.
        return unpack_from(">h", answer, len(answer) - 6)[0]

    def _exchange(self, api: int, version: int, body: bytes, *, flexible: bool = False) -> bytes:
        header = pack(f">hhih{len(CLIENT)}s", api, version, 1, len(CLIENT), CLIENT)
        request = header + (b"\0" if flexible else b"") + body
        self._connection.sendall(pack(">i", len(request)) + request)
        (size,) = unpack_from(">i", self._answers.read(4))
        return self._answers.read(size)


def _string(text: str) -> bytes:
    data = text.encode()
    return pack(">h", len(data)) + data


def _nullable(text: str | None) -> bytes:
    return pack(">h", -1) if text is None else _string(text)
