"""The fixtures that pytest finds where streamlog is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

INSTALLED = bool(entry_points(group="pytest11", name="streamlog"))
ARGUMENTS = () if INSTALLED else ("-p", "streamlog.testing.plugin")


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs a test file with the plugin in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))

    def run_file(code, *arguments):
        pytester.makepyfile(code)
        return pytester.runpytest_subprocess(*ARGUMENTS, "-p", "no:cacheprovider", *arguments)

    return run_file


def test_the_fixtures_are_what_they_are_said_to_be(run):
    result = run(
        """
        import os, threading
        import pytest
        from streamlog import TopicPartition

        ORDERS = TopicPartition("orders", 0)
        opened = []

        def fill(log, *values):
            with log.producer() as producer:
                for value in values:
                    producer.send("orders", value=value).result()

        @pytest.mark.parametrize("again", [1, 2])
        def test_a_fresh_log_in_memory(streamlog_log, again):
            assert streamlog_log.in_memory
            streamlog_log.create_topic("orders")
            fill(streamlog_log, b"a")
            assert streamlog_log.end_offsets([ORDERS]) == {ORDERS: 1}
            opened.append(streamlog_log)

        def test_a_fresh_log_on_the_disk(streamlog_log_dir, tmp_path):
            assert streamlog_log_dir.path == str(tmp_path / "streamlog")
            assert os.path.exists(streamlog_log_dir.path)
            opened.append(streamlog_log_dir)

        def test_more_logs(streamlog_open, tmp_path):
            one, other = streamlog_open(), streamlog_open(tmp_path / "data", durability="os")
            one.create_topic("orders")
            assert not other.topics()
            opened.extend([one, other])

        def test_they_were_closed():
            from streamlog.errors import LogClosedError

            assert len(opened) == 5
            for log in opened:
                with pytest.raises(LogClosedError):
                    log.topics()

        def test_the_clock_is_turned_by_hand(streamlog_clock, streamlog_log):
            streamlog_log.create_topic("orders")
            for _ in range(2):
                fill(streamlog_log, b"a")
                streamlog_clock.advance(60_000)
            with streamlog_log.consumer("orders") as consumer:
                first, second = consumer.poll()
            assert second.timestamp - first.timestamp == 60_000

        def test_a_transaction_times_out_by_the_clock(streamlog_clock, streamlog_log):
            from streamlog.errors import TransactionAbortedError

            streamlog_log.create_topic("orders")
            producer = streamlog_log.producer(transactional_id="t", transaction_timeout_ms=5000)
            producer.begin_transaction()
            producer.send("orders", value=b"a")
            producer.flush()
            for _ in range(6):
                streamlog_clock.advance(1000)
                streamlog_log.step()
            with pytest.raises(TransactionAbortedError):
                producer.commit_transaction()

        def test_a_disk_that_fails(streamlog_files, streamlog_log):
            from streamlog.errors import SyncFailedError

            before = threading.active_count()
            streamlog_log.create_topic("orders")
            fill(streamlog_log, b"a")
            assert threading.active_count() == before
            streamlog_files.fail("datasync")
            producer = streamlog_log.producer()
            with pytest.raises(SyncFailedError):
                producer.send("orders", value=b"b").result()

        def test_a_disk_that_loses_power(streamlog_files, streamlog_log, streamlog_open):
            from streamlog.testing import Adversary, Cut

            streamlog_log.create_topic("orders")
            fill(streamlog_log, b"a")
            cut = Cut(len(streamlog_files.operations), Adversary.NOTHING)
            survivors = streamlog_files.cut(cut)
            again = streamlog_open("/log", files=survivors, threaded=False)
            assert again.end_offsets([ORDERS]) == {ORDERS: 1}
        """
    )
    result.assert_outcomes(passed=9, failed=0)


def test_the_examples_of_the_document_run(run):
    document = (Path(__file__).resolve().parents[3] / "docs" / "testing.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", document, re.S)
    arguments = () if INSTALLED else ("-p", "processors.testing.plugin")
    result = run("\n".join(examples), *arguments)
    result.assert_outcomes(passed=5)


def test_a_run_that_does_not_use_streamlog_loads_nothing_of_it_and_is_not_warned(run):
    result = run(
        """
        import sys

        def test_it():
            loaded = {name for name in sys.modules if name.startswith("streamlog")}
            assert loaded <= {"streamlog", "streamlog.testing", "streamlog.testing.plugin"}
            assert not {"asyncio", "msgspec", "cramjam"} & sys.modules.keys()
        """,
        "-W",
        "error",
        "-p",
        "no:anyio",
    )
    result.assert_outcomes(passed=1)


def test_the_fixtures_have_names_that_clash_with_nothing(run):
    result = run("def test_it(): pass", "--fixtures", "-q")
    names = [line.split()[0] for line in result.outlines if "plugin.py" in line]
    ours = [name for name in names if name.startswith("streamlog")]
    assert sorted(ours) == [
        "streamlog_clock",
        "streamlog_files",
        "streamlog_log",
        "streamlog_log_dir",
        "streamlog_open",
    ]


def test_what_the_plugin_costs_is_three_small_modules():
    code = """
import sys
import pytest
before = set(sys.modules)
import streamlog.testing.plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert eval(done.stdout) == ["streamlog", "streamlog.testing", "streamlog.testing.plugin"]


@pytest.mark.skipif(not INSTALLED, reason="the source tree has no entry points")
def test_pytest_finds_the_plugin_by_itself(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    pytester.makepyfile("def test_it(streamlog_log): assert streamlog_log.in_memory")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
