"""Fixtures for pytest, which finds them by itself where streamlog is installed.

    streamlog_log       a fresh log in memory
    streamlog_log_dir   a fresh log on the disk, below `tmp_path`
    streamlog_open      opens more logs, or one again; closes them at the end
    streamlog_clock     a clock to turn by hand: the logs of a test that asks for it go by it
    streamlog_files     a disk that can lose power, fail and be full: `streamlog_log` of a test
                        that asks for it is kept there, and starts no thread

Nothing of streamlog is imported before a test asks for one of them. `-p no:streamlog` does
without. What they are made of is in `streamlog.testing`, for other frameworks.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from streamlog.client.contract import Log
    from streamlog.testing.faulty_files import FaultyFiles
    from streamlog.testing.manual_clock import ManualClock

FAULTY_PATH: Final = "/log"


class OpenLog(Protocol):
    """What `streamlog_open` is."""

    def __call__(self, path: str | PathLike[str] = ":memory:", **arguments: Any) -> Log:
        """As `streamlog.open`; the log goes by `streamlog_clock` where the test asks for that."""
        ...


@pytest.fixture
def streamlog_clock() -> ManualClock:
    """A clock that only moves when told to: `streamlog_clock.advance(60_000)`.

    Then `log.step()` does at once what is due by now.
    """
    from streamlog.testing.manual_clock import ManualClock

    return ManualClock()


@pytest.fixture
def streamlog_files() -> FaultyFiles:
    """A disk in memory, for `streamlog.open("/log", files=streamlog_files, threaded=False)`."""
    from streamlog.testing.faulty_files import FaultyFiles

    return FaultyFiles()


@pytest.fixture
def streamlog_open(request: pytest.FixtureRequest) -> Iterator[OpenLog]:
    """Opens logs, in memory unless a path is given, and closes them when the test is over."""
    import streamlog

    given: dict[str, Any] = {}
    if "streamlog_clock" in request.fixturenames:
        given["clock"] = request.getfixturevalue("streamlog_clock")
    with ExitStack() as stack:

        def open_log(path: str | PathLike[str] = ":memory:", **arguments: Any) -> Log:
            log = streamlog.open(path, **{**given, **arguments})
            # What a faulty disk did to the log is the test's doing, and no failure of its end.
            stack.callback(_close_quietly if "files" in arguments else _close, log)
            return log

        yield open_log


@pytest.fixture
def streamlog_log(request: pytest.FixtureRequest, streamlog_open: OpenLog) -> Log:
    """A fresh log in memory, closed when the test is over.

    On `streamlog_files`, without threads, where the test asks for those too.
    """
    if "streamlog_files" not in request.fixturenames:
        return streamlog_open()
    files = request.getfixturevalue("streamlog_files")
    return streamlog_open(FAULTY_PATH, files=files, threaded=False)


def _close(log: Log) -> None:
    log.close()


def _close_quietly(log: Log) -> None:
    from streamlog.errors import StorageError

    with suppress(StorageError):
        log.close()


@pytest.fixture
def streamlog_log_dir(tmp_path: Path, streamlog_open: OpenLog) -> Log:
    """A fresh log on the disk; `streamlog_log_dir.path` is its directory."""
    return streamlog_open(tmp_path / "streamlog")
