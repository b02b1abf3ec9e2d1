"""What clients see when the disk fails."""

import contextlib
import errno

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import DiskFullError, StorageError, SyncFailedError
from streamlog.testing import Adversary, Cut, FaultyFiles

BIDS = TopicPartition("bids", 0)


@pytest.fixture(params=["threaded", "unthreaded"])
def threaded(request):
    return request.param == "threaded"


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def log(files, threaded):
    opened = streamlog.open("/log", files=files, threaded=threaded)
    opened.create_topic("bids")
    with opened.producer() as producer:
        producer.send("bids", value=b"safe").result(60)
    yield opened
    with contextlib.suppress(StorageError):
        opened.close()


def survivors(files):
    """What a new owner finds after the process has ended."""
    left = files.cut(Cut(len(files.operations), Adversary.ALL))
    with streamlog.open("/log", files=left, threaded=False) as log, log.consumer("bids") as reader:
        return [record.value for record in reader.poll()]


def test_a_full_disk_fails_the_write_and_everything_after_and_loses_nothing(log, files):
    files.capacity_bytes = 0
    producer = log.producer(batch_size=100)
    handle = producer.send("bids", value=b"x" * 900_000)
    with pytest.raises(DiskFullError, match="Free some"):
        handle.result(60)
    with pytest.raises(DiskFullError):
        producer.send_columns("bids", None, [b"x"])
    with pytest.raises(DiskFullError):
        producer.flush()
    assert log.end_offsets([BIDS]) == {BIDS: 1}
    assert survivors(files) == [b"safe"]


def test_a_failed_sync_acknowledges_nothing_and_ends_writing(log, files):
    files.fail("datasync", error=errno.EIO)
    producer = log.producer()
    handle = producer.send("bids", value=b"x")
    with pytest.raises(SyncFailedError, match="open it again"):
        handle.result(60)
    for attempt in (
        lambda: producer.send("bids", value=b"y").result(60),
        lambda: producer.send_columns("bids", None, [b"y"]),
        lambda: producer.flush(),
        lambda: log.create_topic("other"),
    ):
        with pytest.raises(SyncFailedError):
            attempt()
    assert log.end_offsets([BIDS]) == {BIDS: 1}


def test_a_failed_sync_fails_the_commit_that_waits_for_it(log, files):
    producer = log.producer(transactional_id="t")
    producer.begin_transaction()
    producer.send("bids", value=b"x")
    files.fail("datasync", error=errno.EIO)
    with pytest.raises(SyncFailedError):
        producer.commit_transaction()
    with pytest.raises(SyncFailedError):
        producer.abort_transaction()


def test_a_failed_sync_fails_a_commit_of_offsets(log, files):
    consumer = log.consumer("bids", group="g")
    consumer.poll()
    files.fail("datasync", error=errno.EIO)
    with pytest.raises(SyncFailedError):
        consumer.commit()


def test_what_was_read_before_a_failure_can_still_be_read(log, files):
    files.fail("datasync", error=errno.EIO)
    with pytest.raises(SyncFailedError):
        log.producer().send("bids", value=b"x").result(60)
    with log.consumer("bids") as consumer:
        assert [record.value for record in consumer.poll()] == [b"safe"]


def test_an_acknowledged_record_survives_a_loss_of_power(log, files):
    left = files.cut(Cut(len(files.operations), Adversary.NOTHING))
    with streamlog.open("/log", files=left, threaded=False) as again:
        assert again.end_offsets([BIDS]) == {BIDS: 1}
