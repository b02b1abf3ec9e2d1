"""The idle rule of `streamlog run --until-idle`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamlog.cli.running.idle import IdleDetector, Look
from streamlog.client.contract import TopicPartition
from streamlog.targets import TargetStatus

LINES = TopicPartition("lines", 0)
SOURCE = TargetStatus(kind="source", state="running")
APP = TargetStatus(kind="app", state="running", committed={LINES: 10})
IDLE = Look({"files": SOURCE, "count": APP}, {LINES: (10, 10)})


def is_idle(*looks: Look) -> bool:
    detector = IdleDetector()
    return [detector.is_idle(look) for look in looks][-1]


def with_app(app: TargetStatus) -> Look:
    return Look({"files": SOURCE, "count": app}, IDLE.ends)


def test_one_look_is_not_enough() -> None:
    assert not is_idle(IDLE)


def test_two_equal_looks_at_rest_are_idle() -> None:
    assert is_idle(IDLE, IDLE)


def test_a_change_between_two_looks_at_rest_starts_again() -> None:
    later = with_app(replace(APP, commits=1))
    assert not is_idle(IDLE, later)
    assert is_idle(IDLE, later, later)


@pytest.mark.parametrize(
    "busy",
    [
        pytest.param(replace(APP, pending=True), id="something is pending"),
        pytest.param(replace(APP, state="starting"), id="still starting"),
        pytest.param(replace(APP, state="restoring"), id="still restoring"),
        pytest.param(replace(APP, exhausted=False), id="a source is not exhausted"),
        pytest.param(replace(APP, committed={LINES: 9}), id="a committed offset lags"),
    ],
)
def test_a_busy_target_keeps_the_run_going(busy: TargetStatus) -> None:
    assert not is_idle(with_app(busy), with_app(busy))


@pytest.mark.parametrize("ends", [(10, 11), (9, 10), (11, 11)])
def test_an_end_that_is_not_the_committed_offset_keeps_the_run_going(
    ends: tuple[int, int],
) -> None:
    # (10, 11): a transaction is acknowledged and its marker is still to be written.
    look = Look(IDLE.statuses, {LINES: ends})
    assert not is_idle(look, look)


def test_a_target_that_has_stopped_holds_nobody_up() -> None:
    stopped = with_app(replace(APP, state="stopped", committed={LINES: 3}))
    assert is_idle(stopped, stopped)
