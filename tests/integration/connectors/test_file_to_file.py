"""The file connectors on a real log, from YAML to the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.cli.target import load
from connectors.config.faults import ConfigError
from connectors.errors import (
    DestinationAheadError,
    DestinationError,
    FileError,
    PoisonRecordError,
    SourceReadError,
)
from connectors.runtime.offsets import OFFSETS_TOPIC
from connectors.sinks.journal import HeldOffset, decode_entry, encode_entry
from streamlog.client.contract import TopicPartition
from streamlog.errors import PartitionCountError, UnknownTopicError

if TYPE_CHECKING:
    from tests.integration.connectors.conftest import Bench

LINES = """\
name: lines
source: {file: {paths: ["{here}/in/**/*.txt"], poll: 10ms}}
to: {topic: lines, create: {partitions: 2}}
"""
COPY = """\
name: copy
from: {topics: [lines], value: str}
sink: {file: {path: "{here}/out.txt", format: text}}
commit: {age: 10ms}
"""


def test_lines_of_files_become_lines_of_a_file(bench: Bench) -> None:
    bench.write("in/a.txt", b"a1\na2\n")
    bench.write("in/b/c.txt", b"c1\r\nc2")
    statuses = bench.run(LINES, COPY)
    lines = (bench.path / "out.txt").read_text().splitlines()
    assert sorted(lines) == ["a1", "a2", "c1", "c2"]
    assert statuses["lines"].records_out == statuses["copy"].records_out == 4
    assert statuses["lines"].exhausted
    assert statuses["copy"].committed.keys() == {TopicPartition("lines", n) for n in (0, 1)}


def test_a_second_run_continues_where_the_first_ended_and_changes_nothing(bench: Bench) -> None:
    file = bench.write("in/a.txt", b"1\n2")
    bench.run(LINES, COPY)
    before = (bench.path / "out.txt").read_bytes()
    bench.reopen()
    again = bench.run(LINES, COPY)
    assert again["lines"].records_out == again["copy"].records_out == 0
    assert (bench.path / "out.txt").read_bytes() == before == b"1\n2\n"
    with file.open("ab") as more:
        more.write(b"\n3\n")
    bench.reopen()
    bench.run(LINES, COPY)
    assert (bench.path / "out.txt").read_bytes() == b"1\n2\n3\n"


def test_source_offsets_have_kafka_connects_name_and_key(bench: Bench) -> None:
    file = bench.write("in/ü.txt", "one\nzwei ☃\n".encode())
    bench.run(LINES)
    [record] = bench.records(OFFSETS_TOPIC)
    assert OFFSETS_TOPIC == "connect-offsets"
    assert record.key == f'["lines",{{"filename":"{file}"}}]'.encode()
    assert json.loads(record.value)["position"] == file.stat().st_size


def test_records_and_source_offsets_are_one_transaction(bench: Bench) -> None:
    bench.write("in/a.txt", b"1\n")
    bench.run(LINES)
    headers = {}
    for topic in ("lines", OFFSETS_TOPIC):
        ends = bench.log.end_offsets(
            [TopicPartition(topic, n) for n in range(bench.log.topic(topic).partitions)]
        )
        headers[topic] = sum(ends.values())
    assert headers == {"lines": 2, OFFSETS_TOPIC: 2}  # a record and a marker each


UPSERT = """\
name: table
from: {topics: [changes], value: int}
sink: {file: {path: "{here}/table.jsonl", mode: upsert}}
commit: {age: 10ms}
"""


def test_a_table_keeps_the_latest_value_a_key_and_tombstones_delete(bench: Bench) -> None:
    bench.log.create_topic("changes", 2)
    with bench.log.producer(key=str, value=int) as producer:
        for key, value in [("b", 1), ("a", 1), ("c", 1), ("b", 2), ("c", None), ("ä", 3)]:
            producer.send("changes", key=key, value=value)
    bench.run(UPSERT)
    table = bench.path / "table.jsonl"
    assert table.read_text() == (
        '{"key":"a","value":1}\n{"key":"b","value":2}\n{"key":"ä","value":3}\n'
    )
    with bench.log.producer(key=str, value=int) as producer:
        producer.send("changes", key="a", value=None)
    bench.reopen()
    bench.run(UPSERT)
    assert table.read_text() == '{"key":"b","value":2}\n{"key":"ä","value":3}\n'


def test_a_topic_with_another_partition_count_is_refused(bench: Bench) -> None:
    bench.write("in/a.txt", b"1\n")
    bench.log.create_topic("lines", 3)
    with pytest.raises(PartitionCountError, match="'lines' has 3 partitions, but 2"):
        bench.run(LINES)


def test_a_topic_that_never_comes_is_named_with_the_near_miss(bench: Bench) -> None:
    bench.log.create_topic("line", 1)
    with pytest.raises(UnknownTopicError, match=r"'lines' \(did you mean 'line'"):
        bench.run(COPY)


def test_a_line_that_is_not_utf_8_fails_naming_file_and_byte(bench: Bench) -> None:
    file = bench.write("in/a.txt", b"good\nb\xffd\nlast\n")
    with pytest.raises(
        PoisonRecordError, match=r"line at byte 5.*byte 6 of the file is no utf-8"
    ) as e:
        bench.run(LINES)
    assert str(file) in str(e.value)
    assert "errors.tolerate: all" in str(e.value)
    assert bench.values("lines") == []


def test_bad_lines_are_skipped_and_counted_if_the_file_says_so(bench: Bench) -> None:
    bench.write("in/a.txt", b"good\nb\xffd\nlast\n")
    statuses = bench.run(LINES + "errors: {tolerate: all}\n")
    assert sorted(bench.values("lines")) == [b"good", b"last"]
    assert statuses["lines"].counters == {"skipped": 1}


def test_bad_lines_go_to_the_dead_letters_in_the_same_transaction(bench: Bench) -> None:
    file = bench.write("in/a.txt", b"good\nb\xffd\n")
    errors = "errors: {tolerate: all, dead_letter: bad}\n"
    bench.run(LINES + errors)
    [letter] = bench.records("bad")
    assert letter.value == b"b\xffd"
    headers = {name: (value or b"").decode() for name, value in letter.headers}
    assert headers["__connect.errors.connector.name"] == "lines"
    assert headers["__connect.errors.stage"] == "TASK_POLL"
    assert headers["__connect.errors.origin"] == f"{file}, line at byte 5"
    bench.run(LINES + errors)
    assert len(bench.records("bad")) == 1


def test_no_file_is_an_error(bench: Bench) -> None:
    with pytest.raises(SourceReadError, match=r"in/\*\*/\*.txt: no file matches"):
        bench.run(LINES)


def test_a_file_that_no_sink_wrote_is_not_touched(bench: Bench) -> None:
    bench.write("in/a.txt", b"1\n")
    mine = bench.write("out.txt", b"mine\n")
    with pytest.raises(
        DestinationError, match=r"exists, and no .*out.txt.offsets says what it holds"
    ):
        bench.run(LINES, COPY)
    assert mine.read_bytes() == b"mine\n"


def test_a_removed_log_is_noticed_by_the_sink(bench: Bench) -> None:
    bench.write("in/a.txt", b"1\n")
    bench.run(LINES, COPY)
    bench.log.close()
    (bench.path / "log").rename(bench.path / "old log")
    bench.reopen()
    with pytest.raises(DestinationError, match="holds records of another topic 'lines'"):
        bench.run(LINES, COPY)
    assert (bench.path / "out.txt").read_bytes() == b"1\n"


def test_a_table_that_was_edited_is_refused(bench: Bench) -> None:
    table = """\
        name: table
        from: {topics: [lines], value: str}
        sink: {file: {path: "{here}/table.jsonl", mode: upsert}}
        """
    bench.log.create_topic("lines")
    with bench.log.producer(key=str, value=str) as producer:
        producer.send("lines", key="k", value="v")
    bench.run(table)
    edited = (bench.path / "table.jsonl").read_bytes().replace(b'"k"', b"'k'")
    (bench.path / "table.jsonl").write_bytes(edited)
    with pytest.raises(DestinationError, match=r"table\.jsonl: is not as a sink left it"):
        bench.run(table)
    assert (bench.path / "table.jsonl").read_bytes() == edited


def test_a_destination_ahead_of_the_log_is_refused(bench: Bench) -> None:
    bench.write("in/a.txt", b"1\n")
    bench.run(LINES, COPY)
    journal = bench.path / "out.txt.offsets"
    last = decode_entry(journal.read_bytes().splitlines()[-1])
    assert last is not None
    ahead = [HeldOffset(h.topic, h.topic_id, h.partition, 99) for h in last.offsets]
    last.offsets[:] = ahead
    journal.write_bytes(encode_entry(last))
    with pytest.raises(DestinationAheadError, match=r"up to offset 99, but\s+the log ends at"):
        bench.run(COPY)


def test_the_destination_is_the_truth_and_the_group_its_echo(bench: Bench) -> None:
    """A sink that begins anew reads everything again, whatever the group had committed."""
    bench.write("in/a.txt", b"1\n2\n")
    bench.run(LINES, COPY)
    committed = bench.log.committed_offsets("connect-copy")
    for name in ("out.txt", "out.txt.offsets"):
        (bench.path / name).unlink()
    bench.run(COPY)
    assert sorted((bench.path / "out.txt").read_text().splitlines()) == ["1", "2"]
    assert committed.items() <= bench.log.committed_offsets("connect-copy").items()


FIVE_FAULTS = """\
name: the lines
source:
  file:
    path: ["a.txt"]
    encoding: utf-16
    poll: often
to: {topic: lines, create: {partitions: 0}}
"""


def test_a_file_with_five_faults_has_all_five_reported(bench: Bench) -> None:
    with pytest.raises(ConfigError) as caught:
        bench.target(FIVE_FAULTS)
    found = [(*fault.place, fault.path) for fault in caught.value.faults]
    assert found == [
        (1, 7, "name"),
        (4, 5, "source.file.path"),
        (5, 15, "source.file.encoding"),
        (6, 11, "source.file.poll"),
        (7, 41, "to.create.partitions"),
    ]
    assert f"{bench.path}/connector.yaml:4:5: source.file.path: unknown field 'path'" in str(
        caught.value
    )


def test_the_examples_files_have_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Path(__file__).parents[3] / "examples" / "word_count"
    for name, environment in [
        ("lines.yaml", "STREAMLOG_CORPUS"),
        ("counts.yaml", "STREAMLOG_COUNTS"),
    ]:
        monkeypatch.delenv(environment, raising=False)
        [target] = load(str(examples / name)) or []
        assert target.name == name.removesuffix(".yaml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileError, match=r"nowhere\.yaml: No such file"):
        load("nowhere.yaml")
    assert load("module:app") is None
