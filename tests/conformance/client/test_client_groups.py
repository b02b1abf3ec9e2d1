"""Committed offsets, and groups whose members are all in this process."""

import pytest

import streamlog
from streamlog import GroupMetadata, TopicPartition
from streamlog.errors import IllegalGenerationError

BIDS = TopicPartition("bids", 0)


def fill(log, *rows, partition=0):
    with log.producer() as producer:
        producer.send_columns("bids", None, list(rows), partition=partition)


def values(records):
    return [record.value for record in records]


@pytest.fixture
def bids(log):
    log.create_topic("bids")
    fill(log, b"a", b"b", b"c", b"d")
    return log


def test_a_group_goes_on_where_it_committed(bids):
    with bids.consumer("bids", group="g", auto_commit=False) as consumer:
        consumer.poll(max_records=1)
        consumer.commit()
        consumer.poll(max_records=1)
    with bids.consumer("bids", group="g", auto_commit=False) as consumer:
        assert consumer.committed([BIDS]) == {BIDS: 1}
        assert values(consumer.poll()) == [b"b", b"c", b"d"]
    with bids.consumer("bids", group="other") as consumer:
        assert consumer.committed([BIDS]) == {BIDS: None}
        assert len(consumer.poll()) == 4


def test_chosen_offsets_are_committed(bids):
    with bids.consumer("bids", group="g", auto_commit=False) as consumer:
        consumer.commit({BIDS: 3})
        assert consumer.committed([BIDS]) == {BIDS: 3}
    assert bids.committed_offsets("g") == {BIDS: 3}
    assert bids.committed_offsets("unknown") == {}


@pytest.mark.parametrize(
    ("offset", "error"), [(-1, ValueError), (1 << 63, ValueError), (1.5, TypeError)]
)
def test_what_cannot_be_an_offset_is_refused_and_not_committed(bids, offset, error):
    with bids.consumer(group="g") as consumer:
        consumer.commit({BIDS: 2})
        with pytest.raises(error):
            consumer.commit({BIDS: offset})
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        with pytest.raises(error):
            producer.send_offsets_to_transaction({BIDS: offset}, GroupMetadata(group_id="g"))
        producer.commit_transaction()
    assert bids.committed_offsets("g") == {BIDS: 2}


def test_committed_offsets_outlive_the_log_object(log, tmp_path):
    log.create_topic("bids")
    with log.consumer(group="g") as consumer:
        consumer.commit({BIDS: 7})
    log.close()
    with streamlog.open(tmp_path / "data") as again:
        assert again.committed_offsets("g") == {BIDS: 7}


def test_auto_commit_commits_what_was_taken_before_the_next_poll_and_on_close(bids):
    with bids.consumer("bids", group="g") as consumer:
        consumer.poll(max_records=2)
        assert consumer.committed([BIDS]) == {BIDS: None}
        consumer.poll(max_records=1)
        assert consumer.committed([BIDS]) == {BIDS: 2}
    assert bids.committed_offsets("g") == {BIDS: 3}


def test_auto_commit_counts_a_record_as_taken_when_the_loop_gets_it(bids):
    with bids.consumer("bids", group="g") as consumer:
        for record in consumer:
            if record.value == b"b":
                break
    assert bids.committed_offsets("g") == {BIDS: 2}


def test_without_auto_commit_nothing_is_committed_by_itself(bids):
    with bids.consumer("bids", group="g", auto_commit=False) as consumer:
        consumer.poll()
        consumer.poll()
    assert bids.committed_offsets("g") == {}


def test_a_consumer_that_took_nothing_commits_nothing(bids):
    with bids.consumer("bids", group="g", start="latest") as consumer:
        consumer.poll()
    assert bids.committed_offsets("g") == {}


def test_a_consumer_without_a_group_has_no_offsets(bids):
    with bids.consumer("bids") as consumer:
        consumer.poll()
        for attempt in (
            consumer.commit,
            consumer.group_metadata,
            lambda: consumer.committed([BIDS]),
        ):
            with pytest.raises(ValueError, match="group"):
                attempt()


def test_an_assigned_consumer_may_use_a_groups_offsets(bids):
    with bids.consumer(group="g") as consumer:
        consumer.assign([BIDS])
        assert len(consumer.poll(max_records=3)) == 3
        assert consumer.group_metadata() == GroupMetadata(group_id="g")
    assert bids.committed_offsets("g") == {BIDS: 3}


def test_a_member_has_an_id_and_a_generation(bids):
    with bids.consumer("bids", group="g") as consumer:
        consumer.poll()
        metadata = consumer.group_metadata()
        assert metadata.group_id == "g"
        assert metadata.generation_id > 0
        assert metadata.member_id


def test_members_share_the_partitions_and_hand_them_over_when_they_poll(log):
    log.create_topic("bids", 2)
    fill(log, b"0", partition=0)
    fill(log, b"1", partition=1)
    with log.consumer("bids", group="g") as one:
        assert len(one.poll()) == 2
        with log.consumer("bids", group="g") as other:
            assert other.poll() == []
            fill(log, b"2", partition=0)
            fill(log, b"3", partition=1)
            mine = values(one.poll(timeout=10))
            theirs = values(other.poll(timeout=10))
            assert len(one.assignment()) == len(other.assignment()) == 1
            assert sorted(mine + theirs) == [b"2", b"3"]
        fill(log, b"4", partition=0)
        fill(log, b"5", partition=1)
        assert sorted(values(one.poll(timeout=10)) + values(one.poll())) == [b"4", b"5"]


def test_a_partition_that_changed_hands_cannot_be_committed_by_its_old_owner(log):
    log.create_topic("bids", 2)
    with (
        log.consumer("bids", group="g", auto_commit=False) as one,
        log.consumer("bids", group="g", auto_commit=False) as other,
    ):
        one.poll()
        other.poll()
        mine, theirs = one.assignment()[0], other.assignment()[0]
        one.commit({mine: 1})
        with pytest.raises(IllegalGenerationError):
            one.commit({theirs: 1})
        assert log.committed_offsets("g") == {mine: 1}
