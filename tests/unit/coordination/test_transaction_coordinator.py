from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.errors import (
    ConcurrentTransactionsError,
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    ProducerError,
    ProducerFencedError,
    SyncFailedError,
    TransactionAbortedError,
    TransactionalIdInUseError,
    UnknownTopicError,
)
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from conftest import World

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)


def test_a_commit_is_seen_in_every_partition(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.send("a", 1, b"2")
    writer.send("b", 0, b"3")
    assert world.committed_values("a", 0) == []
    writer.commit()
    assert world.committed_values("a", 0) == [b"1"]
    assert world.committed_values("a", 1) == [b"2"]
    assert world.committed_values("b", 0) == [b"3"]


def test_an_abort_is_seen_nowhere_and_the_producer_goes_on(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"never")
    writer.abort()
    writer.send("a", 0, b"seen")
    writer.commit()
    assert world.committed_values("a", 0) == [b"seen"]


def test_every_transaction_has_an_identity_of_its_own(world: World) -> None:
    writer = world.writer("t")
    seen = [writer.identity]
    for end in (writer.commit, writer.abort, writer.commit):
        writer.send("a", 0, b"x")
        end()
        seen.append(writer.identity)
    assert [each.producer_epoch for each in seen] == [0, 1, 2, 3]


def test_transactions_of_several_producers_interleave_on_the_same_partitions(
    world: World,
) -> None:
    writers = [world.writer(f"t{number}") for number in range(3)]
    for turn in range(4):
        for number, writer in enumerate(writers):
            writer.send("a", turn % 2, f"{number}.{turn}".encode())
    writers[1].commit()
    assert world.committed_values("a", 0) == [], "the oldest transaction holds the rest back"
    writers[2].abort()
    writers[0].commit()
    assert world.committed_values("a", 0) == [b"0.0", b"1.0", b"0.2", b"1.2"]
    assert world.committed_values("a", 1) == [b"0.1", b"1.1", b"0.3", b"1.3"]


def test_what_is_in_the_log_is_kafkas_sequence_of_states(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.send("a", 1, b"2")
    writer.commit()
    writer.send("a", 0, b"3")
    writer.abort()
    assert world.states("t") == [
        ("Empty", 0),
        ("Ongoing", 0),
        ("PrepareCommit", 1),
        ("CompleteCommit", 1),
        ("Ongoing", 1),
        ("PrepareAbort", 2),
        ("CompleteAbort", 2),
    ]


def test_what_was_held_back_is_in_the_log_a_step_later(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.commit()
    assert world.states("t")[-1] == ("PrepareCommit", 1)
    writer.send("a", 0, b"2")
    world.transactions.step()
    world.directory.flusher.wait_durable()
    assert world.states("t")[-2:] == [("CompleteCommit", 1), ("Ongoing", 1)]


# Owners


def test_rule_1_a_second_target_with_a_live_id_is_refused(world: World) -> None:
    """Else two applications would share a transaction, and one's poison aborts both's work."""
    writer = world.writer("t")
    with pytest.raises(TransactionalIdInUseError, match="in use by another live target"):
        world.writer("t")
    world.writer("another")
    writer.release()
    world.writer("t")


def test_a_refused_initialization_leaves_the_id_free(world: World) -> None:
    with pytest.raises(ValueError, match="timeout"):
        world.writer("t", timeout_ms=0)
    with pytest.raises(ValueError, match="empty"):
        world.writer("")
    world.writer("t")


def test_release_aborts_what_is_open(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"never")
    writer.release()
    successor = world.writer("t")
    successor.send("a", 0, b"seen")
    successor.commit()
    assert world.committed_values("a", 0) == [b"seen"]


def test_a_successor_fences_everything_that_the_predecessor_still_tries(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"never")
    writer.release()
    successor = world.writer("t")
    with pytest.raises(ProducerFencedError):
        writer.send("a", 0, b"late")
    with pytest.raises(ProducerFencedError):
        writer.start_end(commit=True)
    with pytest.raises(InvalidProducerEpochError):
        writer.append("a", 0, b"past the coordinator")
    successor.send("a", 0, b"seen")
    successor.commit()
    assert world.committed_values("a", 0) == [b"seen"]


def test_a_zombie_cannot_write_where_its_transaction_was_registered_only(world: World) -> None:
    """The partition has no data of it yet; the abort's marker fences it there all the same."""
    writer = world.writer("t")
    writer.transactions.add_partitions("t", writer.identity, [A1])
    writer.release()
    with pytest.raises(InvalidProducerEpochError):
        writer.append("a", 1, b"late")


def test_an_id_survives_a_clean_stop_with_its_epoch(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.commit()
    writer.release()
    before = world.transactions.describe("t")
    world = world.reopened()
    assert world.transactions.transactions() == [before]
    assert world.writer("t").identity == (writer.identity[0], writer.identity[1] + 1)
    assert world.states("t")[:4][-1] == ("CompleteCommit", 1)


def test_closing_aborts_what_is_open(world: World) -> None:
    world.writer("t").send("a", 0, b"never")
    world = world.reopened()
    assert world.directory.open_transactions() == {}
    assert world.committed_values("a", 0) == []


def test_idempotent_producers_get_ids_of_their_own(world: World) -> None:
    identities = {world.transactions.init_idempotent() for _ in range(3)}
    assert len(identities) == 3
    world = world.after_power_loss()
    assert world.transactions.init_idempotent() not in identities


def test_producer_ids_are_never_handed_out_twice_when_epochs_are_exhausted(world: World) -> None:
    writer = world.writer("t")
    at_the_end(world, "t")
    first = writer.identity.producer_id
    world = world.reopened()
    writer = world.writer("t")
    assert writer.identity == (first, 32766)
    writer.send("a", 0, b"1")
    writer.commit()
    assert writer.identity.producer_epoch == 0
    assert writer.identity.producer_id != first
    writer.send("a", 0, b"2")
    writer.commit()
    assert world.committed_values("a", 0) == [b"1", b"2"]
    world = world.after_power_loss()
    assert world.committed_values("a", 0) == [b"1", b"2"]
    assert world.writer("t").identity == (writer.identity.producer_id, 2)


def at_the_end(world: World, transactional_id: str) -> None:
    """Writes a record that has the id at its last but one epoch."""
    from dataclasses import replace

    from streamlog.coordination.transaction_log import Transaction, TransactionLog

    metadata = world.transactions.describe(transactional_id)
    assert metadata is not None
    transaction = Transaction(metadata)
    transaction.hold(replace(metadata, producer_epoch=32765))
    TransactionLog(world.directory).write_held(transaction, now_ms=0)


# Ends


def test_the_same_end_again_gives_the_same_identity(world: World) -> None:
    for commit in (True, False):
        writer = world.writer(f"t-{commit}")
        writer.send("a", 0, b"1")
        first = writer.start_end(commit=commit)
        assert writer.start_end(commit=commit) is first
        with pytest.raises(InvalidTransactionStateError):
            writer.start_end(commit=not commit)


def test_there_is_nothing_to_commit_where_nothing_was_added(world: World) -> None:
    writer = world.writer("t")
    with pytest.raises(InvalidTransactionStateError):
        writer.start_end(commit=True)
    identity = writer.identity
    writer.abort()
    assert writer.identity == identity


def test_a_commit_cannot_be_taken_back(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    assert not writer.start_end(commit=True).cancel()


def test_an_unknown_topic_is_no_part_of_a_transaction(world: World) -> None:
    writer = world.writer("t")
    with pytest.raises(UnknownTopicError):
        writer.send("nowhere", 0, b"1")
    writer.send("a", 0, b"1")
    writer.commit()


def test_nothing_is_added_behind_a_commit_that_is_under_way(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    refused: list[type[ProducerError]] = []

    def try_to_add() -> None:
        with pytest.raises(ProducerError) as raised:
            writer.send("a", 1, b"late")
        refused.append(raised.type)

    world.directory.flusher.add_drain(try_to_add)
    writer.commit()
    assert refused == [
        ConcurrentTransactionsError,  # at the window of the data
        ConcurrentTransactionsError,  # of the prepare record
        InvalidTransactionStateError,  # of the markers, with the identity that has ended
    ]


# Failures


@pytest.mark.parametrize("syncs", range(3))
def test_a_failed_sync_within_a_commit_leaves_its_outcome_unknown(world: World, syncs: int) -> None:
    """EXACTLY_ONCE.md 3: treated as a crash; after reopening it is wholly there or not at all."""
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.send("a", 1, b"2")
    world.files.fail("datasync", after=syncs)
    ending = writer.start_end(commit=True)
    with pytest.raises(SyncFailedError):
        ending.result(0)
    with pytest.raises(SyncFailedError):
        world.writer("another")
    world.transactions.step()
    world.coordination.close()
    survived = world.after_power_loss()
    seen = survived.committed_values("a", 0) + survived.committed_values("a", 1)
    assert seen in ([], [b"1", b"2"])
    again = survived.writer("t")
    again.send("a", 0, b"3")
    again.commit()
    assert survived.committed_values("a", 0)[-1] == b"3"


def test_a_failed_sync_behind_the_commit_point_does_not_undo_it(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    world.files.fail("datasync", after=2)  # the data, the prepare record, the marker
    writer.commit()
    assert world.directory.flusher.failure is not None
    assert world.after_power_loss().committed_values("a", 0) == [b"1"]


# Timeouts


def test_an_overdue_transaction_is_aborted_and_its_producer_can_go_on(world: World) -> None:
    writer = world.writer("t", timeout_ms=5_000)
    writer.send("a", 0, b"never")
    pass_time(world, 4)
    assert world.directory.open_transactions()
    pass_time(world, 2)
    assert world.directory.open_transactions() == {}
    with pytest.raises(TransactionAbortedError, match="5000 ms"):
        writer.send("a", 0, b"late")
    with pytest.raises(InvalidProducerEpochError):
        writer.append("a", 0, b"past the coordinator")
    with pytest.raises(TransactionAbortedError):
        writer.start_end(commit=True)
    writer.abort()
    writer.send("a", 0, b"seen")
    writer.commit()
    assert world.committed_values("a", 0) == [b"seen"]


def test_rule_16_a_stalled_process_judges_nobody(world: World) -> None:
    writer = world.writer("t", timeout_ms=5_000)
    writer.send("a", 0, b"seen")
    pass_time(world, 3)
    world.clock.advance(3_600_000)
    world.transactions.step()
    assert world.directory.open_transactions()
    writer.commit()
    assert world.committed_values("a", 0) == [b"seen"]


def pass_time(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.transactions.step()
        world.clock.advance(1_000)
    world.transactions.step()
