from __future__ import annotations

import pytest

from streamlog.errors import CorruptRecordError
from streamlog.record import (
    BatchBuilder,
    Codec,
    ControlType,
    SingleRecord,
    encode_batch,
    encode_control_batch,
    read_header,
    read_records,
)


def test_records_that_were_appended_are_read_one_by_one() -> None:
    builder = BatchBuilder()
    builder.append(b"k", b"v", 5)
    builder.append(None, None, 6, [("name", None)])

    records = list(read_records(builder.build(base_offset=7, codec=Codec.LZ4)))

    assert records == [
        SingleRecord(7, 5, b"k", b"v", []),
        SingleRecord(8, 6, None, None, [("name", None)]),
    ]


def test_a_built_batch_is_the_one_that_columns_make() -> None:
    builder = BatchBuilder()
    for index in range(100):
        builder.append(b"%d" % index, b"v" * index, index)

    batch = builder.build(producer_id=4, producer_epoch=2, base_sequence=9, transactional=True)

    assert len(builder) == 100
    assert batch == encode_batch(
        [b"%d" % index for index in range(100)],
        [b"v" * index for index in range(100)],
        list(range(100)),
        producer_id=4,
        producer_epoch=2,
        base_sequence=9,
        transactional=True,
    )


def test_a_batch_is_never_larger_than_its_builder_says() -> None:
    builder = BatchBuilder()
    builder.append(None, None, 2**63 - 2, [("ż" * 200, b"v" * 200), ("", None)])
    builder.append(b"k" * 70_000, b"v" * 70_000, -1)

    batch = builder.build()

    assert len(batch) <= builder.size_bytes <= len(batch) + 150


def test_a_control_batch_has_no_records_for_readers() -> None:
    assert list(read_records(encode_control_batch(ControlType.COMMIT, 1, 2, 3, 4))) == []


def test_a_damaged_batch_is_refused_before_its_first_record() -> None:
    batch = BatchBuilder()
    batch.append(b"k", b"v", 1)
    damaged = batch.build()
    damaged[-1] = 1

    with pytest.raises(CorruptRecordError):
        read_records(damaged)
    assert read_header(damaged).record_count == 1


def test_nothing_appended_is_no_batch() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        BatchBuilder().build()
