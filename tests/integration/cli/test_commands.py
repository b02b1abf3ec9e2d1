"""The commands over a real directory: what they print, and their exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from streamlog.cli.main import main
from streamlog.client.contract import GroupMetadata, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    Run = Callable[..., "Ended"]

PATIENCE_S = 300

HOLD = """
import sys, streamlog
log = streamlog.open(sys.argv[1])
producer = log.producer()
print("open", flush=True)
for line in sys.stdin:
    producer.send("numbers", value=line.strip())
    producer.flush()
"""


STREAMLOG = (
    sys.executable,
    "-c",
    "from streamlog.cli.main import main; raise SystemExit(main())",
)


class Ended:
    """One command line that has ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `streamlog ...` in this process, on the log at `tmp_path / "log"`."""
    monkeypatch.setenv("STREAMLOG_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(arguments)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


@pytest.fixture
def numbers(run: Run) -> None:
    """Two partitions; the records of partition 0 are 0, 2, 4, ... with timestamps 0, 2000, ...

    They are of long ago, and stay.
    """
    create = ("topics", "create", "numbers", "--partitions", "2", "-c", "retention.ms=-1")
    assert run(*create).code == 0
    with streamlog.open(os.environ["STREAMLOG_LOG"]) as log, log.producer() as producer:
        for number in range(10):
            producer.send(
                "numbers",
                key=f"k{number}",
                value=str(number),
                partition=number % 2,
                timestamp=number * 1000,
                headers=[("trace", b"1")],
            )


def test_topics_are_created_listed_and_described(run: Run) -> None:
    created = run("topics", "create", "orders", "-p", "3", "-c", "max.message.bytes=2000000")
    assert (created.code, created.out, created.err) == (0, "", "")
    assert run("topics").lines == ["topic   partitions  offsets", "orders           3        0"]
    assert run("topics", "list", "--json").json == [
        {"name": "orders", "partitions": 3, "offsets": 0}
    ]
    described = run("topics", "describe", "orders", "--json").json
    assert described["config"] == {"max.message.bytes": "2000000"}
    assert described["offsets"][2] == {"partition": 2, "start": 0, "stable": 0, "end": 0}
    assert "config      max.message.bytes=2000000" in run("topics", "describe", "orders").lines


def test_the_log_may_be_named_before_the_subcommand(run: Run, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    assert run("topics", "--log", other, "create", "elsewhere").code == 0
    assert run("topics", "--log", other, "list").lines[1].startswith("elsewhere")
    assert run("topics", "list", "--log", other).lines[1].startswith("elsewhere")
    assert run("topics", "--log", other).lines[1].startswith("elsewhere")
    assert run("topics", f"--log={other}", "--json").json[0]["name"] == "elsewhere"
    assert not (tmp_path / "log").exists()


def test_lines_are_produced_and_consumed(run: Run) -> None:
    run("topics", "create", "words", "-p", "2")
    produced = run("produce", "words", "--key", "str", "--value", "int", stdin=b"a:1\nb:2\r\na:3")
    assert (produced.code, produced.out) == (0, "")
    assert produced.err == "3 records to words\n"
    consumed = run("consume", "words", "--from-beginning", "--key", "str", "--value", "int")
    assert sorted(consumed.lines) == ["a\t1", "a\t3", "b\t2"]


def test_tombstones_and_files_are_produced(run: Run, tmp_path: Path) -> None:
    run("topics", "create", "words")
    (tmp_path / "lines.txt").write_bytes(b"a=-\nb=x:y\n")
    code = run(
        *("produce", "words", "--file", str(tmp_path / "lines.txt"), "--key", "str"),
        *("--separator", "=", "--null", "-", "--compression", "zstd"),
    ).code
    assert code == 0
    assert run("consume", "words", "-b").lines == ["a\tnull", "b\tx:y"]


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize(
    ("options", "values"),
    [
        (["--from-beginning", "--partition", "0"], ["0", "2", "4", "6", "8"]),
        (["--offset", "3", "--partition", "1"], ["7", "9"]),
        (["--offset", "-1"], ["8", "9"]),
        (["--timestamp", "6000"], ["6", "7", "8", "9"]),
        (["--since", "1970-01-01T00:00:08Z"], ["8", "9"]),
        (["--since", "1970-01-02T00:00:00Z"], []),
        (["-b", "-p", "1", "--max", "2"], ["1", "3"]),
        (["--max", "1", "-b", "-p", "1", "--follow"], ["1"]),
    ],
)
def test_consume_starts_and_ends_where_it_is_told(
    run: Run, options: list[str], values: list[str]
) -> None:
    consumed = run("consume", "numbers", "--format", "{value}", *options)
    assert consumed.code == 0
    assert sorted(consumed.lines) == values


@pytest.mark.usefixtures("numbers")
def test_consume_formats(run: Run) -> None:
    one = ("consume", "numbers", "-b", "-n", "1", "-p", "0")
    assert run(*one, "--timestamps").lines == ["1970-01-01T00:00:00.000Z\tk0\t0"]
    assert run(*one, "--format", "json").json == {
        "topic": "numbers",
        "partition": 0,
        "offset": 0,
        "timestamp": 0,
        "key": "k0",
        "value": "0",
        "headers": [["trace", "1"]],
    }
    assert run(*one, "--json").out == run(*one, "--format", "json").out
    assert run(*one, "--json", "--format", "{key}").code == 2


def test_consume_sees_what_its_isolation_allows(run: Run) -> None:
    run("topics", "create", "numbers")
    with (
        streamlog.open(os.environ["STREAMLOG_LOG"]) as log,
        log.producer(transactional_id="t") as producer,
    ):
        for value, commit in [("aborted", False), ("committed", True)]:
            producer.begin_transaction()
            producer.send("numbers", value=value)
            producer.flush()
            producer.commit_transaction() if commit else producer.abort_transaction()
    assert run("consume", "numbers", "-b").lines == ["committed"]
    everything = run("consume", "numbers", "-b", "--isolation", "read_uncommitted")
    assert everything.lines == ["aborted", "committed"]


@pytest.mark.usefixtures("numbers")
def test_readers_work_beside_the_process_that_owns_the_log(run: Run, tmp_path: Path) -> None:
    with owner(tmp_path / "log") as process:
        assert process.stdin is not None
        follower = subprocess.Popen(
            [*STREAMLOG, "consume", "numbers", "-f", "-b", "-n", "11", "--format", "{value}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdin.write("while it is open\n")
        process.stdin.flush()
        out, _ = follower.communicate(timeout=PATIENCE_S)
        assert follower.returncode == 0
        assert sorted(out.splitlines())[-1] == "while it is open"
        assert run("topics", "list", "--json").json[0]["offsets"] == 11
        assert run("info", "--json").json["directory"]["owner_pid"] == process.pid
        refused = run("produce", "numbers", stdin=b"x\n")
        assert refused.code == 1
        assert f"the log is open in process {process.pid}" in refused.err
        assert run("reset", "word-count", "--yes").code == 1


@contextmanager
def owner(directory: Path) -> Generator[subprocess.Popen[str]]:
    """Another process that has the log open and sends the lines that it is given."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.communicate(timeout=PATIENCE_S)


def test_text_that_the_terminal_cannot_show_is_escaped(run: Run) -> None:
    run("topics", "create", "words")
    run("produce", "words", stdin="ü世\n".encode())
    shown = subprocess.run(
        [*STREAMLOG, "consume", "words", "-b"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (shown.returncode, shown.stdout) == (0, b"\xfc\\u4e16\n"), shown.stderr


def follower() -> subprocess.Popen[str]:
    """`consume --follow` in a process of its own, of which one line has been read."""
    process = subprocess.Popen(
        [*STREAMLOG, "consume", "numbers", "-b", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.usefixtures("numbers")
def test_an_interrupted_consume_ends_quietly() -> None:
    process = follower()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.usefixtures("numbers")
def test_consume_into_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    process = follower()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with streamlog.open(tmp_path / "log") as log, log.producer() as producer:
        producer.send("numbers", value="nobody reads this")
    assert process.wait(timeout=PATIENCE_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.usefixtures("numbers")
def test_info_describes_the_installation_and_the_directory(run: Run, tmp_path: Path) -> None:
    facts = run("info", "--json").json
    assert facts["installation"]["libraries"]["rocksdict"]
    directory = facts["directory"]
    assert directory["owner_pid"] is None
    assert directory["properties"]["streamlog.format"] == "1"
    rows = {(row["topic"], row["partition"]): row for row in directory["partitions"]}
    assert rows["numbers", 1]["end"] == 5
    assert rows["numbers", 1]["size_bytes"] > 0
    text = run("info").out
    assert "not open in any process" in text
    assert "numbers-1" in text
    elsewhere = run("info", "--log", str(tmp_path / "nowhere"))
    assert (elsewhere.code, elsewhere.lines[-1]) == (0, f"no log at {tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["consume", "numbrs"], 1, "error: unknown topic 'numbrs' (did you mean 'numbers'?)"),
        (["produce", "numbrs"], 1, "error: unknown topic 'numbrs' (did you mean 'numbers'?)"),
        (["produce", "numbers", "--compression", "zst"], 2, "'zst' is not one of"),
        (["produce", "numbers", "--log", "/nowhere"], 1, "error: /nowhere: there is no log here"),
        (["consume", "numbers", "--format", "{value[0]}"], 2, "unknown field 'value[0]'"),
        (["consume", "numbers", "-p", "2"], 1, "error: topic 'numbers' has partitions 0 to 1"),
        (["consume", "numbers", "-o", "99"], 1, "offset 99 is outside [0, 5]"),
        (["consume", "numbers", "-b", "--value", "int"], 1, "error: "),
        (["consume", "numbers", "--value", "itn"], 2, "(did you mean 'int'?)"),
        (["consume", "numbers", "--format", "jsn"], 2, "(did you mean 'json'?)"),
        (["consume", "numbers", "-b", "-o", "1"], 2, "give one of"),
        (["consume", "numbers", "--since", "soon"], 2, "no moment: 'soon'"),
        (["topics", "create", "numbers"], 1, "error: topic 'numbers' exists already"),
        (["topics", "create", "numbers", "--exist-ok"], 1, "has 2 partitions, but 1"),
        (["topics", "create", "a", "-c", "retention.ms=-2"], 1, "retention.ms"),
        (["topics", "create", "a", "-c", "retention"], 2, "'retention' is not KEY=VALUE"),
        (["topics", "create", "a", "-p", "100001"], 2, "less than or equal to 100000"),
        (["topics", "create", "a/b"], 1, "error: invalid topic name 'a/b'"),
        (["topics", "describe", "x", "--log", "/nowhere"], 1, "error: /nowhere: there is no"),
        (["topics", "--log", "/"], 1, "error: /: there is no log here"),
        (["run", "lines.toml"], 1, "error: lines.toml: no kind of target"),
        (["run"], 2, ""),
        (["serve"], 2, "No such command 'serve'"),
    ],
)
@pytest.mark.usefixtures("numbers")
def test_a_persons_mistake_is_one_message_without_a_traceback(
    run: Run, arguments: list[str], code: int, reason: str
) -> None:
    ended = run(*arguments)
    assert reason in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert ended.code == code


def test_a_line_of_another_form_names_its_number_and_the_ones_before_stay(run: Run) -> None:
    run("topics", "create", "counts")
    refused = run("produce", "counts", "--value", "int", stdin=b"1\n2\nthree\n4\n")
    assert refused.code == 1
    assert refused.err == "error: standard input:3: not of type int: 'three'\n"
    assert run("consume", "counts", "-b", "--value", "int").lines == ["1", "2"]


def test_reset_empties_state_and_offsets_in_one_go(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "log" / "state" / "word-count"
    with streamlog.open(tmp_path / "log") as log:
        fill_application(log)
    state.mkdir(parents=True)
    manifest: dict[str, Any] = {
        "stores": {"counts": {}, "gone": {}},
        "exchanges": {"words": {}},
        "agents": {"tally": {}},
    }
    (state / "manifest.json").write_text(json.dumps(manifest))

    dry = run("reset", "word-count", "--dry-run")
    assert dry.lines == [
        "group word-count: offset of lines-0 3 -> 0",
        "group word-count: offset of word-count-words-repartition-0 0 -> 2",
        "group word-count/tally: offset of lines-0 2 -> 0",
        "state in word-count-counts-changelog-0: 1 keys deleted",
        f"directory {state}: deleted",
    ]
    assert run("reset", "word-count", "--dry-run", "--json").json == {
        "application": "word-count",
        "offsets": [
            {"group": "word-count", "topic": "lines", "partition": 0, "new": 0},
            {
                "group": "word-count",
                "topic": "word-count-words-repartition",
                "partition": 0,
                "new": 2,
            },
            {"group": "word-count/tally", "topic": "lines", "partition": 0, "new": 0},
        ],
        "changelogs": [{"topic": "word-count-counts-changelog", "partition": 0, "keys": 1}],
        "state": str(state),
    }
    assert run("reset", "word-count", stdin=b"n\n").code == 1
    assert state.exists()
    assert run("reset", "word-count", "--yes").code == 0
    assert not state.exists()
    with streamlog.open(tmp_path / "log") as log:
        offsets = log.committed_offsets("word-count")
        assert offsets[TopicPartition("lines", 0)] == 0
        assert log.committed_offsets("word-count/tally") == {TopicPartition("lines", 0): 0}
        assert log.committed_offsets("word-count-2") == {TopicPartition("lines", 0): 1}
        with log.consumer("word-count-counts-changelog") as consumer:
            records = consumer.poll()
    assert [(record.key, record.value) for record in records][-1] == (b"the", None)
    assert run("reset", "word-count", "--yes").err == "word-count: nothing to reset\n"


@pytest.mark.parametrize("app", ["..", ".", "", "../numbers-0", "{state}/other"])
@pytest.mark.usefixtures("numbers")
def test_reset_deletes_nothing_but_the_state_of_an_application(
    run: Run, tmp_path: Path, app: str
) -> None:
    state = tmp_path / "log" / "state" / "other"
    state.mkdir(parents=True)
    refused = run("reset", app.format(state=state.parent), "--yes")
    assert refused.code == 2
    assert "is not the name of an application" in refused.err
    assert state.exists()
    assert (tmp_path / "log" / "numbers-0").exists()


def test_an_interrupted_reset_can_be_repeated(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest, which alone knows the agents, outlives the transaction."""
    with streamlog.open(tmp_path / "log") as log:
        fill_application(log)
    manifest = tmp_path / "log" / "state" / "word-count" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"stores": {"counts": {}}, "exchanges": {}, "agents": {"tally": {}}}')

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("streamlog.client.embedded.EmbeddedLog.producer", die)
        assert run("reset", "word-count", "--yes").code == 130
    assert run("reset", "word-count", "--yes").code == 0
    with streamlog.open(tmp_path / "log") as log:
        assert log.committed_offsets("word-count/tally") == {TopicPartition("lines", 0): 0}


@pytest.mark.usefixtures("numbers")
def test_a_mistyped_application_is_an_error_and_a_damaged_manifest_says_what_to_do(
    run: Run, tmp_path: Path
) -> None:
    state = tmp_path / "log" / "state" / "word-count"
    state.mkdir(parents=True)
    unknown = run("reset", "wrod-count", "--yes")
    assert unknown.code == 1
    assert "error: wrod-count: no application of this name has run here" in unknown.err
    assert "(did you mean 'word-count'?)" in unknown.err
    for damage in ("{", "{}", "[]"):
        (state / "manifest.json").write_text(damage)
        damaged = run("reset", "word-count", "--yes")
        assert damaged.code == 1
        assert "manifest.json is damaged; delete it" in damaged.err
        assert "Traceback" not in damaged.err


def fill_application(log: streamlog.Log) -> None:
    """What an application leaves behind: offsets, a changelog with a tombstone, an exchange."""
    for topic in ("lines", "word-count-counts-changelog", "word-count-words-repartition"):
        log.create_topic(topic)
    with log.producer(transactional_id="word-count") as producer:
        producer.begin_transaction()
        producer.send_columns("lines", None, [b"a", b"b", b"c"])
        producer.send_columns(
            "word-count-counts-changelog", [b"the", b"gone", b"gone"], [b"1", b"1", None]
        )
        producer.send_columns("word-count-words-repartition", [b"the"], [b"1"])
        for group, offset in [("word-count", 3), ("word-count/tally", 2), ("word-count-2", 1)]:
            producer.send_offsets_to_transaction(
                {TopicPartition("lines", 0): offset}, GroupMetadata(group_id=group)
            )
        producer.commit_transaction()


def test_topic_names_are_completed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("topics", "create", "orders")
    run("topics", "create", "others")
    monkeypatch.setenv("_STREAMLOG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "streamlog consume ord")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out.split() == ["orders"]


def test_applications_are_completed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log" / "state" / "word-count").mkdir(parents=True)
    monkeypatch.setenv("_STREAMLOG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "streamlog reset w")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out.split() == ["word-count"]


def test_the_version_and_help_are_there(run: Run) -> None:
    assert run("--version").out.startswith("streamlog ")
    for command in ("run", "topics", "produce", "consume", "info", "reset"):
        ended = run(command, "--help")
        assert ended.code == 0
        assert "Example" in ended.out
