"""Transactions: all or nothing, with consumed offsets, fenced."""

import pytest

import streamlog
from streamlog import GroupMetadata, TopicPartition
from streamlog.errors import (
    InvalidTransactionStateError,
    ProducerError,
    RecordTooLargeError,
    TransactionAbortedError,
    TransactionalIdInUseError,
)

BIDS = TopicPartition("bids", 0)
GROUP = GroupMetadata(group_id="g")


def values(records):
    return [record.value for record in records]


def visible(log, isolation="read_committed", topic="bids"):
    """What a new reader sees up to the end of the log, as that isolation has it."""
    with log.consumer(topic, isolation=isolation) as consumer:
        ends = log.end_offsets(consumer.assignment(), isolation=isolation)
        records = []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            records += consumer.poll()
        return values(records)


def wait_for_end(log, offset, isolation="read_committed"):
    """Returns when the log of `bids` is stable up to `offset`: markers follow unsynced."""
    with log.consumer("bids", isolation=isolation) as consumer:
        while log.end_offsets([BIDS], isolation=isolation)[BIDS] < offset:
            consumer.poll_columns(timeout=60)


@pytest.fixture
def bids(log):
    log.create_topic("bids")
    return log


def test_a_transaction_is_visible_only_when_it_is_committed(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"a")
        producer.send_columns("bids", None, [b"b", b"c"])
        producer.flush()
        assert visible(bids) == []
        assert visible(bids, "read_uncommitted") == [b"a", b"b", b"c"]
        assert bids.end_offsets([BIDS]) == {BIDS: 0}
        assert bids.end_offsets([BIDS], isolation="read_uncommitted") == {BIDS: 3}
        producer.commit_transaction()
    wait_for_end(bids, 4)
    assert visible(bids) == [b"a", b"b", b"c"]


def test_an_aborted_transaction_is_never_visible(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"bad")
        producer.flush()
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send("bids", value=b"good")
        producer.commit_transaction()
    wait_for_end(bids, 4)
    assert visible(bids) == [b"good"]
    assert visible(bids, "read_uncommitted") == [b"bad", b"good"]


def test_an_aborted_transaction_is_left_out_of_columns_and_positions_go_over_it(bids):
    with bids.producer(transactional_id="t") as producer, bids.consumer("bids") as consumer:
        producer.begin_transaction()
        producer.send("bids", value=b"bad")
        producer.flush()
        producer.abort_transaction()
        wait_for_end(bids, 2)
        (run,) = consumer.poll_columns(timeout=60)
        assert (run.values, run.next_offset) == ([], 2)
        assert consumer.position(BIDS) == 2
        assert consumer.poll_columns() == []
        producer.begin_transaction()
        producer.send("bids", value=b"good")
        producer.commit_transaction()
        assert values(consumer.poll(timeout=60)) == [b"good"]
        wait_for_end(bids, 4)
        consumer.poll()
        assert consumer.position(BIDS) == 4


def test_transactions_of_two_producers_interleave(bids):
    with (
        bids.producer(transactional_id="one") as one,
        bids.producer(transactional_id="two") as two,
        bids.producer() as plain,
    ):
        for producer in (one, two):
            producer.begin_transaction()
        one.send("bids", value=b"1")
        one.flush()
        two.send("bids", value=b"2")
        two.flush()
        plain.send("bids", value=b"plain")
        plain.flush()
        two.abort_transaction()
        assert visible(bids) == []
        one.commit_transaction()
    wait_for_end(bids, 5)
    assert visible(bids) == [b"1", b"plain"]


def test_a_transaction_covers_many_partitions(log):
    log.create_topic("bids", 5)
    with log.producer(transactional_id="t") as producer:
        for outcome in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            for number in range(5):
                producer.send("bids", value=b"%d" % number, partition=number)
            producer.flush()
            outcome()
    with log.consumer("bids") as consumer:
        seen = []
        while len(seen) < 5:
            seen += values(consumer.poll(timeout=60))
    assert sorted(seen) == [b"0", b"1", b"2", b"3", b"4"]


def test_consumed_offsets_commit_with_the_transaction(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"out")
        producer.send_offsets_to_transaction({BIDS: 7}, GROUP)
        producer.abort_transaction()
        assert bids.committed_offsets("g") == {}
        producer.begin_transaction()
        producer.send_offsets_to_transaction({BIDS: 8}, GROUP)
        producer.commit_transaction()
    with bids.consumer(group="g") as consumer:
        assert consumer.committed([BIDS]) == {BIDS: 8}


def test_what_is_consumed_and_produced_in_transactions_is_there_exactly_once(log, tmp_path):
    log.create_topic("bids")
    log.create_topic("doubled")
    with log.producer() as producer:
        producer.send_columns("bids", None, [b"%d" % number for number in range(100)])
    for attempt in range(30):
        with (
            log.consumer("bids", group="g", auto_commit=False) as consumer,
            log.producer(transactional_id="doubler") as producer,
        ):
            for _ in range(3):
                records = consumer.poll(max_records=7)
                producer.begin_transaction()
                for record in records:
                    producer.send("doubled", value=b"%d" % (int(record.value) * 2))
                offsets = {BIDS: consumer.position(BIDS)}
                producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
                if attempt % 3 == 1:
                    producer.abort_transaction()
                    break  # the consumer starts again where the group stands
                producer.commit_transaction()
            if attempt % 3 == 2:
                producer.begin_transaction()
                producer.send("doubled", value=b"left open")
    log.close()
    with streamlog.open(tmp_path / "data") as again:
        assert again.committed_offsets("g") == {BIDS: 100}
        assert visible(again, topic="doubled") == [b"%d" % (n * 2) for n in range(100)]


def test_the_commits_future_ends_when_the_transaction_is_durable(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"a")
        future = producer.commit_transaction_async()
        assert future.result(60) is None
        producer.begin_transaction()
        producer.send("bids", value=b"b")
        second = producer.commit_transaction_async()
        assert producer.commit_transaction_async() is second
        producer.begin_transaction()
        assert second.done()
        producer.send("bids", value=b"c")
        producer.abort_transaction()
    wait_for_end(bids, 4)
    assert visible(bids) == [b"a", b"b"]


def test_an_empty_transaction_commits_and_aborts(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.commit_transaction()
        producer.begin_transaction()
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send("bids", value=b"a")
        producer.commit_transaction()
    wait_for_end(bids, 2)
    assert visible(bids) == [b"a"]


def send_and_go_on(producer, value, go_on):
    producer.send("bids", value=value)
    producer.flush()
    go_on()


def test_a_block_is_a_transaction(bids):
    with bids.producer(transactional_id="t") as producer:
        with producer.transaction():
            producer.send("bids", value=b"a")
        for error, in_the_middle in (
            (ZeroDivisionError, lambda: 1 // 0),
            (TransactionAbortedError, lambda: bids.abort_transaction("t")),
            (InvalidTransactionStateError, producer.abort_transaction),
        ):
            with pytest.raises(error), producer.transaction():
                send_and_go_on(producer, b"never", in_the_middle)
        with producer.transaction():
            producer.send("bids", value=b"b")
        with producer.transaction():
            pass
    with bids.producer() as plain:
        plain.flush()  # the markers are durable
    assert visible(bids) == [b"a", b"b"]


def test_nothing_is_sent_outside_of_a_transaction(bids):
    with bids.producer(transactional_id="t") as producer:
        for attempt in (
            lambda: producer.send("bids", value=b"x"),
            lambda: producer.send_columns("bids", None, [b"x"]),
            lambda: producer.send_offsets_to_transaction({BIDS: 1}, GROUP),
            lambda: producer.commit_transaction(),
        ):
            with pytest.raises(InvalidTransactionStateError):
                attempt()
        producer.begin_transaction()
        with pytest.raises(InvalidTransactionStateError):
            producer.begin_transaction()
        producer.commit_transaction()
        with pytest.raises(InvalidTransactionStateError):
            producer.send("bids", value=b"x")


def test_a_producer_without_a_transactional_id_has_no_transactions(bids):
    with bids.producer() as producer:
        for attempt in (
            producer.begin_transaction,
            producer.commit_transaction,
            producer.abort_transaction,
            lambda: producer.send_offsets_to_transaction({}, GROUP),
        ):
            with pytest.raises(ValueError, match="transactional_id"):
                attempt()


def test_a_record_that_is_too_large_does_not_end_the_transaction(log):
    log.create_topic("bids", config={"max.message.bytes": "500"})
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"a")
        with pytest.raises(RecordTooLargeError):
            producer.send("bids", value=b"x" * 500)
        producer.commit_transaction()
    wait_for_end(log, 2)
    assert visible(log) == [b"a"]


def test_closing_aborts_an_open_transaction(bids):
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"x")
        producer.flush()
    wait_for_end(bids, 2)
    assert visible(bids) == []


def test_a_live_transactional_id_is_refused_and_a_released_one_is_not(bids):
    with bids.producer(transactional_id="t"):
        with pytest.raises(TransactionalIdInUseError):
            bids.producer(transactional_id="t")
        with bids.producer(transactional_id="u"):
            pass
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"a")
        producer.commit_transaction()
    wait_for_end(bids, 2)
    assert visible(bids) == [b"a"]


def test_a_pending_offset_is_not_read_until_its_transaction_ends(bids):
    from threading import Thread

    with bids.producer(transactional_id="t") as producer, bids.consumer(group="g") as consumer:
        producer.begin_transaction()
        producer.send_offsets_to_transaction({BIDS: 5}, GROUP)
        found = []
        thread = Thread(target=lambda: found.append(consumer.committed([BIDS])))
        thread.start()
        producer.commit_transaction()
        thread.join()
        assert found == [{BIDS: 5}]


@pytest.mark.parametrize("timeout", [0, -1, 15 * 60 * 1000 + 1])
def test_a_timeout_that_kafka_refuses_is_refused(bids, timeout):
    with pytest.raises((ValueError, ProducerError)):
        bids.producer(transactional_id="t", transaction_timeout_ms=timeout)
