"""Reading a directory that another process may own."""

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import DirectoryAccessError, UnknownTopicError

BIDS = TopicPartition("bids", 0)


def values(records):
    return [record.value for record in records]


@pytest.fixture
def owner(tmp_path):
    with streamlog.open(tmp_path / "data") as log:
        log.create_topic("bids")
        with log.producer() as producer:
            producer.send("bids", value=b"a")
        yield log


@pytest.fixture
def beside(owner, tmp_path):
    with streamlog.open(tmp_path / "data", read_only=True) as log:
        yield log


def test_topics_records_and_ends_are_seen_beside_the_owner(beside):
    assert list(beside.topics()) == ["bids"]
    assert beside.read_only
    assert beside.end_offsets([BIDS]) == {BIDS: 1}
    assert beside.beginning_offsets([BIDS]) == {BIDS: 0}
    with beside.consumer("bids") as consumer:
        assert values(consumer.poll()) == [b"a"]


def test_a_reader_follows_what_the_owner_goes_on_writing(owner, beside):
    with beside.consumer("bids", start="latest") as consumer:
        assert consumer.poll() == []
        with owner.producer() as producer:
            producer.send("bids", value=b"b")
        assert values(consumer.poll(timeout=60)) == [b"b"]
        owner.create_topic("asks")
        assert set(beside.topics()) == {"asks", "bids"}
    assert beside.end_offsets([BIDS]) == {BIDS: 2}


def test_what_is_not_durable_is_not_seen(tmp_path):
    with streamlog.open(tmp_path / "data", threaded=False) as owner:
        owner.create_topic("bids")
        producer = owner.producer()
        producer.send_columns("bids", None, [b"a"])
        with streamlog.open(tmp_path / "data", read_only=True) as beside:
            assert beside.end_offsets([BIDS]) == {BIDS: 0}
            producer.flush()
            assert beside.end_offsets([BIDS]) == {BIDS: 1}


def test_an_open_transaction_is_not_seen_and_an_aborted_one_neither(owner, beside):
    with owner.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("bids", value=b"bad")
        producer.flush()
        with beside.consumer("bids") as consumer:
            assert values(consumer.poll()) == [b"a"]
            producer.abort_transaction()
            producer.begin_transaction()
            producer.send("bids", value=b"good")
            producer.commit_transaction()
            assert values(consumer.poll(timeout=60)) == [b"good"]


def test_committed_offsets_are_seen(owner, beside):
    with owner.consumer("bids", group="g") as consumer:
        consumer.commit({BIDS: 1})
    assert beside.committed_offsets("g") == {BIDS: 1}
    with beside.consumer("bids", group="g") as consumer:
        assert consumer.poll() == []
        assert consumer.position(BIDS) == 1


def test_nothing_can_be_written(beside):
    with beside.consumer("bids", group="g") as consumer:
        consumer.poll()
        for attempt in (
            lambda: beside.create_topic("other"),
            lambda: beside.producer(),
            lambda: beside.producer(transactional_id="t"),
            lambda: consumer.commit({BIDS: 1}),
        ):
            with pytest.raises(DirectoryAccessError, match="read only"):
                attempt()


def test_an_unknown_topic_is_an_error(beside):
    with pytest.raises(UnknownTopicError):
        beside.consumer("bid")


def test_a_directory_without_a_log_is_an_error(tmp_path):
    with pytest.raises(DirectoryAccessError, match="no log"):
        streamlog.open(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()


def test_a_log_without_an_owner_is_read_after_a_clean_stop(tmp_path):
    with streamlog.open(tmp_path / "data") as owner:
        owner.create_topic("bids")
        owner.producer().send("bids", value=b"a")
    with (
        streamlog.open(tmp_path / "data", read_only=True) as beside,
        beside.consumer("bids") as consumer,
    ):
        assert values(consumer.poll()) == [b"a"]
