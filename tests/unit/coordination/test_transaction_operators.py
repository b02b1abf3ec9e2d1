"""What operators do with transactional ids: abort, look for what hangs, let idle ones expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination import ProducerIdentity
from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    InvalidTransactionTimeoutError,
    NotHangingError,
    TransactionAbortedError,
    UnknownTransactionalIdError,
)
from streamlog.record import encode_batch
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from conftest import World

A0, A1 = TopicPartition("a", 0), TopicPartition("a", 1)
DAY_MS = 24 * 60 * 60 * 1000
HANGING = 9_000


def hang(world: World, partition: TopicPartition = A0, epoch: int = 3) -> None:
    """Open data of a producer that no coordinator knows, as a topic from elsewhere may have."""
    now_ms = world.clock.now_ms()
    batch = encode_batch(
        [None],
        [b"hangs"],
        [now_ms],
        producer_id=HANGING,
        producer_epoch=epoch,
        base_sequence=0,
        transactional=True,
    )
    world.directory.partition(*partition).append(batch, now_ms=now_ms)
    world.directory.flusher.wait_durable()


# Aborting


def test_an_operators_abort_ends_the_transaction_and_its_producer_goes_on(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"never")
    writer.send("b", 0, b"never")
    world.transactions.abort("t")
    assert world.directory.open_transactions() == {}
    with pytest.raises(TransactionAbortedError, match="an operator aborted it"):
        writer.send("a", 0, b"late")
    with pytest.raises(InvalidProducerEpochError):
        writer.append("a", 0, b"past the coordinator")
    with pytest.raises(TransactionAbortedError, match="operator"):
        writer.start_end(commit=True)
    writer.abort()
    writer.send("a", 0, b"seen")
    writer.commit()
    assert world.committed_values("a", 0) == [b"seen"]
    assert world.after_power_loss().committed_values("a", 0) == [b"seen"]


def test_an_operators_abort_lets_the_readers_of_other_transactions_go_on(world: World) -> None:
    stuck, other = world.writer("stuck"), world.writer("other")
    stuck.send("a", 0, b"never")
    other.send("a", 0, b"seen")
    other.commit()
    assert world.committed_values("a", 0) == []
    world.transactions.abort("stuck")
    assert world.committed_values("a", 0) == [b"seen"]


def test_what_is_not_open_is_not_aborted(world: World) -> None:
    writer = world.writer("ticker")
    with pytest.raises(InvalidTransactionStateError, match="Empty"):
        world.transactions.abort("ticker")
    writer.send("a", 0, b"1")
    writer.commit()
    with pytest.raises(InvalidTransactionStateError, match="CompleteCommit"):
        world.transactions.abort("ticker")
    with pytest.raises(UnknownTransactionalIdError, match="did you mean 'ticker'"):
        world.transactions.abort("tickr")


def test_offsets_of_an_aborted_transaction_do_not_count(world: World) -> None:
    writer = world.writer("t")
    writer.send_offsets(GroupMetadata(group_id="g"), {A0: 5})
    world.transactions.abort("t")
    assert world.groups.committed("g", timeout=0) == {}


# Hanging


def test_what_no_coordinator_knows_hangs_until_it_is_aborted(world: World) -> None:
    hang(world)
    writer = world.writer("t")
    writer.send("a", 0, b"seen")
    writer.commit()
    world.directory.flusher.wait_durable()
    (found,) = world.transactions.hanging()
    assert (found.partition, found.producer_id, found.producer_epoch, found.start_offset) == (
        A0,
        HANGING,
        3,
        0,
    )
    assert world.committed_values("a", 0) == []
    world.transactions.abort_hanging(A0, HANGING, 3)
    assert world.transactions.hanging() == []
    assert world.committed_values("a", 0) == [b"seen"]


def test_what_a_coordinator_knows_does_not_hang(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    assert world.transactions.hanging() == []
    with pytest.raises(NotHangingError, match="transactional id 't' has it open"):
        world.transactions.abort_hanging(A0, *writer.identity)
    writer.commit()
    assert world.committed_values("a", 0) == [b"1"]


def test_only_the_very_transaction_that_was_seen_is_aborted(world: World) -> None:
    hang(world)
    with pytest.raises(InvalidProducerEpochError):
        world.transactions.abort_hanging(A0, HANGING, 2)
    with pytest.raises(NotHangingError, match="no open transaction"):
        world.transactions.abort_hanging(A1, HANGING, 3)
    assert world.transactions.hanging()


def test_hanging_offsets_are_given_up_with_their_transaction(world: World) -> None:
    home = world.groups.home("g")
    identity = ProducerIdentity(HANGING, 0)
    world.groups.commit_in_transaction(
        identity, GroupMetadata(group_id="g"), {A0: 5}, base_sequence=0
    )
    world.transactions.abort_hanging(home, *identity)
    assert world.groups.committed("g", timeout=0) == {}


def test_opening_a_log_aborts_what_hangs(world: World) -> None:
    hang(world)
    assert world.reopened().transactions.hanging() == []


# Limits


def test_an_idle_id_expires_and_comes_back_with_a_new_producer_id(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.commit()
    writer.release()
    world.clock.advance(7 * DAY_MS - 1)
    world.transactions.step()
    assert world.transactions.describe("t") is not None
    world.clock.advance(3_600_000)
    world.transactions.step()
    assert world.transactions.transactions() == []
    world.directory.flusher.wait_durable()
    world = world.after_power_loss()
    assert world.transactions.transactions() == [], "its tombstone is in the log"
    again = world.writer("t")
    assert again.identity.producer_epoch == 0
    assert again.identity.producer_id != writer.identity.producer_id
    again.send("a", 0, b"2")
    again.commit()
    assert world.committed_values("a", 0) == [b"1", b"2"]


def test_an_id_that_a_producer_has_never_expires(world: World) -> None:
    writer = world.writer("t")
    world.clock.advance(30 * DAY_MS)
    world.transactions.step()
    writer.send("a", 0, b"1")
    writer.commit()
    assert world.committed_values("a", 0) == [b"1"]


def test_a_tombstone_that_a_crash_takes_away_is_written_again(world: World) -> None:
    world.writer("t").release()
    world.clock.advance(8 * DAY_MS)
    world.transactions.step()
    world = world.after_power_loss()  # the tombstone was not durable
    assert world.transactions.describe("t") is not None
    world.transactions.step()
    assert world.transactions.describe("t") is None


def test_who_lost_an_id_to_expiry_is_told(world: World) -> None:
    writer = world.writer("t")
    writer.release()
    world.clock.advance(8 * DAY_MS)
    world.transactions.step()
    with pytest.raises(UnknownTransactionalIdError):
        writer.send("a", 0, b"zombie")


def test_the_limits_are_the_logs_and_may_change(world: World) -> None:
    world.directory.alter_config(
        {"transaction.max.timeout.ms": "5000", "transactional.id.expiration.ms": "1000"}
    )
    with pytest.raises(InvalidTransactionTimeoutError, match=r"transaction\.max\.timeout\.ms"):
        world.writer("t", timeout_ms=5_001)
    world.writer("t", timeout_ms=5_000).release()
    world.clock.advance(1_000)
    world.transactions.step()
    assert world.transactions.describe("t") is None
