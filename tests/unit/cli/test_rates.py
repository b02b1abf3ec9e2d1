"""Rates over a window of samples."""

from __future__ import annotations

import pytest

from streamlog.cli.view.rates import Rates


def test_one_sample_has_no_rate() -> None:
    rates = Rates()
    rates.observe(0.0, {"in": 100})
    assert rates.per_second("in") == 0


def test_the_rate_is_over_the_window_and_forgets_what_is_older() -> None:
    rates = Rates(window_s=2.0)
    for second, total in enumerate([0, 1000, 1100, 1200, 1300]):
        rates.observe(float(second), {"in": total})
    assert rates.per_second("in") == pytest.approx(100)


def test_a_pause_longer_than_the_window_still_has_a_rate() -> None:
    rates = Rates(window_s=2.0)
    rates.observe(0.0, {"in": 0})
    rates.observe(10.0, {"in": 50})
    assert rates.per_second("in") == pytest.approx(5)


def test_a_total_that_appears_later_grows_from_nothing() -> None:
    rates = Rates()
    rates.observe(0.0, {})
    rates.observe(1.0, {"words": 7})
    assert rates.per_second("words") == pytest.approx(7)


def test_an_unknown_total_and_a_clock_that_stands_have_no_rate() -> None:
    rates = Rates()
    rates.observe(1.0, {"in": 0})
    rates.observe(1.0, {"in": 5})
    assert rates.per_second("in") == 0
    assert rates.per_second("out") == 0
