"""What is said of groups and done to them from outside."""

import pytest

import streamlog
from streamlog import GroupMetadata, OffsetChoice, PartitionLag, TopicPartition
from streamlog.errors import (
    DirectoryAccessError,
    NonEmptyGroupError,
    TransactionAbortedError,
    UnknownGroupError,
    UnknownMemberError,
    UnknownPartitionError,
    UnknownTopicError,
)
from streamlog.testing import FaultyFiles, ManualClock

BIDS, ASKS = TopicPartition("bids", 0), TopicPartition("asks", 0)


@pytest.fixture
def bids(log):
    """Ten records a second apart, of which the group has committed four."""
    log.create_topic("bids")
    log.create_topic("asks")
    with log.producer() as producer:
        times = [1_000 * number for number in range(10)]
        producer.send_columns("bids", None, [b"x"] * 10, timestamps=times, partition=0)
    with log.consumer(group="g") as consumer:
        consumer.commit({BIDS: 4})
    return log


def test_groups_are_listed_and_described(bids):
    with bids.consumer("bids", group="h", group_instance_id="one") as consumer:
        consumer.poll()
        assert list(bids.groups()) == ["g", "h"]
        simple, shared = bids.group("g"), bids.group("h")
        assert (simple.state, simple.protocol_type, simple.offsets) == ("Empty", "", {BIDS: 4})
        assert (shared.state, shared.protocol_type, shared.protocol) == (
            "Stable",
            "consumer",
            "range",
        )
        [member] = shared.members
        assert (member.client_id, member.group_instance_id) == ("streamlog", "one")
        assert (member.topics, member.assignment) == (("bids",), (BIDS,))
        assert shared.leader == member.member_id == consumer.group_metadata().member_id
    with pytest.raises(UnknownGroupError, match="did you mean 'g'"):
        bids.group("gg")


def test_the_near_miss_of_a_group_may_have_committed_nothing(bids):
    with bids.consumer("bids", group="tills", auto_commit=False) as consumer:
        consumer.poll()
        with pytest.raises(UnknownGroupError, match="did you mean 'tills'"):
            bids.group("till")


def test_lag_counts_what_is_not_committed_yet(bids):
    with bids.consumer("bids", "asks", group="h", start="latest", auto_commit=False) as consumer:
        consumer.poll()
        consumer.commit({BIDS: 9})
        lags = bids.group_lag("h")
    assert lags[BIDS] == PartitionLag(committed=9, beginning_offset=0, end_offset=10)
    assert (lags[BIDS].lag, lags[ASKS].committed, lags[ASKS].lag) == (1, None, 0)
    assert bids.group_lag("g")[BIDS].lag == 6
    assert bids.group_lag(bids.group("g")) == bids.group_lag("g")
    with pytest.raises(UnknownGroupError):
        bids.group_lag("nobody")


@pytest.mark.parametrize(
    ("choice", "offset"),
    [
        ({"to_earliest": True}, 0),
        ({"to_latest": True}, 10),
        ({"to_offset": 7}, 7),
        ({"to_offset": 99}, 10),
        ({"shift_by": -3}, 1),
        ({"shift_by": 3}, 7),
        ({"shift_by": -30}, 0),
        ({"to_time_ms": 2_500}, 3),
        ({"to_time_ms": 99_000}, 10),
        ({"by_duration_ms": 1}, 10),
    ],
)
def test_a_group_can_be_set_to_any_place(bids, choice, offset):
    chosen = bids.choose_group_offsets("g", OffsetChoice(**choice))
    assert chosen == {BIDS: offset}
    assert bids.committed_offsets("g") == {BIDS: 4}
    bids.alter_group_offsets("g", chosen)
    assert bids.committed_offsets("g") == {BIDS: offset}


def test_a_group_is_set_back_by_a_duration():
    clock = ManualClock(10_000)
    with streamlog.open("/log", files=FaultyFiles(), clock=clock, threaded=False) as log:
        log.create_topic("bids")
        with log.producer() as producer:
            for second in range(5, 10):
                producer.send("bids", value=b"x", timestamp=second * 1_000)
        choice = OffsetChoice(by_duration_ms=3_000)
        assert log.choose_group_offsets("new", choice, [BIDS]) == {BIDS: 2}
        with pytest.raises(ValueError, match="nothing is committed"):
            log.choose_group_offsets("new", OffsetChoice(shift_by=1), [BIDS])


@pytest.mark.parametrize("choices", [{}, {"to_earliest": True, "shift_by": 0}])
def test_a_place_is_chosen_in_one_way(choices):
    with pytest.raises(ValueError, match="choose one of"):
        OffsetChoice(**choices)


def test_offsets_are_set_and_deleted_only_where_no_member_would_miss_it(bids):
    with bids.consumer("bids", group="g") as consumer:
        consumer.poll()
        with pytest.raises(NonEmptyGroupError, match="close its consumers"):
            bids.alter_group_offsets("g", {BIDS: 0})
    bids.alter_group_offsets("g", {BIDS: None, ASKS: 0})
    assert bids.committed_offsets("g") == {ASKS: 0}
    with pytest.raises(ValueError, match="cannot be committed"):
        bids.alter_group_offsets("g", {BIDS: -1})


@pytest.mark.parametrize(
    ("partition", "error"),
    [
        (TopicPartition("bid", 0), UnknownTopicError),
        (TopicPartition("bids", 9), UnknownPartitionError),
        (TopicPartition("bids", -1), UnknownPartitionError),
    ],
)
def test_no_offset_is_committed_for_what_is_not_there(bids, partition, error):
    assert error.kafka_error == "UNKNOWN_TOPIC_OR_PARTITION"
    with bids.consumer(group="g") as consumer, pytest.raises(error):
        consumer.commit({BIDS: 9, partition: 1})
    with pytest.raises(error):
        bids.alter_group_offsets("g", {BIDS: 9, partition: 1})
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        with pytest.raises(error):
            producer.send_offsets_to_transaction({partition: 1}, GroupMetadata(group_id="g"))
        with pytest.raises(TransactionAbortedError):
            producer.commit_transaction()
    assert bids.committed_offsets("g") == {BIDS: 4}
    bids.alter_group_offsets("g", {partition: None})  # what is not there may be forgotten


def test_static_members_that_are_gone_can_be_removed(bids):
    long = {"group": "h", "session_timeout_ms": 1_800_000}
    with (
        bids.consumer("bids", group_instance_id="one", **long) as one,
        bids.consumer("bids", group_instance_id="two", **long) as two,
    ):
        for consumer in (one, two, one, two):
            consumer.poll()
    assert len(bids.group("h").members) == 2
    with pytest.raises(NonEmptyGroupError, match="remove static ones"):
        bids.delete_group("h")
    with pytest.raises(UnknownMemberError, match="did you mean 'one'"):
        bids.remove_group_members("h", ["two", "on"])
    assert len(bids.group("h").members) == 2
    bids.remove_group_members("h", ["one"])
    bids.remove_group_members("h")
    assert (bids.group("h").state, bids.group("h").members) == ("Empty", ())
    bids.delete_group("h")
    with pytest.raises(UnknownGroupError):
        bids.remove_group_members("h")


def test_a_static_member_that_lives_comes_back_after_it_was_removed(bids):
    with bids.consumer("bids", group="h", group_instance_id="one") as consumer:
        consumer.poll()
        removed = bids.group("h").members
        bids.remove_group_members("h", ["one"])
        bids.step()  # a heartbeat
        assert len(consumer.poll(timeout=60)) == 10
        assert bids.group("h").members != removed
        assert consumer.assignment() == [BIDS]


def test_a_group_without_members_can_be_deleted(bids):
    with bids.consumer("bids", group="g") as consumer:
        consumer.poll()
        with pytest.raises(NonEmptyGroupError):
            bids.delete_group("g")
    bids.delete_group("g")
    assert bids.groups() == {}
    assert bids.committed_offsets("g") == {}
    with pytest.raises(UnknownGroupError):
        bids.delete_group("g")


def test_beside_the_owner_groups_are_seen_and_not_touched(bids, tmp_path):
    with bids.consumer("bids", group="h") as consumer:
        consumer.poll()
        with streamlog.open(tmp_path / "data", read_only=True) as beside:
            bids.producer().flush()  # the member's record is not waited for
            assert beside.groups() == bids.groups()
            assert beside.group_lag("g") == bids.group_lag("g")
            for attempt in (
                lambda: beside.delete_group("g"),
                lambda: beside.alter_group_offsets("g", {BIDS: 0}),
                lambda: beside.remove_group_members("g"),
            ):
                with pytest.raises(DirectoryAccessError):
                    attempt()
