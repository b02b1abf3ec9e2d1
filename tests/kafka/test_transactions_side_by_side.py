"""The same transactions of our producers and of librdkafka's: same outcomes, same records.

Three transactional ids and a producer without one write to the same two partitions. Producers leave
transactions open behind them, and successors take their ids over. (In one process we refuse a
second owner of an id, so here nobody goes on who has lost his.)
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from broker_topics import WAIT_S, broker_bounds, broker_rows, create_topics, producer
from confluent_kafka import KafkaError, KafkaException
from our_log import bounds, read_topic

import streamlog
from streamlog.errors import InvalidTransactionStateError, ProducerError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from broker import KafkaBroker

    from streamlog.client.contract import Log
    from streamlog.topic import Isolation

START = 1_700_000_000_000
PARTITIONS = 2
TIMEOUT_MS = 900_000
ROLLING = {"segment.ms": "60000", "message.timestamp.after.max.ms": str((1 << 63) - 1)}
Kind = Literal["begin", "send", "commit", "abort", "restart", "plain"]
Outcome = Literal["ok", "state"]


class Operation(NamedTuple):
    kind: Kind
    name: str
    partition: int
    number: int


def sequence(seed: int, length: int = 60) -> list[Operation]:
    """In order, but now and then a begin in an open transaction."""
    rng = random.Random(seed)
    is_open = dict.fromkeys("abc", False)
    operations: list[Operation] = []
    for number in range(length):
        name = rng.choice("abc")
        kinds: list[Kind] = ["begin"]
        if is_open[name]:
            kinds = [*["send"] * 6, "commit", "commit", "abort", "begin"]
        if rng.random() < 0.2:
            kinds = ["plain", "plain", "restart"]
        kind = rng.choice(kinds)
        if kind in ("begin", "commit", "abort", "restart"):
            is_open[name] = kind == "begin"
        operations.append(Operation(kind, name, rng.randrange(PARTITIONS), number))
    return operations


class Clients(Protocol):
    """Producers of one log, each operation of which has ended when it returns."""

    def start(self, name: str | None) -> Any: ...

    def leave(self, client: Any) -> None:
        """Its transaction may be open; the next producer of the id is not to be kept waiting."""
        ...

    def send(self, client: Any, operation: Operation) -> None: ...

    def outcome(self, error: Exception) -> Outcome: ...


class Ours:
    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic

    def start(self, name: str | None) -> Any:
        return self._log.producer(
            transactional_id=name and f"{self._topic}-{name}", transaction_timeout_ms=TIMEOUT_MS
        )

    def leave(self, client: Any) -> None:
        client.close()

    def send(self, client: Any, operation: Operation) -> None:
        value = b"%d" % operation.number
        at = START + 20_000 * operation.number
        client.send(self._topic, b"k", value, partition=operation.partition, timestamp=at)
        client.flush()

    def outcome(self, error: Exception) -> Outcome:
        assert isinstance(error, InvalidTransactionStateError), error
        return "state"


class Librdkafkas:
    def __init__(self, broker: KafkaBroker, topic: str) -> None:
        self._broker = broker
        self._topic = topic

    def start(self, name: str | None) -> Any:
        if name is None:
            return producer(self._broker, enable_idempotence=True)
        client = producer(
            self._broker,
            transactional_id=f"{self._topic}-{name}",
            transaction_timeout_ms=TIMEOUT_MS,
        )
        client.init_transactions(WAIT_S)
        return client

    def leave(self, client: Any) -> None:
        """Without a word, as if it had died."""

    def send(self, client: Any, operation: Operation) -> None:
        told: list[KafkaError | None] = []
        client.produce(
            self._topic,
            b"%d" % operation.number,
            b"k",
            operation.partition,
            timestamp=START + 20_000 * operation.number,
            on_delivery=lambda error, _: told.append(error),
        )
        assert client.flush(WAIT_S) == 0
        if told[0] is not None:
            raise KafkaException(told[0])

    def outcome(self, error: Exception) -> Outcome:
        assert error.args[0].code() == KafkaError._STATE, error
        return "state"


class Run:
    """A sequence on one of the logs."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._live = {name: clients.start(name) for name in "abc"}
        self._plain = clients.start(None)

    def leave(self) -> None:
        for client in (*self._live.values(), self._plain):
            self._clients.leave(client)

    def run(self, operation: Operation) -> Outcome:
        try:
            self._run(operation)
        except (ProducerError, KafkaException) as error:
            return self._clients.outcome(error)
        return "ok"

    def _run(self, operation: Operation) -> None:
        live = self._live[operation.name]
        match operation.kind:
            case "begin":
                live.begin_transaction()
            case "commit":
                live.commit_transaction()
            case "abort":
                live.abort_transaction()
            case "send":
                self._clients.send(live, operation)
            case "plain":
                self._clients.send(self._plain, operation)
            case "restart":
                self._clients.leave(live)
                self._live[operation.name] = self._clients.start(operation.name)


def test_transactions_have_the_same_outcomes_and_records(
    kafka: KafkaBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with streamlog.open(tmp_path, durability="os") as log:
        for seed in range(request.config.getoption("--sequences") // 5):
            topic = f"transactions-{seed}"
            create_topics(kafka, {topic: (PARTITIONS, ROLLING)})
            log.create_topic(topic, PARTITIONS, config=ROLLING)
            compare(log, kafka, topic, sequence(seed))


def compare(log: Log, broker: KafkaBroker, topic: str, operations: list[Operation]) -> None:
    ours, theirs = Run(Ours(log, topic)), Run(Librdkafkas(broker, topic))
    for operation in operations:
        outcome = ours.run(operation)
        assert outcome == theirs.run(operation), (topic, operation)
        if operation.kind in ("commit", "abort", "restart"):
            wait_markers(log, broker, topic)
    isolations: tuple[Isolation, Isolation] = ("read_committed", "read_uncommitted")
    for isolation in isolations:
        rows = read_topic(log, topic, isolation)
        assert rows == broker_rows(broker, topic, PARTITIONS, isolation)
        assert rows
    ours.leave()


def wait_markers(log: Log, broker: KafkaBroker, topic: str) -> None:
    """Until both logs end at the same offsets: markers come a while after the answer, here too."""
    deadline = time.monotonic() + WAIT_S
    isolation: Isolation = "read_uncommitted"
    while (ours := bounds(log, topic, isolation)) != (
        theirs := broker_bounds(broker, topic, PARTITIONS, isolation)
    ):
        assert time.monotonic() < deadline, (ours, theirs)
