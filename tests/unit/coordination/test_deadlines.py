from __future__ import annotations

from dataclasses import replace

from streamlog.coordination.deadlines import TransactionDeadlines
from streamlog.coordination.transaction_state import TransactionMetadata, TransactionState
from streamlog.topic import TopicPartition

OPEN = TransactionMetadata(
    transactional_id="t",
    producer_id=1,
    producer_epoch=0,
    timeout_ms=5_000,
    state=TransactionState.ONGOING,
    partitions=(TopicPartition("a", 0),),
)


def watch(
    deadlines: TransactionDeadlines, start_ms: int, end_ms: int, *transactions: TransactionMetadata
) -> list[int]:
    """Steps every 1,000 ms; the times at which something was due."""
    return [now for now in range(start_ms, end_ms, 1_000) if deadlines.step(now, transactions)]


def test_an_open_transaction_is_due_when_its_timeout_was_watched() -> None:
    assert watch(TransactionDeadlines(), 0, 8_000, OPEN) == [5_000, 6_000, 7_000]


def test_a_transaction_that_is_being_committed_is_never_due() -> None:
    assert watch(TransactionDeadlines(), 0, 9_000, replace(OPEN, committing=True)) == []


def test_each_transaction_of_an_id_has_its_own_deadline() -> None:
    deadlines = TransactionDeadlines()
    assert watch(deadlines, 0, 5_000, OPEN) == []
    assert watch(deadlines, 5_000, 10_000, replace(OPEN, producer_epoch=1)) == []


def test_deadlines_move_by_a_stall_of_the_process() -> None:
    """EXACTLY_ONCE.md 16: a stalled loop judges nobody."""
    deadlines = TransactionDeadlines(longest_step_ms=2_000)
    assert watch(deadlines, 0, 3_000, OPEN) == []
    assert deadlines.step(3_600_000, [OPEN]) == [], "an hour asleep"
    assert watch(deadlines, 3_601_000, 3_605_000, OPEN) == [
        3_601_000,
        3_602_000,
        3_603_000,
        3_604_000,
    ]


def test_a_clock_that_is_set_back_judges_nobody() -> None:
    deadlines = TransactionDeadlines()
    assert watch(deadlines, 100_000, 103_000, OPEN) == []
    assert watch(deadlines, 0, 3_000, OPEN) == []
    assert deadlines.step(3_000, [OPEN]) == [OPEN]
