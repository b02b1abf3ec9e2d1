from __future__ import annotations

import pytest

from streamlog.errors import CorruptRecordError
from streamlog.record import (
    Columns,
    ControlRecord,
    ControlType,
    crc32c,
    decode_batch,
    encode_batch,
    encode_control_batch,
    read_control,
    read_header,
)


def signed(batch: bytearray) -> bytes:
    batch[17:21] = crc32c(batch, 21).to_bytes(4, "big")
    return bytes(batch)


def test_a_commit_has_these_bytes() -> None:
    batch = encode_control_batch(ControlType.COMMIT, 7, 3, 5, 1_000, 12, 2)

    assert batch[:17] == bytes.fromhex("000000000000000c 00000042 00000002 02")
    assert batch[21:] == bytes.fromhex(
        "0030 00000000 00000000000003e8 00000000000003e8 0000000000000007 0003 ffffffff 00000001"
        "20 00 00 00 08 0000 0001 0c 0000 00000005 00"
    )


@pytest.mark.parametrize("kind", [ControlType.ABORT, ControlType.COMMIT])
def test_a_marker_is_read_back(kind: ControlType) -> None:
    batch = encode_control_batch(kind, 7, 3, 5, 1_000, 12)

    assert read_control(batch) == ControlRecord(kind, 7, 3, 5, 12, 1_000)
    assert read_control(b"before" + batch, 6).type is kind
    assert read_header(batch).is_control
    assert read_header(batch).is_transactional
    assert read_header(batch).next_offset == 13


def test_a_marker_has_nothing_for_columns() -> None:
    batch = encode_control_batch(ControlType.ABORT, 7, 3, 5, 1_000)
    columns = Columns()

    assert decode_batch(batch, 0, columns) == len(batch)
    assert columns == Columns()


def test_a_data_batch_is_no_marker() -> None:
    with pytest.raises(CorruptRecordError, match="no control batch"):
        read_control(encode_batch([b"k"], [b"v"], [1]))


def test_types_of_other_logs_are_unknown_rather_than_wrong() -> None:
    batch = encode_control_batch(ControlType.ABORT, 7, 3, 5, 1_000)
    batch[69] = 9  # the type's low byte

    assert read_control(signed(batch)) == ControlRecord(ControlType.UNKNOWN, 7, 3, -1, 0, 1_000)


@pytest.mark.parametrize(("key", "value"), [(b"\x00\x00\x00", b""), (b"\0\0\0\1", b"\0\0\0\0\0")])
def test_a_key_or_value_that_is_too_short_is_refused(key: bytes, value: bytes) -> None:
    batch = encode_batch([key], [value], [1], transactional=True)
    batch[22] |= 0x20

    with pytest.raises(CorruptRecordError, match="too short"):
        read_control(signed(batch))


def test_a_damaged_marker_is_refused() -> None:
    batch = encode_control_batch(ControlType.COMMIT, 7, 3, 5, 1_000)
    batch[69] = 0  # turns the commit into an abort

    with pytest.raises(CorruptRecordError, match="CRC"):
        read_control(batch)
