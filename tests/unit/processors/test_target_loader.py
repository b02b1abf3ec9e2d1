"""What `streamlog run` makes of `module:app` and of a Python file, and what it says is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from processors.cli.target import load
from streamlog.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO_APPS = """
from processors import App
first = App("one")
second = alias = App("two")
number = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own working directory and an own view of what is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def names(spec: str) -> list[str] | None:
    targets = load(spec)
    return None if targets is None else [target.name for target in targets]


def test_a_file_gives_every_application_once_and_a_name_chooses_one(folder: Path) -> None:
    (folder / "two_apps.py").write_text(TWO_APPS)
    assert names("two_apps.py") == ["one", "two"]
    assert names(f"{folder}/two_apps.py:alias") == ["two"]
    assert names("two_apps:first") == ["one"]


def test_modules_beside_the_file_and_in_packages_can_be_imported(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "neighbour.py").write_text("NAME = 'borrowed'")
    code = "from processors import App\nfrom neighbour import NAME\napp = App(NAME)"
    (folder / "package" / "main.py").write_text(code)
    assert names("package/main.py") == ["borrowed"]
    (folder / "package" / "inner.py").write_text("from processors import App\napp = App('inner')")
    assert names("package.inner:app") == ["inner"]


@pytest.mark.parametrize("spec", ["lines.yaml", "somewhere/else", "module", "a b:app"])
def test_what_is_of_another_kind_is_left_to_other_loaders(spec: str) -> None:
    assert load(spec) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("missing.py", "no such file"),
        ("no_such_module:app", "no module named 'no_such_module'"),
        ("two_apps:frist", "no application named 'frist'.*did you mean 'first'"),
        ("two_apps:number", "'number' is no App but int"),
        ("empty.py", "makes no App"),
        ("broken.py", r"broken\.py:2: ZeroDivisionError"),
        ("needs.py", r"needs\.py:1: ModuleNotFoundError.*'not_installed'"),
        ("typo.py", r"failed at \S+/typo\.py:1: SyntaxError"),
        ("refused.py", r"failed at \S+/refused\.py:2: ValueError: application name 'a b'"),
    ],
)
def test_a_users_mistake_is_told_with_its_place(folder: Path, spec: str, message: str) -> None:
    (folder / "two_apps.py").write_text(TWO_APPS)
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("\n1 / 0")
    (folder / "refused.py").write_text("from processors import App\nApp('a b')")
    (folder / "needs.py").write_text("import not_installed")
    (folder / "typo.py").write_text("def")
    with pytest.raises(TargetError, match=message):
        load(spec)
