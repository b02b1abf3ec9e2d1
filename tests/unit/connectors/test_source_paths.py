"""Glob patterns of the file source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.sources.paths import exclude_regex, find_files, glob_regex

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a/*.py", "/a/b.py", True),
        ("/a/*.py", "/a/b/c.py", False),
        ("/a/*.py", "/a/.py", True),
        ("/a/**/*.py", "/a/b.py", True),
        ("/a/**/*.py", "/a/b/c/d.py", True),
        ("/a/**/*.py", "/ab/c.py", False),
        ("/a/?.py", "/a/b.py", True),
        ("/a/?.py", "/a//.py", False),
        ("/a/[a-c].py", "/a/b.py", True),
        ("/a/[!a-c].py", "/a/b.py", False),
        ("/a/[!a-c].py", "/a/d.py", True),
        ("/a/[^].py", "/a/^.py", True),
        ("/a/x[!y]z", "/a/x/z", False),
        ("/a/b+c.py", "/a/b+c.py", True),
        ("/a/b+c.py", "/a/bbc.py", False),
        ("/a/[b.py", "/a/[b.py", True),
        ("**/old/**", "/a/old", True),
        ("**/old/**", "/a/old/b/c", True),
        ("**/old/**", "/a/older/b", False),
        ("**/*.pyc", "/a/b.pyc", True),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, path: str, matches: bool) -> None:
    assert bool(glob_regex(pattern).fullmatch(path)) == matches


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.py", "a.py", "n.txt", "x/c.py", "x/y/d.py", "site-packages/e.py", ".h/f.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "dead.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself.py").symlink_to(tmp_path / "itself.py")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    return tmp_path


def names(tree: Path, pattern: str, *exclude: str) -> list[str]:
    found = find_files(f"{tree}/{pattern}", [exclude_regex(e) for e in exclude])
    return [path.removeprefix(f"{tree}/") for path in found]


def test_files_are_found_sorted_and_links_to_directories_not_followed(tree: Path) -> None:
    found = [".h/f.py", "a.py", "b.py", "link.py", "site-packages/e.py", "x/c.py", "x/y/d.py"]
    assert names(tree, "**/*.py") == found


def test_an_excluded_directory_is_left_out(tree: Path) -> None:
    assert names(tree, "**/*.py", "**/site-packages/**", "**/.h/**", "**/x/**", "**/l*") == [
        "a.py",
        "b.py",
    ]


def test_a_pattern_without_depth_stays_at_its_level(tree: Path) -> None:
    assert names(tree, "*.py") == ["a.py", "b.py", "link.py"]
    assert names(tree, "*/*.py") == [".h/f.py", "site-packages/e.py", "x/c.py"]
    assert names(tree, "x/*/d.py") == ["x/y/d.py"]


def test_a_plain_path_is_itself_if_it_is_a_file(tree: Path) -> None:
    assert names(tree, "a.py") == ["a.py"]
    assert names(tree, "x") == names(tree, "nothing") == names(tree, "no/*.py") == []
    assert names(tree, "a.py", "**/*.py") == []
