from __future__ import annotations

import pytest

import streamlog.record.batch as batch_module
from streamlog.errors import CorruptRecordError, UnsupportedCompressionError
from streamlog.record import (
    Codec,
    Columns,
    Headers,
    TimestampType,
    check_batch,
    crc32c,
    decode_batch,
    encode_batch,
    patch_batch,
    read_header,
)

# One record: key "k", value null, header ("h", null), 3 ms after... itself: the first is the base.
RECORD = bytes.fromhex("14 00 00 00 02 6b 01 02 02 68 01")
BODY = bytes.fromhex(
    "0000 00000000 0000018bcfe56800 0000018bcfe56800 ffffffffffffffff ffff ffffffff 00000001"
)


def decoded(batch: bytes | bytearray, min_offset: int = 0) -> Columns:
    columns = Columns()
    assert decode_batch(batch, 0, columns, min_offset=min_offset) == len(batch)
    return columns


def signed(records: bytes, *, count: int, last: int, attributes: int = 0) -> bytes:
    """A batch at offset 0 with the CRC that belongs to whatever the records are."""
    batch = encode_batch([b""], [b""], [1_000])
    header = read_header(batch)
    batch[61:] = records
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[21:23] = (header.attributes | attributes).to_bytes(2, "big")
    batch[23:27] = last.to_bytes(4, "big")
    batch[57:61] = count.to_bytes(4, "big")
    batch[17:21] = crc32c(batch, 21).to_bytes(4, "big")
    return bytes(batch)


@pytest.mark.parametrize("codec", list(Codec))
def test_what_would_be_too_large_to_decompress_is_not_compressed(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "MAX_DECOMPRESSED_BYTES", 1000)
    written = {}
    for size in (990, 1000):  # and some bytes of the record's own
        columns = Columns()
        batch = encode_batch([None], [b"x" * size], [0], codec=codec)
        decode_batch(batch, 0, columns, max_decompressed_bytes=1000)
        assert columns.values == [b"x" * size]
        written[size] = read_header(batch).codec
    assert written == {990: codec, 1000: Codec.NONE}


def test_a_batch_of_one_record_has_these_bytes() -> None:
    batch = encode_batch([b"k"], [None], [1_700_000_000_000], [[("h", None)]])

    assert batch[21:] == BODY + RECORD
    assert batch[:17] == bytes.fromhex("0000000000000000 0000003c 00000000 02")
    assert batch[17:21] == crc32c(BODY + RECORD).to_bytes(4, "big")


def test_columns_come_back_as_they_went_in() -> None:
    keys = [b"a", None, b"", b"x" * 8_200]
    values = [None, b"b", b"y" * 70, b""]
    timestamps = [5_000, -1, 5_000 + 2**40, 0]
    headers: list[Headers] = [[], [("n", None), ("n", b"")], [("ż", b"v" * 200)], []]

    columns = decoded(encode_batch(keys, values, timestamps, headers, base_offset=40))

    assert columns == Columns(keys, values, timestamps, [40, 41, 42, 43], headers)


def test_more_records_than_there_are_prepared_varints_come_back() -> None:
    values: list[bytes | None] = [b"%d" % index for index in range(10_000)]
    timestamps = list(range(10_000))

    columns = decoded(encode_batch([None] * 10_000, values, timestamps))

    assert columns == Columns([None] * 10_000, values, timestamps, timestamps)


def test_tuples_are_columns_too() -> None:
    assert decoded(encode_batch((b"k",), (b"v",), (1,), ([],))).values == [b"v"]


def test_without_headers_the_header_column_stays_none() -> None:
    assert decoded(encode_batch([b"k"], [b"v"], [1])).headers is None
    assert decoded(encode_batch([b"k"], [b"v"], [1], [[]])).headers is None


def test_the_header_column_starts_with_the_first_batch_that_has_headers() -> None:
    columns = Columns()
    plain = encode_batch([None] * 2, [b"1", b"2"], [1, 1])
    headed = encode_batch([None] * 2, [b"3", b"4"], [1, 1], [[], [("h", b"4")]], base_offset=2)

    for batch in (plain, headed, plain):
        decode_batch(batch, 0, columns)

    assert columns.headers == [[], [], [], [("h", b"4")], [], []]
    assert columns.offsets == [0, 1, 2, 3, 0, 1]


def test_records_below_the_offset_asked_for_are_left_out() -> None:
    headers: list[Headers] = [[("h", b"0")], [], [("h", b"2")]]
    batch = encode_batch([b"a", b"b", b"c"], [b"", b"", b""], [1, 2, 3], headers, base_offset=10)

    assert decoded(batch, 12) == Columns([b"c"], [b""], [3], [12], [[("h", b"2")]])
    assert decoded(batch, 11).offsets == [11, 12]
    assert decoded(batch, 13) == Columns()


def test_the_fields_of_a_producer_are_in_the_header() -> None:
    header = read_header(
        encode_batch(
            [b"k"] * 2,
            [b"v"] * 2,
            [7, 3],
            base_offset=9,
            producer_id=2**40,
            producer_epoch=3,
            base_sequence=2**31 - 1,
            transactional=True,
            timestamp_type=TimestampType.LOG_APPEND_TIME,
            partition_leader_epoch=4,
        )
    )

    assert (header.base_offset, header.last_offset) == (9, 10)
    assert (header.producer_id, header.producer_epoch) == (2**40, 3)
    assert (header.base_sequence, header.last_sequence) == (2**31 - 1, 0)
    assert (header.base_timestamp, header.max_timestamp) == (7, 7)
    assert header.is_transactional
    assert header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert header.partition_leader_epoch == 4


def test_a_place_in_the_log_leaves_the_crc_alone() -> None:
    batch = encode_batch([b"k"], [b"v"], [1])
    before = read_header(batch)

    patch_batch(batch, 2**40, 6)

    assert check_batch(batch) == before._replace(base_offset=2**40, partition_leader_epoch=6)
    assert decoded(batch).offsets == [2**40]


def test_append_time_replaces_every_timestamp() -> None:
    batch = encode_batch([None] * 2, [b"v"] * 2, [1, 2])

    patch_batch(batch, 5, 0, append_time=99)

    assert check_batch(batch).max_timestamp == 99
    assert decoded(batch).timestamps == [99, 99]


def test_append_time_does_not_touch_what_was_there_before() -> None:
    columns = decoded(encode_batch([None], [b"v"], [1]))
    batch = encode_batch([None], [b"v"], [2])
    patch_batch(batch, 1, 0, append_time=99)

    decode_batch(batch, 0, columns)

    assert columns.timestamps == [1, 99]


@pytest.mark.parametrize("codec", list(Codec), ids=lambda codec: codec.name)
def test_every_codec_brings_the_records_back(codec: Codec) -> None:
    values: list[bytes | None] = [b"value %d" % (index % 10) * 100 for index in range(300)]
    batch = encode_batch([b"k"] * 300, values, [1] * 300, codec=codec)

    assert read_header(batch).codec is codec
    assert codec is Codec.NONE or len(batch) < 100_000
    assert decoded(batch).values == values


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTD])
def test_a_compression_level_is_the_codecs_own(codec: Codec) -> None:
    values: list[bytes | None] = [b"%d-%d" % (index, index * 7919) for index in range(2_000)]
    sizes = [
        len(encode_batch(values, values, [1] * 2_000, codec=codec, compression_level=level))
        for level in (1, 9)
    ]

    assert sizes[0] > sizes[1]


@pytest.mark.parametrize(
    ("keys", "values", "timestamps", "headers"),
    [
        ([], [b""], [1], None),
        ([b""], [], [1], None),
        ([b""], [b""], [], None),
        ([b""], [b""], [1], []),
    ],
)
def test_columns_of_unequal_length_are_refused(
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[int],
    headers: list[Headers] | None,
) -> None:
    with pytest.raises(ValueError, match="columns of unequal length"):
        encode_batch(keys, values, timestamps, headers)


def test_a_batch_without_records_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        encode_batch([], [], [])


@pytest.mark.parametrize("timestamp", [-2, 2**63 - 1, 2**63, 2**70, -(2**70)])
@pytest.mark.parametrize("behind", [[], [1]])
def test_timestamps_that_the_format_cannot_hold_are_refused(
    timestamp: int, behind: list[int]
) -> None:
    timestamps = [*behind, timestamp]
    with pytest.raises(ValueError, match=f"timestamp {timestamp} is not in"):
        encode_batch([b""] * len(timestamps), [b""] * len(timestamps), timestamps)


def test_differences_of_timestamps_over_all_64_bits_come_back() -> None:
    for timestamps in ([2**63 - 2, -1, 5], [-1, 2**63 - 2, 5], [0, 2**62 + 1, 2**35]):
        batch = encode_batch([b""] * 3, [b""] * 3, timestamps)
        assert decoded(batch).timestamps == timestamps


@pytest.mark.parametrize(
    ("records", "count", "reason"),
    [
        ("14 00 00 00 02 6b 01 02 02 68 01", 2, "1 of 2 records"),
        ("14 00 00 00 02 6b 01 02 02 68 01 00", 1, "bytes behind 1 records"),
        ("16 00 00 00 02 6b 01 02 02 68 01", 1, "a record of 11 bytes"),
        ("01 00 00 00 02 6b 01 02 02 68 01", 1, "a record of -1 bytes"),
        ("12 00 00 00 02 6b 01 02 02 68 01", 1, "not as long as it says|header"),
        ("0c 00 00 00 0e 6b 01 00", 1, "a key of 7 bytes"),
        ("0c 00 00 00 01 0e 6b 00", 1, "a value of 7 bytes"),
        ("0e 00 00 00 01 01 01 00", 1, "-1 headers"),
        ("0e 00 00 00 01 01 04 00", 1, "2 headers"),
        ("10 00 00 00 01 01 02 0e 00", 1, "a header key of 7 bytes"),
        ("10 00 00 00 01 01 02 01 00", 1, "a header key of -1 bytes"),
        ("12 00 00 00 01 01 02 02 ff 01", 1, "a header key is not UTF-8"),
        ("12 00 00 00 01 01 02 02 68 0e", 1, "a header value of 7 bytes"),
        ("0c 00 00 01 01 01 00", 1, "offset delta -1 behind -1"),
        ("0c 00 00 02 01 01 00", 1, "offset delta 1 behind -1"),
        ("0c 00 00 00 01 01 00 0c 00 00 00 01 01 00", 2, "offset delta 0 behind 0"),
        ("80 80 80 80 80 00 00 00", 1, "a varint of more than 5 bytes"),
        ("18 00 00 00 ff ff ff ff ff 00 01 01 00", 1, "a varint of more than 5 bytes"),
        ("24 00 ff ff ff ff ff ff ff ff ff ff 00 00 01 01 00 00 00", 1, "more than 10 bytes"),
        ("0c 00 80", 1, "a record of 6 bytes"),
        ("02 00 80", 1, "bytes|header|beyond|long"),
        ("80", 1, "goes beyond the batch"),
        ("0c 00 00 00 01 01 80", 1, "goes beyond the batch"),
    ],
)
def test_bytes_that_are_no_records_are_refused(records: str, count: int, reason: str) -> None:
    batch = signed(bytes.fromhex(records), count=count, last=count - 1)
    columns = decoded(encode_batch([b"kept"], [b"kept"], [1]))

    for buffer in (batch, batch + batch):  # at the end of the buffer, and not
        with pytest.raises(CorruptRecordError, match=reason if buffer is batch else None):
            decode_batch(buffer, 0, columns)

    assert columns == Columns([b"kept"], [b"kept"], [1], [0])


def test_a_negative_length_other_than_minus_one_is_null_as_for_java() -> None:
    batch = signed(bytes.fromhex("0c 00 00 00 03 05 00"), count=1, last=0)

    assert decoded(batch) == Columns([None], [None], [1_000], [0])


def test_timestamps_wrap_as_javas_addition_does() -> None:
    # Base 1,000 and the largest delta, 2^63 - 1.
    record = bytes.fromhex("1e 00 fe ff ff ff ff ff ff ff ff 01 00 01 01 00")
    batch = signed(record, count=1, last=0)

    assert decoded(batch).timestamps == [1_000 - 2**63 - 1]


def test_records_of_an_unknown_codec_are_refused() -> None:
    batch = signed(RECORD, count=1, last=0, attributes=5)

    with pytest.raises(UnsupportedCompressionError):
        decoded(batch)


def test_offsets_with_gaps_are_kept() -> None:
    records = bytes.fromhex("0c 00 00 02 01 01 00  0c 00 00 08 01 01 00")
    batch = signed(records, count=2, last=9)

    assert decoded(batch).offsets == [1, 4]
    assert decoded(batch, 2).offsets == [4]
    assert read_header(batch).next_offset == 10


def test_a_damaged_batch_is_read_only_on_request() -> None:
    batch = encode_batch([b"k"], [b"v"], [1])
    batch[-2] ^= 1
    columns = Columns()

    with pytest.raises(CorruptRecordError, match="CRC"):
        decode_batch(batch, 0, columns)
    decode_batch(batch, 0, columns, verify=False)

    assert columns.values == [b"w"]


def test_any_buffer_and_any_position_will_do() -> None:
    batch = bytes(encode_batch([b"k"], [b"v"], [1]))
    for codec in (Codec.NONE, Codec.GZIP):
        batch = bytes(encode_batch([b"k"], [b"v"], [1], codec=codec))
        for buffer in (batch * 2, bytearray(batch * 2), memoryview(batch * 2)):
            columns = Columns()
            assert decode_batch(buffer, len(batch), columns) == 2 * len(batch)
            assert columns == Columns([b"k"], [b"v"], [1], [0])


def test_keys_of_another_type_are_the_callers_mistake() -> None:
    wrong: list[bytes | None] = ["text"]  # type: ignore[list-item] - on purpose
    with pytest.raises(TypeError):
        encode_batch(wrong, [b"v"], [1])
    with pytest.raises(TypeError):
        encode_batch([b"k"], [b"v"], [None])  # type: ignore[list-item] - on purpose
