"""The demo, on a small corpus: exact, unchanged by a second run, stopped and reset."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from streamlog.targets import TARGETS_GROUP

EXAMPLE = Path(__file__).parents[3] / "examples" / "word_count"
STREAMLOG = Path(sys.executable).with_name("streamlog")
PATIENCE_S = 300

pytestmark = pytest.mark.skipif(
    not entry_points(group=TARGETS_GROUP), reason="the distribution is not installed"
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "site-packages").mkdir(parents=True)
    (folder / "site-packages" / "left_out.py").write_text("nothing of this counts\n")
    for file in range(3):
        lines = [f"line {number} of {file} and so on" for number in range(2_000)]
        (folder / f"part{file}.py").write_text("\n".join(lines))  # no newline at the end
    (folder / "bytes.py").write_bytes(b"caf\xe9 \xff\xfe and\n")
    return folder


def demo(corpus: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / "demo.py", "--dir", root],
        env=os.environ | {"STREAMLOG_CORPUS": str(corpus)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_the_demo_is_exact_and_a_second_one_changes_nothing(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    first = demo(corpus, root)
    assert first.returncode == 0, first.stderr
    assert "top 10 of word-count" in first.stdout
    assert "exact: " in first.stdout
    table = (root / "counts.jsonl").read_bytes()
    second = demo(corpus, root)
    assert second.returncode == 0, second.stderr
    assert "0 in, 0 out" in second.stdout
    assert (root / "counts.jsonl").read_bytes() == table


def test_the_demo_tells_a_difference(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    assert demo(corpus, root).returncode == 0
    (corpus / "part0.py").unlink()
    wrong = demo(corpus, root)
    assert wrong.returncode == 1
    assert "error: the counts of" in wrong.stderr


@pytest.mark.parametrize("died", [False, True])
def test_after_a_reset_the_application_counts_anew_and_alike(
    corpus: Path, tmp_path: Path, died: bool
) -> None:
    """Also if the reset died behind its transaction, before it deleted the local state."""
    root = tmp_path / "demo"
    assert demo(corpus, root).returncode == 0
    table = (root / "counts.jsonl").read_bytes()
    state = root / "log" / "state" / "word-count"
    shutil.copytree(state, tmp_path / "kept")
    reset = subprocess.run(
        [STREAMLOG, "reset", "word-count", "--yes", "--log", root / "log"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert reset.returncode == 0, reset.stderr
    assert "keys deleted" in reset.stdout
    if died:
        (tmp_path / "kept").rename(state)
    again = demo(corpus, root)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "6,001 in" in again.stdout
    assert (root / "counts.jsonl").read_bytes() == table


def test_a_stop_signal_ends_the_run_in_order(corpus: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [STREAMLOG, "run", EXAMPLE / "app.py", EXAMPLE / "lines.yaml", "--log", tmp_path / "log"],
        env=os.environ | {"STREAMLOG_CORPUS": str(corpus)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "running" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out.split()[0]) == (0, "stopped"), err


def run_module(path: Path, text: str) -> tuple[int, str]:
    """Exit code and stderr of `streamlog run` of a file."""
    path.write_text(text)
    ended = subprocess.run(
        [STREAMLOG, "run", path, "--log", path.parent / "log"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return ended.returncode, ended.stderr


def test_a_module_that_ends_the_process_has_its_say(tmp_path: Path) -> None:
    code, said = run_module(tmp_path / "ends.py", "import sys; sys.exit('set TOKEN first')")
    assert (code, said) == (1, "set TOKEN first\n")


def test_a_syntax_error_names_its_line_and_nothing_of_ours(tmp_path: Path) -> None:
    code, said = run_module(tmp_path / "typo.py", "x = 1\ndef f(:")
    assert code == 1
    [line] = said.splitlines()
    assert f"failed at {tmp_path / 'typo.py'}:2: SyntaxError" in line
