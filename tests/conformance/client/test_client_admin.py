"""Topics, records and configurations that change under running clients."""

from __future__ import annotations

from threading import Thread

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import (
    InvalidConfigError,
    InvalidPartitionsError,
    OffsetOutOfRangeError,
    PolicyViolationError,
    ProtectedTopicError,
    TopicDeletedError,
    UnknownTopicError,
)
from streamlog.topic import ConfigEntry


def values(consumer, count, timeout=60):
    found = []
    while len(found) < count and (records := consumer.poll(timeout)):
        found += [record.value for record in records]
    return found


def test_a_running_producer_notices_partitions_that_are_added(log):
    log.create_topic("bids", 1)
    with log.producer() as producer:
        producer.send("bids", b"k", b"first").result()
        log.alter_topic("bids", partitions=4)
        handles = [producer.send("bids", b"key-%d" % n, b"x") for n in range(50)]
        producer.flush()
        assert {handle.result()[0] for handle in handles} == {0, 1, 2, 3}
        assert producer.send("bids", value=b"x", partition=3).result()[0] == 3
        producer.send_columns("bids", [b"key-%d" % n for n in range(50)], [b"y"] * 50)
        producer.flush()
    ends = log.end_offsets([TopicPartition("bids", n) for n in range(4)])
    assert all(ends.values())


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_running_consumer_reads_partitions_that_are_added_from_their_beginning(log, group, start):
    log.create_topic("bids", 1)
    with log.producer() as producer, log.consumer("bids", group=group, start=start) as consumer:
        consumer.poll()
        log.alter_topic("bids", partitions=2)
        producer.send("bids", value=b"new", partition=1).result()
        assert values(consumer, 1) == [b"new"]
        assert set(consumer.assignment()) == {TopicPartition("bids", 0), TopicPartition("bids", 1)}


def test_a_waiting_consumer_is_told_of_added_partitions_at_once(log):
    log.create_topic("bids", 1)
    found = []
    with log.producer() as producer, log.consumer("bids") as consumer:
        thread = Thread(target=lambda: found.extend(values(consumer, 1, None)))
        thread.start()
        log.alter_topic("bids", partitions=2)
        producer.send("bids", value=b"new", partition=1).result()
        thread.join(300)
        consumer.wakeup()
        thread.join()
    assert found == [b"new"]


def test_who_reads_a_deleted_topic_is_told_so(log):
    log.create_topic("bids")
    with log.producer() as producer, log.consumer("bids", group="g") as consumer:
        producer.send("bids", value=b"old").result()
        assert values(consumer, 1) == [b"old"]
        assigned = log.consumer()
        assigned.assign([TopicPartition("bids", 0)])
        log.delete_topic("bids")
        for reader in (consumer, assigned):
            with pytest.raises(TopicDeletedError, match="'bids' was deleted"):
                reader.poll()
        log.create_topic("bids")
        producer.send("bids", value=b"new").result()
        for reader in (consumer, assigned):
            with pytest.raises(TopicDeletedError):
                reader.poll()
    with log.consumer("bids", group="g") as consumer:
        assert values(consumer, 1) == [b"new"]  # from the start: the offsets are gone, too
    assigned.close()


def test_what_is_sent_to_a_deleted_topic_fails_and_what_is_sent_later_does_not(log):
    log.create_topic("bids", 3)
    with log.producer() as producer:
        producer.send("bids", value=b"old", partition=2).result()
        log.delete_topic("bids")
        handle = producer.send("bids", value=b"lost")
        with pytest.raises(UnknownTopicError):
            producer.flush()
        with pytest.raises(UnknownTopicError):
            handle.result()
        log.create_topic("bids", 2)
        assert producer.send("bids", value=b"new", partition=1).result() == (1, 0)


def test_a_transaction_ends_although_one_of_its_topics_is_deleted(log):
    log.create_topic("kept")
    log.create_topic("gone")
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("kept", value=b"a")
        producer.send("gone", value=b"b")
        producer.flush()
        log.delete_topic("gone")
        producer.commit_transaction()
        producer.begin_transaction()
        producer.send("kept", value=b"c")
        producer.commit_transaction()
        producer.flush()
    with log.consumer("kept") as consumer:
        assert values(consumer, 2) == [b"a", b"c"]


def test_records_are_deleted_and_readers_go_on_at_the_start(log):
    log.create_topic("bids")
    partition = TopicPartition("bids", 0)
    with log.producer() as producer:
        for number in range(5):
            producer.send("bids", value=b"%d" % number).result()
    with log.consumer("bids") as early:
        early.seek(partition, 1)
        assert log.delete_records({partition: 3}) == {partition: 3}
        assert log.beginning_offsets([partition]) == {partition: 3}
        assert values(early, 2) == [b"3", b"4"]
        strict = log.consumer(start="error")
        strict.assign([partition])
        strict.seek(partition, 1)
        with pytest.raises(OffsetOutOfRangeError, match=r"outside \[3, 5\]"):
            strict.poll()
        strict.close()
    assert log.delete_records({partition: -1}) == {partition: 5}
    with pytest.raises(OffsetOutOfRangeError):
        log.delete_records({partition: 6})


def test_configurations_tell_where_they_come_from(log):
    log.create_topic("bids", config={"retention.ms": 1000})
    log.alter_config({"log.retention.bytes": 77})
    config = log.topic_config("bids")
    assert config["retention.ms"] == ConfigEntry(value="1000", source="topic")
    assert config["retention.bytes"] == ConfigEntry(value="77", source="log")
    assert config["segment.ms"] == ConfigEntry(value="604800000", source="default")
    log.alter_topic("bids", config={"retention.ms": None})
    assert log.topic_config("bids")["retention.ms"].value == "604800000"
    assert log.config()["log.retention.bytes"] == ConfigEntry(value="77", source="log")
    with pytest.raises(InvalidConfigError, match=r"did you mean 'log\.retention\.bytes'"):
        log.alter_config({"log.retention.byte": "1"})


def test_topics_of_the_logs_own_are_protected(log):
    log.create_topic("bids")
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"x")
        producer.commit_transaction()
    name = "__transaction_state"
    for attempt in (
        lambda: log.create_topic("__mine"),
        lambda: log.delete_topic(name),
        lambda: log.alter_topic(name, partitions=60),
        lambda: log.delete_records({TopicPartition(name, 0): 0}),
    ):
        with pytest.raises(ProtectedTopicError, match="log's own"):
            attempt()
    with pytest.raises(InvalidConfigError, match="have to be compacted"):
        log.alter_topic(name, config={"cleanup.policy": "delete"})
    log.alter_topic(name, config={"min.cleanable.dirty.ratio": "0.1"})
    assert log.topic_config(name)["cleanup.policy"].value == "compact"


def test_what_is_no_number_of_partitions_is_refused_by_name(log):
    log.create_topic("bids", 2)
    for wrong in ("4", 4.0, None):
        with pytest.raises(TypeError, match="topic 'asks': a number of partitions is a whole"):
            log.create_topic("asks", wrong)
    with pytest.raises(TypeError, match="not '4'"):
        log.alter_topic("bids", partitions="4")
    with pytest.raises(InvalidPartitionsError, match="it has 2"):
        log.alter_topic("bids", partitions=1)
    assert set(log.topics()) == {"bids"}


def test_records_of_a_compacted_topic_are_not_deleted_by_offset(log):
    log.create_topic("table", config={"cleanup.policy": "compact"})
    with pytest.raises(PolicyViolationError, match="compact"):
        log.delete_records({TopicPartition("table", 0): 0})


def test_the_sizes_of_partitions_are_told(log):
    log.create_topic("bids", 3)
    with log.producer() as producer:
        producer.send("bids", value=b"x" * 1000, partition=1).result()
    sizes = {p: n for p, n in log.sizes().items() if p.topic == "bids"}
    assert list(sizes) == [TopicPartition("bids", 1)]
    assert 1000 < sizes[TopicPartition("bids", 1)] < 1100


def test_a_reader_beside_the_owner_meets_what_the_owner_changes(log, tmp_path):
    log.create_topic("bids")
    with log.producer() as producer, streamlog.open(tmp_path / "data", read_only=True) as beside:
        producer.send("bids", value=b"a").result()
        with beside.consumer("bids") as consumer:
            assert values(consumer, 1) == [b"a"]
            log.alter_topic("bids", partitions=2, config={"retention.ms": "5000000"})
            producer.send("bids", value=b"b", partition=1).result()
            assert values(consumer, 1) == [b"b"]
            assert beside.topic_config("bids")["retention.ms"].value == "5000000"
            assert set(beside.sizes()) == set(log.sizes())
            log.delete_topic("bids")
            with pytest.raises(TopicDeletedError):
                consumer.poll()
            assert beside.topics() == {}
