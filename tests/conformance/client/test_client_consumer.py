"""Reading: assignment, positions, waiting."""

import re
from pathlib import Path
from threading import Event, Thread

import pytest

from streamlog import TopicPartition
from streamlog.errors import (
    CorruptLogError,
    NoOffsetError,
    OffsetOutOfRangeError,
    SerializationError,
)

BIDS = TopicPartition("bids", 0)


def fill(log, *rows, topic="bids", partition=0, timestamps=None):
    with log.producer() as producer:
        producer.send_columns(topic, None, list(rows), partition=partition, timestamps=timestamps)


def values(records):
    return [record.value for record in records]


def columns(fetched):
    return [value for run in fetched for value in run.values]


@pytest.fixture
def bids(log):
    """Four records, of long ago."""
    log.create_topic("bids", config={"retention.ms": "-1"})
    fill(log, b"a", b"b", b"c", b"d", timestamps=[10, 20, 15, 40])
    return log


def test_a_subscribed_consumer_reads_every_partition_from_the_beginning(log):
    log.create_topic("bids", 2)
    log.create_topic("asks")
    fill(log, b"0", partition=0)
    fill(log, b"1", partition=1)
    fill(log, b"2", topic="asks")
    with log.consumer("bids", "asks") as consumer:
        assert sorted(values(consumer.poll())) == [b"0", b"1", b"2"]
        assert len(consumer.assignment()) == 3


def test_latest_starts_at_the_end(bids):
    with bids.consumer("bids", start="latest") as consumer:
        assert consumer.poll() == []
        fill(bids, b"e")
        assert values(consumer.poll(timeout=60)) == [b"e"]


def test_a_damaged_batch_is_named_by_file_and_byte(bids, tmp_path):
    path = tmp_path / "data" / "bids-0" / "00000000000000000000.log"
    size = len(path.read_bytes().rstrip(b"\0")) + 1  # a batch ends with a count of no headers
    fill(bids, b"damaged", timestamps=[50])
    path.write_bytes(path.read_bytes().replace(b"damaged", b"Damaged"))
    with bids.consumer("bids") as consumer:
        consumer.seek(BIDS, 4)
        with pytest.raises(CorruptLogError, match=r"CRC.*Restore it from a copy") as caught:
            consumer.poll()
    assert (Path(caught.value.path), caught.value.position) == (path, size)


def test_error_demands_a_position(bids):
    with bids.consumer("bids", start="error") as consumer:
        with pytest.raises(NoOffsetError, match="seek"):
            consumer.poll()
        consumer.seek(BIDS, 2)
        assert values(consumer.poll()) == [b"c", b"d"]


def test_an_assignment_keeps_the_positions_of_partitions_that_stay(log):
    log.create_topic("bids", 2)
    fill(log, b"a", b"b", partition=0)
    fill(log, b"x", b"y", partition=1)
    with log.consumer() as consumer:
        consumer.assign([BIDS])
        assert values(consumer.poll(max_records=1)) == [b"a"]
        consumer.assign([BIDS, TopicPartition("bids", 1)])
        assert sorted(values(consumer.poll())) == [b"b", b"x", b"y"]
        consumer.assign([TopicPartition("bids", 1)])
        assert consumer.assignment() == [TopicPartition("bids", 1)]


def test_a_subscribed_consumer_cannot_be_assigned(bids):
    with bids.consumer("bids") as consumer, pytest.raises(ValueError, match="subscribed"):
        consumer.assign([BIDS])


def test_what_is_not_assigned_has_no_position(bids):
    with bids.consumer() as consumer:
        for attempt in (
            lambda: consumer.position(BIDS),
            lambda: consumer.seek(BIDS, 0),
            lambda: consumer.pause([BIDS]),
        ):
            with pytest.raises(ValueError, match=re.escape("bids-0 is not assigned")):
                attempt()


def test_positions_move_by_what_was_handed_out(bids):
    with bids.consumer("bids") as consumer:
        assert consumer.position(BIDS) == 0
        assert values(consumer.poll(max_records=3)) == [b"a", b"b", b"c"]
        assert consumer.position(BIDS) == 3
        assert values(consumer.poll(max_records=3)) == [b"d"]
        assert consumer.position(BIDS) == 4
        assert consumer.poll() == []


def test_seek_goes_anywhere_in_the_log(bids):
    with bids.consumer("bids") as consumer:
        consumer.poll(max_records=2)
        for offset, expected in ((3, [b"d"]), (0, [b"a", b"b", b"c", b"d"]), (4, [])):
            consumer.seek(BIDS, offset)
            assert consumer.position(BIDS) == offset
            assert values(consumer.poll()) == expected
        with pytest.raises(ValueError, match="negative"):
            consumer.seek(BIDS, -1)


def test_seek_goes_to_the_beginning_and_to_the_end_of_what_is_assigned(log):
    log.create_topic("two", 2)
    zero, one = TopicPartition("two", 0), TopicPartition("two", 1)
    with log.producer() as producer:
        for number in range(3):
            producer.send_columns("two", None, [b"x"], partition=number % 2)
    log.delete_records({zero: 1})
    with log.consumer("two") as consumer:
        consumer.seek_to_end()
        assert [consumer.position(each) for each in (zero, one)] == [2, 1]
        consumer.seek_to_beginning([zero])
        assert [consumer.position(each) for each in (zero, one)] == [1, 1]
        consumer.seek_to_beginning()
        assert [consumer.position(each) for each in (zero, one)] == [1, 0]
        with pytest.raises(ValueError, match="not assigned"):
            consumer.seek_to_end([TopicPartition("two", 2)])


@pytest.mark.parametrize(
    ("timestamp", "expected"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 3), (40, 3), (41, 4)]
)
def test_seek_to_time_finds_the_first_record_at_or_after(bids, timestamp, expected):
    found = bids.offsets_for_time([BIDS], timestamp)
    assert found == {BIDS: None if expected == 4 else expected}
    with bids.consumer("bids") as consumer:
        consumer.seek_to_time(BIDS, timestamp)
        assert consumer.position(BIDS) == expected


def test_a_position_outside_of_the_log_starts_again_or_is_an_error(bids):
    for start, expected in (("earliest", [b"a", b"b", b"c", b"d"]), ("latest", [])):
        with bids.consumer("bids", start=start) as consumer:
            consumer.seek(BIDS, 1000)
            assert values(consumer.poll()) == expected
    with bids.consumer("bids", start="error") as consumer:
        consumer.seek(BIDS, 1000)
        with pytest.raises(OffsetOutOfRangeError, match=re.escape("outside [0, 4]")):
            consumer.poll()


def test_a_paused_partition_is_left_out(log):
    log.create_topic("bids", 2)
    fill(log, b"0", partition=0)
    fill(log, b"1", partition=1)
    with log.consumer("bids") as consumer:
        consumer.pause([BIDS])
        assert values(consumer.poll()) == [b"1"]
        assert columns(consumer.poll_columns()) == []
        consumer.resume([BIDS])
        assert values(consumer.poll()) == [b"0"]


def test_columns_are_read_by_partition(log):
    log.create_topic("bids", 2)
    with log.producer() as producer:
        producer.send_columns(
            "bids", [b"k"], [None], timestamps=[7], headers=[[("h", None)]], partition=0
        )
        producer.send_columns("bids", None, [b"1", b"2"], timestamps=[8, 9], partition=1)
    with log.consumer("bids") as consumer:
        first, second = sorted(consumer.poll_columns(), key=lambda run: run.partition)
        assert (first.keys, first.values, first.timestamps) == ([b"k"], [None], [7])
        assert (first.offsets, first.headers, first.next_offset) == ([0], [[("h", None)]], 1)
        assert (second.keys, second.values, second.timestamps) == ([None] * 2, [b"1", b"2"], [8, 9])
        assert (second.offsets, second.headers, second.next_offset) == ([0, 1], None, 2)
        assert consumer.poll_columns() == []
        assert consumer.position(TopicPartition("bids", 1)) == 2


def test_columns_of_chosen_partitions_leave_the_others_where_they_are(log):
    log.create_topic("bids", 2)
    fill(log, b"0", partition=0)
    fill(log, b"1", partition=1)
    with log.consumer("bids") as consumer:
        assert columns(consumer.poll_columns(partitions=[TopicPartition("bids", 1)])) == [b"1"]
        assert consumer.position(BIDS) == 0
        assert columns(consumer.poll_columns(partitions=[TopicPartition("bids", 1)])) == []
        assert columns(consumer.poll_columns()) == [b"0"]


def test_columns_come_in_about_the_size_asked_for(log):
    log.create_topic("bids")
    with log.producer(batch_size=1000) as producer:
        producer.send_columns("bids", None, [b"x" * 100] * 100)
    with log.consumer("bids") as consumer:
        seen = 0
        while fetched := consumer.poll_columns(max_bytes=2000):
            (run,) = fetched
            assert 0 < len(run.values) <= 20
            assert run.offsets == list(range(seen, seen + len(run.values)))
            seen += len(run.values)
        assert seen == 100
        consumer.seek(BIDS, 0)
        assert len(consumer.poll_columns(max_bytes=1)[0].values) > 0


def test_records_and_columns_share_one_position(bids):
    with bids.consumer("bids") as consumer:
        assert values(consumer.poll(max_records=1)) == [b"a"]
        assert columns(consumer.poll_columns()) == [b"b", b"c", b"d"]
        consumer.seek(BIDS, 2)
        assert columns(consumer.poll_columns()) == [b"c", b"d"]


def test_a_record_that_cannot_be_read_stops_at_it_and_can_be_passed(log):
    log.create_topic("bids")
    with log.producer(value=int) as good, log.producer() as bad:
        good.send("bids", value=1)
        good.flush()
        bad.send("bids", value=b"text")
        bad.flush()
        good.send("bids", value=2)
    with log.consumer("bids", value=int) as consumer:
        assert values(consumer.poll()) == [1]
        for _ in range(2):
            with pytest.raises(SerializationError, match=re.escape("bids-0 at offset 1")):
                consumer.poll()
            assert consumer.position(BIDS) == 1
        consumer.seek(BIDS, 2)
        assert values(consumer.poll()) == [2]


def test_a_waiting_poll_returns_what_comes(bids):
    with bids.consumer("bids") as consumer:
        consumer.poll()
        waiting = Event()
        received = []

        def wait():
            waiting.set()
            received.extend(consumer.poll(timeout=60))

        thread = Thread(target=wait)
        thread.start()
        waiting.wait()
        fill(bids, b"e")
        thread.join()
        assert values(received) == [b"e"]


def test_wakeup_ends_a_waiting_poll(bids):
    with bids.consumer("bids") as consumer:
        consumer.poll()
        thread = Thread(target=consumer.wakeup)
        thread.start()
        assert consumer.poll(timeout=60) == []
        thread.join()


def test_iteration_waits_for_the_next_record_and_ends_at_a_wakeup(bids):
    with bids.consumer("bids") as consumer:
        seen = []
        filling = Thread(target=fill, args=(bids, b"e"))
        for record in consumer:
            seen.append(record.value)
            if record.value == b"d":
                filling.start()
            if record.value == b"e":
                consumer.wakeup()
        filling.join()
        assert seen == [b"a", b"b", b"c", b"d", b"e"]


def test_iteration_follows_a_seek_and_a_close(bids):
    with bids.consumer("bids") as consumer:
        seen = []
        for record in consumer:
            assert consumer.position(BIDS) == record.offset + 1
            seen.append(record.value)
            if len(seen) == 2:
                consumer.seek(BIDS, 0)
            if len(seen) == 5:
                consumer.close()
        assert seen == [b"a", b"b", b"a", b"b", b"c"]


def test_on_available_is_called_when_there_is_more_to_read(bids):
    called = Event()
    with bids.consumer("bids") as consumer:
        consumer.on_available(called.set)
        consumer.poll()
        called.clear()
        fill(bids, b"e")
        assert called.wait(60)
        assert values(consumer.poll()) == [b"e"]
        consumer.on_available(None)


def test_a_closed_consumer_refuses(bids):
    consumer = bids.consumer("bids")
    consumer.close()
    consumer.close()
    for attempt in (
        lambda: consumer.poll(),
        lambda: consumer.poll_columns(),
        lambda: consumer.position(BIDS),
        lambda: consumer.assign([BIDS]),
    ):
        with pytest.raises(ValueError, match="closed"):
            attempt()


def test_two_consumers_without_a_group_are_independent(bids):
    with bids.consumer("bids") as one, bids.consumer("bids") as other:
        assert len(one.poll()) == len(other.poll()) == 4


def test_a_forgotten_consumer_leaves_nothing_behind(bids):
    import gc

    consumer = bids.consumer("bids", group="g")
    consumer.poll()
    del consumer
    gc.collect()
    with bids.consumer("bids", group="g") as other:
        assert len(other.poll()) == 4


@pytest.mark.parametrize("option", [{"start": "earlest"}, {"isolation": "read_comitted"}])
def test_a_misspelled_option_gets_the_near_miss(bids, option):
    with pytest.raises(ValueError, match="did you mean"):
        bids.consumer("bids", **option)
