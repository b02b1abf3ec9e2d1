"""Records as they come: `for` and `async for` over a tail, and over a consumer in a group."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import UnknownPartitionError, UnknownTopicError

BIDS = TopicPartition("bids", 0)
PATIENCE_S = 300


def fill(log, *values, **columns):
    with log.producer() as producer:
        producer.send_columns("bids", None, list(values), **columns)


@pytest.fixture
def bids(log):
    """Four records of long ago, a millisecond apart, before anybody tails."""
    log.create_topic("bids", config={"retention.ms": "-1"})
    fill(log, b"a", b"b", b"c", b"d", timestamps=[1000, 1001, 1002, 1003])
    return log


def take(records, count):
    iterator = iter(records)
    return [next(iterator).value for _ in range(count)]


async def take_async(records, count):
    arrivals = aiter(records)
    return [(await asyncio.wait_for(anext(arrivals), PATIENCE_S)).value for _ in range(count)]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("end", [b"new"]),
        ("latest", [b"new"]),
        ("earliest", [b"a", b"b", b"c", b"d", b"new"]),
        (2, [b"c", b"d", b"new"]),
        (100, [b"new"]),
        (datetime.fromtimestamp(1.001, UTC), [b"b", b"c", b"d", b"new"]),
        (datetime.fromtimestamp(5, UTC), [b"new"]),
        (timedelta(minutes=1), [b"new"]),
        (timedelta(days=365 * 1000), [b"a", b"b", b"c", b"d", b"new"]),
    ],
)
def test_a_tail_begins_where_it_is_told_and_goes_on(bids, start, expected):
    tails = [bids.tail("bids", start=start) for _ in range(2)]
    fill(bids, b"new")
    assert take(tails[0], len(expected)) == expected
    assert asyncio.run(take_async(tails[1], len(expected))) == expected


def test_what_came_before_an_offset_that_is_gone_is_not_waited_for(bids):
    bids.delete_records({BIDS: 2})
    with bids.tail("bids", start=1) as tail:
        assert take(tail, 2) == [b"c", b"d"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"start": "begin"}, ValueError),
        ({"start": 1.5}, TypeError),
        ({"start": -1, "partitions": [3]}, UnknownPartitionError),
        ({"topic": "asks"}, UnknownTopicError),
    ],
)
def test_a_tail_that_cannot_be_is_refused(bids, arguments, error):
    with pytest.raises(error):
        bids.tail(**{"topic": "bids", **arguments})


def test_a_tail_may_be_of_some_partitions_and_of_a_type(log):
    log.create_topic("bids", 3)
    with log.tail("bids", start="earliest", partitions=[1, 2], value=int) as tail:
        assert tail.assignment() == [TopicPartition("bids", 1), TopicPartition("bids", 2)]
        with log.producer(value=int) as producer:
            for partition in range(3):
                producer.send("bids", value=partition * 10, partition=partition)
        assert sorted(take(tail, 2)) == [10, 20]


def test_a_tail_of_committed_records_waits_for_the_transaction(bids):
    committed, everything = bids.tail("bids"), bids.tail("bids", isolation="read_uncommitted")
    with bids.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send_columns("bids", None, [b"e"])
        producer.flush()
        assert take(everything, 1) == [b"e"]
        assert committed.poll() == []
        producer.commit_transaction()
    assert take(committed, 1) == [b"e"]


def test_partitions_that_are_added_are_read_from_their_start(log):
    log.create_topic("bids")
    tail = log.tail("bids")
    log.alter_topic("bids", partitions=2)
    with log.producer() as producer:
        producer.send("bids", value=b"a", partition=1)
    assert take(tail, 1) == [b"a"]


@pytest.mark.parametrize("end", ["wakeup", "close", "log"])
def test_a_waiting_iteration_ends_from_another_thread(bids, end):
    tail = bids.tail("bids")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(list, tail)
        {"wakeup": tail.wakeup, "close": tail.close, "log": bids.close}[end]()
        assert waiting.result(PATIENCE_S) == []


@pytest.mark.parametrize("end", ["wakeup", "close", "log"])
def test_an_awaiting_iteration_ends_from_another_thread(bids, end):
    tail = bids.tail("bids", start=3)
    ending = {"wakeup": tail.wakeup, "close": tail.close, "log": bids.close}[end]
    other = threading.Thread(target=ending)

    async def main():
        seen = []
        async for record in tail:
            seen.append(record.value)
            other.start()
        return seen

    assert asyncio.run(main()) == [b"d"]
    other.join()


def test_after_a_wakeup_the_iteration_may_go_on(bids):
    async def main():
        tail = bids.tail("bids", start=2)
        tail.wakeup()
        first = [record.value async for record in tail]
        tail.wakeup()
        return first, [record.value async for record in tail]

    # What is there is handed out before anybody is told to stop.
    assert asyncio.run(main()) == ([b"c", b"d"], [])


def test_a_cancelled_wait_loses_nothing_and_may_be_tried_again(bids):
    async def main():
        arrivals = aiter(bids.tail("bids"))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(arrivals), 0.001)
        fill(bids, b"e", b"f")
        assert (await anext(arrivals)).value == b"e"
        waiting = asyncio.ensure_future(anext(arrivals))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return (await anext(arrivals)).value

    assert asyncio.run(main()) == b"f"


def test_other_tasks_run_while_a_tail_waits_and_while_it_has_a_backlog(log):
    log.create_topic("bids")
    fill(log, *[b"x" * 100] * 5000)

    async def count_turns(until):
        turns = 0
        while not until.is_set():
            turns += 1
            await asyncio.sleep(0)
        return turns

    async def main():
        done = asyncio.Event()
        turns = asyncio.create_task(count_turns(done))
        left = 5001
        async with asyncio.timeout(PATIENCE_S):
            async for _ in log.tail("bids", start="earliest"):
                left -= 1
                if left == 1:
                    await asyncio.to_thread(fill, log, b"last")
                if not left:
                    break
        done.set()
        return await turns

    assert asyncio.run(main()) > 5000 // 500


def test_a_seek_in_the_loop_is_heeded_in_other_partitions_too(log):
    log.create_topic("bids", 2)
    for partition in range(2):
        fill(log, *[b"%d%d" % (partition, each) for each in range(3)], partition=partition)
    tail = log.tail("bids", start="earliest")
    seen = []
    for record in tail:
        if not seen:
            tail.seek(TopicPartition("bids", 1 - record.partition), 2)
        seen.append(record.value)
        if len(seen) == 4:
            break
    first = seen[0][:1]
    other = b"1" if first == b"0" else b"0"
    assert sorted(seen) == sorted([first + b"0", first + b"1", first + b"2", other + b"2"])


def test_tasks_share_a_group_and_commit_what_they_have_handed_out(log):
    log.create_topic("bids", 4)

    async def consume(consumer, seen, done):
        async for record in consumer:
            seen.append(record.value)
            if len(seen) == 200:
                done.set()

    async def main():
        seen, done = [], asyncio.Event()
        consumers = [log.consumer("bids", group="g") for _ in range(3)]
        tasks = [asyncio.create_task(consume(each, seen, done)) for each in consumers]
        with log.producer() as producer:
            for number in range(200):
                producer.send("bids", key=b"%d" % number, value=b"%d" % number)
                if number % 20 == 0:
                    await asyncio.to_thread(producer.flush)
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in ended] == [asyncio.CancelledError] * 3
        for consumer in consumers:
            await asyncio.to_thread(consumer.close)
        return seen

    seen = asyncio.run(main())
    assert sorted(seen, key=int) == [b"%d" % number for number in range(200)]
    assert sum(log.committed_offsets("g").values()) == 200


def test_joining_a_group_whose_offsets_a_transaction_holds_does_not_hold_the_loop_up(log):
    log.create_topic("bids")
    fill(log, b"a", b"b", b"c")

    async def main():
        producer = await asyncio.to_thread(log.producer, transactional_id="t")
        producer.begin_transaction()
        producer.send("bids", value=b"d")
        producer.send_offsets_to_transaction({BIDS: 2}, streamlog.GroupMetadata(group_id="g"))
        first = asyncio.ensure_future(anext(aiter(log.consumer("bids", group="g"))))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not first.done()
        await asyncio.to_thread(producer.commit_transaction)
        await asyncio.to_thread(producer.flush)
        record = await asyncio.wait_for(first, PATIENCE_S)
        await asyncio.to_thread(producer.close)
        return record.value

    assert asyncio.run(main()) == b"c"


def test_a_reader_beside_the_owner_awaits_too(tmp_path, log):
    log.create_topic("bids")

    async def main():
        with streamlog.open(tmp_path / "data", read_only=True) as beside:
            arrivals = aiter(beside.tail("bids"))
            waiting = asyncio.ensure_future(anext(arrivals))
            await asyncio.to_thread(fill, log, b"a")
            return (await asyncio.wait_for(waiting, PATIENCE_S)).value

    assert asyncio.run(main()) == b"a"


def test_a_tail_has_no_thread_of_its_own(bids):
    before = threading.active_count()

    async def main():
        arrivals = [aiter(bids.tail("bids", start="earliest")) for _ in range(50)]
        for each in arrivals:
            for _ in range(4):
                await anext(each)
        waiting = [asyncio.ensure_future(anext(each)) for each in arrivals]
        await asyncio.sleep(0)
        more = threading.active_count() - before
        await asyncio.to_thread(fill, bids, b"e")
        values = [(await each).value for each in waiting]
        return more, values

    more, values = asyncio.run(main())
    assert values == [b"e"] * 50
    assert more < 10
