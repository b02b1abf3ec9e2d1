"""A process that has a log open, and its children."""

import fcntl
import os
import signal

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import DirectoryLockedError
from streamlog.files import OsFiles

BIDS = TopicPartition("bids", 0)


def test_a_child_is_refused_the_log_of_its_living_parent_and_told_so(run_program, tmp_path):
    output = run_program(
        """
        import os, sys, streamlog
        log = streamlog.open(sys.argv[1])
        child = os.fork()
        if child == 0:
            try:
                streamlog.open(sys.argv[1])
            except streamlog.errors.DirectoryLockedError as error:
                print(error.pid == os.getppid(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
        tmp_path / "data",
    )
    assert output.split() == ["True"]


def test_a_child_opens_logs_of_its_own_whatever_was_held_when_it_was_forked(run_program, tmp_path):
    output = run_program(
        """
        import os, sys, streamlog
        from streamlog import memory_files
        from streamlog.client import broker
        from streamlog.storage import log_directory
        mine = streamlog.open(sys.argv[1])
        shared = streamlog.open(":memory:shop")
        shared.create_topic("parents")
        locks = (broker._brokers_lock, log_directory._open_lock, memory_files._named_lock)
        for lock in locks:
            lock.acquire()
        child = os.fork()
        if child == 0:
            for path in (":memory:shop", ":memory:", sys.argv[2]):
                with streamlog.open(path) as log:
                    log.create_topic("bids")
                    with log.producer() as producer:
                        print(*log.topics(), producer.send("bids", value=b"a").result(60))
            sys.exit(0)
        for lock in locks:
            lock.release()
        assert os.waitpid(child, 0)[1] == 0
        assert list(shared.topics()) == ["parents"]
        """,
        tmp_path / "parents",
        tmp_path / "childs",
    )
    assert output.splitlines() == ["bids (0, 0)"] * 3


def test_a_child_that_outlives_its_parent_does_not_keep_the_log(start_program, tmp_path):
    parent = start_program(
        """
        import os, sys, streamlog
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids")
        if os.fork() == 0:  # by now the child has dropped what it inherited
            print("forked", flush=True)
            sys.stdin.read()
            os._exit(0)
        sys.stdin.read()
        """,
        tmp_path / "data",
    )
    assert parent.stdout.readline() == "forked\n"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()  # the child still waits for its input to end
    with streamlog.open(tmp_path / "data") as log:
        assert list(log.topics()) == ["bids"]
    parent.stdin.close()


def test_what_was_on_its_way_when_the_process_was_forked_is_refused_in_the_child(
    run_program, tmp_path
):
    output = run_program(
        """
        import os, sys, threading, streamlog
        log = streamlog.open(sys.argv[1])
        log.create_topic("bids")
        producer = log.producer()
        producer.send("bids", value=b"a").result()
        go_on = threading.Event()
        log._broker.flusher.when_durable(lambda error: go_on.wait())
        handle = producer.send("bids", value=b"a")
        if (child := os.fork()) == 0:
            try:
                handle.result()
            except streamlog.errors.LogForkedError:
                print("refused", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        go_on.set()
        print(handle.result())
        """,
        tmp_path / "data",
    )
    assert output.splitlines() == ["refused", "(0, 1)"]


def test_a_pool_of_forked_workers_may_have_a_log_each(run_program, tmp_path):
    output = run_program(
        """
        import multiprocessing, sys, streamlog

        def work(number):
            with streamlog.open(f"{sys.argv[1]}/{number}") as log:
                log.create_topic("bids")
                with log.producer() as producer:
                    return producer.send("bids", value=b"%d" % number).result(60)

        if __name__ == "__main__":
            with streamlog.open(f"{sys.argv[1]}/parent") as log:
                log.create_topic("bids")
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    print(pool.map(work, range(4)))
                with log.producer() as producer:
                    print(producer.send("bids", value=b"a").result(60))
        """,
        tmp_path,
    )
    assert output.splitlines() == [str([(0, 0)] * 4), "(0, 0)"]


def test_who_only_looks_for_an_owner_is_waited_for(tmp_path, monkeypatch):
    path = str(tmp_path / ".lock")
    looker = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looker, fcntl.LOCK_SH)
    refusals = []
    flock = fcntl.flock

    def look_no_longer(descriptor, operation):
        try:
            flock(descriptor, operation)
        except BlockingIOError:
            if not refusals:
                os.close(looker)
            refusals.append(operation)
            raise

    monkeypatch.setattr(fcntl, "flock", look_no_longer)
    OsFiles().lock(path, b"1\n").release()
    assert refusals == [fcntl.LOCK_EX | fcntl.LOCK_NB]


def test_a_lock_whose_process_cannot_be_seen_is_not_said_to_be_held_by_it(tmp_path):
    with streamlog.open(tmp_path / "data"):
        pass
    held = OsFiles().lock(str(tmp_path / "data" / ".lock"), b"4194305\n")  # above any pid
    with pytest.raises(DirectoryLockedError, match=r"process 4194305 \(not to be seen"):
        streamlog.open(tmp_path / "data")
    held.release()
