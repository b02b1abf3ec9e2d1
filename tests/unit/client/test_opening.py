"""Opening: sharing, refusing, closing at exit, and forks."""

import os
import subprocess
import sys
import textwrap

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import (
    DirectoryLockedError,
    LogClosedError,
    LogForkedError,
    TransactionalIdInUseError,
    UnsupportedLogError,
)

BIDS = TopicPartition("bids", 0)


def run(code, *arguments):
    """Runs a program on this streamlog; its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_directory_is_shared_in_a_process(tmp_path):
    with streamlog.open(tmp_path / "data") as one:
        one.create_topic("bids")
        with streamlog.open(str(tmp_path / "data")) as other:
            assert list(other.topics()) == ["bids"]
            producer = other.producer()
            producer.send("bids", value=b"a").result(60)
        with pytest.raises(LogClosedError):
            other.topics()
        with pytest.raises(ValueError, match="closed"):
            producer.send("bids", value=b"b")
        assert one.end_offsets([BIDS]) == {BIDS: 1}
        with one.producer() as mine:
            mine.send("bids", value=b"b")


def test_openings_of_one_directory_fence_each_other(tmp_path):
    with streamlog.open(tmp_path / "data") as one, streamlog.open(tmp_path / "data") as other:
        producer = one.producer(transactional_id="t")
        with pytest.raises(TransactionalIdInUseError):
            other.producer(transactional_id="t")
        producer.close()
        other.producer(transactional_id="t").close()


def test_a_closed_log_refuses_and_closes_twice(tmp_path):
    log = streamlog.open(tmp_path / "data")
    log.close()
    log.close()
    for attempt in (
        log.topics,
        log.producer,
        log.consumer,
        lambda: log.create_topic("bids"),
        lambda: log.committed_offsets("g"),
    ):
        with pytest.raises(LogClosedError, match="closed"):
            attempt()


def test_another_process_is_refused_and_named_the_owner(tmp_path):
    with streamlog.open(tmp_path / "data"):
        output = run(
            """
            import sys, streamlog
            try:
                streamlog.open(sys.argv[1])
            except streamlog.errors.DirectoryLockedError as error:
                print(error.pid)
            """,
            tmp_path / "data",
        )
    assert int(output) == os.getpid()
    assert issubclass(DirectoryLockedError, streamlog.StreamlogError)


@pytest.mark.parametrize("address", ["kafka://localhost:9092", "kafka://a:1,b:2", "http://x"])
def test_an_address_is_not_supported_yet(address):
    with pytest.raises(UnsupportedLogError, match="only directories"):
        streamlog.open(address)


def test_what_was_sent_is_written_when_the_interpreter_ends(tmp_path):
    run(
        """
        import sys, streamlog
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids")
        producer = log.producer()
        for number in range(1000):
            producer.send("bids", value=b"%d" % number)
        consumer = log.consumer("bids", group="g")
        producer.flush()
        consumer.poll(timeout=120, max_records=10)
        transaction = log.producer(transactional_id="t")
        transaction.begin_transaction()
        transaction.send("bids", value=b"left open")
        producer.send("bids", value=b"last")
        """,
        tmp_path / "data",
    )
    with streamlog.open(tmp_path / "data") as log:
        assert log.truncations == []
        assert log.committed_offsets("g") == {BIDS: 10}
        with log.consumer("bids") as consumer:
            seen = [record.value for record in consumer.poll(max_records=5000)]
        assert seen == [*(b"%d" % number for number in range(1000)), b"last"]


def test_a_log_that_nobody_holds_any_more_is_closed_too(tmp_path):
    run(
        """
        import sys, streamlog
        streamlog.open(sys.argv[1]).create_topic("bids")
        streamlog.open(sys.argv[1]).producer().send("bids", value=b"a")
        """,
        tmp_path / "data",
    )
    with streamlog.open(tmp_path / "data") as log:
        assert log.end_offsets([BIDS]) == {BIDS: 1}


def test_a_forked_child_can_do_nothing_and_harms_nothing(tmp_path):
    output = run(
        """
        import os, sys, streamlog
        from streamlog.errors import LogForkedError
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids")
        producer = log.producer()
        producer.send("bids", value=b"a").result(60)
        consumer = log.consumer("bids")
        child = os.fork()
        if child == 0:
            attempts = (
                log.topics,
                lambda: producer.send("bids", value=b"child"),
                lambda: producer.send_columns("bids", None, [b"child"]),
                producer.flush,
                consumer.poll,
            )
            for attempt in attempts:
                try:
                    attempt()
                except LogForkedError:
                    print("refused", flush=True)
            log.close()
            sys.exit(0)  # with everything that runs at exit
        assert os.waitpid(child, 0)[1] == 0
        producer.send("bids", value=b"b").result(60)
        """,
        tmp_path / "data",
    )
    assert output.split() == ["refused"] * 5
    assert issubclass(LogForkedError, streamlog.StreamlogError)
    with streamlog.open(tmp_path / "data") as log, log.consumer("bids") as consumer:
        assert log.truncations == []
        assert [record.value for record in consumer.poll()] == [b"a", b"b"]


def test_importing_streamlog_imports_nothing_of_it():
    output = run(
        """
        import sys, streamlog
        print(sorted(name for name in sys.modules if name.startswith("streamlog")))
        print(streamlog.TopicPartition("t", 1), sorted(streamlog.__all__) == streamlog.__all__)
        print(set(streamlog.__all__) <= set(dir(streamlog)))
        """
    )
    assert output.splitlines() == ["['streamlog']", "t-1 True", "True"]


def test_every_public_name_is_there():
    for name in streamlog.__all__:
        assert getattr(streamlog, name) is not None
    with pytest.raises(AttributeError):
        streamlog.nothing  # noqa: B018 - the access is the test
