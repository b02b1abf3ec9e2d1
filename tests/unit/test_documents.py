"""The documents name tests and files that exist, and their examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import processors
from processors import App, Grouped, Stream, Table, TableGrouped
from processors.dsl.stream import CoGrouped, WindowedGroup

ROOT = Path(__file__).resolve().parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
README = (ROOT / "README.md").read_text()


def named_tests() -> list[tuple[str, str]]:
    """(file, function) of every test that docs/guarantees.md names; no function: the whole file."""
    found: list[tuple[str, str]] = []
    file = ""
    for path, name in re.findall(r"`(tests/[\w/.]+)?(?:::([\w:]+))?(?:\[[^`]*\])?`", GUARANTEES):
        file = path or file
        if path or name:
            found.append((file, name.rpartition("::")[2]))
    return found


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_a_guarantee_names_a_test_that_exists(file: str, name: str) -> None:
    path = ROOT / file
    assert path.exists(), file
    if name:
        assert re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", path.read_text(), re.M), name


def test_every_guarantee_has_its_test() -> None:
    rows = [line for line in GUARANTEES.splitlines() if line.startswith("|")]
    assert len(rows) > 40
    for row in rows:
        is_head = row.startswith(("| guarantee", "|---", "| rule"))
        assert is_head or "`tests/" in row or "`::" in row, row


def test_the_architecture_names_files_that_exist() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", ARCHITECTURE))
    assert len(named) > 40
    rooms = ("streamlog", "processors", "connectors", "tests", "examples", "benchmarks")
    files = [
        "/" + str(path.relative_to(ROOT)) for room in rooms for path in ROOT.glob(f"{room}/**/*.py")
    ]
    files.append("/setup.py")
    missing = [name for name in named if not any(file.endswith("/" + name) for file in files)]
    assert missing == []


LANGUAGE = (ROOT / "docs" / "language.md").read_text()


def test_the_language_is_listed_whole_and_names_nothing_that_is_not_there() -> None:
    owners = (App, Stream, Grouped, WindowedGroup, CoGrouped, Table, TableGrouped)
    methods = {name for each in owners for name in dir(each) if name[0] != "_"}
    here = " ".join(row.split("|")[1] for row in LANGUAGE.splitlines() if row.startswith("| "))
    words = set(re.findall(r"\w+", here))
    assert methods - words - {"plan"} == set()
    assert set(processors.__all__) - words - KINDS == set()
    called = set(re.findall(r"(?:^|[ `.])([a-z_]+)(?=\()", here)) | set(
        re.findall(r"`([a-z_]+)`", here)
    )
    assert called - methods - {"context", "schedule", "window_keys"} == set()


KINDS = {"Agent", "Channel", "GlobalTable", "Grouped", "Keyed", "Row", "Store", "Stream"} | {
    *("Table", "TableGrouped", "Change", "Context")
}
"""What the methods give and take; the language is what is called."""


def test_the_readmes_log_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    assert "print(record.partition" in example
    example = example.replace("print(record.partition", "break; print(record.partition")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    record = names["record"]
    assert record.value == b'{"amount": 120}'
    names["log"].close()


def test_the_readmes_applications_can_be_built() -> None:
    examples = [
        each
        for each in re.findall(r"```python\n(.*?)```", README, re.S)
        if "app." in each and "__main__" not in each
    ]
    assert len(examples) == 3
    for example in examples:
        names: dict[str, object] = {"app": App("readme"), "__name__": "readme"}
        exec(compile(example, "README.md", "exec"), names)
        assert names["app"].plan()
