"""Glob patterns to files: `*`, `?`, `[...]` within a name, `**` for any number of directories.

Names that begin with a dot match like any other, as with `pathlib`. Symbolic links to files are
read; those to directories are not followed, so that no walk is endless.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC: Final = re.compile(r"[*?\[]")
_TOKEN: Final = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def glob_regex(pattern: str) -> re.Pattern[str]:
    """A regular expression for whole paths. A trailing `/**` matches the directory itself too."""
    return re.compile("".join(map(_token_regex, _TOKEN.findall(pattern))), re.DOTALL)


def _token_regex(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "/**":
            return "(?:/.*)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            negated = token[1] == "!"
            inside = re.sub(r"[\\\[^\]]", r"\\\g<0>", token[2 if negated else 1 : -1])
            return f"(?!/)[{'^' if negated else ''}{inside}]"
        case _:
            return re.escape(token)


def absolute(pattern: str) -> str:
    """The pattern from the root, with `~` and `..` resolved; links stay as they are."""
    return os.path.abspath(os.path.expanduser(pattern))


def find_files(pattern: str, excluded: Sequence[re.Pattern[str]]) -> list[str]:
    """The files that an absolute pattern matches, sorted, without what `excluded` matches.

    A directory that is excluded is not entered.
    """
    if not _MAGIC.search(pattern):
        return [pattern] if os.path.isfile(pattern) and not _any(excluded, pattern) else []
    regex = glob_regex(pattern)
    # Files lie exactly at the pattern's depth unless ** makes it any depth.
    depth = None if "**" in pattern else pattern.count("/")
    return sorted(
        path for path in _walk(_fixed_part(pattern), depth, excluded) if regex.fullmatch(path)
    )


def _fixed_part(pattern: str) -> str:
    """The directory above the first name with a wildcard."""
    magic = _MAGIC.search(pattern)
    assert magic is not None
    return pattern[: pattern.rindex("/", 0, magic.start())] or "/"


def _walk(directory: str, depth: int | None, excluded: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """All files below a directory, `depth` slashes deep if given."""
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if _any(excluded, entry.path):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth is None or entry.path.count("/") < depth:
                yield from _walk(entry.path, depth, excluded)
        elif _is_file(entry):
            yield entry.path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False  # a link to itself leads to no file, as one to nowhere


def _any(patterns: Sequence[re.Pattern[str]], path: str) -> bool:
    return any(pattern.fullmatch(path) for pattern in patterns)


def exclude_regex(pattern: str) -> re.Pattern[str]:
    """As `glob_regex`, of an absolute pattern unless it begins with `**`."""
    return glob_regex(pattern if pattern.startswith("**") else absolute(pattern))
