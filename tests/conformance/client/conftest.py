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


@pytest.fixture(params=["threaded", "unthreaded"])
def log(request: pytest.FixtureRequest, tmp_path) -> Iterator[Log]:
    with streamlog.open(tmp_path / "data", threaded=request.param == "threaded") as opened:
        yield opened
