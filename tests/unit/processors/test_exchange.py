"""The exchange: every row to the partition of its key's bytes, lanes merged by ticket."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import pytest

from processors.operators.chunk import Chunk
from processors.operators.sink import Encoder
from processors.runtime.exchange import Exchange, SendOperator, SendThroughTopicOperator
from processors.topology.reads import ALL, Reads
from streamlog.partitioner import partition_for
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from processors.operators.operator import FailureKind

PARTITIONS = 4
KEYS_ONLY = Reads(keys=True)


class Skipping:
    def __init__(self) -> None:
        self.reports: list[tuple[int, str]] = []

    def survives(self, kind: FailureKind) -> bool:
        return True

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        assert (kind, operator) == ("production", "p")
        self.reports.append((ticket, hint))


class Topic:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def add(self, topic: str, rows: Chunk, partition: int | None = None) -> None:
        self.chunks.append(rows)


def sender(
    key: Any = str, value: Any = "json", carries: Reads = ALL, lanes: int = PARTITIONS
) -> tuple[SendOperator, Exchange, Skipping]:
    exchange = Exchange("repartition", carries, lanes)
    failures = Skipping()
    encoder = Encoder("p", serde_for(key), serde_for(value), failures, "group_by")
    return SendOperator("p", exchange, encoder), exchange, failures


def chunk_of(keys: list[Any], values: list[Any]) -> Chunk:
    return Chunk(keys, values, [7] * len(keys), range(len(keys)))


def taken(exchange: Exchange) -> dict[int, list[tuple[Any, Any]]]:
    found: dict[int, list[tuple[Any, Any]]] = {}
    for partition in range(PARTITIONS):
        rows = pairs(exchange.take(partition))
        if rows:
            found[partition] = rows
    return found


def pairs(chunk: Chunk) -> list[tuple[Any, Any]]:
    assert chunk.keys is not None
    return list(zip(chunk.keys, chunk.values or [None] * len(chunk), strict=True))


def test_rows_go_where_the_partitioner_sends_the_key() -> None:
    send, exchange, _ = sender()
    keys = [f"key-{number}" for number in range(40)]
    send.process(chunk_of(keys, list(range(40))))
    for partition, rows in taken(exchange).items():
        assert all(partition_for(key.encode(), PARTITIONS) == partition for key, _ in rows)
        assert [value for _, value in rows] == sorted(value for _, value in rows)
    assert exchange.is_empty()


@pytest.mark.parametrize("order", [(1, True, 1.0), (True, 1.0, 1), (1.0, 1, True)])
def test_one_true_and_one_point_zero_are_three_keys(order: tuple[Any, ...]) -> None:
    send, exchange, _ = sender(key="json")
    send.process(chunk_of([*order, *order], list(range(6))))
    found = taken(exchange)
    for key, encoded in ((1, b"1"), (True, b"true"), (1.0, b"1.0")):
        rows = found[partition_for(encoded, PARTITIONS)]
        assert [type(found_key) for found_key, _ in rows].count(type(key)) == 2


def test_true_is_refused_as_an_int_key_whatever_came_before() -> None:
    send, exchange, failures = sender(key=int)
    send.process(chunk_of([1, True, 1.0, 1], ["a", "b", "c", "d"]))
    assert [ticket for ticket, _ in failures.reports] == [1, 2]
    assert taken(exchange) == {partition_for((1).to_bytes(8), PARTITIONS): [(1, "a"), (1, "d")]}


def test_a_key_of_the_wrong_kind_is_told_with_the_remedy() -> None:
    send, exchange, failures = sender()
    send.process(chunk_of(["a", 5, "a"], [1, 2, 3]))
    assert failures.reports == [
        (1, "keys are written as str; group_by takes another serde as key=")
    ]
    assert [row for rows in taken(exchange).values() for row in rows] == [("a", 1), ("a", 3)]


def test_a_mutable_value_is_copied() -> None:
    value = {"seen": [1]}
    send, exchange, _ = sender()
    send.process(chunk_of(["a"], [value]))
    value["seen"].append(2)
    assert list(taken(exchange).values()) == [[("a", {"seen": [1]})]]


def test_a_value_arrives_as_the_topic_would_give_it() -> None:
    send, exchange, _ = sender()
    send.process(chunk_of(["a"], [(1, 2)]))
    assert list(taken(exchange).values()) == [[("a", [1, 2])]]
    send, exchange, _ = sender(value=float)
    send.process(chunk_of(["a", "a"], [1, 2.5]))
    (rows,) = taken(exchange).values()
    assert [type(value) for _, value in rows] == [float, float]


class Colour(str, enum.Enum):  # noqa: UP042 - StrEnum prints itself as its text, this does not
    RED = "red"


@pytest.mark.parametrize("serde", [str, bytes, int, float])
def test_a_subclass_arrives_as_what_the_topic_would_give(serde: type) -> None:
    class Special(serde):
        pass

    made: Any = Colour.RED if serde is str else Special(7)
    for lanes in (1, PARTITIONS):
        send, exchange, _ = sender(key=serde, value=serde, lanes=lanes)
        send.process(chunk_of([made, serde(made)], [made, serde(made)]))
        rows = [row for lane in range(lanes) for row in pairs(exchange.take(lane))]
        assert len(rows) == 2
        assert {type(item) for row in rows for item in row} == {serde}


def test_a_mutable_key_is_copied() -> None:
    key = [1]
    send, exchange, _ = sender(key="json")
    send.process(chunk_of([key], [0]))
    key.append(2)
    assert list(taken(exchange).values()) == [[([1], 0)]]


def test_a_value_that_cannot_be_written_is_refused_as_the_topic_would() -> None:
    send, exchange, failures = sender()
    send.process(chunk_of(["a", "a", "a"], [1, {object()}, 3]))
    assert [ticket for ticket, _ in failures.reports] == [1]
    assert list(taken(exchange).values()) == [[("a", 1), ("a", 3)]]


def test_null_keys_and_values_go_no_further() -> None:
    for carries in (ALL, KEYS_ONLY):
        send, exchange, failures = sender(carries=carries)
        send.process(chunk_of(["a", None, "a", "a"], [None, 1, 2, None]))
        assert [len(rows) for rows in taken(exchange).values()] == [1]
        assert not failures.reports


def test_what_nobody_reads_is_not_carried() -> None:
    send, exchange, _ = sender(carries=KEYS_ONLY)
    send.process(chunk_of(["a"], [object()]))
    rows = exchange.take(partition_for(b"a", PARTITIONS))
    assert (rows.keys, rows.values, rows.headers) == (["a"], None, None)


def test_headers_go_along() -> None:
    send, exchange, _ = sender()
    send.process(Chunk(["a", "a"], [1, 2], [7, 7], [0, 1], [[("h", b"1")], []]))
    assert exchange.take(partition_for(b"a", PARTITIONS)).headers == [[("h", b"1")], []]


def test_lanes_of_several_senders_merge_by_ticket() -> None:
    first, exchange, _ = sender()
    second = SendOperator("p", exchange, first.encoder)
    first.process(Chunk(["a", "a", "a"], ["f0", "f4", "f4'"], [7, 7, 7], [0, 4, 4]))
    second.process(Chunk(["a", "a"], ["s3", "s4"], [7, 7], [3, 4]))
    assert [value for _, value in taken(exchange)[partition_for(b"a", PARTITIONS)]] == [
        "f0", "s3", "f4", "f4'", "s4",
    ]  # fmt: skip


@pytest.mark.parametrize("carries", [ALL, KEYS_ONLY])
@pytest.mark.parametrize("key", [str, "json", int])
def test_the_topic_would_have_carried_the_same(carries: Reads, key: Any) -> None:
    keys: list[Any] = [None, *({str: "abcab", "json": [1, True, "x", None], int: [5, 5]}[key])]
    values: list[Any] = [{"n": number} for number in range(len(keys))]
    send, exchange, failures = sender(key=key, carries=carries)
    send.process(chunk_of(keys, values))
    topic = Topic()
    through = SendThroughTopicOperator("p", exchange, send.encoder, topic)
    through.process(chunk_of(keys, values))
    (written,) = topic.chunks
    assert written.keys is not None
    assert written.values is not None
    by_partition: dict[int, list[tuple[Any, Any]]] = {}
    for key_bytes, value in zip(written.keys, written.values, strict=True):
        read = send.encoder.value.deserialize(value) if carries.values else None
        assert carries.values or value == b""
        row = (send.encoder.key.deserialize(key_bytes), read)
        by_partition.setdefault(partition_for(key_bytes, PARTITIONS), []).append(row)
    assert taken(exchange) == by_partition
    assert not failures.reports
