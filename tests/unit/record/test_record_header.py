from __future__ import annotations

import struct

import pytest

from streamlog.errors import CorruptRecordError, UnsupportedCompressionError
from streamlog.record import (
    HEADER_SIZE,
    BatchHeader,
    Codec,
    TimestampType,
    check_batch,
    crc32c,
    encode_batch,
    read_header,
)

FIELDS = (7, 49, 3, 2, 0xDEADBEEF, 0b101_1100, 4, 1_000, 2_000, 99, 5, 11, 2)
BYTES = bytes.fromhex(
    "0000000000000007 00000031 00000003 02 deadbeef 005c 00000004"
    "00000000000003e8 00000000000007d0 0000000000000063 0005 0000000b 00000002"
)


def header(**fields: int) -> BatchHeader:
    return BatchHeader(*FIELDS)._replace(**fields)


def packed(**fields: int) -> bytes:
    return struct.pack(">qiibIhiqqqhii", *header(**fields))


def test_all_fields_are_read() -> None:
    assert read_header(BYTES) == BatchHeader(*FIELDS)
    assert read_header(b"before" + BYTES, 6) == BatchHeader(*FIELDS)
    assert read_header(memoryview(BYTES)) == BatchHeader(*FIELDS)


def test_properties_are_taken_from_the_fields() -> None:
    read = read_header(BYTES)

    assert read.size_bytes == HEADER_SIZE == 61
    assert read.last_offset == 11
    assert read.next_offset == 12
    assert read.last_sequence == 15
    assert read.codec is Codec.ZSTD
    assert read.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert read.is_transactional
    assert not read.is_control
    assert read.has_delete_horizon


def test_attributes_without_bits_say_nothing_special() -> None:
    plain = header(attributes=0)

    assert plain.codec is Codec.NONE
    assert plain.timestamp_type is TimestampType.CREATE_TIME
    assert not plain.is_transactional
    assert not plain.has_delete_horizon
    assert header(attributes=0x20).is_control


def test_sequences_wrap_behind_the_highest_number() -> None:
    assert header(base_sequence=2**31 - 1, last_offset_delta=0).last_sequence == 2**31 - 1
    assert header(base_sequence=2**31 - 1, last_offset_delta=1).last_sequence == 0
    assert header(base_sequence=2**31 - 3, last_offset_delta=7).last_sequence == 4
    assert header(base_sequence=-1, last_offset_delta=7).last_sequence == -1


@pytest.mark.parametrize("number", [5, 6, 7])
def test_codecs_that_v2_does_not_define_are_refused(number: int) -> None:
    with pytest.raises(UnsupportedCompressionError, match=f"codec {number}") as caught:
        _ = header(attributes=number).codec
    assert caught.value.codec == number


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"magic": 1}, "magic 1 instead of 2"),
        ({"batch_length": 48}, "batch length 48"),
        ({"batch_length": -1}, "batch length -1"),
        ({"base_offset": -1}, "base offset -1"),
        ({"base_offset": 2**63 - 5}, "base offset 9223372036854775803"),
        ({"last_offset_delta": -1}, "last offset delta -1"),
        ({"record_count": -1}, "record count -1"),
    ],
)
def test_values_that_no_batch_has_are_refused(fields: dict[str, int], reason: str) -> None:
    with pytest.raises(CorruptRecordError, match=reason) as caught:
        read_header(b"x" * 5 + packed(**fields), 5)
    assert caught.value.position == 5


def test_the_highest_offset_has_one_behind_it() -> None:
    assert read_header(packed(base_offset=2**63 - 6)).next_offset == 2**63 - 1


def test_less_than_a_header_is_refused() -> None:
    with pytest.raises(CorruptRecordError, match="less than a batch header"):
        read_header(BYTES[:-1])
    with pytest.raises(CorruptRecordError, match="less than a batch header"):
        read_header(BYTES, 1)


def test_a_batch_is_checked_against_its_length_and_crc() -> None:
    batch = bytes(encode_batch([b"k"], [b"v"], [1]))

    assert check_batch(batch) == read_header(batch)
    assert check_batch(b"xx" + batch + b"more", 2) == read_header(batch)
    assert check_batch(bytearray(batch)) == read_header(batch)
    with pytest.raises(CorruptRecordError, match=f"{len(batch) - 1} of {len(batch)} bytes"):
        check_batch(batch[:-1])
    with pytest.raises(CorruptRecordError, match=r"CRC 0x\w{8}, the header says 0x\w{8}"):
        check_batch(batch[:-1] + b"\x01")


def test_crc32c_is_castagnoli_s() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"ab123456789c", 2, 11) == 0xE3069283
    assert crc32c(memoryview(b"ab123456789c"), 2, 11) == 0xE3069283
    assert crc32c(b"") == 0


def test_crc32c_of_a_long_range_is_that_of_its_parts() -> None:
    data = bytes(range(256)) * 2_000

    assert crc32c(b"x" + data, 1) == crc32c(data) == crc32c(bytearray(data)) == 4_225_503_418
