"""When to try again: exponential delays within a time, without a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.errors import RetryError

if TYPE_CHECKING:
    from connectors.api import Retry
    from connectors.config.document import Retry as RetryConfig


def choose_delay_ms(
    config: RetryConfig, *, attempt: int, elapsed_ms: int, asked_ms: int | None = None
) -> int | None:
    """How long to wait before attempt `attempt` (from 1) is repeated, or None to give up.

    Args:
        elapsed_ms: Since the first attempt failed.
        asked_ms: What the plugin asked for instead of the next exponential delay.
    """
    if asked_ms is not None:
        delay_ms = asked_ms
    else:
        # 2**60 milliseconds are more than any maximum; the limit keeps the power small.
        delay_ms = min(config.initial_delay_ms << min(attempt - 1, 60), config.max_delay_ms)
    return delay_ms if elapsed_ms + delay_ms <= config.for_ms else None


@dataclass(slots=True)
class Retries:
    """Counts the attempts at one thing; `succeeded` begins anew. Owned by one task."""

    connector: str
    config: RetryConfig
    attempts: int = 0
    first_failure_ms: int = 0

    def failed(self, retry: Retry, now_ms: int) -> int:
        """The milliseconds to wait; raises `RetryError` when the time is over."""
        self.attempts += 1
        if self.attempts == 1:
            self.first_failure_ms = now_ms
        delay_ms = choose_delay_ms(
            self.config,
            attempt=self.attempts,
            elapsed_ms=now_ms - self.first_failure_ms,
            asked_ms=retry.after_ms,
        )
        if delay_ms is None:
            raise RetryError(self.connector, self.attempts, retry.reason) from retry
        return delay_ms

    def succeeded(self) -> None:
        self.attempts = 0
