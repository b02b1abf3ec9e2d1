"""Logs that are closed while others use them, at the interpreter's exit, and on Ctrl-C."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import LogClosedError

BIDS = TopicPartition("bids", 0)
PATIENCE_S = 300


@pytest.fixture(params=[":memory:", "disk"])
def log(request, tmp_path):
    path = tmp_path / "data" if request.param == "disk" else request.param
    with streamlog.open(path) as opened:
        opened.create_topic("bids", 4)
        yield opened


def iterate(consumer, began):
    began.wait()
    return [record.value for record in consumer]


def poll(consumer, began):
    """The records of the polls up to the one that finds the log closed."""
    began.wait()
    seen = []
    try:
        while True:
            seen += [record.value for record in consumer.poll(PATIENCE_S)]
    except (LogClosedError, ValueError):
        return seen


def send(producer, began):
    """What was sent up to the call that finds the log closed."""
    began.wait()
    handles = []
    try:
        while True:
            handles.append(producer.send("bids", value=b"%d" % len(handles)))
    except (LogClosedError, ValueError):
        return handles


def test_closing_ends_what_others_wait_for(log):
    groups = [log.consumer("bids", group=name) for name in ("g", "g", "h")]
    loners = [log.consumer("bids") for _ in range(2)]
    began = threading.Barrier(len(groups) + len(loners) + 1)
    with ThreadPoolExecutor(8) as threads:
        iterations = [threads.submit(iterate, each, began) for each in (*groups, loners[0])]
        polls = threads.submit(poll, loners[1], began)
        began.wait()
        log.close()
        assert [each.result(PATIENCE_S) for each in iterations] == [[]] * 4
        assert polls.result(PATIENCE_S) == []


def test_what_was_sent_while_the_log_was_closed_is_written_or_refused(log):
    producers = [log.producer(), log.producer()]
    readers = [log.consumer("bids"), log.consumer("bids", group="g")]
    began = threading.Barrier(len(producers) + len(readers) + 1)
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(send, each, began) for each in producers]
        read = [threads.submit(iterate, readers[0], began), threads.submit(poll, readers[1], began)]
        began.wait()
        while not log.end_offsets([BIDS])[BIDS]:
            pass
        log.close()
        handles = [handle for each in sent for handle in each.result(PATIENCE_S)]
        for each in read:
            each.result(PATIENCE_S)
    assert all(handle.done() for handle in handles)
    places = {handle.result() for handle in handles}
    assert len(places) == len(handles)


def test_threads_that_close_at_once_all_return_when_it_is_closed(log):
    log.producer().send("bids", value=b"a")
    began = threading.Barrier(4)

    def close():
        began.wait()
        log.close()
        with pytest.raises(LogClosedError):
            log.topics()

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(close) for _ in range(4)]:
            each.result(PATIENCE_S)


def test_threads_share_a_producer_and_read_what_it_wrote_once_a_group(log):
    producer = log.producer()
    count = 400

    def produce(number):
        for each in range(count):
            producer.send("bids", key=b"%d" % number, value=b"%d" % each)

    def consume(consumer, seen):
        for record in consumer:
            seen.append((record.key, record.value))

    seen = [[] for _ in range(3)]
    consumers = [log.consumer("bids", group="g") for _ in seen]
    with ThreadPoolExecutor(8) as threads:
        reading = [threads.submit(consume, *each) for each in zip(consumers, seen, strict=True)]
        for each in [threads.submit(produce, number) for number in range(4)]:
            each.result(PATIENCE_S)
        producer.flush()
        watch = log.consumer("bids")
        left = 4 * count
        while left:
            left -= len(watch.poll(PATIENCE_S))
        while sum(map(len, seen)) < 4 * count:
            pass
        log.close()
        for each in reading:
            each.result(PATIENCE_S)
    everything = [pair for each in seen for pair in each]
    assert len(everything) == len(set(everything)) == 4 * count


def test_an_interruption_while_a_client_is_closed_still_closes_the_log(tmp_path, monkeypatch):
    log = streamlog.open(tmp_path / "data")
    log.create_topic("bids")
    producer = log.producer()
    producer.send("bids", value=b"a")
    flush = producer.flush

    def interrupted():
        flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(producer, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.close()
    log.close()
    with streamlog.open(tmp_path / "data") as again:
        assert again.truncations == []
        assert again.end_offsets([BIDS]) == {BIDS: 1}


def test_daemon_threads_that_go_on_do_not_keep_the_interpreter_from_closing_the_log(
    run_program, tmp_path
):
    output = run_program(
        """
        import sys, threading, streamlog
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids", 2)
        producer = log.producer()
        sent, read = threading.Event(), threading.Event()

        def send():
            for number in range(10 ** 9):
                try:
                    producer.send("bids", value=b"%d" % number)
                except ValueError:
                    return  # closed
                if number == 1000:
                    sent.set()

        def iterate(**arguments):
            for record in log.consumer("bids", **arguments):
                read.set()

        def poll():
            consumer = log.consumer("bids")
            while True:
                try:
                    consumer.poll(10)
                except (ValueError, streamlog.StreamlogError):
                    return

        for work in (send, iterate, lambda: iterate(group="g"), poll):
            threading.Thread(target=work, daemon=True).start()
        sent.wait()
        read.wait()
        print("end")
        """,
        tmp_path / "data",
    )
    assert output == "end\n"
    with streamlog.open(tmp_path / "data") as log:
        assert log.truncations == []
        assert sum(log.end_offsets([BIDS, TopicPartition("bids", 1)]).values()) > 1000
        assert log.committed_offsets("g") is not None


def test_a_thread_that_is_closing_when_the_interpreter_ends_is_waited_for(run_program, tmp_path):
    run_program(
        """
        import sys, threading, streamlog
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids")
        producer = log.producer()
        producer.send_columns("bids", None, [b"a"] * 100_000)
        closing = threading.Event()
        flush = producer.flush

        def slow_flush():
            closing.set()
            flush()

        producer.flush = slow_flush
        threading.Thread(target=log.close, daemon=True).start()
        closing.wait()
        """,
        tmp_path / "data",
    )
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()


def test_a_log_that_nobody_closes_syncs_all_its_files_when_the_interpreter_ends(
    run_program, tmp_path
):
    run_program(
        """
        import sys, streamlog
        log = streamlog.open(sys.argv[1], durability="os")
        log.create_topic("bids", 8)
        producer = log.producer()
        for partition in range(8):
            producer.send("bids", value=b"a", partition=partition).result()
        """,
        tmp_path / "data",
    )
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()


@pytest.mark.parametrize(
    "waiting",
    [
        "say(); [record for record in log.tail('bids')]",
        "[say() for record in log.consumer('bids', group='g', auto_commit=False)]",
        "c = log.consumer('bids', start='latest'); say(); c.poll(1000)",
        "say(); asyncio.run(follow(log.tail('bids')))",
        "asyncio.run(follow(log.consumer('bids', group='g')))",
    ],
)
def test_ctrl_c_ends_a_wait_and_the_log_is_closed_cleanly(start_program, tmp_path, waiting):
    # A member of a group says so behind its first record, and commits nothing: joining and
    # committing write, and are no waits. (In asyncio the interrupt does not cut a write in two.)
    program = start_program(
        f"""
        import asyncio, functools, sys, streamlog

        say = functools.partial(print, "waiting", flush=True)

        async def follow(records):
            async for record in records:
                say()

        with streamlog.open(sys.argv[1]) as log:
            log.create_topic("bids")
            log.producer().send("bids", value=b"a").result()
            {waiting}
            {waiting}
        """,
        tmp_path / "data",
    )
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=PATIENCE_S)
    # Not the end of what is said where the interrupt met asyncio setting up its loop.
    assert "\nKeyboardInterrupt" in errors
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    with streamlog.open(tmp_path / "data") as log:
        assert log.end_offsets([BIDS]) == {BIDS: 1}
