"""A bar for work that takes long: in a terminal only, on stderr, and gone when it is done."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def progress(doing: str, total: int, *, unit: str = "bytes") -> Generator[Callable[[int], None]]:
    """Yields what is to be told how much more is done.

    `unit` is "bytes", or what is counted, in the plural.
    """
    if not sys.stderr.isatty():
        yield _tell_nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=total or None)
        yield lambda more: shown.advance(task, more)


def _tell_nobody(more: int) -> None:
    pass
