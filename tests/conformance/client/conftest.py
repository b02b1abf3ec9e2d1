"""The transports that the contract's tests run over.

Without a thread, a flush window runs in the thread that waits for it, so `flush` comes before
reading; with one, readers wait for what they expect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import streamlog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog import Log


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test over every kind of log; one that looks into the directory needs to have one."""
    if "log" in metafunc.fixturenames:
        kinds = ["threaded", "unthreaded"]
        if "tmp_path" not in metafunc.fixturenames:
            kinds.append("memory")
        metafunc.parametrize("log", kinds, indirect=True)


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """In a directory `data` below `tmp_path`, or in memory."""
    path = ":memory:"
    if request.param != "memory":
        path = request.getfixturevalue("tmp_path") / "data"
    with streamlog.open(path, threaded=request.param != "unthreaded") as opened:
        yield opened
