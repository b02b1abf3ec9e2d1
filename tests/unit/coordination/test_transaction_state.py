from __future__ import annotations

from dataclasses import replace

import pytest

from streamlog.coordination.transaction_state import (
    AbortFirst,
    AlreadyEnded,
    Initialize,
    ProducerIdentity,
    StartAbort,
    StartCommit,
    TransactionMetadata,
    TransactionState,
    add_partitions,
    choose_end,
    choose_initialize,
    complete,
    overdue,
    prepare,
    settles,
)
from streamlog.errors import (
    ConcurrentTransactionsError,
    InvalidTransactionStateError,
    ProducerFencedError,
    TransactionAbortedError,
)
from streamlog.topic import TopicPartition

A = TopicPartition("a", 0)
B = TopicPartition("b", 1)
NEXT_ID = 77


def initialized(current: TransactionMetadata | None = None) -> TransactionMetadata:
    decision = choose_initialize("t", current, timeout_ms=60_000, new_producer_id=NEXT_ID, now_ms=1)
    assert isinstance(decision, Initialize)
    return decision.metadata


def ongoing(current: TransactionMetadata | None = None) -> TransactionMetadata:
    empty = current or initialized()
    return add_partitions(empty, empty.identity, [A], now_ms=2)


def committing(current: TransactionMetadata | None = None) -> TransactionMetadata:
    begun = current or ongoing()
    decision = choose_end(begun, begun.identity, commit=True)
    assert isinstance(decision, StartCommit)
    return decision.metadata


def ended(begun: TransactionMetadata, *, commit: bool, because: str = "") -> TransactionMetadata:
    ending = committing(begun) if commit else begun
    prepared = prepare(ending, commit=commit, now_ms=3, because=because)
    return complete(prepared, now_ms=4)


def at_epoch(epoch: int) -> TransactionMetadata:
    return replace(initialized(), producer_epoch=epoch)


def test_a_new_id_starts_at_epoch_zero() -> None:
    assert initialized().identity == (NEXT_ID, 0)
    assert initialized().state is TransactionState.EMPTY


def test_a_successor_keeps_the_producer_id_and_bumps_the_epoch() -> None:
    assert initialized(initialized()).identity == (NEXT_ID, 1)


def test_a_successor_first_aborts_what_the_predecessor_has_open() -> None:
    decision = choose_initialize("t", ongoing(), timeout_ms=1, new_producer_id=-1, now_ms=1)
    assert decision == AbortFirst()


def test_a_successor_waits_for_an_end_under_way() -> None:
    prepared = prepare(committing(), commit=True, now_ms=1)
    for current in (committing(), prepared):
        with pytest.raises(ConcurrentTransactionsError):
            choose_initialize("t", current, timeout_ms=1, new_producer_id=-1, now_ms=1)


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001])
def test_a_timeout_out_of_kafkas_bounds_is_misuse(timeout_ms: int) -> None:
    with pytest.raises(ValueError, match="not between 1 and 900000"):
        choose_initialize("t", None, timeout_ms=timeout_ms, new_producer_id=1, now_ms=1)


def test_the_first_partition_starts_the_clock_and_later_ones_do_not() -> None:
    begun = ongoing()
    wider = add_partitions(begun, begun.identity, [B, A], now_ms=9)
    assert wider.partitions == (A, B)
    assert (wider.start_ms, wider.last_update_ms) == (2, 9)


def test_adding_what_is_there_changes_nothing() -> None:
    begun = ongoing()
    assert add_partitions(begun, begun.identity, [A], now_ms=9) is begun


def test_an_end_bumps_the_epoch_and_empties_the_transaction() -> None:
    for commit in (True, False):
        after = ended(ongoing(), commit=commit)
        assert after.identity == (NEXT_ID, 1)
        assert after.partitions == ()


def test_the_next_transaction_goes_on_with_the_bumped_epoch() -> None:
    after = ended(ongoing(), commit=True)
    assert add_partitions(after, after.identity, [B], now_ms=5).partitions == (B,)


@pytest.mark.parametrize("commit", [True, False])
def test_the_same_end_again_is_no_error(commit: bool) -> None:
    begun = ongoing()
    after = ended(begun, commit=commit)
    assert choose_end(after, begun.identity, commit=commit) == AlreadyEnded()


@pytest.mark.parametrize("commit", [True, False])
def test_the_opposite_end_is_an_error(commit: bool) -> None:
    begun = ongoing()
    after = ended(begun, commit=commit)
    with pytest.raises(InvalidTransactionStateError):
        choose_end(after, begun.identity, commit=not commit)


def test_an_end_while_one_is_under_way_joins_it_or_is_refused() -> None:
    begun = ongoing()
    for current in (committing(begun), prepare(committing(begun), commit=True, now_ms=1)):
        assert choose_end(current, begun.identity, commit=True) == AlreadyEnded()
        with pytest.raises(InvalidTransactionStateError):
            choose_end(current, begun.identity, commit=False)


def test_nothing_is_added_while_an_end_is_under_way() -> None:
    begun = ongoing()
    for current in (committing(begun), prepare(committing(begun), commit=True, now_ms=1)):
        with pytest.raises(ConcurrentTransactionsError):
            add_partitions(current, begun.identity, [B], now_ms=1)


def test_there_is_nothing_to_commit_where_nothing_was_added() -> None:
    for current in (initialized(), ended(ongoing(), commit=True)):
        with pytest.raises(InvalidTransactionStateError):
            choose_end(current, current.identity, commit=True)
        assert choose_end(current, current.identity, commit=False) == AlreadyEnded()


def test_a_replaced_producer_is_fenced_everywhere() -> None:
    begun = ongoing()
    successor = initialized(ended(begun, commit=False))
    for current in (successor, ongoing(successor)):
        with pytest.raises(ProducerFencedError):
            add_partitions(current, begun.identity, [B], now_ms=1)
        for commit in (True, False):
            with pytest.raises(ProducerFencedError):
                choose_end(current, begun.identity, commit=commit)


def test_an_epoch_from_the_future_is_fenced() -> None:
    begun = ongoing()
    with pytest.raises(ProducerFencedError):
        add_partitions(begun, ProducerIdentity(NEXT_ID, 5), [B], now_ms=1)


def test_the_old_epoch_cannot_begin_the_next_transaction() -> None:
    begun = ongoing()
    after = ended(begun, commit=True)
    with pytest.raises(InvalidTransactionStateError, match="old epoch"):
        add_partitions(after, begun.identity, [B], now_ms=1)


def test_a_producer_whose_transaction_timed_out_is_told_and_can_go_on() -> None:
    begun = ongoing()
    after = ended(begun, commit=False, because=overdue(begun))
    with pytest.raises(TransactionAbortedError, match="60000 ms"):
        add_partitions(after, begun.identity, [B], now_ms=1)
    with pytest.raises(TransactionAbortedError):
        choose_end(after, begun.identity, commit=True)
    assert choose_end(after, begun.identity, commit=False) == AlreadyEnded()
    again = add_partitions(after, after.identity, [B], now_ms=1)
    assert choose_end(again, after.identity, commit=False) == StartAbort()


def test_an_exhausted_epoch_goes_on_with_a_new_producer_id() -> None:
    begun = ongoing(at_epoch(32766))
    prepared = prepare(committing(begun), commit=True, now_ms=3, new_producer_id=99)
    assert prepared.identity == (NEXT_ID, 32767)
    after = complete(prepared, now_ms=4)
    assert after.identity == (99, 0)
    assert choose_end(after, begun.identity, commit=True) == AlreadyEnded()
    assert initialized(after).identity == (99, 1)


def test_a_successor_of_an_exhausted_epoch_gets_a_new_producer_id() -> None:
    assert initialized(at_epoch(32766)).identity == (NEXT_ID, 0)
    assert initialized(at_epoch(32765)).identity == (NEXT_ID, 32766)


def test_a_prepare_record_settles_only_older_epochs_of_its_own_partitions() -> None:
    prepared = prepare(committing(), commit=True, now_ms=3)
    assert settles(prepared, A, 0)
    assert not settles(prepared, A, 1), "data of the transaction begun behind it"
    assert not settles(prepared, B, 0)


def test_kafkas_names_are_kafkas() -> None:
    assert TransactionState.PREPARE_COMMIT.kafka_name == "PrepareCommit"
    assert TransactionState.EMPTY.kafka_name == "Empty"
