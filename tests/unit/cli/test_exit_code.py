"""The exit code of `streamlog run`."""

from __future__ import annotations

import signal

import pytest

from streamlog.cli.run import exit_code
from streamlog.cli.running.runner import Failure, Outcome

INTERRUPTED = 128 + signal.SIGINT
FAILURES = [Failure("app", ValueError("no"))]


@pytest.mark.parametrize(
    ("outcome", "signalled", "until_idle", "code"),
    [
        pytest.param(Outcome(), 0, True, 0, id="idle"),
        pytest.param(Outcome(), 0, False, 0, id="all targets ended"),
        pytest.param(Outcome(interrupted=True), INTERRUPTED, False, 0, id="stopped"),
        pytest.param(
            Outcome(interrupted=True), INTERRUPTED, True, INTERRUPTED, id="stopped before idle"
        ),
        pytest.param(
            Outcome(interrupted=True, at_once=True), INTERRUPTED, False, INTERRUPTED, id="at once"
        ),
        pytest.param(Outcome(failures=FAILURES), 0, True, 1, id="failed"),
        pytest.param(
            Outcome(failures=FAILURES, interrupted=True), INTERRUPTED, True, 1, id="failed, stopped"
        ),
    ],
)
def test_the_exit_code_says_how_the_run_ended(
    outcome: Outcome, signalled: int, until_idle: bool, code: int
) -> None:
    assert exit_code(outcome, signalled, until_idle=until_idle) == code
