"""Applications on a log in memory: nothing stays on the disk."""

from __future__ import annotations

import tempfile
from collections import Counter
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

import streamlog
from streamlog.cli.main import main
from streamlog.targets import TARGETS_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from processors import App
    from streamlog.client.contract import Log

LINES = ["the quick brown fox", "jumps over the lazy dog", "the end"]
WORDS = dict(Counter(" ".join(LINES).split()))

APPLICATION = """
from processors import App

app = App("counter")
words = app.stream("lines", value=str).flat_map(str.split).group_by(lambda word: word)
words.count(name="counts").to_stream().to("word-counts")
"""
SOURCE = """
name: lines
source: {file: {paths: ["*.txt"]}}
to: {topic: lines, create: {partitions: 2}}
"""
SINK = """
name: counts
from: {topics: [word-counts], key: str, value: int}
sink: {file: {path: counts.jsonl, mode: upsert}}
"""


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both the working directory and where temporary files go."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def fill(log: Log) -> None:
    log.create_topic("lines", 2)
    with log.producer() as producer:
        for line in LINES:
            producer.send("lines", key=line, value=line)


def table(log: Log) -> dict[str, int]:
    with log.consumer("word-counts", key=str, value=int) as consumer:
        return {record.key: record.value for record in consumer.poll(5)}


def test_an_application_goes_on_in_the_same_log_and_leaves_nothing_behind(
    disk: Path, word_count: Callable[..., App]
) -> None:
    with streamlog.open(":memory:") as log:
        fill(log)
        word_count().run(log=log, until_idle=True)
        assert table(log) == WORDS
        with log.producer() as producer:
            producer.send("lines", value="fox")
        word_count().run(log=log, until_idle=True)
        assert table(log) == {**WORDS, "fox": 2}
    assert list(disk.iterdir()) == []


def test_an_application_finds_the_log_by_its_name(
    disk: Path, word_count: Callable[..., App]
) -> None:
    with streamlog.open(":memory:shop") as log:
        fill(log)
        word_count(log=":memory:shop").run(until_idle=True)
        assert table(log) == WORDS
    assert list(disk.iterdir()) == []


@pytest.mark.skipif(
    not entry_points(group=TARGETS_GROUP), reason="the distribution is not installed"
)
def test_a_run_of_the_command_keeps_only_what_its_sinks_wrote(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"app.py": APPLICATION, "lines.yaml": SOURCE, "counts.yaml": SINK}.items():
        (disk / name).write_text(text)
    (disk / "a.txt").write_text("\n".join(LINES))
    targets = ["app.py", "lines.yaml", "counts.yaml"]
    code = main(["run", *targets, "--log", ":memory:", "--until-idle", "--plain"])
    assert code == 0, capsys.readouterr().err
    assert len((disk / "counts.jsonl").read_text().splitlines()) == len(WORDS)
    names = {path.name for path in disk.iterdir()} - {"__pycache__"}
    assert {name for name in names if not name.startswith("counts.jsonl.")} == {
        *targets,
        "a.txt",
        "counts.jsonl",
    }


def test_local_state_cannot_be_kept_for_a_log_that_is_not(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (disk / "app.py").write_text(APPLICATION)
    assert main(["run", "app.py", "--log", ":memory:", "--state-dir", "state"]) == 2
    assert "does not outlive a log in memory" in capsys.readouterr().err
    assert main(["topics", "--log", ":memory:"]) == 1
    assert "there is no log here" in capsys.readouterr().err
