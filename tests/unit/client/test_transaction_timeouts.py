"""Transactions that are open for too long, and producers that were replaced behind their back."""

import pytest

import streamlog
from streamlog import GroupMetadata, TopicPartition
from streamlog.errors import ProducerFencedError, TransactionAbortedError
from streamlog.testing import FaultyFiles, ManualClock

BIDS = TopicPartition("bids", 0)
GROUP = GroupMetadata(group_id="g")


@pytest.fixture
def clock():
    return ManualClock(1_700_000_000_000)


@pytest.fixture
def log(clock):
    with streamlog.open("/log", files=FaultyFiles(), clock=clock, threaded=False) as opened:
        opened.create_topic("bids")
        yield opened


def time_out(log, clock, seconds):
    """Time counts only as far as it is watched, so it goes by in steps."""
    for _ in range(seconds):
        clock.advance(1_000)
        log.step()


def test_a_transaction_over_its_timeout_is_aborted_and_the_producer_is_told(log, clock):
    with log.producer(transactional_id="t", transaction_timeout_ms=10_000) as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"x")
        producer.flush()
        time_out(log, clock, 9)
        assert log.end_offsets([BIDS]) == {BIDS: 0}
        time_out(log, clock, 2)
        log.producer().flush()  # the marker becomes visible a window later
        assert log.end_offsets([BIDS]) == {BIDS: 2}
        with pytest.raises(TransactionAbortedError, match="open for longer than 10000 ms"):
            producer.commit_transaction()


def send_and_flush(producer):
    producer.send("bids", value=b"x")
    producer.flush()


@pytest.mark.parametrize(
    "attempt",
    [
        send_and_flush,
        lambda producer: producer.send_columns("bids", None, [b"x"]),
        lambda producer: producer.send_offsets_to_transaction({BIDS: 1}, GROUP),
    ],
)
def test_after_a_timeout_every_write_fails_until_the_abort_and_then_goes_on(log, clock, attempt):
    with log.producer(transactional_id="t", transaction_timeout_ms=10_000) as producer:
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"lost"])
        time_out(log, clock, 11)
        with pytest.raises(TransactionAbortedError):
            attempt(producer)
        with pytest.raises(TransactionAbortedError):
            producer.commit_transaction()
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"kept"])
        producer.commit_transaction()
        producer.begin_transaction()
        producer.abort_transaction()
    with log.consumer("bids") as consumer:
        assert [record.value for record in consumer.poll()] == [b"kept"]


def test_a_stall_of_the_process_ends_no_transaction(log, clock):
    with log.producer(transactional_id="t", transaction_timeout_ms=10_000) as producer:
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"kept"])
        log.step()
        clock.advance(3_600_000)
        log.step()
        producer.commit_transaction()


def test_a_released_producer_is_fenced_by_its_successor(log):
    first = log.producer(transactional_id="t")
    first.begin_transaction()
    first.send_columns("bids", None, [b"zombie"])
    # What a second process would do on a shared log: the id is taken over without the owner's
    # consent. Here only the coordinator can be made to do it.
    transactions = first._broker.transactions
    transactions.release("t")
    with log.producer(transactional_id="t") as second:
        with pytest.raises((TransactionAbortedError, ProducerFencedError)):
            first.send_columns("bids", None, [b"zombie"])
        with pytest.raises((TransactionAbortedError, ProducerFencedError)):
            first.commit_transaction()
        second.begin_transaction()
        second.send_columns("bids", None, [b"alive"])
        second.commit_transaction()
        log.producer().flush()
    with log.consumer("bids") as consumer:
        assert [record.value for record in consumer.poll()] == [b"alive"]
