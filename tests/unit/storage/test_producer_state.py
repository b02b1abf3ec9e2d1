"""Sequences, epochs and transactions of a partition's producers."""

from __future__ import annotations

import struct

import pytest

from streamlog.errors import (
    InvalidProducerEpochError,
    InvalidTransactionStateError,
    OutOfOrderSequenceError,
)
from streamlog.record import BatchHeader, crc32c
from streamlog.storage.producer_snapshot import decode_snapshot, encode_snapshot
from streamlog.storage.producer_state import ProducedBatch, ProducerState
from streamlog.topic import TopicPartition

PARTITION = TopicPartition("t", 0)
TRANSACTIONAL = 0x10


def header(sequence: int, count: int = 1, *, epoch: int = 0, pid: int = 7, attributes: int = 0):
    return BatchHeader(
        base_offset=0,
        batch_length=100,
        partition_leader_epoch=0,
        magic=2,
        crc=0,
        attributes=attributes,
        last_offset_delta=count - 1,
        base_timestamp=50,
        max_timestamp=50,
        producer_id=pid,
        producer_epoch=epoch,
        base_sequence=sequence,
        record_count=count,
    )


def state_after(*headers: BatchHeader) -> ProducerState:
    state = ProducerState(PARTITION)
    offset = 0
    for each in headers:
        assert state.check(each) is None
        state.append(each, offset)
        offset += each.record_count
    return state


def test_a_producer_that_is_not_known_may_begin_with_any_sequence() -> None:
    assert state_after(header(17)).entries[7].last_sequence == 17


def test_a_batch_that_comes_twice_is_known_for_the_last_five() -> None:
    state = state_after(*(header(sequence) for sequence in range(6)))
    assert state.check(header(5)) == ProducedBatch(5, 5, 5, 5, 50)
    assert state.check(header(1)) == ProducedBatch(1, 1, 1, 1, 50)
    with pytest.raises(OutOfOrderSequenceError) as caught:
        state.check(header(0))
    assert (caught.value.expected, caught.value.found) == (6, 0)


def test_a_batch_of_the_same_first_but_another_last_sequence_is_no_duplicate() -> None:
    state = state_after(header(0, 3))
    with pytest.raises(OutOfOrderSequenceError):
        state.check(header(0, 2))


def test_a_gap_is_refused() -> None:
    with pytest.raises(OutOfOrderSequenceError, match="7 sent sequence 4, expected 3"):
        state_after(header(0, 3)).check(header(4))


def test_sequences_wrap_to_zero() -> None:
    last = (1 << 31) - 1
    assert state_after(header(last)).check(header(0)) is None
    assert state_after(header(last, 3)).entries[7].last_sequence == 1
    assert state_after(header(last, 3)).check(header(2)) is None


def test_a_new_epoch_begins_at_zero_and_forgets_the_old_batches() -> None:
    state = state_after(header(0, 3))
    with pytest.raises(OutOfOrderSequenceError):
        state.check(header(3, epoch=1))
    assert state.check(header(0, epoch=1)) is None
    state.append(header(0, epoch=1), 3)
    assert state.check(header(0, epoch=1)) is not None
    with pytest.raises(InvalidProducerEpochError):
        state.check(header(3, epoch=0))


def test_a_transaction_is_open_from_its_first_batch_to_its_marker() -> None:
    state = state_after(header(0), header(1, attributes=TRANSACTIONAL))
    assert state.open_transactions() == {7: (0, 1)}
    assert state.first_unstable_offset() == 1
    completed = state.end_transaction(7, 0, 3, offset=2, timestamp=60, aborted=True)
    assert completed is not None
    assert (completed.first_offset, completed.last_offset) == (1, 2)
    assert state.open_transactions() == {}


def test_a_transaction_is_unstable_until_its_marker_is_below_the_high_watermark() -> None:
    state = state_after(header(0, attributes=TRANSACTIONAL))
    state.end_transaction(7, 0, 0, offset=1, timestamp=60, aborted=False)
    state.decide_below(1)
    assert state.first_unstable_offset() == 0
    state.decide_below(2)
    assert state.first_unstable_offset() is None


def test_a_batch_outside_the_open_transaction_is_refused() -> None:
    state = state_after(header(0, attributes=TRANSACTIONAL))
    with pytest.raises(InvalidTransactionStateError):
        state.check(header(1))


def test_a_marker_of_an_old_epoch_is_refused_and_one_of_a_newer_fences() -> None:
    state = state_after(header(0, epoch=5, attributes=TRANSACTIONAL))
    with pytest.raises(InvalidProducerEpochError):
        state.check_marker(7, 4)
    state.check_marker(7, 6)
    state.end_transaction(7, 6, 0, offset=1, timestamp=60, aborted=True)
    with pytest.raises(InvalidProducerEpochError):
        state.check(header(1, epoch=5))
    assert state.check(header(0, epoch=6)) is None


def test_a_marker_without_a_transaction_ends_nothing() -> None:
    state = state_after(header(0))
    assert state.end_transaction(7, 0, 0, offset=1, timestamp=60, aborted=True) is None
    assert state.end_transaction(8, 0, 0, offset=2, timestamp=60, aborted=True) is None


def test_the_oldest_open_transaction_is_first_whoever_began_it() -> None:
    state = state_after(
        header(0, attributes=TRANSACTIONAL, pid=9), header(0, attributes=TRANSACTIONAL, pid=3)
    )
    assert list(state.open_transactions().items()) == [(9, (0, 0)), (3, (0, 1))]
    restored = ProducerState(PARTITION, reversed(list(state.entries.values())))
    assert list(restored.open_transactions().items()) == [(9, (0, 0)), (3, (0, 1))]


def test_a_snapshot_is_kafkas() -> None:
    state = state_after(header(4, 3, epoch=2, attributes=TRANSACTIONAL))
    state.entries[7].coordinator_epoch = 11
    body = struct.pack(">iqhiqiqiq", 1, 7, 2, 6, 2, 2, 50, 11, 0)
    snapshot = struct.pack(">hI", 1, crc32c(body)) + body
    assert encode_snapshot(state.entries.values()) == snapshot
    entries = decode_snapshot(snapshot)
    assert entries is not None
    restored = ProducerState(PARTITION, entries)
    assert restored.open_transactions() == {7: (2, 0)}
    assert restored.check(header(4, 3, epoch=2, attributes=TRANSACTIONAL)) == (4, 6, 0, 2, 50)
    assert restored.check(header(7, epoch=2, attributes=TRANSACTIONAL)) is None


def test_a_producer_of_whom_there_is_only_a_marker_survives_a_snapshot() -> None:
    state = ProducerState(PARTITION)
    state.end_transaction(7, 3, 1, offset=0, timestamp=60, aborted=True)
    entries = decode_snapshot(encode_snapshot(state.entries.values()))
    assert entries is not None
    (entry,) = entries
    assert (entry.epoch, entry.batches, entry.last_timestamp) == (3, [], 60)


def test_a_damaged_snapshot_is_none() -> None:
    snapshot = encode_snapshot(state_after(header(0)).entries.values())
    assert decode_snapshot(snapshot) is not None
    for place in range(len(snapshot)):
        damaged = bytearray(snapshot)
        damaged[place] ^= 0xFF
        assert decode_snapshot(bytes(damaged)) is None
    assert decode_snapshot(snapshot[:-1]) is None
    assert decode_snapshot(b"") is None
