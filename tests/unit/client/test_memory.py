"""Logs in the process's memory."""

import os

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import DirectoryAccessError, LogClosedError

BIDS = TopicPartition("bids", 0)


def test_every_opening_in_memory_is_a_log_of_its_own():
    with streamlog.open(":memory:") as one, streamlog.open(":memory:") as other:
        one.create_topic("bids")
        assert list(one.topics()) == ["bids"]
        assert list(other.topics()) == []


def test_a_name_is_shared_in_the_process_until_the_last_opening_is_closed():
    with streamlog.open(":memory:shop") as one:
        with streamlog.open(":memory:shop") as other, streamlog.open(":memory:other") as apart:
            one.create_topic("bids")
            with other.producer() as producer:
                producer.send("bids", value=b"a")
            assert one.end_offsets([BIDS]) == {BIDS: 1}
            assert list(apart.topics()) == []
        with streamlog.open(":memory:shop", read_only=True) as beside:
            assert list(beside.topics()) == ["bids"]
    with streamlog.open(":memory:shop") as new:
        assert list(new.topics()) == []


def test_a_closed_log_gives_its_memory_back_though_somebody_holds_it():
    log = streamlog.open(":memory:shop")
    log.create_topic("bids")
    log.close()
    with pytest.raises(LogClosedError, match=r"^:memory:"):
        log.topics()
    with streamlog.open(":memory:shop") as new:
        assert list(new.topics()) == []


def test_nothing_is_written_to_the_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with streamlog.open(":memory:") as log, streamlog.open(":memory:shop"):
        log.create_topic("bids")
        with log.producer(transactional_id="t") as producer:
            producer.begin_transaction()
            producer.send("bids", value=b"a")
            producer.commit_transaction()
    assert os.listdir() == []


def test_a_log_in_memory_says_so_and_where_it_is(tmp_path):
    with streamlog.open(":memory:shop", durability="fsync") as log:
        assert (log.in_memory, log.path) == (True, ":memory:shop")
    with streamlog.open(tmp_path / "data") as log:
        assert (log.in_memory, log.path) == (False, str(tmp_path / "data"))


def test_there_is_nothing_to_read_beside_in_memory():
    with pytest.raises(DirectoryAccessError, match="no log"):
        streamlog.open(":memory:", read_only=True)


def test_a_log_in_memory_brings_its_own_files():
    from streamlog.files import OsFiles

    with pytest.raises(ValueError, match="files"):
        streamlog.open(":memory:", files=OsFiles())


def test_a_log_in_memory_goes_on_over_segments_and_finds_everything():
    with streamlog.open(":memory:") as log:
        log.create_topic("bids", config={"segment.bytes": "65536"})
        with log.producer() as producer:
            for number in range(0, 20_000, 500):
                values = [b"%06d" % each + b"x" * 90 for each in range(number, number + 500)]
                producer.send_columns("bids", None, values)
        with log.consumer("bids") as consumer:
            for offset in (0, 7, 500, 9_999, 19_999):
                consumer.seek(BIDS, offset)
                assert consumer.poll(max_records=1)[0].value.startswith(b"%06d" % offset)
