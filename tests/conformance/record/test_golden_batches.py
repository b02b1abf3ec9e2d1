"""Batches that Kafka's Java client, librdkafka and a broker wrote, read and written again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.partitioner import murmur2, partition_for, partitions_for
from streamlog.record import (
    Codec,
    Columns,
    ControlRecord,
    ControlType,
    TimestampType,
    check_batch,
    decode_batch,
    encode_batch,
    encode_control_batch,
    patch_batch,
    read_control,
)

if TYPE_CHECKING:
    from .conftest import Golden, GoldenBatch

WRITERS = ("java", "librdkafka")
APPEND_TIME = 1_700_000_099_000


def written_again(batch: GoldenBatch) -> bytearray:
    """The batch, made by us of what was read from it."""
    header, columns = batch.header, batch.columns
    return encode_batch(
        columns.keys,
        columns.values,
        columns.timestamps,
        columns.headers,
        base_offset=header.base_offset,
        codec=header.codec,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        transactional=header.is_transactional,
        timestamp_type=header.timestamp_type,
        partition_leader_epoch=header.partition_leader_epoch,
    )


def with_all_headers(columns: Columns) -> Columns:
    """The short form for "no headers" written out."""
    if columns.headers is None:
        columns.headers = [[] for _ in columns.offsets]
    return columns


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("codec", list(Codec), ids=lambda codec: codec.name)
def test_records_of_other_clients_are_read(golden: Golden, writer: str, codec: Codec) -> None:
    batches = golden.batches(f"{writer}-{codec.name.lower()}")

    assert {batch.header.codec for batch in batches} == {codec}
    read = Columns()
    for batch in batches:
        decode_batch(batch.data, 0, read)
    sets = ["small"] if codec is Codec.NONE else ["small", "large"]
    assert with_all_headers(read) == golden.records(*sets)


@pytest.mark.parametrize("name", ["java-none", "java-transactional", "librdkafka-none"])
def test_uncompressed_batches_are_written_byte_for_byte(golden: Golden, name: str) -> None:
    (batch,) = golden.batches(name)

    assert written_again(batch) == batch.data


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("codec", list(Codec)[1:], ids=lambda codec: codec.name)
def test_compressed_batches_have_the_same_header(golden: Golden, writer: str, codec: Codec) -> None:
    for batch in golden.batches(f"{writer}-{codec.name.lower()}"):
        ours = written_again(batch)

        header = check_batch(ours)
        assert header._replace(crc=0, batch_length=0) == batch.header._replace(
            crc=0, batch_length=0
        )
        columns = Columns()
        decode_batch(ours, 0, columns)
        assert columns == batch.columns


def test_the_fields_of_a_transactional_producer_are_read(golden: Golden) -> None:
    (batch,) = golden.batches("java-transactional")

    header = batch.header
    assert header.base_offset == 5_000_000_000
    assert header.next_offset == 5_000_000_008
    assert header.partition_leader_epoch == 9
    assert header.is_transactional
    assert not header.is_control
    assert header.producer_id == 4_294_967_299
    assert header.producer_epoch == 5
    assert header.base_sequence == 2**31 - 3
    assert header.last_sequence == 4
    assert header.base_timestamp == 1_700_000_000_000
    assert header.max_timestamp == 1_700_003_600_000
    assert header.record_count == 8


def test_a_batch_is_stamped_on_append_byte_for_byte(golden: Golden) -> None:
    (batch,) = golden.batches("java-append-time")
    records = golden.records("small")

    ours = encode_batch(records.keys, records.values, records.timestamps, records.headers)
    patch_batch(ours, 7, -1, append_time=APPEND_TIME)

    assert ours == batch.data
    assert batch.header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert batch.columns.timestamps == [APPEND_TIME] * 8


@pytest.mark.parametrize("kind", [ControlType.ABORT, ControlType.COMMIT])
def test_transaction_markers_are_written_byte_for_byte(golden: Golden, kind: ControlType) -> None:
    (batch,) = golden.batches(f"java-{kind.name.lower()}")

    assert read_control(batch.data) == ControlRecord(kind, 4_294_967_299, 5, 17, 123, APPEND_TIME)
    assert batch.data == encode_control_batch(
        kind, 4_294_967_299, 5, 17, APPEND_TIME, base_offset=123, partition_leader_epoch=9
    )
    assert len(batch.columns) == 0


def test_a_segment_with_transactions_is_written_byte_for_byte(golden: Golden) -> None:
    ends: list[ControlType] = []
    for batch in golden.batches("broker-transactions"):
        header = batch.header
        if header.is_control:
            control = read_control(batch.data)
            ends.append(control.type)
            ours = encode_control_batch(
                control.type,
                control.producer_id,
                control.producer_epoch,
                control.coordinator_epoch,
                control.timestamp,
                base_offset=control.offset,
                partition_leader_epoch=header.partition_leader_epoch,
            )
        else:
            ours = written_again(batch)
        assert ours == batch.data

    assert ends == [ControlType.COMMIT, ControlType.ABORT, ControlType.COMMIT]


@pytest.mark.parametrize(
    ("name", "kept"), [("java-compacted", [1, 5, 7]), ("java-delete-horizon", [1, 3, 5, 7])]
)
def test_what_the_log_cleaner_left_keeps_its_offsets_and_times(
    golden: Golden, name: str, kept: list[int]
) -> None:
    (batch,) = golden.batches(name)
    records = golden.records("small")
    assert records.headers is not None

    assert batch.header.has_delete_horizon == (name == "java-delete-horizon")
    assert batch.header.base_offset == 100
    assert batch.header.last_offset == 107
    assert batch.columns == Columns(
        [records.keys[index] for index in kept],
        [records.values[index] for index in kept],
        [records.timestamps[index] for index in kept],
        [100 + index for index in kept],
        [records.headers[index] for index in kept],
    )


def test_a_batch_that_only_keeps_a_producers_state_is_read(golden: Golden) -> None:
    (batch,) = golden.batches("java-empty")

    assert len(batch.columns) == 0
    assert batch.header.record_count == 0
    assert (batch.header.base_offset, batch.header.next_offset) == (200, 205)
    assert (batch.header.base_sequence, batch.header.last_sequence) == (11, 15)


def test_keys_hash_to_the_partitions_that_java_chooses(golden: Golden) -> None:
    rows = golden.murmur2()

    assert [murmur2(key) for key, _, _ in rows] == [hashed % 2**32 for _, hashed, _ in rows]
    assert [partition_for(key, 12) for key, _, _ in rows] == [part for _, _, part in rows]
    assert partitions_for([key for key, _, _ in rows], 12) == [part for _, _, part in rows]
