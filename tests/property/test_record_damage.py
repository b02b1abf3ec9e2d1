"""Damaged batches: our error, or what cannot be told from another offset or epoch.

The CRC covers everything from byte 21. In front of it stand the base offset (0 to 8), the length
(8 to 12), the leader epoch (12 to 16), the magic (16) and the CRC itself (17 to 21).
"""

from __future__ import annotations

import tracemalloc
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlog.errors import CorruptRecordError, UnsupportedCompressionError
from streamlog.record import (
    Codec,
    Columns,
    ControlType,
    Headers,
    crc32c,
    decode_batch,
    encode_batch,
    encode_control_batch,
    read_control,
    read_header,
    scan,
)

BASE_OFFSET = 1_000
BOUND_BYTES = 30_000_000


@cache
def batch(codec: Codec) -> bytes:
    headers: list[Headers] = [[], [("name", b"value"), ("null", None)], []]
    return bytes(
        encode_batch(
            [b"key", None, b"k" * 70],
            [b"value", b"v" * 200, None],
            [1_700_000_000_000, 1_700_000_000_064, 1_600_000_000_000],
            headers,
            base_offset=BASE_OFFSET,
            codec=codec,
        )
    )


def decoded(data: bytes) -> Columns:
    columns = Columns()
    decode_batch(data, 0, columns)
    return columns


def changed(data: bytes, position: int, byte: int) -> bytes:
    return data[:position] + bytes([byte]) + data[position + 1 :]


def signed(data: bytes) -> bytes:
    """With the CRC that belongs to the bytes, as a broken writer would make it."""
    return data[:17] + crc32c(data, 21).to_bytes(4, "big") + data[21:]


@pytest.mark.parametrize("codec", list(Codec), ids=lambda codec: codec.name)
def test_a_flipped_bit_anywhere_behind_the_crc_is_our_error(codec: Codec) -> None:
    whole = batch(codec)
    for position in range(17, len(whole)):
        for bit in range(8):
            damaged = changed(whole, position, whole[position] ^ 1 << bit)
            with pytest.raises(CorruptRecordError):
                decoded(damaged)


@given(st.sampled_from(Codec), st.data())
def test_changed_bytes_behind_the_crc_are_our_error(codec: Codec, data: st.DataObject) -> None:
    whole = batch(codec)
    start = data.draw(st.integers(17, len(whole) - 1))
    put = data.draw(st.binary(min_size=1, max_size=min(8, len(whole) - start)))
    damaged = whole[:start] + put + whole[start + len(put) :]
    if damaged == whole:
        assert decoded(damaged) == decoded(whole)
        return

    with pytest.raises(CorruptRecordError):
        decoded(damaged)


@given(st.sampled_from(Codec), st.integers(0, 16), st.integers(0, 255), st.booleans())
def test_a_changed_byte_before_the_crc_is_our_error_or_another_offset_or_epoch(
    codec: Codec, position: int, byte: int, more_behind: bool
) -> None:
    whole = batch(codec)
    damaged = changed(whole, position, byte) + (whole * 3 if more_behind else b"")
    try:
        columns = decoded(damaged)
    except CorruptRecordError:
        return
    assert position < 8 or 12 <= position < 16 or damaged.startswith(whole)
    offset = read_header(damaged).base_offset
    records = decoded(whole)
    records.offsets = [offset + delta for delta in range(3)]
    assert columns == records


@given(st.sampled_from(Codec), st.data())
def test_signed_nonsense_is_records_or_our_error(codec: Codec, data: st.DataObject) -> None:
    """No other exception, whatever a writer puts behind a CRC that is right."""
    whole = batch(codec)
    start = data.draw(st.integers(21, len(whole) - 1))
    put = data.draw(st.binary(min_size=1, max_size=12))
    damaged = whole[:start] + put + whole[start + len(put) :]
    damaged = signed(damaged[:8] + (len(damaged) - 12).to_bytes(4, "big") + damaged[12:])
    columns = Columns([b"kept"], [b"kept"], [1], [2])
    try:
        decode_batch(damaged, 0, columns)
    except (CorruptRecordError, UnsupportedCompressionError):
        assert columns == Columns([b"kept"], [b"kept"], [1], [2])
    else:
        count = len(columns)
        assert count == len(columns.keys) == len(columns.values) == len(columns.timestamps)
        assert columns.headers is None or count == len(columns.headers)
        assert columns.offsets[1:] == sorted(set(columns.offsets[1:]))


@given(st.binary(max_size=300), st.integers(0, 5), st.integers(0, 2**31 - 1))
@example(bytes.fromhex("fe ff ff ff 0f"), 0, 1)
def test_any_records_behind_a_good_header_are_records_or_our_error(
    records: bytes, attributes: int, count: int
) -> None:
    whole = batch(Codec.NONE)
    forged = bytearray(whole[:61] + records)
    forged[8:12] = (len(forged) - 12).to_bytes(4, "big")
    forged[22] = attributes
    forged[23:27] = forged[57:61] = count.to_bytes(4, "big")
    try:
        decoded(signed(bytes(forged)))
    except (CorruptRecordError, UnsupportedCompressionError):
        return
    assert count == 0 or records


@settings(max_examples=30)
@given(st.binary(max_size=300), st.sampled_from(Codec), st.integers(0, 2**31 - 1))
def test_nonsense_takes_no_memory_to_speak_of(records: bytes, codec: Codec, count: int) -> None:
    forged = bytearray(batch(Codec.NONE)[:61] + records)
    forged[8:12] = (len(forged) - 12).to_bytes(4, "big")
    forged[22] = codec
    forged[23:27] = forged[57:61] = count.to_bytes(4, "big")
    data = signed(bytes(forged))
    tracemalloc.start()
    try:
        decode_batch(data, 0, Columns(), max_decompressed_bytes=1 << 20)
    except CorruptRecordError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < BOUND_BYTES


@given(st.binary(max_size=200))
def test_any_bytes_are_no_batch_but_end_a_scan(data: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        decoded(data)
    assert len(list(scan(data))) == 1


@given(st.integers(21, 77), st.integers(0, 255))
def test_signed_nonsense_in_a_marker_is_a_marker_or_our_error(position: int, byte: int) -> None:
    marker = bytes(encode_control_batch(ControlType.COMMIT, 5, 6, 7, 8, 9))
    damaged = signed(changed(marker, position, byte))
    try:
        read = read_control(damaged)
    except (CorruptRecordError, UnsupportedCompressionError):
        return
    assert read.type in ControlType
