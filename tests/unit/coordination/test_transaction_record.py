"""Literals: what Apache Kafka 4.1.0 wrote for librdkafka 2.16 (no epoch bumps) and Java clients."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamlog.coordination.transaction_record import (
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from streamlog.coordination.transaction_state import TransactionMetadata, TransactionState
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

OUT_0 = TopicPartition("out", 0)
OUT_1 = TopicPartition("out", 1)
OFFSETS_0 = TopicPartition("__consumer_offsets", 0)
OFFSETS_3 = TopicPartition("__consumer_offsets", 3)

V1 = TransactionMetadata(
    transactional_id="tx-v1", producer_id=0, producer_epoch=0, timeout_ms=30_000
)
V0 = replace(V1, transactional_id="tx-v0", producer_id=1)
JAVA = replace(
    V1,
    transactional_id="jtx",
    producer_id=2,
    timeout_ms=60_000,
    start_ms=1795261807180,
    client_transaction_version=2,
)

CLASSIC = [
    pytest.param(
        "0000000000000000000100000000753000ffffffff000001a1fdec3ad7ffffffffffffffff",
        replace(V0, last_update_ms=1795261479639),
        id="Empty",
    ),
    pytest.param(
        "00000000000000000001000000007530010000000100125f5f636f6e73756d65725f6f6666736574730000000100"
        "000003000001a1fdec3ada000001a1fdec3ada",
        replace(
            V0,
            state=TransactionState.ONGOING,
            partitions=(OFFSETS_3,),
            last_update_ms=1795261479642,
            start_ms=1795261479642,
        ),
        id="Ongoing",
    ),
    pytest.param(
        "00000000000000000001000000007530020000000200036f757400000002000000000000000100125f5f636f6e73"
        "756d65725f6f6666736574730000000100000003000001a1fdec3afc000001a1fdec3ada",
        replace(
            V0,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(OUT_0, OUT_1, OFFSETS_3),
            last_update_ms=1795261479676,
            start_ms=1795261479642,
        ),
        id="PrepareCommit",
    ),
    pytest.param(
        "000000000000000000010000000075300400000000000001a1fdec3b02000001a1fdec3ada",
        replace(
            V0,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_ms=1795261479682,
            start_ms=1795261479642,
        ),
        id="CompleteCommit",
    ),
    pytest.param(
        "00000000000000000001000000007530030000000100036f75740000000100000000000001a1fdec3b24000001a1"
        "fdec3b1a",
        replace(
            V0,
            state=TransactionState.PREPARE_ABORT,
            partitions=(OUT_0,),
            last_update_ms=1795261479716,
            start_ms=1795261479706,
        ),
        id="PrepareAbort",
    ),
    pytest.param(
        "000000000000000000010000000075300500000000000001a1fdec3b25000001a1fdec3b1a",
        replace(
            V0,
            state=TransactionState.COMPLETE_ABORT,
            last_update_ms=1795261479717,
            start_ms=1795261479706,
        ),
        id="CompleteAbort",
    ),
]

FLEXIBLE = [
    pytest.param(
        "000100000000000000000000000075300000000001a1fdec3123ffffffffffffffff00",
        replace(V1, last_update_ms=1795261477155),
        id="Empty",
    ),
    pytest.param(
        "000100000000000000000000000075300103046f757403000000000000000100135f5f636f6e73756d65725f6f66"
        "6673657473020000000000000001a1fdec314d000001a1fdec313900",
        replace(
            V1,
            state=TransactionState.ONGOING,
            partitions=(OUT_0, OUT_1, OFFSETS_0),
            last_update_ms=1795261477197,
            start_ms=1795261477177,
        ),
        id="Ongoing",
    ),
    pytest.param(
        "0001000000000000000200000000ea600102046f7574020000000000000001a1fdf13a4c000001a1fdf13a4c0102"
        "020002",
        replace(
            JAVA,
            state=TransactionState.ONGOING,
            partitions=(OUT_0,),
            last_update_ms=1795261807180,
        ),
        id="Ongoing, epoch bumping",
    ),
    pytest.param(
        "0001000000000000000200010000ea600202046f7574020000000000000001a1fdf13a95000001a1fdf13a4c0102"
        "020002",
        replace(
            JAVA,
            producer_epoch=1,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(OUT_0,),
            last_update_ms=1795261807253,
        ),
        id="PrepareCommit, epoch bumping",
    ),
    pytest.param(
        "0001000000000000000200010000ea600401000001a1fdf13a9a000001a1fdf13a4c0102020002",
        replace(
            JAVA,
            producer_epoch=1,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_ms=1795261807258,
        ),
        id="CompleteCommit, epoch bumping",
    ),
]


@pytest.mark.parametrize(("written", "metadata"), [*CLASSIC, *FLEXIBLE])
def test_what_kafka_wrote_reads_and_writes_the_same(
    written: str, metadata: TransactionMetadata
) -> None:
    value = bytes.fromhex(written)
    assert decode_value(metadata.transactional_id, value) == metadata
    assert encode_value(metadata, version=value[1]) == value


def test_the_key_is_kafkas() -> None:
    assert encode_key("tx-v1") == b"\x00\x00\x00\x05tx-v1"
    assert decode_key(b"\x00\x00\x00\x05tx-v1") == "tx-v1"


def test_a_key_of_a_newer_kind_is_passed_over() -> None:
    assert decode_key(b"\x00\x01\x00\x05tx-v1") is None


def test_producer_ids_before_and_after_a_rotation_survive() -> None:
    prepared = replace(
        V1,
        state=TransactionState.PREPARE_COMMIT,
        producer_epoch=32767,
        previous_producer_id=7,
        next_producer_id=1 << 40,
        client_transaction_version=2,
    )
    assert decode_value("tx-v1", encode_value(prepared)) == prepared


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00\x02" + bytes(40),
        bytes.fromhex("000000000000000000010000000075300400000000000001a1fdec3b02000001a1fdec3a"),
        bytes.fromhex("000000000000000000010000000075300900000000000001a1fdec3b02000001a1fdec3ada"),
        bytes.fromhex("0000000000000000000100000000753004fffffffe000001a1fdec3b02000001a1fdec3ada"),
    ],
    ids=["empty", "newer version", "cut", "unknown state", "negative length"],
)
def test_a_value_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        decode_value("tx", value)
