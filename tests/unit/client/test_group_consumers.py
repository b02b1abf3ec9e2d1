"""Consumers of a group by a clock that is turned by hand: who is silent, forgotten or foreign."""

from __future__ import annotations

import gc
import threading

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.client.membership import Membership
from streamlog.coordination.classic_group import ClassicGroup
from streamlog.coordination.consumer_protocol import (
    Subscription,
    decode_assignment,
    encode_subscription,
)
from streamlog.coordination.group_messages import JoinRequest, SyncRequest
from streamlog.errors import UnknownMemberError
from streamlog.testing import FaultyFiles, ManualClock

BIDS = TopicPartition("bids", 0)


@pytest.fixture
def clock():
    return ManualClock(1_700_000_000_000)


@pytest.fixture
def log(clock):
    with streamlog.open("/log", files=FaultyFiles(), clock=clock, threaded=False) as opened:
        opened.create_topic("bids", 4)
        yield opened


def pass_time(log, clock, ms, *polling):
    for _ in range(0, ms, 1_000):
        clock.advance(1_000)
        log.step()
        for consumer in polling:
            consumer.poll()


def test_a_member_that_does_not_poll_loses_its_partitions_to_the_others(log, clock):
    lost = []
    with (
        log.consumer(
            "bids", group="g", max_poll_interval_ms=60_000, on_lost=lost.extend, auto_commit=False
        ) as silent,
        log.consumer("bids", group="g") as other,
    ):
        for _ in range(4):
            silent.poll()
            other.poll()
        assert len(silent.assignment()) == len(other.assignment()) == 2
        pass_time(log, clock, 60_000, other)
        assert len(log.group("g").members) == 2
        pass_time(log, clock, 2_000, other)
        assert len(other.assignment()) == 4
        with pytest.raises(UnknownMemberError):
            silent.commit({BIDS: 1})
        for _ in range(4):
            silent.poll()
            other.poll()
        assert len(lost) == 2
        assert len(silent.assignment()) == 2


def test_who_was_put_out_commits_nothing_over_its_successors_though_they_have_left(log, clock):
    with log.producer() as producer:
        producer.send_columns("bids", None, [b"x"] * 10, partition=0)
    lost = []
    with log.consumer(
        "bids", group="g", max_poll_interval_ms=60_000, on_lost=lost.extend
    ) as silent:
        assert len(silent.poll(max_records=5)) == 5
        pass_time(log, clock, 62_000)
        assert log.group("g").members == ()
        with log.consumer("bids", group="g") as successor:
            assert len(successor.poll()) == 10
        assert log.committed_offsets("g") == {BIDS: 10}
        with pytest.raises(UnknownMemberError):
            silent.commit()
        with pytest.raises(UnknownMemberError):
            silent.commit({BIDS: 5})
        with log.producer(transactional_id="t") as producer:
            producer.begin_transaction()
            with pytest.raises(UnknownMemberError):
                producer.send_offsets_to_transaction({BIDS: 5}, silent.group_metadata())
        assert lost == []
        assert silent.poll() == []  # it goes on where its successor ended
        assert len(lost) == 4
        assert silent.position(BIDS) == 10
        silent.commit()
    assert log.committed_offsets("g")[BIDS] == 10


def test_who_polls_stays_however_long_its_session(log, clock):
    with log.consumer("bids", group="g", session_timeout_ms=6_000) as consumer:
        consumer.poll()
        member = log.group("g").members[0].member_id
        pass_time(log, clock, 200_000)
        consumer.poll()
        pass_time(log, clock, 200_000)
        assert [each.member_id for each in log.group("g").members] == [member]


def test_rule_16_a_stalled_process_puts_nobody_out(log, clock):
    with log.consumer("bids", group="g", max_poll_interval_ms=60_000) as consumer:
        consumer.poll()
        pass_time(log, clock, 5_000)
        clock.advance(3_600_000)
        pass_time(log, clock, 50_000)
        assert len(log.group("g").members) == 1
        assert len(consumer.assignment()) == 4


def test_a_rebalance_waits_for_a_silent_member_no_longer_than_its_poll_interval(log, clock):
    with (
        log.consumer("bids", group="g", max_poll_interval_ms=60_000) as silent,
        log.consumer("bids", group="g", max_poll_interval_ms=60_000) as other,
    ):
        silent.poll()
        assert other.poll() == []
        pass_time(log, clock, 59_000, other)
        assert other.assignment() == []
        pass_time(log, clock, 3_000, other)
        assert len(other.assignment()) == 4


def test_a_static_member_that_closed_keeps_its_partitions_for_its_session(log, clock):
    with (
        log.consumer("bids", group="g", group_instance_id="one", session_timeout_ms=30_000) as one,
        log.consumer("bids", group="g") as other,
    ):
        for _ in range(4):
            one.poll()
            other.poll()
        one.close()
        pass_time(log, clock, 29_000, other)
        assert len(other.assignment()) == 2
        pass_time(log, clock, 3_000, other)
        assert len(other.assignment()) == 4


def test_a_forgotten_consumer_leaves_its_group(log):
    consumer = log.consumer("bids", group="g")
    consumer.poll()
    del consumer
    gc.collect()
    assert log.topics()  # any call
    assert log.group("g").state == "Empty"


def test_a_consumer_that_closes_while_it_waits_for_others_is_no_member(log):
    with log.consumer("bids", group="g") as one:
        one.poll()
        with log.consumer("bids", group="g") as other:
            other.poll()
        one.poll()
        assert len(one.assignment()) == 4
        assert len(log.group("g").members) == 1


def test_a_consumer_that_the_log_closes_joins_no_more(log):
    with log.consumer("bids", group="g") as one:
        one.poll()
        other = log.consumer("bids", group="g")
        other.poll()  # it waits for the other one
        member = other._member
        other.close()
        assert member.choose_step() is None
        one.poll()
        assert len(log.group("g").members) == 1


def test_consumers_cost_no_threads(tmp_path):
    with streamlog.open(tmp_path / "data") as log:
        log.create_topic("bids", 4)
        with log.consumer("bids", group="g") as first:
            first.poll()
            before = threading.active_count()
            consumers = [log.consumer("bids", group=f"g{number}") for number in range(20)]
            for consumer in consumers:
                consumer.poll()
            assert threading.active_count() - before <= 4  # the flusher may sync four files


def test_a_group_beside_the_owner_is_the_readers_own(tmp_path):
    with streamlog.open(tmp_path / "data") as log:
        log.create_topic("bids", 4)
        with log.consumer("bids", group="g") as owner:
            owner.poll()
            with (
                streamlog.open(tmp_path / "data", read_only=True) as beside,
                beside.consumer("bids", group="g", auto_commit=False) as one,
                beside.consumer("bids", group="g", auto_commit=False) as other,
            ):
                for _ in range(4):
                    one.poll()
                    other.poll()
                assert len(one.assignment()) == len(other.assignment()) == 2
            assert len(owner.assignment()) == 4


class Foreign:
    """A member that speaks the protocol by itself, as one behind a wire would."""

    def __init__(self, coordinator):
        self.coordinator = coordinator
        self.joined = None
        self.assigned = None
        subscription = encode_subscription(Subscription(topics=("bids",)))
        request = JoinRequest(
            protocol_type="consumer",
            protocols=(("range", subscription),),
            fresh_member_id="zz-foreign",
            client_host="/10.0.0.1",
        )
        coordinator.join("g", request, self.take_join)

    def take_join(self, answer):
        self.joined = answer

    def sync(self):
        request = SyncRequest(member_id=self.joined.member_id, generation=self.joined.generation)
        self.coordinator.sync("g", request, self.take_sync)

    def take_sync(self, answer):
        self.assigned = decode_assignment(answer.assignment).partitions


def test_a_member_of_another_program_shares_with_those_of_this_process(log):
    with log.consumer("bids", group="g") as consumer:
        consumer.poll()
        foreign = Foreign(log._broker.group_coordinator.members)
        assert foreign.joined is None
        consumer.poll()
        foreign.sync()
        assert set(foreign.assigned) == {TopicPartition("bids", 2), TopicPartition("bids", 3)}
        assert len(consumer.assignment()) == 2


def test_a_leader_joins_again_when_its_topics_get_more_partitions():
    membership = Membership(
        "g",
        ["bids"],
        assignors=["range"],
        client_id="c",
        group_instance_id=None,
        session_timeout_ms=45_000,
        max_poll_interval_ms=300_000,
    )
    group, counts = ClassicGroup("g"), {"bids": 2}
    for _ in range(2):
        [joined] = group.join(membership.joining("m"), "join", 0)
        request = membership.joined(joined, lambda topics: {each: counts[each] for each in topics})
        [_, synced] = group.sync(request, "sync", 0)
        membership.synced(synced)
        assert len(membership.choose_step().partitions) == counts["bids"]
        membership.adopted()
        assert membership.is_settled
        counts["bids"] = 3
        membership.rejoin_if_changed(counts)
        if membership.is_settled:
            break
        membership.released(membership.choose_step().partitions)
    assert membership.is_settled
