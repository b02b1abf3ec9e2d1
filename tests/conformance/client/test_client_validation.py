"""What a topic does not take is refused before it is sent, and its configuration counts at once."""

import time

import pytest

from streamlog import TopicPartition
from streamlog.errors import InvalidRecordError, InvalidTimestampError
from streamlog.record import Codec, read_header

BIDS = TopicPartition("bids", 0)
HOUR_MS = 3_600_000


def values(log):
    with log.consumer("bids") as consumer:
        end = log.end_offsets([BIDS])[BIDS]
        found = []
        while consumer.position(BIDS) < end:
            found += consumer.poll(timeout=60)
        return [record.value for record in found]


def test_a_compacted_topic_takes_no_record_without_key(log):
    log.create_topic("bids", config={"cleanup.policy": "compact"})
    with log.producer() as producer:
        with pytest.raises(InvalidRecordError, match="no key, and the topic is compacted"):
            producer.send("bids", value=b"never")
        with pytest.raises(InvalidRecordError, match="record 2: no key") as caught:
            producer.send_columns("bids", [b"k", b"k", None], [b"1", b"2", b"3"])
        assert caught.value.topic == "bids"
        with pytest.raises(InvalidRecordError, match="3 of 3"):
            producer.send_columns("bids", None, [b"1", b"2", b"3"])
        producer.send("bids", b"k", b"seen")
        producer.send("bids", b"k", None)
        producer.flush()
    assert values(log) == [b"seen", None]


def test_a_topic_that_becomes_compacted_refuses_from_then_on(log):
    log.create_topic("bids")
    with log.producer() as producer:
        producer.send("bids", value=b"before").result(60)
        log.alter_topic("bids", config={"cleanup.policy": "compact"})
        with pytest.raises(InvalidRecordError):
            producer.send("bids", value=b"after")
        log.alter_topic("bids", config={"cleanup.policy": None})
        producer.send("bids", value=b"later").result(60)
    assert values(log) == [b"before", b"later"]


def test_a_timestamp_more_than_an_hour_ahead_is_refused_and_nothing_else(log):
    log.create_topic("bids")
    late = int(time.time() * 1000) + 2 * HOUR_MS
    with log.producer() as producer:
        with pytest.raises(InvalidTimestampError, match=r"message\.timestamp\.after\.max\.ms"):
            producer.send("bids", value=b"never", timestamp=late)
        with pytest.raises(InvalidTimestampError, match="record 1: timestamp") as caught:
            producer.send_columns("bids", None, [b"1", b"2"], timestamps=[0, late])
        assert [fault.index for fault in caught.value.faults] == [1]
        producer.send("bids", value=b"old", timestamp=0)
        log.alter_topic("bids", config={"message.timestamp.after.max.ms": str(3 * HOUR_MS)})
        producer.send("bids", value=b"ahead", timestamp=late)
        producer.flush()
    assert values(log) == [b"old", b"ahead"]


def test_what_is_refused_leaves_a_transaction_as_it_was(log):
    log.create_topic("bids", config={"message.timestamp.before.max.ms": str(HOUR_MS)})
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"1")
        with pytest.raises(InvalidTimestampError):
            producer.send("bids", value=b"never", timestamp=0)
        producer.commit_transaction()
    with log.producer() as plain:
        plain.flush()
    assert values(log) == [b"1"]


@pytest.mark.parametrize(
    ("wanted", "sent", "stored"),
    [
        ("zstd", "none", Codec.ZSTD),
        ("uncompressed", "lz4", Codec.NONE),
        ("gzip", "gzip", Codec.GZIP),
    ],
)
def test_batches_are_stored_in_the_topics_compression(log, wanted, sent, stored):
    log.create_topic("bids", config={"compression.type": wanted})
    with log.producer(compression=sent) as producer:
        producer.send_columns("bids", None, [b"x" * 500] * 3)
        producer.flush()
    assert values(log) == [b"x" * 500] * 3
    assert read_header(log._broker.partition(BIDS).read(0, 1 << 20).data).codec is stored
    log.alter_topic("bids", config={"compression.type": "snappy"})
    with log.producer(compression=sent) as producer:
        producer.send_columns("bids", None, [b"y" * 500])
        producer.flush()
    assert read_header(log._broker.partition(BIDS).read(3, 1 << 20).data).codec is Codec.SNAPPY


def test_a_topic_may_set_the_times_itself(log):
    log.create_topic("bids", config={"message.timestamp.type": "LogAppendTime"})
    far = 10_000_000_000_000
    with log.producer() as producer:
        producer.send("bids", value=b"1", timestamp=far)
        producer.flush()
    with log.consumer("bids") as consumer:
        (record,) = consumer.poll(timeout=60)
    assert record.timestamp < far
