"""Topics: creating, describing, and what is refused."""

import re

import pytest

from streamlog import TopicPartition
from streamlog.errors import (
    InvalidConfigError,
    InvalidTopicError,
    PartitionCountError,
    TopicExistsError,
    UnknownPartitionError,
    UnknownTopicError,
)


def test_a_topic_is_described_as_it_was_created(log):
    created = log.create_topic("bids", 4, config={"max.message.bytes": "2000"})
    assert (created.name, created.partitions) == ("bids", 4)
    assert created.config["max.message.bytes"] == "2000"
    assert log.topic("bids") == created
    assert log.topics() == {"bids": created}


def test_topic_ids_differ(log):
    assert log.create_topic("a").topic_id != log.create_topic("b").topic_id


def test_a_topic_that_exists_is_refused_unless_that_is_fine(log):
    created = log.create_topic("bids", 2)
    with pytest.raises(TopicExistsError):
        log.create_topic("bids", 2)
    assert log.create_topic("bids", 2, exist_ok=True) == created


def test_another_partition_count_is_refused_and_both_are_named(log):
    log.create_topic("bids", 2)
    with pytest.raises(PartitionCountError, match=re.escape("has 2 partitions, but 3")):
        log.create_topic("bids", 3, exist_ok=True)


def test_an_unknown_topic_gets_the_near_miss(log):
    log.create_topic("bids")
    for attempt in (
        lambda: log.topic("bid"),
        lambda: log.consumer("bid"),
        lambda: log.producer().send("bid", value=b""),
        lambda: log.producer().send_columns("bid", None, [b""]),
        lambda: log.end_offsets([TopicPartition("bid", 0)]),
        lambda: log.consumer().assign([TopicPartition("bid", 0)]),
    ):
        with pytest.raises(UnknownTopicError, match=re.escape("did you mean 'bids'?")):
            attempt()


def test_an_unknown_partition_is_refused(log):
    log.create_topic("bids", 2)
    for attempt in (
        lambda: log.producer().send("bids", value=b"", partition=2),
        lambda: log.producer().send("bids", value=b"", partition=-1),
        lambda: log.producer().send_columns("bids", None, [b""], partition=2),
        lambda: log.end_offsets([TopicPartition("bids", 2)]),
        lambda: log.consumer().assign([TopicPartition("bids", 2)]),
    ):
        with pytest.raises(UnknownPartitionError, match="partitions 0 to 1"):
            attempt()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "ü", "x" * 250])
def test_a_name_that_kafka_refuses_is_refused(log, name):
    with pytest.raises(InvalidTopicError):
        log.create_topic(name)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("retention.ms", "-2"),
        ("cleanup.policy", "compress"),
        ("max.mesage.bytes", "1000"),
        ("segment.bytes", "many"),
    ],
)
def test_a_configuration_that_is_unknown_or_wrong_is_refused_by_name(log, key, value):
    with pytest.raises(InvalidConfigError) as caught:
        log.create_topic("bids", config={key: value})
    assert caught.value.key == key
    assert log.topics() == {}


@pytest.mark.parametrize("partitions", [0, -1, 100_001])
def test_a_topic_has_at_least_one_partition_and_not_too_many(log, partitions):
    with pytest.raises(ValueError, match="partition"):
        log.create_topic("bids", partitions)


def test_internal_topics_are_listed_only_on_request(log):
    log.create_topic("bids")
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"x")
        producer.commit_transaction()
    assert set(log.topics()) == {"bids"}
    assert {"bids", "__transaction_state"} <= set(log.topics(internal=True))


def test_a_new_partition_begins_and_ends_at_zero(log):
    log.create_topic("bids", 2)
    partitions = [TopicPartition("bids", 0), TopicPartition("bids", 1)]
    assert log.beginning_offsets(partitions) == dict.fromkeys(partitions, 0)
    assert log.end_offsets(partitions) == dict.fromkeys(partitions, 0)
