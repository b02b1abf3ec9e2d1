"""Decoders of the coordinators' records: round trips, and our error for anything else."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamlog.coordination import group_record, offset_record, transaction_record
from streamlog.coordination.group_record import GroupMember, GroupValue
from streamlog.coordination.offset_record import GroupKey, OffsetAndMetadata, OffsetKey
from streamlog.coordination.transaction_state import TransactionMetadata, TransactionState
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

INT16 = st.integers(-(1 << 15), (1 << 15) - 1)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
PARTITION = st.builds(TopicPartition, TEXT, INT32)
BY_TOPIC = st.lists(PARTITION, unique=True, max_size=6).map(lambda some: tuple(sorted(some)))
TRANSACTION = st.builds(
    TransactionMetadata,
    transactional_id=TEXT,
    producer_id=INT64,
    producer_epoch=INT16,
    timeout_ms=INT32,
    state=st.sampled_from([state for state in TransactionState if state]),
    partitions=BY_TOPIC,
    last_update_ms=INT64,
    start_ms=INT64,
    previous_producer_id=INT64,
    next_producer_id=INT64,
    client_transaction_version=INT16,
)
OFFSET = st.builds(OffsetAndMetadata, INT64, INT64, TEXT, INT32)
MEMBER = st.builds(
    GroupMember,
    member_id=TEXT,
    group_instance_id=st.none() | TEXT,
    client_id=TEXT,
    client_host=TEXT,
    rebalance_timeout_ms=INT32,
    session_timeout_ms=INT32,
    subscription=st.binary(max_size=50),
    assignment=st.binary(max_size=50),
)
GROUP = st.builds(
    GroupValue,
    protocol_type=TEXT,
    generation=INT32,
    protocol=st.none() | TEXT,
    leader=st.none() | TEXT,
    since_ms=INT64,
    members=st.lists(MEMBER, max_size=3).map(tuple),
)


@given(TRANSACTION)
def test_a_transaction_survives(metadata: TransactionMetadata) -> None:
    value = transaction_record.encode_value(metadata)
    assert transaction_record.decode_value(metadata.transactional_id, value) == metadata


@given(OFFSET, st.sampled_from([3, 4]))
def test_an_offset_survives(committed: OffsetAndMetadata, version: int) -> None:
    value = offset_record.encode_offset(committed, version=version)
    assert offset_record.decode_offset(value) == committed


@given(st.builds(OffsetKey, TEXT, PARTITION) | st.builds(GroupKey, TEXT))
def test_an_offset_key_survives(key: OffsetKey | GroupKey) -> None:
    assert offset_record.decode_key(offset_record.encode_key(key)) == key


@given(GROUP)
def test_a_group_survives(group: GroupValue) -> None:
    assert group_record.decode_group(group_record.encode_group(group)) == group


def read_transaction(value: bytes) -> TransactionMetadata:
    return transaction_record.decode_value("t", value)


READERS: list[Callable[[bytes], object]] = [
    transaction_record.decode_key,
    read_transaction,
    offset_record.decode_key,
    offset_record.decode_offset,
    group_record.decode_group,
]


@given(st.binary(max_size=80), st.integers(0, 4))
@example(b"\x00" + b"\xff" * 40, 1)
def test_any_bytes_are_read_or_refused(tail: bytes, version: int) -> None:
    for read in READERS:
        with suppress(CorruptRecordError):
            read(version.to_bytes(2) + tail)


@given(TRANSACTION, st.data())
def test_a_cut_transaction_is_refused(metadata: TransactionMetadata, data: st.DataObject) -> None:
    value = transaction_record.encode_value(metadata)
    cut = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(CorruptRecordError):
        read_transaction(value[:cut])
