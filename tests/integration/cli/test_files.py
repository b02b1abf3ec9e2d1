"""dump, fsck, export, import and size, over a real directory."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from streamlog.client.contract import GroupMetadata, TopicPartition
from streamlog.errors import MissingExtraError

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]

PROGRAM = "from streamlog.cli.main import main; raise SystemExit(main())"
HEADERS = [("trace", b"\xff\x00"), ("empty", None), ("trace", "é".encode())]
ROWS = [
    (0, 1_000, b"k", b"v", []),
    (1, 2_000, None, b"\xff\xfe", HEADERS),
    (0, 3_000, "ключ".encode(), None, []),
    (1, 4_000, b"", b"", [("", b"")]),
    (1, 5_000, b"line\nbreak", b'{"base64": "AA=="}', []),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two partitions; a transaction that was aborted, one that was committed with offsets."""
    directory = tmp_path_factory.mktemp("template") / "log"
    with streamlog.open(directory) as log:
        log.create_topic("orders", 2, config={"segment.bytes": "600", "retention.ms": "-1"})
        with log.producer(transactional_id="writer") as producer:
            producer.begin_transaction()
            producer.send("orders", value="never", partition=0, timestamp=500)
            producer.flush()
            producer.abort_transaction()
            producer.begin_transaction()
            for partition, timestamp, key, value, headers in ROWS:
                producer.send(
                    "orders", key, value, partition=partition, timestamp=timestamp, headers=headers
                )
            group = GroupMetadata(group_id="billing")
            producer.send_offsets_to_transaction({TopicPartition("orders", 0): 2}, group)
            producer.commit_transaction()
    return directory


@pytest.fixture
def orders(template: Path, directory: Path) -> Path:
    shutil.copytree(template, directory)
    return directory


def read(directory: Path, topic: str = "orders") -> list[tuple[Any, ...]]:
    """Partition, timestamp, key, value, headers of every committed record, by partition."""
    with streamlog.open(directory) as log, log.consumer(topic) as consumer:
        found: list[Any] = []
        while records := consumer.poll(max_records=1000):
            found += [(r.partition, r.timestamp, r.key, r.value, r.headers) for r in records]
    return sorted(found, key=lambda row: (row[0], row[1]))


# export, import


def test_an_export_comes_back_byte_for_byte(command: Command, orders: Path) -> None:
    exported = command("export", "orders")
    assert (exported.code, exported.err) == (0, "5 records of orders\n")
    first = next(row for row in exported.json_lines if row["partition"] == 0)
    assert (first["key"], first["value"], first["timestamp"]) == ("k", "v", 1000)
    again = str(orders.parent / "again")
    imported = command(
        "import", "orders", "--create", "2", "--log", again, stdin=exported.out.encode()
    )
    assert (imported.code, imported.err) == (0, "5 records to orders\n")
    assert read(orders.parent / "again") == read(orders)
    assert len(read(orders)) == len(ROWS)


def test_bytes_that_are_no_text_are_base64(command: Command, orders: Path) -> None:
    rows = command("export", "orders", "--partition", "1").json_lines
    assert rows[0]["value"] == {"base64": "//4="}
    assert rows[0]["headers"] == [["trace", {"base64": "/wA="}], ["empty", None], ["trace", "é"]]
    assert rows[0]["key"] is None


@pytest.mark.usefixtures("orders")
def test_an_export_has_what_is_committed_unless_it_is_told_otherwise(command: Command) -> None:
    values = [row["value"] for row in command("export", "orders", "-p", "0").json_lines]
    assert values == ["v", None]
    everything = command("export", "orders", "-p", "0", "--isolation", "read_uncommitted")
    assert [row["value"] for row in everything.json_lines] == ["never", "v", None]
    late = command("export", "orders", "--since", "4000").json_lines
    assert [row["timestamp"] for row in late] == [4_000, 5_000]


def test_an_export_to_a_file_is_whole_or_not_there(command: Command, orders: Path) -> None:
    target = orders.parent / "orders.jsonl"
    assert command("export", "orders", "-o", str(target)).code == 0
    assert len(target.read_text().splitlines()) == len(ROWS)
    missing = orders.parent / "nothing.jsonl"
    assert command("export", "order", "-o", str(missing)).code == 1
    assert list(orders.parent.glob("nothing*")) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"no json", "stdin:2: no record: "),
        (b'{"key": 5}', "$.key"),
        (b'{"value": {"base64": "!"}}', "stdin:2: no base64"),
        (b'{"vlaue": "x"}', "vlaue"),
        (b'{"partition": 7}', "partitions 0 to 1, not 7"),
        (b'{"timestamp": -2}', "stdin:2: timestamp -2 "),
        (b'{"timestamp": 99999999999999999999}', "stdin:2: timestamp 9"),
    ],
)
def test_a_line_that_is_no_record_is_named_and_nothing_is_imported(
    command: Command, directory: Path, line: bytes, reason: str
) -> None:
    command("topics", "create", "orders", "-p", "2")
    lines = b'{"partition": 1, "timestamp": 9, "value": "x"}\n' + line + b"\n"
    ended = command("import", "orders", stdin=lines)
    assert ended.code == 1
    assert reason in ended.err
    assert "Traceback" not in ended.err
    assert read(directory) == []
    ended = command("import", "orders", "--as-it-comes", stdin=lines)
    assert (ended.code, reason in ended.err) == (1, True)
    assert read(directory) == [(1, 9, None, b"x", [])]


def test_an_import_is_one_transaction_of_any_length(
    command: Command, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlog.cli.import_.RUN_RECORDS", 2)
    command("topics", "create", "orders", "-p", "2")
    good = b"".join(b'{"partition": %d, "value": "x"}\n' % (n % 2) for n in range(9))
    failed = command("import", "orders", stdin=good + b"no json\n")
    assert failed.code == 1
    assert read(directory) == []
    assert command("import", "orders", "--json", stdin=good).json == {
        "topic": "orders",
        "records": 9,
    }
    assert len(read(directory)) == 9
    (writer,) = command("transactions", "--json").json
    assert (writer["transactional_id"], writer["timeout_ms"]) == (
        "streamlog-import-orders",
        900_000,
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_is_stopped_leaves_nothing(
    command: Command, directory: Path, stop: signal.Signals
) -> None:
    command("topics", "create", "orders")
    line = b'{"partition": 0, "value": "%s"}\n' % (b"x" * 500)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "import", "orders"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(line * 6_000)  # more than a pipe takes: most of it was read
        process.stdin.flush()
        process.send_signal(stop)
        process.wait()
        assert process.returncode == (130 if stop is signal.SIGINT else -stop)
    assert read(directory) == []
    everything = command("export", "orders", "--isolation", "read_uncommitted")
    assert everything.lines != []


def test_a_record_that_the_topic_does_not_take_is_named_by_its_line(command: Command) -> None:
    command("topics", "create", "state", "--config", "cleanup.policy=compact")
    lines = b'{"key": "a", "value": "x"}\n\n{"value": "no key"}\n'
    ended = command("import", "state", stdin=lines)
    assert (ended.code, "stdin:3: " in ended.err) == (1, True)


def test_an_import_may_choose_partitions_by_the_keys(command: Command, directory: Path) -> None:
    command("topics", "create", "one")
    lines = b'{"partition": 7, "key": "a", "value": "x"}\n\n'
    assert command("import", "one", "--by-key", stdin=lines).code == 0
    assert [row[0] for row in read(directory, "one")] == [0]


@pytest.mark.usefixtures("orders")
def test_parquet_without_pyarrow_says_which_extra(
    command: Command, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    target = directory.parent / "orders.parquet"
    ended = command("export", "orders", "-o", str(target))
    assert ended.code == 1
    assert "pip install 'streamlog[parquet]'" in ended.err
    assert issubclass(MissingExtraError, ImportError)
    assert command("export", "orders", "--format", "parquet").code == 2


def test_parquet_comes_back_byte_for_byte(command: Command, orders: Path) -> None:
    target = str(orders.parent / "orders.parquet")
    assert command("export", "orders", "-o", target).code == 0
    again = str(orders.parent / "again")
    assert command("import", "orders", target, "--create", "2", "--log", again).code == 0
    assert read(orders.parent / "again") == read(orders)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"PAR1 no Parquet PAR1", "no Parquet: "), (b"", "no Parquet: "), (None, "no column ")],
)
def test_a_file_that_is_no_export_is_named_and_nothing_is_imported(
    command: Command, directory: Path, content: bytes | None, reason: str
) -> None:
    path = directory.parent / "other.parquet"
    if content is None:
        from pyarrow import parquet, table

        parquet.write_table(table({"key": [b"k"]}), path)
    else:
        path.write_bytes(content)
    ended = command("import", "orders", str(path), "--create", "1")
    assert ended.code == 1
    assert f"error: {path}: {reason}" in ended.err
    assert "Traceback" not in ended.err
    assert read(directory) == []


def test_an_export_to_a_file_says_in_json_what_it_wrote(command: Command, orders: Path) -> None:
    target = str(orders.parent / "orders.jsonl")
    said = command("export", "orders", "-o", target, "--json")
    assert said.json == {"topic": "orders", "records": 5, "file": target}


# dump


def test_dump_shows_every_kind_of_file(command: Command, orders: Path) -> None:
    dumped = command("dump", str(orders), "--json")
    assert dumped.code == 0
    entries = dumped.json_lines
    kinds = {entry["kind"] for entry in entries}
    assert kinds >= {"file", "batch", "record", "marker", "aborted", "producer", "checkpoint"}
    assert kinds >= {"epoch", "durable", "line", "time"}
    markers = [entry["type"] for entry in entries if entry["kind"] == "marker"]
    assert "abort" in markers
    assert "commit" in markers
    assert "DAMAGE" not in command("dump", str(orders)).out


def test_dump_decodes_the_logs_own_topics(command: Command, orders: Path) -> None:
    entries = command("dump", str(orders), "--json").json_lines
    decoded = [entry["decoded"] for entry in entries if "decoded" in entry]
    assert any(
        d.get("group") == "billing" and d.get("offset") == 2 and d.get("topic") == "orders"
        for d in decoded
    )
    assert any(d.get("transactional_id") == "writer" for d in decoded)
    assert any(d.get("key") == "topic:orders" for d in decoded)
    raw = command("dump", str(orders), "--json", "--raw").json_lines
    assert not any("decoded" in entry for entry in raw)


def test_dump_of_some_offsets(command: Command, orders: Path) -> None:
    path = str(orders / "orders-1")
    entries = command("dump", path, "--from", "1", "--to", "2", "--json").json_lines
    assert [entry["offset"] for entry in entries if entry["kind"] == "record"] == [1]
    batches = command("dump", path, "--no-records", "--json").json_lines
    assert not any(entry["kind"] == "record" for entry in batches)


def test_dump_shows_a_damaged_file_as_far_as_it_can(command: Command, orders: Path) -> None:
    path = next(orders.glob("__transaction_state-*/*.log"))
    flip(path, path.stat().st_size - 1)
    dumped = command("dump", str(path), "--json")
    assert dumped.code == 3
    assert dumped.json_lines[-1]["kind"] == "damage"
    lines = command("dump", str(path)).lines
    assert "  batch 0-" in lines[1]
    assert "  DAMAGE at byte" in lines[-1]


@pytest.mark.parametrize("arguments", [["dump", "{}/orders-0"], ["export", "orders", "-l", "{}"]])
def test_output_into_a_closed_pipe_ends_quietly(orders: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    filled = [each.format(orders) for each in arguments]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *filled],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("streamlog topics create orders --config retention.m", ["retention.ms="]),
        ("streamlog topics alter orders --default retention.m", ["retention.ms"]),
        (
            "streamlog config alter --config log.retention.m",
            ["log.retention.minutes=", "log.retention.ms="],
        ),
        (
            "streamlog config describe log.retention.m",
            ["log.retention.minutes", "log.retention.ms"],
        ),
        ("streamlog groups rem", ["remove-members"]),
    ],
)
def test_configurations_and_subcommands_are_completed(
    command: Command, monkeypatch: pytest.MonkeyPatch, line: str, found: list[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    monkeypatch.setenv("_STREAMLOG_COMPLETE", "complete_bash")
    assert command().out.split() == found


@pytest.mark.usefixtures("orders")
def test_groups_and_transactional_ids_are_completed(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line, names in (
        ("streamlog groups describe bil", "billing"),
        ("streamlog transactions describe w", "writer"),
        ("streamlog topics alter or", "orders"),
    ):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", "3")
        monkeypatch.setenv("_STREAMLOG_COMPLETE", "complete_bash")
        assert command().out.split() == [names]


# fsck


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_fsck_of_a_whole_log_finds_nothing(command: Command, orders: Path) -> None:
    checked = command("fsck", str(orders))
    assert (checked.code, checked.out) == (0, "")
    assert checked.err.endswith("nothing wrong\n")
    assert command("fsck", "--json").json == {"findings": []}


def test_fsck_names_the_place_and_repair_saves_the_rest(command: Command, orders: Path) -> None:
    path = orders / "orders-1" / f"{0:020d}.log"
    flip(path, path.stat().st_size - 90)
    checked = command("fsck", str(orders), "--json")
    assert checked.code == 3
    places = [(each["path"], each["level"]) for each in checked.json["findings"]]
    assert (str(path), "damage") in places
    assert "--repair NEWDIR" in command("fsck", str(orders)).err
    new = orders.parent / "saved"
    repaired = command("fsck", str(orders), "--repair", str(new))
    assert repaired.code == 3
    assert "lost orders-1 offsets 0 to " in repaired.err
    assert command("fsck", str(new)).code == 0
    assert [row for row in read(new) if row[0] == 0] == [row for row in ROWS if row[0] == 0]


def test_the_error_of_a_damaged_log_names_fsck(command: Command, orders: Path) -> None:
    for path in orders.glob("orders-*/*.log"):
        flip(path, 70)
    ended = command("consume", "orders", "--from-beginning")
    assert ended.code == 1
    assert "let `streamlog fsck DIR` say what can be saved" in ended.err


def test_a_damaged_index_loses_nothing(command: Command, orders: Path) -> None:
    next(orders.glob("orders-0/*.txnindex")).unlink()
    assert command("fsck", str(orders)).code == 3
    new = orders.parent / "saved"
    assert command("fsck", str(orders), "--repair", str(new)).code == 0
    assert len(read(new)) == len(ROWS)


def test_a_repair_does_not_overwrite(command: Command, orders: Path) -> None:
    (orders.parent / "saved").mkdir()
    (orders.parent / "saved" / "mine").touch()
    ended = command("fsck", str(orders), "--repair", str(orders.parent / "saved"))
    assert ended.code == 1
    assert "is there already" in ended.err


def test_fsck_of_what_is_no_log_and_of_a_newer_one(command: Command, orders: Path) -> None:
    nothing = command("fsck", str(orders.parent))
    assert (nothing.code, "there is no log here" in nothing.err) == (1, True)
    path = orders / "meta.properties"
    path.write_text("streamlog.format=9\nstreamlog.version=7.1\n")
    newer = command("fsck", str(orders))
    assert newer.code == 1
    assert "written by streamlog 7.1" in newer.err


def test_foreign_files_are_named(command: Command, orders: Path) -> None:
    (orders / "orders-0" / "notes.txt").touch()
    (orders / "else-3").mkdir()
    (orders / "Makefile").touch()
    checked = command("fsck", str(orders), "--json")
    assert checked.code == 0
    assert {os.path.basename(each["path"]) for each in checked.json["findings"]} == {
        "notes.txt",
        "else-3",
        "Makefile",
    }
    assert {each["level"] for each in checked.json["findings"]} == {"odd"}


def test_fsck_is_refused_while_a_process_has_the_log_open(command: Command, orders: Path) -> None:
    hold = "import sys, streamlog; log = streamlog.open(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(orders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        ended = command("fsck", str(orders))
        process.stdin.write(b"\n")
        process.stdin.close()
    assert ended.code == 1
    assert f"process {process.pid}" in ended.err


# Progress


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "orders", "--output", "{parent}/out.jsonl"], "exporting orders"),
        (["import", "orders", "{parent}/in.jsonl"], "importing"),
        (["fsck", "{log}"], "checking"),
        (["fsck", "{log}", "--repair", "{parent}/saved"], "saving"),
        (["topics", "adopt", "new", "{log}", "--source-name", "orders"], "adopting new"),
    ],
)
def test_long_work_has_a_bar_in_a_terminal(orders: Path, arguments: list[str], said: str) -> None:
    (orders.parent / "in.jsonl").write_text('{"partition": 0, "value": "x"}\n')
    filled = [each.format(log=orders, parent=orders.parent) for each in arguments]
    log = orders.parent / "new" if "adopt" in arguments else orders
    terminal, theirs = pty.openpty()
    with open(terminal, "rb", buffering=0) as shown:
        working = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *filled],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "STREAMLOG_LOG": str(log), "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        assert said in read_all(shown)  # as it comes: a terminal that nobody reads is full one day
    assert working.wait() == 0


def read_all(terminal: io.FileIO) -> str:
    """What is written to a terminal until nobody has it open any more."""
    content = bytearray()
    with contextlib.suppress(OSError):  # EIO is its end
        while more := terminal.read(1 << 16):
            content += more
    return content.decode()


# size


@pytest.mark.usefixtures("orders")
def test_size_tells_what_topics_take_up(command: Command) -> None:
    rows = command("size", "--json").json
    assert {row["name"] for row in rows} >= {"orders", "__consumer_offsets"}
    assert rows == sorted(rows, key=lambda row: -row["bytes"])
    assert command("size", "orders").lines[1].startswith("orders ")
    by_partition = command("size", "orders", "--partitions", "--json").json
    assert {row["name"] for row in by_partition} == {"orders-0", "orders-1"}
    total = next(row for row in rows if row["name"] == "orders")["bytes"]
    assert sum(row["bytes"] for row in by_partition) == total
    assert json.dumps(rows)
