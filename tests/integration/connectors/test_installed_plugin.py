"""A connector of one's own: one class, and one line of an installed distribution."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from connectors.config.faults import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.connectors.conftest import Bench

CODE = """
from dataclasses import dataclass
from connectors import BlockingSink, Batch, Exhausted, Source, SourceRecord, sink, source

@dataclass(frozen=True, kw_only=True)
class NumbersConfig:
    upto: int

@source("numbers", config=NumbersConfig)
class Numbers(Source):
    async def read(self):
        done = self.context.offset({"numbers": "all"}) or {"next": 0}
        for number in range(done["next"], self.config.upto):
            record = SourceRecord(key=str(number), value={"n": number})
            yield Batch([record], {"numbers": "all"}, {"next": number + 1})
        yield Exhausted()

TAKEN = []

@sink("memory", delivery="at_least_once")
class Memory(BlockingSink):
    def put(self, batch):
        TAKEN.extend(zip(batch.keys, batch.values))
        self.offsets = {batch.partition: batch.next_offset}

    def flush(self):
        return self.offsets

class NoPlugin: pass
"""
ENTRY_POINTS = """\
[streamlog.sources]
numbers = tiny_connectors:Numbers
gone = tiny_connectors.gone:Gone
plain = tiny_connectors:NoPlugin

[streamlog.sinks]
memory = tiny_connectors:Memory
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `pip` has installed a distribution, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = folder / "tiny_connectors-1.0-py3-none-any.whl"
    info = "tiny_connectors-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_connectors.py", CODE)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-connectors\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", ENTRY_POINTS)
        archive.writestr(f"{info}/RECORD", "")
    site = folder / "site"
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps")
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True)
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "tiny_connectors", raising=False)


SOURCE = """\
name: numbers
source: {numbers: {upto: 3}}
to: {topic: numbers}
"""
SINK = """\
name: memory
from: {topics: [numbers]}
sink: memory
commit: {age: 1ms}
"""


@pytest.mark.usefixtures("installed")
def test_an_installed_source_and_sink_run_by_name(bench: Bench) -> None:
    bench.run(SOURCE, SINK)
    taken = importlib.import_module("tiny_connectors").TAKEN
    assert taken == [("0", {"n": 0}), ("1", {"n": 1}), ("2", {"n": 2})]
    bench.reopen()
    bench.run(SOURCE.replace("upto: 3", "upto: 4"), SINK)
    assert taken[3:] == [("3", {"n": 3})]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("numbrs: {upto: 3}", ":2:10: .*unknown source 'numbrs' .did you mean 'numbers'"),
        ("numbers: {up: 3}", ":2:20: .*unknown field 'up' .did you mean 'upto'"),
        ("gone: {}", "cannot import tiny_connectors.gone:Gone: No module named"),
        ("plain: {}", "tiny_connectors:NoPlugin is no class with @source"),
    ],
)
def test_a_mistake_in_it_is_a_fault_of_the_file(bench: Bench, source: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        bench.target(SOURCE.replace("numbers: {upto: 3}", source))
