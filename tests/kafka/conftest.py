"""What the tests against a real Kafka share: a broker, and work that is done once a run."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from broker import why_no_broker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once(name, make)` is the folder of that name, which `make` has filled.

    Of all test processes of a run the first to ask makes it, the others wait: Java is slow to
    start, and what these tests look at afterwards are files.
    """
    if reason := why_no_broker():
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / f"kafka-{name}"
        with open(folder.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                part = folder.with_suffix(".part")
                part.mkdir()  # there already: it was tried, and failed
                make(part)
                part.rename(folder)
        return folder

    return make_once
