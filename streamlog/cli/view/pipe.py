"""Standard output that somebody may stop reading."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def until_the_reader_leaves() -> Generator[None]:
    """`| head` has enough, and that is a success.

    Output goes nowhere then: else the interpreter would complain when it flushes at exit.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
