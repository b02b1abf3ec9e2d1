"""The distribution builds where nothing compiles, and never ships what an earlier build left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source tree with the leftovers of an earlier build, each older than its source."""
    tree = tmp_path / "source"
    tree.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for package in ("streamlog", "processors", "connectors"):
        shutil.copytree(ROOT / package, tree / package)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for stale in (
        f"build/lib.{sysconfig.get_platform()}-cpython-{sys.version_info[0]}{sys.version_info[1]}",
        "build/lib",
        ".",
    ):
        kernel = tree / stale / "streamlog" / "record" / f"kernel{suffix}"
        kernel.parent.mkdir(parents=True, exist_ok=True)
        kernel.write_bytes(b"stale")
    return tree


def test_without_a_working_compiler_the_same_source_is_installed_with_a_warning(
    source: Path,
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-v", "-w", source / "dist", source],
        env=os.environ | {"CC": "/bin/false", "STREAMLOG_COMPILE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "warning: streamlog installs uncompiled: C compiler" in built.stdout + built.stderr
    (wheel,) = (source / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert "streamlog/record/kernel.py" in names
    assert [name for name in names if name.endswith((".so", ".c"))] == []
