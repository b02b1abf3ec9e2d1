"""The fixture that pytest finds where streamlog is installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

pytest_plugins = ("pytester",)

INSTALLED = bool(entry_points(group="pytest11", name="processors"))
ARGUMENTS = () if INSTALLED else ("-p", "processors.testing.plugin")


def test_the_fixture_makes_drivers_and_closes_them(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    pytester.makepyfile(
        """
        import tempfile
        from pathlib import Path

        from processors import App

        left = []

        def test_counts(topology_driver, tmp_path, monkeypatch):
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
            app = App("a")
            app.stream("in", value=str).group_by_key().count().to_stream().to("out")
            for state in ("memory", "rocksdb"):
                driver = topology_driver(app, state=state)
                driver.run("in", [("k", "v")])
                assert driver.read_map("out") == {"k": 1}
            assert list(tmp_path.iterdir())
            left.append(tmp_path)

        def test_nothing_is_left():
            assert not list(left[0].iterdir())
        """
    )
    result = pytester.runpytest_subprocess(*ARGUMENTS, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_what_the_plugin_costs_is_three_small_modules():
    code = """
import sys
import pytest
before = set(sys.modules)
import processors.testing.plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert eval(done.stdout) == ["processors", "processors.testing", "processors.testing.plugin"]
