"""The demo, killed with SIGKILL at random moments, ends with the file of an uninterrupted run.

A run is killed and started again until one of its processes reaches the end by itself; then the
sink's file is compared and a fresh directory is begun, until the wanted number of kills is spent.
`pytest tests/crash/test_kills.py --kills 500` asks for more.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "word_count"
STREAMLOG = Path(sys.executable).with_name("streamlog")
LINES = 20_000
SEED = 20


def write_corpus(folder: Path) -> Counter[str]:
    """20,000 lines in five files; the last line of the last file has no newline."""
    rng = random.Random(SEED)
    words = [f"w{index}" for index in range(2_000)]
    weights = [1 / (index + 1) for index in range(2_000)]
    counts: Counter[str] = Counter()
    folder.mkdir(parents=True)
    for file in range(5):
        lines = [" ".join(rng.choices(words, weights, k=8)) for _ in range(LINES // 5)]
        text = "\n".join(lines) + ("" if file == 4 else "\n")
        (folder / f"part{file}.py").write_text(text)
        counts.update(text.split())
    return counts


def start(corpus: Path, root: Path) -> subprocess.Popen[bytes]:
    files = [EXAMPLE / name for name in ("app.py", "lines.yaml", "counts.yaml")]
    return subprocess.Popen(
        [STREAMLOG, "run", *files, "--log", root / "log", "--until-idle"],
        env=os.environ
        | {"STREAMLOG_CORPUS": str(corpus), "STREAMLOG_COUNTS": str(root / "counts.jsonl")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run_to_end(corpus: Path, root: Path) -> float:
    began = time.monotonic()
    process = start(corpus, root)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - began


def run_killed_at(moment: float, corpus: Path, root: Path) -> bool:
    """True when the process was killed, False when it had ended by itself before `moment`."""
    process = start(corpus, root)
    try:
        _, errors = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, errors.decode()
    return False


def test_killed_at_random_moments_ends_with_the_uninterrupted_file(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills: int = request.config.getoption("--kills")
    corpus = tmp_path / "corpus"
    counts = write_corpus(corpus)
    duration = run_to_end(corpus, tmp_path / "whole")
    wanted = (tmp_path / "whole" / "counts.jsonl").read_bytes()
    assert wanted.count(b"\n") == len(counts)

    rng = random.Random(SEED)
    killed = episodes = 0
    while killed < kills:
        root = tmp_path / f"episode{episodes}"
        while killed < kills and run_killed_at(rng.uniform(0.0, duration), corpus, root):
            killed += 1
        run_to_end(corpus, root)
        assert (root / "counts.jsonl").read_bytes() == wanted, f"{root} after {killed} kills"
        shutil.rmtree(root)
        episodes += 1
