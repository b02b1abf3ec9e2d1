"""Programs of their own process, for what happens at its end, in its children and at Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 300


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def run_program() -> Callable[..., str]:
    """Runs a program on this streamlog to its end; its output. It has to end well."""

    def run(code: str, *arguments: object) -> str:
        done = subprocess.run(
            command(code, *arguments),
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def start_program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a program with pipes for its input and output."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                command(code, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
            )
        )
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()
