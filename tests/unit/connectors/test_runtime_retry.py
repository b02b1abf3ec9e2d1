"""When to try again."""

from __future__ import annotations

import pytest

from connectors.api import Retry
from connectors.config.document import Retry as RetryConfig
from connectors.errors import RetryError
from connectors.runtime.retry import Retries, choose_delay_ms

CONFIG = RetryConfig(for_ms=10_000, initial_delay_ms=100, max_delay_ms=1_000)


@pytest.mark.parametrize(
    ("attempt", "delay_ms"), [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (9_999, 1_000)]
)
def test_delays_double_up_to_the_maximum(attempt: int, delay_ms: int) -> None:
    assert choose_delay_ms(CONFIG, attempt=attempt, elapsed_ms=0) == delay_ms


def test_a_plugin_may_ask_for_its_own_delay() -> None:
    assert choose_delay_ms(CONFIG, attempt=1, elapsed_ms=0, asked_ms=5_000) == 5_000


def test_it_gives_up_when_the_next_attempt_would_be_too_late() -> None:
    assert choose_delay_ms(CONFIG, attempt=1, elapsed_ms=9_900) == 100
    assert choose_delay_ms(CONFIG, attempt=1, elapsed_ms=9_901) is None
    assert choose_delay_ms(CONFIG, attempt=1, elapsed_ms=0, asked_ms=10_001) is None


def test_the_time_counts_from_the_first_failure_and_anew_after_a_success() -> None:
    retries = Retries("c", CONFIG)
    assert retries.failed(Retry("busy"), now_ms=50_000) == 100
    assert retries.failed(Retry("busy"), now_ms=59_000) == 200
    retries.succeeded()
    assert retries.failed(Retry("busy"), now_ms=60_000) == 100
    with pytest.raises(RetryError, match="'c' gave up after 2 attempts: still busy"):
        retries.failed(Retry("still busy"), now_ms=70_000)
