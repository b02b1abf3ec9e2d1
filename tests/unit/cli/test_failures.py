"""What a person reads when something failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.cli.failures import explain
from streamlog.errors import LineError, StreamlogError, UnknownTopicError

if TYPE_CHECKING:
    from pathlib import Path


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_an_error_of_ours_is_its_message() -> None:
    assert list(explain(UnknownTopicError("lnes", ["lines"]))) == [
        "error: unknown topic 'lnes' (did you mean 'lines'?)"
    ]


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "lines.txt").open()
    assert list(explain(caught.value)) == [
        f"error: {tmp_path / 'lines.txt'}: No such file or directory"
    ]


def test_the_users_exception_is_named_with_its_place() -> None:
    cause = raised(ZeroDivisionError("division by zero"))
    message, what, where = explain(raised(StreamlogError("operator map failed"), cause))
    assert message == "error: operator map failed"
    assert what == "  caused by ZeroDivisionError: division by zero"
    assert where.startswith(f"  raised at {__file__}:")
    assert where.endswith(", in raised")


def test_what_the_message_says_is_not_said_again() -> None:
    cause = raised(ZeroDivisionError("division by zero"))
    error = StreamlogError("operator map failed: ZeroDivisionError: division by zero")
    assert [line.split(" at ")[0] for line in explain(raised(error, cause))] == [
        f"error: {error}",
        "  raised",
    ]


def test_a_cause_of_ours_is_part_of_the_message_already() -> None:
    error = raised(LineError("stdin", 3, "not UTF-8"), StreamlogError("inner"))
    assert len(list(explain(error))) == 1


def test_a_bug_keeps_its_traceback() -> None:
    lines = list(explain(raised(AssertionError("impossible"))))
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("error: this is a bug")
