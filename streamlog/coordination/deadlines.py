"""When a transaction has been open for too long, by a time that a stall does not move. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.coordination.transaction_state import TransactionState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.coordination.transaction_state import ProducerIdentity, TransactionMetadata


class TransactionDeadlines:
    """Says which open transactions are past their timeout.

    Time counts only as far as it was watched: of a gap between two steps at most
    `longest_step_ms` passes, so after a stall of the process (a suspended laptop, a debugger, a
    long collection) every deadline has moved by the stall. The step behind a stall judges nobody:
    whoever could not run goes first. A clock that is set back stands still here. Not for two
    threads at a time.
    """

    def __init__(self, longest_step_ms: int = 2_000) -> None:
        self._longest_step_ms = longest_step_ms
        self._watched_ms = 0
        self._last_now_ms: int | None = None
        self._deadlines: dict[ProducerIdentity, int] = {}

    def step(
        self, now_ms: int, transactions: Iterable[TransactionMetadata]
    ) -> list[TransactionMetadata]:
        """Takes all transactions, returns those to abort now.

        A deadline counts from the first step that sees its transaction, so never too early. One
        whose commit is under way is past judging.
        """
        gap = 0 if self._last_now_ms is None else now_ms - self._last_now_ms
        self._last_now_ms = now_ms
        self._watched_ms += min(max(gap, 0), self._longest_step_ms)
        ongoing = [
            transaction
            for transaction in transactions
            if transaction.state is TransactionState.ONGOING and not transaction.committing
        ]
        self._deadlines = {
            transaction.identity: self._deadlines.get(
                transaction.identity, self._watched_ms + transaction.timeout_ms
            )
            for transaction in ongoing
        }
        if gap > self._longest_step_ms:
            return []
        return [
            transaction
            for transaction in ongoing
            if self._deadlines[transaction.identity] <= self._watched_ms
        ]
