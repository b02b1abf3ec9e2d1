"""Committed offsets, and groups whose members share partitions."""

import asyncio
import contextlib
from collections import Counter
from threading import Event, Lock, Thread

import pytest

import streamlog
from streamlog import GroupMetadata, TopicPartition
from streamlog.errors import (
    FencedInstanceError,
    GroupError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    TopicDeletedError,
    UnknownMemberError,
)

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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group": ""}, "a group needs a name"),
        ({"group": "g", "group_instance_id": ""}, "1 to 249 letters"),
        ({"group": "g", "group_instance_id": "till/3"}, "1 to 249 letters"),
        ({"group": "g", "group_instance_id": ".."}, "1 to 249 letters"),
        ({"group": "g", "group_instance_id": "x" * 250}, "1 to 249 letters"),
        ({"group": "g", "max_poll_interval_ms": 0}, "max_poll_interval_ms is 0"),
        ({"group_instance_id": "till-3"}, "there is no group"),
        ({"on_revoked": print}, "without a group"),
    ],
)
def test_what_no_group_can_have_is_refused(bids, options, said):
    with pytest.raises(ValueError, match=said):
        bids.consumer("bids", **options)
    assert bids.groups() == {}


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
            mine = values(one.poll(timeout=60))
            theirs = values(other.poll(timeout=60))
            assert len(one.assignment()) == len(other.assignment()) == 1
            assert sorted(mine + theirs) == [b"2", b"3"]
        fill(log, b"4", partition=0)
        fill(log, b"5", partition=1)
        assert sorted(values(one.poll(timeout=60)) + values(one.poll())) == [b"4", b"5"]


# Rebalancing


def poll_in_turn(*consumers, rounds=6):
    """What each gets, in one thread: a rebalance takes a poll of every member."""
    got = [[] for _ in consumers]
    for _ in range(rounds):
        for taken, consumer in zip(got, consumers, strict=True):
            taken += values(consumer.poll())
    return got


@pytest.fixture
def many(log):
    log.create_topic("bids", 6)
    return log


def partitions_of(*consumers):
    shares = [{partition for _, partition in each.assignment()} for each in consumers]
    assert sum(map(len, shares)) == len(set().union(*shares))
    return shares


@pytest.mark.parametrize("assignor", ["range", "roundrobin", "sticky", "cooperative-sticky"])
def test_every_assignor_divides_among_all_members(many, assignor):
    with many.consumer("bids", group="g", assignors=[assignor]) as one:
        one.poll()
        with many.consumer("bids", group="g", assignors=[assignor]) as other:
            poll_in_turn(one, other)
            assert [len(share) for share in partitions_of(one, other)] == [3, 3]
            assert many.group("g").protocol == assignor
        poll_in_turn(one)
        assert partitions_of(one) == [set(range(6))]


def test_the_most_preferred_common_assignor_divides(many):
    with (
        many.consumer("bids", group="g", assignors=["range", "sticky"]) as one,
        many.consumer("bids", group="g", assignors=["roundrobin", "sticky"]) as other,
    ):
        poll_in_turn(one, other)
        assert many.group("g").protocol == "sticky"
        with (
            many.consumer("bids", group="g", assignors=["range"]) as stranger,
            pytest.raises(InconsistentGroupProtocolError, match="sticky"),
        ):
            stranger.poll()


def test_an_eager_member_gives_up_everything_and_a_cooperative_one_what_moves(many):
    for assignor, kept in (("sticky", False), ("cooperative-sticky", True)):
        calls = []
        with many.consumer(
            "bids",
            group=assignor,
            assignors=[assignor],
            on_assigned=lambda given: calls.append(("+", len(given))),  # noqa: B023 - used at once
            on_revoked=lambda taken: calls.append(("-", len(taken))),  # noqa: B023
        ) as one:
            one.poll()
            with many.consumer("bids", group=assignor, assignors=[assignor]) as other:
                poll_in_turn(one, other)
                assert len(one.assignment()) == len(other.assignment()) == 3
            moved = [("+", 6), ("-", 3), ("+", 0), ("+", 0)]
            assert calls == (moved if kept else [("+", 6), ("-", 6), ("+", 3)])


def test_callbacks_may_commit_and_seek(many):
    fill(many, b"0", b"1", partition=0)

    def revoked(partitions):
        if BIDS in partitions:
            one.commit({BIDS: one.position(BIDS)})

    def assigned(partitions):
        if BIDS in partitions:
            other.seek(BIDS, 1)

    with (
        many.consumer("bids", group="g", auto_commit=False, on_revoked=revoked) as one,
        many.consumer("bids", group="g", auto_commit=False, on_assigned=assigned) as other,
    ):
        assert values(one.poll(max_records=1)) == [b"0"]
        poll_in_turn(other, one, rounds=1)
        assert many.committed_offsets("g") == {BIDS: 1}
        one.close()
        poll_in_turn(other)
        assert other.position(BIDS) == 2


def test_a_consumer_that_closes_gives_up_its_partitions_first(many):
    taken = []
    with many.consumer("bids", group="g", on_revoked=taken.extend) as consumer:
        consumer.poll()
        assert taken == []
    assert len(taken) == 6
    assert many.group("g").state == "Empty"


def test_auto_commit_commits_before_a_partition_changes_hands(many):
    for number in range(6):
        fill(many, b"%d" % number, partition=number)
    with many.consumer("bids", group="g") as one:
        assert len(one.poll()) == 6
        with many.consumer("bids", group="g") as other:
            assert poll_in_turn(one, other) == [[], []]
            assert len(many.committed_offsets("g")) == 6


def test_a_commit_between_two_generations_is_refused(many):
    with (
        many.consumer("bids", group="g", auto_commit=False) as one,
        many.producer(transactional_id="t") as producer,
    ):
        one.poll()
        before = one.group_metadata()
        with many.consumer("bids", group="g", auto_commit=False) as other:
            other.poll()
            one.commit({BIDS: 1})  # until it joins again, what it has is its own
            poll_in_turn(one, other)
            producer.begin_transaction()
            with pytest.raises(IllegalGenerationError):
                producer.send_offsets_to_transaction({BIDS: 2}, before)
            producer.abort_transaction()
            producer.begin_transaction()
            producer.send_offsets_to_transaction({BIDS: 3}, one.group_metadata())
            producer.commit_transaction()
    assert many.committed_offsets("g") == {BIDS: 3}


def test_who_is_no_member_may_not_commit_for_a_group_that_has_some(many):
    with many.consumer("bids", group="g") as member, many.consumer(group="g") as stranger:
        member.poll()
        with pytest.raises(UnknownMemberError):
            stranger.commit({BIDS: 1})


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(many):
    def static(name):
        return many.consumer(
            "bids", group="g", group_instance_id=name, session_timeout_ms=1_800_000
        )

    with static("one") as one, static("two") as two:
        poll_in_turn(one, two)
        shares, generation = partitions_of(one, two), many.group("g").generation_id
        one.close()
        with static("one") as again:
            assert poll_in_turn(again, two) == [[], []]
            assert partitions_of(again, two) == shares
            assert many.group("g").generation_id == generation


def test_of_two_consumers_with_one_instance_id_the_first_is_fenced(many):
    with (
        many.consumer("bids", group="g", group_instance_id="one", auto_commit=False) as one,
        many.consumer("bids", group="g", group_instance_id="one", auto_commit=False) as other,
    ):
        one.poll()
        other.poll()
        with pytest.raises(FencedInstanceError, match="an instance id of its own"):
            one.commit({BIDS: 1})
        assert len(other.assignment()) == 6


def test_partitions_that_are_added_are_divided_too(many):
    with many.consumer("bids", group="g") as one, many.consumer("bids", group="g") as other:
        poll_in_turn(one, other)
        many.alter_topic("bids", partitions=10)
        fill(many, b"x", partition=9)
        got = poll_in_turn(one, other)
        assert [len(share) for share in partitions_of(one, other)] == [5, 5]
        assert sorted(got) == [[], [b"x"]]


def test_a_deleted_topic_is_told_and_its_offsets_are_gone(many):
    with many.consumer("bids", group="g") as consumer:
        consumer.poll()
        consumer.commit({BIDS: 0})
        many.delete_topic("bids")
        with pytest.raises(TopicDeletedError):
            consumer.poll()
    assert many.committed_offsets("g") == {}


def test_members_in_threads_see_every_record_while_they_come_and_go(log):
    log.create_topic("bids", 8)
    seen, total = Counter(), 400
    lock, done = Lock(), Event()

    def consume(polls):
        with log.consumer("bids", group="g", assignors=["cooperative-sticky"]) as consumer:
            while not done.is_set() and polls:
                polls -= 1
                taken = values(consumer.poll(timeout=0.05))
                with lock:
                    seen.update(taken)
                    if len(seen) == total:
                        done.set()

    with log.producer() as producer:
        for number in range(total):
            producer.send("bids", key=str(number), value=str(number))
        producer.flush()
    threads = [Thread(target=consume, args=(polls,)) for polls in (5, 10, 20, -1, -1)]
    for thread in threads:
        thread.start()
    assert done.wait(300)
    for thread in threads:
        thread.join()
    assert set(seen.values()) == {1}
    assert sum(log.committed_offsets("g").values()) == total


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_what_members_consume_and_produce_in_transactions_is_there_exactly_once(log, assignor):
    log.create_topic("bids", 6)
    log.create_topic("doubled", 3)
    total, done = 120, Event()

    def work(name, turns):
        with (
            log.consumer("bids", group="g", auto_commit=False, assignors=[assignor]) as consumer,
            log.producer(transactional_id=name) as producer,
        ):
            while turns and not done.is_set():
                turns -= 1
                records = consumer.poll(timeout=0.02, max_records=7)
                if not records:
                    continue
                producer.begin_transaction()
                for record in records:
                    producer.send("doubled", value=record.value * 2)
                ends = {TopicPartition("bids", r.partition): r.offset + 1 for r in records}
                try:
                    producer.send_offsets_to_transaction(ends, consumer.group_metadata())
                    producer.commit_transaction()
                except GroupError:  # a cooperative member may be of the next generation by now
                    producer.abort_transaction()
                    for partition, offset in consumer.committed(ends).items():
                        with contextlib.suppress(ValueError):  # it is another one's now
                            consumer.seek(partition, offset or 0)

    with log.producer() as producer:
        for number in range(total):
            producer.send("bids", key=str(number), value=b"%03d" % number)
        producer.flush()
    threads = [
        Thread(target=work, args=(f"t{number}", turns))
        for number, turns in enumerate((3, 6, 12, -1, -1))
    ]
    for thread in threads:
        thread.start()
    doubled = []
    with log.consumer("doubled") as consumer:
        while len(doubled) < total and any(thread.is_alive() for thread in threads):
            doubled += values(consumer.poll(timeout=0.1))
        done.set()
        for thread in threads:
            thread.join()
        doubled += values(consumer.poll())
    assert sorted(doubled) == [b"%03d" % number * 2 for number in range(total)]


def test_members_in_asyncio_tasks_share_partitions(log):
    log.create_topic("bids", 4)
    for partition in range(4):
        fill(log, b"%d" % partition, partition=partition)

    async def consume(taken, name):
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def awaken():
            with contextlib.suppress(RuntimeError):  # the log's threads may come behind the end
                loop.call_soon_threadsafe(wake.set)

        with log.consumer("bids", group="g") as consumer:
            consumer.on_available(awaken)
            while sum(map(len, taken.values())) < 8:
                wake.clear()
                taken[name] += values(consumer.poll())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), 0.05)
                if sum(map(len, taken.values())) == 4 and len(consumer.assignment()) == 2:
                    for partition in range(4):
                        fill(log, b"again", partition=partition)

    async def run():
        taken = {"one": [], "other": []}
        await asyncio.gather(*(consume(taken, name) for name in taken))
        return taken

    taken = asyncio.run(run())
    assert all(b"again" in each for each in taken.values())
    assert sum(map(len, taken.values())) == 8
