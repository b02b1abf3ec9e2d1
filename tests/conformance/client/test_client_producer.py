"""Sending one record at a time and in columns."""

import re
from threading import Thread

import pytest

from streamlog import TopicPartition
from streamlog.errors import InvalidTopicError, RecordTooLargeError, SerializationError
from streamlog.partitioner import partition_for


def read(log, *topics, count, **options):
    """The next `count` records of the topics from their beginning; fails after a minute."""
    with log.consumer(*topics, **options) as consumer:
        records = []
        while len(records) < count:
            polled = consumer.poll(timeout=60, max_records=count - len(records))
            assert polled, f"only {len(records)} of {count} records"
            records += polled
        assert consumer.poll() == []
        return records


def values(records):
    return [record.value for record in records]


def test_a_record_comes_back_whole(log):
    log.create_topic("bids")
    with log.producer() as producer:
        headers = [("trace", b"1"), ("trace", None)]
        handle = producer.send("bids", b"lot-7", b"120", timestamp=1234, headers=headers)
        assert handle.result(60) == (0, 0)
        assert handle.done()
    (record,) = read(log, "bids", count=1)
    assert (record.topic, record.partition, record.offset) == ("bids", 0, 0)
    assert (record.key, record.value, record.timestamp) == (b"lot-7", b"120", 1234)
    assert record.headers == headers


def test_a_record_without_a_timestamp_gets_the_time(log):
    log.create_topic("bids")
    with log.producer() as producer:
        producer.send("bids", value=b"x")
    assert read(log, "bids", count=1)[0].timestamp > 1_700_000_000_000


def test_str_is_written_as_utf8_and_none_stays_none(log):
    log.create_topic("bids")
    with log.producer() as producer:
        producer.send("bids", key="ü", value=None)
        producer.send("bids", key=None, value="ü")
    first, second = read(log, "bids", count=2)
    assert (first.key, first.value) == ("ü".encode(), None)
    assert (second.key, second.value) == (None, "ü".encode())


def test_serdes_write_and_read(log):
    log.create_topic("counts")
    with log.producer(key=str, value=int) as producer:
        producer.send("counts", "word", 7)
        producer.send("counts", "word", None)
    records = read(log, "counts", count=2, key=str, value=int)
    assert [(record.key, record.value) for record in records] == [("word", 7), ("word", None)]


@pytest.mark.parametrize("bad", [1, 1.5, object(), ["x"]])
def test_without_a_serde_only_bytes_and_str_are_taken(log, bad):
    log.create_topic("bids")
    with log.producer() as producer:
        with pytest.raises(SerializationError):
            producer.send("bids", value=bad)
        with pytest.raises(SerializationError):
            producer.send("bids", key=bad)
        producer.flush()
    assert log.end_offsets([TopicPartition("bids", 0)]) == {TopicPartition("bids", 0): 0}


def test_a_key_goes_to_kafkas_partition_either_way(log):
    log.create_topic("one", 5)
    log.create_topic("columns", 5)
    keys = [f"key-{number}".encode() for number in range(100)]
    with log.producer() as producer:
        handles = [producer.send("one", key) for key in keys]
        producer.send_columns("columns", keys, [None] * len(keys))
        producer.flush()
        assert [handle.result()[0] for handle in handles] == [partition_for(k, 5) for k in keys]
    for record in read(log, "columns", count=100):
        assert record.partition == partition_for(record.key, 5)


def test_records_of_one_partition_keep_their_order_across_both_ways_of_sending(log):
    log.create_topic("bids")
    with log.producer() as producer:
        producer.send("bids", value=b"0")
        producer.send_columns("bids", None, [b"1", b"2"])
        producer.send("bids", value=b"3")
        producer.send_columns("bids", None, [b"4"])
    assert values(read(log, "bids", count=5)) == [b"0", b"1", b"2", b"3", b"4"]


def test_handles_say_where_each_record_went(log):
    log.create_topic("bids", 2)
    with log.producer(batch_size=200) as producer:
        handles = [producer.send("bids", value=b"%d" % n, partition=n % 2) for n in range(50)]
        assert [handle.result(60) for handle in handles] == [(n % 2, n // 2) for n in range(50)]
    for record in read(log, "bids", count=50):
        assert int(record.value) == record.offset * 2 + record.partition


def test_keyless_records_are_spread_by_the_batch(log):
    log.create_topic("bids", 3)
    with log.producer(batch_size=1000) as producer:
        producer.send_columns("bids", None, [b"x" * 100] * 60)
        producer.flush()
    ends = log.end_offsets([TopicPartition("bids", number) for number in range(3)])
    assert min(ends.values()) >= 14
    assert sum(ends.values()) == 60


def test_columns_come_back_as_they_went(log):
    log.create_topic("bids")
    rows = 10_000
    with log.producer(batch_size=5_000) as producer:
        producer.send_columns(
            "bids",
            [b"k%d" % n if n % 3 else None for n in range(rows)],
            [b"v%d" % n if n % 5 else None for n in range(rows)],
            timestamps=[n * 2 for n in range(rows)],
            headers=[[("h", b"%d" % n)] if n % 7 == 0 else [] for n in range(rows)],
        )
        producer.flush()
    for n, record in enumerate(read(log, "bids", count=rows)):
        assert record.offset == n
        assert record.key == (b"k%d" % n if n % 3 else None)
        assert record.value == (b"v%d" % n if n % 5 else None)
        assert record.timestamp == n * 2
        assert record.headers == ([("h", b"%d" % n)] if n % 7 == 0 else [])


def test_empty_columns_write_nothing(log):
    log.create_topic("bids", 2)
    with log.producer() as producer:
        producer.send_columns("bids", None, [])
        producer.send_columns("bids", [], [])
        producer.send_columns("bids", [], [], partition=1)
        producer.flush()
    partitions = [TopicPartition("bids", 0), TopicPartition("bids", 1)]
    assert set(log.end_offsets(partitions).values()) == {0}


@pytest.mark.parametrize(
    "columns",
    [
        {"keys": [b"a"], "values": [b"1", b"2"]},
        {"keys": None, "values": [b"1", b"2"], "timestamps": [1]},
        {"keys": None, "values": [b"1", b"2"], "headers": [[]]},
        {"keys": None, "values": [b"1", b"2"], "timestamps": [1, -1]},
        {"keys": None, "values": [b"1", b"2"], "timestamps": [1, 1 << 63]},
        {"keys": None, "values": [b"1", b"2"], "timestamps": [1, 1.5]},
        {"keys": None, "values": [b"1", "2"]},
        {"keys": [b"1", 2], "values": [b"1", b"2"]},
        {"keys": None, "values": [b"1", b"2"], "headers": [[], [("h", "text")]]},
        {"keys": None, "values": [b"1", b"2"], "headers": [[], [(b"h", b"x")]]},
    ],
)
def test_wrong_columns_are_refused_and_nothing_is_appended(log, columns):
    log.create_topic("bids")
    with log.producer() as producer:
        with pytest.raises((ValueError, TypeError)):
            producer.send_columns("bids", **columns)
        producer.flush()
    assert log.end_offsets([TopicPartition("bids", 0)])[TopicPartition("bids", 0)] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"timestamp": -1},
        {"timestamp": 1 << 63},
        {"timestamp": 1.5},
        {"headers": [("h", "text")]},
        {"headers": [(b"h", b"x")]},
    ],
)
def test_a_wrong_argument_is_refused_where_it_is_sent(log, arguments):
    log.create_topic("bids")
    with log.producer() as producer:
        with pytest.raises((ValueError, TypeError)):
            producer.send("bids", value=b"x", **arguments)
        producer.flush()
    assert log.end_offsets([TopicPartition("bids", 0)])[TopicPartition("bids", 0)] == 0


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__transaction_state"])
def test_the_coordinators_topics_are_not_written_to(log, topic):
    with log.producer() as producer:
        with pytest.raises(InvalidTopicError, match="only the log's coordinators"):
            producer.send(topic, key=b"not theirs", value=b"x")
        with pytest.raises(InvalidTopicError, match="only the log's coordinators"):
            producer.send_columns(topic, None, [b"x"])
    assert topic not in log.topics(internal=True)


def test_a_record_over_the_limit_is_refused_before_anything_is_appended(log):
    log.create_topic("bids", config={"max.message.bytes": "1000"})
    with log.producer() as producer:
        with pytest.raises(RecordTooLargeError, match=re.escape("max.message.bytes = 1000")):
            producer.send("bids", value=b"x" * 1000)
        with pytest.raises(RecordTooLargeError):
            producer.send_columns("bids", None, [b"small", b"x" * 1000, b"small"])
        producer.flush()
        assert log.end_offsets([TopicPartition("bids", 0)])[TopicPartition("bids", 0)] == 0
        producer.send("bids", value=b"x" * 900)
        producer.send_columns("bids", None, [b"small"] * 500)
    assert len(read(log, "bids", count=501)) == 501


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read_back(log, compression):
    log.create_topic("bids")
    with log.producer(compression=compression) as producer:
        producer.send_columns("bids", None, [b"%d" % (n // 100) for n in range(1000)])
    assert values(read(log, "bids", count=1000)) == [b"%d" % (n // 100) for n in range(1000)]


def test_an_unknown_compression_gets_the_near_miss(log):
    with pytest.raises(ValueError, match=re.escape("did you mean 'zstd'?")):
        log.producer(compression="zst")


def test_many_threads_send_through_one_producer(log):
    log.create_topic("bids", 3)
    threads, each = 8, 500
    handles = {}

    def send(name):
        handles[name] = [
            producer.send("bids", key=b"%d" % name, value=b"%d" % number) for number in range(each)
        ]

    with log.producer(batch_size=2_000) as producer:
        running = [Thread(target=send, args=(name,)) for name in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    records = read(log, "bids", count=threads * each)
    for name in range(threads):
        mine = [record for record in records if record.key == b"%d" % name]
        assert [int(record.value) for record in mine] == list(range(each))
        assert [(r.partition, r.offset) for r in mine] == [h.result() for h in handles[name]]


def test_many_threads_send_columns_and_single_records_at_once(log):
    log.create_topic("bids", 2)

    def send(name):
        for number in range(0, 300, 3):
            producer.send("bids", b"%d" % name, b"%d" % number)
            rows = [b"%d" % (number + 1), b"%d" % (number + 2)]
            producer.send_columns("bids", [b"%d" % name] * 2, rows)

    with log.producer(batch_size=500) as producer:
        running = [Thread(target=send, args=(name,)) for name in range(4)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    records = read(log, "bids", count=4 * 300)
    for name in range(4):
        mine = [int(record.value) for record in records if record.key == b"%d" % name]
        assert mine == list(range(300))


def test_a_closed_producer_refuses(log):
    log.create_topic("bids")
    producer = log.producer()
    producer.send("bids", value=b"x")
    producer.close()
    producer.close()
    for attempt in (
        lambda: producer.send("bids", value=b"x"),
        lambda: producer.send_columns("bids", None, [b"x"]),
        lambda: producer.flush(),
    ):
        with pytest.raises(ValueError, match="closed"):
            attempt()
    assert len(read(log, "bids", count=1)) == 1


def test_closing_the_log_writes_what_was_sent(log, tmp_path):
    import streamlog

    log.create_topic("bids")
    handle = log.producer().send("bids", value=b"x")
    log.close()
    assert handle.result(0) == (0, 0)
    with streamlog.open(tmp_path / "data") as again:
        assert values(read(again, "bids", count=1)) == [b"x"]
