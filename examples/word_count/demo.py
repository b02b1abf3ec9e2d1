"""Counts the words of this Python's own standard library and checks the result.

Runs the application and both connectors with `streamlog run`, then compares the sink's table with
a `collections.Counter` over the same files. A difference ends with exit code 1. A second run
continues where the first one ended, so it finds nothing to do and changes nothing.

    python examples/word_count/demo.py --dir .demo
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

EXAMPLE = Path(__file__).parent
STREAMLOG = Path(sys.executable).with_name("streamlog")
LEFT_OUT = {"site-packages", "dist-packages"}
SHOWN_DIFFERENCES = 10


def main() -> int:
    """Exit code 0 when the table is the counter's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path(".demo"), help="the log and the table")
    root: Path = parser.parse_args().dir
    corpus = Path(os.environ.get("STREAMLOG_CORPUS") or sysconfig.get_path("stdlib"))
    table = root / "counts.jsonl"
    print(f"counting the words of {corpus}/**/*.py, log in {root / 'log'}, table in {table}")
    root.mkdir(parents=True, exist_ok=True)
    code = run_streamlog(root / "log", corpus, table)
    return code or check(table, corpus, root)


def run_streamlog(log: Path, corpus: Path, table: Path) -> int:
    """Runs until idle in a process of its own, whose view and signals are the terminal's."""
    targets = [EXAMPLE / name for name in ("app.py", "lines.yaml", "counts.yaml")]
    process = subprocess.Popen(
        [STREAMLOG, "run", *targets, "--log", log, "--until-idle"],
        env=os.environ | {"STREAMLOG_CORPUS": str(corpus), "STREAMLOG_COUNTS": str(table)},
    )
    # An interrupt goes to both processes; that one knows what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()


def check(table: Path, corpus: Path, root: Path) -> int:
    """Compares, says so, and returns the exit code."""
    began = time.perf_counter()
    files = find_files(corpus)
    expected = Counter[str]()
    for file in files:
        expected.update(file.read_text(encoding="utf-8", errors="replace").split())
    elapsed = time.perf_counter() - began
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    counted = {row["key"]: row["value"] for row in rows}
    print(
        f"collections.Counter over the same {len(files):,} files: {expected.total():,} words, "
        f"{len(expected):,} different ({elapsed:.1f} s)"
    )
    if counted == expected and len(rows) == len(counted):
        print(f"exact: {table} has the same {len(rows):,} counts")
        return 0
    report_differences(counted, expected)
    print(f"Has the corpus changed since the first run? `rm -r {root}` begins anew.")
    return 1


def report_differences(counted: dict[str, int], expected: Counter[str]) -> None:
    """The first words that differ, on stderr."""
    words = sorted(counted.keys() | expected.keys())
    differing = [word for word in words if counted.get(word, 0) != expected[word]]
    print(f"error: the counts of {len(differing):,} words differ", file=sys.stderr)
    for word in differing[:SHOWN_DIFFERENCES]:
        print(f"  {word!r}: {counted.get(word, 0)}, not {expected[word]}", file=sys.stderr)


def find_files(corpus: Path) -> list[Path]:
    """Every `*.py` below, installed packages excepted."""
    found: list[Path] = []
    for folder, folders, names in os.walk(corpus):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


if __name__ == "__main__":
    sys.exit(main())
