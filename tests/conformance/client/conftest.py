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


@pytest.fixture(params=["threaded", "unthreaded", "memory"])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """In a directory `data` below `tmp_path`, or in memory where a test needs no directory."""
    if request.param != "memory":
        path = request.getfixturevalue("tmp_path") / "data"
    elif "tmp_path" in request.fixturenames:
        pytest.skip("the test looks into the directory")
    else:
        path = ":memory:"
    with streamlog.open(path, threaded=request.param != "unthreaded") as opened:
        yield opened
