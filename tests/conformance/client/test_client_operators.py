"""Transactions as an operator sees them: listed, described, aborted."""

import time

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import (
    DirectoryAccessError,
    InvalidTransactionStateError,
    NotHangingError,
    TransactionAbortedError,
    UnknownTransactionalIdError,
)

BIDS = TopicPartition("bids", 0)


@pytest.fixture
def bids(log):
    log.create_topic("bids")
    return log


def test_a_transaction_is_described_from_its_beginning_to_its_end(bids):
    assert bids.transactions() == []
    with bids.producer(transactional_id="t", transaction_timeout_ms=600_000) as producer:
        (idle,) = bids.transactions()
        assert (idle.transactional_id, idle.state, idle.start_ms) == ("t", "Empty", None)
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"1"])
        (begun,) = bids.transactions()
        assert (begun.state, begun.timeout_ms, begun.partitions) == ("Ongoing", 600_000, (BIDS,))
        assert begun.start_ms is not None
        (writer,) = bids.producers(BIDS)
        assert (writer.producer_id, writer.producer_epoch) == (idle.producer_id, 0)
        assert (writer.last_sequence, writer.transaction_start_offset) == (0, 0)
        producer.commit_transaction()
        (ended,) = bids.transactions()
        assert (ended.state, ended.producer_epoch, ended.partitions) == ("CompleteCommit", 1, ())
    (writer,) = bids.producers(BIDS)
    assert (writer.last_sequence, writer.transaction_start_offset) == (-1, None)


def test_the_ids_are_there_after_a_restart_and_beside_the_owner(tmp_path):
    with streamlog.open(tmp_path) as log:
        for name in ("b", "a"):
            log.producer(transactional_id=name).close()
        with streamlog.open(tmp_path, read_only=True) as beside:
            assert [each.transactional_id for each in beside.transactions()] == ["a", "b"]
            with pytest.raises(DirectoryAccessError):
                beside.abort_transaction("a")
    with streamlog.open(tmp_path) as log:
        assert [each.transactional_id for each in log.transactions()] == ["a", "b"]


def test_an_aborted_producer_is_told_and_goes_on(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"never"])
        bids.abort_transaction("t")
        with pytest.raises(TransactionAbortedError, match="an operator aborted it"):
            producer.send_columns("bids", None, [b"late"])
        with pytest.raises(TransactionAbortedError):
            producer.commit_transaction()
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"seen"])
        producer.commit_transaction()
    with bids.producer() as plain:
        plain.flush()  # the markers are durable
    with bids.consumer("bids") as consumer:
        assert [record.value for record in consumer.poll(timeout=60)] == [b"seen"]


def test_a_producer_that_only_commits_is_told_as_well(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"never"])
        bids.abort_transaction("t")
        with pytest.raises(TransactionAbortedError, match="an operator aborted it"):
            producer.commit_transaction()
        producer.abort_transaction()


def test_only_what_is_open_can_be_aborted(bids):
    with bids.producer(transactional_id="t"), pytest.raises(InvalidTransactionStateError):
        bids.abort_transaction("t")
    with pytest.raises(UnknownTransactionalIdError):
        bids.abort_transaction("nobody")
    assert bids.hanging_transactions() == []
    with pytest.raises(NotHangingError):
        bids.abort_hanging(BIDS, 7, 0)


def test_a_transaction_that_nobody_will_end_is_found_and_aborted(bids):
    from streamlog.record import encode_batch

    batch = encode_batch(
        [None], [b"x"], [1], producer_id=7, producer_epoch=2, base_sequence=0, transactional=True
    )
    bids._broker.partition(BIDS).append(batch, now_ms=1)
    with bids.producer() as plain:
        plain.send_columns("bids", None, [b"seen"])
        plain.flush()
        assert bids.end_offsets([BIDS]) == {BIDS: 0}
        (found,) = bids.hanging_transactions()
        assert (found.partition, found.start_offset) == (BIDS, 0)
        bids.abort_hanging(found.partition, found.producer_id, found.producer_epoch)
    assert bids.hanging_transactions() == []
    with bids.consumer("bids") as consumer:
        assert [record.value for record in consumer.poll(timeout=60)] == [b"seen"]


def test_beside_the_owner_hangs_what_is_older_than_a_transaction_may_become(bids, tmp_path):
    from streamlog.record import encode_batch

    now_ms = int(time.time() * 1000)
    for producer_id, timestamp in ((7, now_ms - 900_001), (8, now_ms)):
        batch = encode_batch(
            [None],
            [b"x"],
            [timestamp],
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            transactional=True,
        )
        bids._broker.partition(BIDS).append(batch, now_ms=now_ms)
    with bids.producer(transactional_id="t") as known:
        known.begin_transaction()
        known.send("bids", value=b"mine", timestamp=now_ms - 900_001)
        known.flush()
        bids._broker.transactions.step()  # its state may be told a second late
        bids.producer().flush()
        with streamlog.open(tmp_path / "data", read_only=True) as beside:
            assert [each.producer_id for each in beside.hanging_transactions()] == [7]
        assert [each.producer_id for each in bids.hanging_transactions()] == [7, 8]
