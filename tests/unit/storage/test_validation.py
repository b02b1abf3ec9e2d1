"""Every fault of a produce request has Kafka's error, with the place of the fault."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from streamlog.errors import (
    BatchTooLargeError,
    CorruptRecordError,
    InvalidRecordError,
    InvalidTimestampError,
    RecordTooLargeError,
    StreamlogError,
    UnsupportedCompressionError,
)
from streamlog.record import (
    Codec,
    Columns,
    ControlType,
    TimestampType,
    crc32c,
    decode_batch,
    encode_batch,
    encode_control_batch,
    read_header,
)
from streamlog.storage.topic_config import TopicConfig, parse_config
from streamlog.storage.validation import check_records, validate_produce
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLACE = TopicPartition("t", 0)
NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def batch_of(
    *values: bytes, keys: Sequence[bytes | None] | None = None, **fields: object
) -> bytearray:
    columns = list(values) or [b"value"]
    return encode_batch(
        [b"key"] * len(columns) if keys is None else keys,
        columns,
        fields.pop("timestamps", [NOW_MS] * len(columns)),  # type: ignore[arg-type]
        **fields,  # type: ignore[arg-type]
    )


def config_of(**config: object) -> TopicConfig:
    return parse_config("t", {key.replace("_", "."): str(value) for key, value in config.items()})


def validate(batch: bytes | bytearray, every_record: bool = True, **config: object) -> bytearray:
    return validate_produce(batch, config_of(**config), NOW_MS, PLACE, every_record=every_record)


def with_field(
    batch: bytearray, form: str, position: int, value: int, *, crc: bool = True
) -> bytearray:
    """Another value in the header, with a CRC that fits."""
    changed = bytearray(batch)
    struct.pack_into(form, changed, position, value)
    if crc:
        struct.pack_into(">I", changed, 17, crc32c(changed, 21))
    return changed


def records_of(batch: bytearray) -> Columns:
    columns = Columns()
    decode_batch(batch, 0, columns)
    return columns


def test_a_batch_without_fault_comes_back_as_it_was() -> None:
    batch = batch_of(b"1", b"2", producer_id=5, producer_epoch=1, base_sequence=7)
    assert validate(batch) == batch
    assert validate(bytes(batch), every_record=False) == batch


FAULTS: list[tuple[str, Callable[[], bytes | bytearray], type[StreamlogError], str]] = [
    ("nothing at all", lambda: b"", InvalidRecordError, "no whole batch"),
    ("a part of a header", lambda: batch_of()[:40], InvalidRecordError, "no whole batch"),
    ("half a batch", lambda: batch_of(b"x" * 99)[:-50], InvalidRecordError, "no whole batch"),
    ("two batches", lambda: batch_of() * 2, InvalidRecordError, "more than one batch"),
    ("magic 1", lambda: with_field(batch_of(), ">b", 16, 1), InvalidRecordError, "magic 1"),
    ("magic 3", lambda: with_field(batch_of(), ">b", 16, 3), CorruptRecordError, "magic 3"),
    (
        "a length below all",
        lambda: with_field(batch_of(), ">i", 8, 13),
        CorruptRecordError,
        "batch length 13",
    ),
    (
        "a length below a header's",
        lambda: with_field(batch_of(), ">i", 8, 20)[:32],
        CorruptRecordError,
        "a batch of 32 bytes",
    ),
    (
        "an offset",
        lambda: batch_of(base_offset=4),
        InvalidRecordError,
        "base offset 4 instead of 0",
    ),
    (
        "an offset below 0",
        lambda: with_field(batch_of(), ">q", 0, -1, crc=False),
        InvalidRecordError,
        "base offset -1",
    ),
    (
        "another CRC",
        lambda: with_field(batch_of(), ">I", 17, 1, crc=False),
        CorruptRecordError,
        "CRC",
    ),
    (
        "fewer records than offsets",
        lambda: with_field(batch_of(b"1", b"2"), ">i", 23, 2),
        InvalidRecordError,
        "2 records, but 3 offsets",
    ),
    (
        "no records",
        lambda: with_field(batch_of(), ">i", 57, 0),
        InvalidRecordError,
        "0 records in 1 offsets",
    ),
    (
        "a count below 0",
        lambda: with_field(batch_of(), ">i", 57, -1),
        InvalidRecordError,
        "-1 records",
    ),
    (
        "offsets below 0",
        lambda: with_field(batch_of(), ">i", 23, -1),
        InvalidRecordError,
        "in 0 offsets",
    ),
    (
        "a marker",
        lambda: encode_control_batch(ControlType.COMMIT, 5, 0, 0, NOW_MS),
        InvalidRecordError,
        "control records",
    ),
    (
        "no sequence",
        lambda: batch_of(producer_id=5, producer_epoch=0, base_sequence=-1),
        InvalidRecordError,
        "sequence -1 of producer 5",
    ),
    (
        "a codec of nobody's",
        lambda: with_field(batch_of(), ">h", 21, 6),
        UnsupportedCompressionError,
        "codec 6",
    ),
]


@pytest.mark.parametrize(
    ("make", "error", "message"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
@pytest.mark.parametrize("every_record", [True, False])
def test_each_fault_of_the_batch_has_its_error(
    make: Callable[[], bytes | bytearray],
    error: type[StreamlogError],
    message: str,
    every_record: bool,
) -> None:
    with pytest.raises(error, match=message):
        validate(make(), every_record)


def test_a_batch_over_the_topics_limit_is_refused() -> None:
    with pytest.raises(RecordTooLargeError, match=r"max\.message\.bytes = 100"):
        validate(batch_of(b"x" * 100), max_message_bytes=100)
    with pytest.raises(BatchTooLargeError, match=r"segment\.bytes = 100"):
        validate(batch_of(b"x" * 100), segment_bytes=100)


def test_what_is_not_whole_behind_the_batch_is_left_out() -> None:
    batch = batch_of()
    assert validate(batch + batch[:30]) == batch
    assert validate(batch + b"garbage") == batch


def test_kafkas_order_of_checks_is_kept() -> None:
    """Of several faults the first counts: offset, size, CRC, numbers, records."""
    damaged = with_field(batch_of(b"x" * 200, keys=[None], base_offset=9), ">I", 17, 1, crc=False)
    with pytest.raises(InvalidRecordError, match="base offset"):
        validate(damaged, max_message_bytes=100, cleanup_policy="compact")
    damaged = with_field(damaged, ">q", 0, 0, crc=False)
    with pytest.raises(RecordTooLargeError):
        validate(damaged, max_message_bytes=100, cleanup_policy="compact")
    with pytest.raises(CorruptRecordError, match="CRC"):
        validate(damaged, cleanup_policy="compact")


# Records


def test_the_records_without_key_are_named_in_a_compacted_topic() -> None:
    batch = batch_of(b"1", b"2", b"3", keys=[b"k", None, None])
    assert validate(batch) == batch
    with pytest.raises(
        InvalidRecordError, match="record 1: no key, and the topic is compacted"
    ) as caught:
        validate(batch, every_record=False, cleanup_policy="delete,compact")
    assert [fault.index for fault in caught.value.faults] == [1, 2]
    assert caught.value.kafka_error == "INVALID_RECORD"


def test_many_faults_are_all_there_and_three_are_shown() -> None:
    batch = batch_of(*[b"v"] * 9, keys=[None] * 9)
    with pytest.raises(InvalidRecordError, match=r"9 of 9 .*record 2: .*; and 6 more") as caught:
        validate(batch, cleanup_policy="compact")
    assert len(caught.value.faults) == 9


def test_timestamps_have_bounds_an_hour_ahead_by_default() -> None:
    assert validate(batch_of(timestamps=[NOW_MS + HOUR_MS]))
    late = batch_of(b"1", b"2", timestamps=[NOW_MS, NOW_MS + HOUR_MS + 1])
    for every_record in (True, False):
        with pytest.raises(InvalidTimestampError, match=r"message\.timestamp\.after") as caught:
            validate(late, every_record)
        assert [fault.index for fault in caught.value.faults] == [1]
    assert caught.value.kafka_error == "INVALID_TIMESTAMP"
    assert validate(late, message_timestamp_after_max_ms=2 * HOUR_MS)


def test_timestamps_may_be_as_old_as_they_like_unless_the_topic_says_otherwise() -> None:
    old = batch_of(b"1", b"2", timestamps=[0, NOW_MS])
    assert validate(old)
    with pytest.raises(InvalidTimestampError, match="record 0: timestamp 0 is outside"):
        validate(old, every_record=False, message_timestamp_before_max_ms=1000)
    assert validate(batch_of(timestamps=[-1]), message_timestamp_before_max_ms=1000)


def test_a_topic_that_sets_the_time_takes_any_but_not_from_who_says_it_was_the_log() -> None:
    config = {"message_timestamp_type": "LogAppendTime"}
    assert validate(batch_of(timestamps=[NOW_MS * 2]), **config)
    claimed = batch_of(timestamp_type=TimestampType.LOG_APPEND_TIME)
    with pytest.raises(InvalidTimestampError, match="only the log itself sets its append time"):
        validate(claimed, **config)


def test_a_create_time_topic_makes_create_times_of_append_times() -> None:
    """As Kafka does: the times are in bounds, so it sets its own type."""
    claimed = batch_of(timestamp_type=TimestampType.LOG_APPEND_TIME)
    header = read_header(validate(claimed, every_record=False))
    assert header.timestamp_type is TimestampType.CREATE_TIME
    assert records_of(validate(claimed)).timestamps == [NOW_MS]


def test_a_wrong_highest_timestamp_is_put_right() -> None:
    batch = batch_of(b"1", b"2", timestamps=[NOW_MS, NOW_MS - 5])
    lying = with_field(batch, ">q", 35, NOW_MS - 1000)
    assert validate(lying) == batch


def test_the_missing_key_comes_before_the_time_and_one_bad_time_names_the_error() -> None:
    timestamps = [2 * NOW_MS, NOW_MS]
    config = config_of(cleanup_policy="compact")
    with pytest.raises(InvalidRecordError) as keyless:
        check_records([None, b"k"], timestamps, config, NOW_MS, PLACE)
    assert len(keyless.value.faults) == 1
    with pytest.raises(InvalidTimestampError) as both:
        check_records([b"k", None], timestamps, config, NOW_MS, PLACE)
    assert [fault.index for fault in both.value.faults] == [0, 1]


@pytest.mark.parametrize("codec", Codec)
def test_damaged_records_are_named_by_their_index(codec: Codec) -> None:
    """The CRC is right: this is what a producer's own error looks like."""
    records = bytearray(batch_of(b"1", b"2", b"3")[61:])
    records[-3] = 0x7F  # the length of the last value
    damaged = batch_of(b"1", b"2", b"3")[:61] + records
    struct.pack_into(">I", damaged, 17, crc32c(damaged, 21))
    if codec is not Codec.NONE:
        from streamlog.record.compression import compress

        packed = compress(codec, bytes(records))
        damaged = damaged[:61] + packed
        struct.pack_into(">i", damaged, 8, len(damaged) - 12)
        struct.pack_into(">h", damaged, 21, codec)
        struct.pack_into(">I", damaged, 17, crc32c(damaged, 21))
    with pytest.raises(InvalidRecordError, match="malformed; record 2") as caught:
        validate(damaged)
    assert [fault.index for fault in caught.value.faults] == [2]
    assert validate(damaged, every_record=False) == damaged


def test_what_the_codec_cannot_read_is_corrupt() -> None:
    batch = batch_of(b"x" * 1000, codec=Codec.ZSTD)
    batch[70] ^= 0xFF
    struct.pack_into(">I", batch, 17, crc32c(batch, 21))
    with pytest.raises(CorruptRecordError, match="zstd"):
        validate(batch)


# Compression


@pytest.mark.parametrize("sent", Codec)
@pytest.mark.parametrize("wanted", ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_a_topic_has_the_compression_that_it_asks_for(sent: Codec, wanted: str) -> None:
    headers = [[("h", b"1")], []]
    batch = batch_of(
        b"1" * 50,
        b"2" * 50,
        headers=headers,
        codec=sent,
        producer_id=9,
        producer_epoch=3,
        base_sequence=11,
        transactional=True,
    )
    before, stored = read_header(batch), validate(batch, compression_type=wanted)
    after = read_header(stored)
    expected = {"producer": sent, "uncompressed": Codec.NONE}.get(wanted)
    assert after.codec is (Codec[wanted.upper()] if expected is None else expected)
    assert records_of(stored) == records_of(batch)
    kept = {"record_count", "producer_id", "producer_epoch", "base_sequence", "max_timestamp"}
    assert after.is_transactional
    assert all(getattr(after, name) == getattr(before, name) for name in kept)


def test_what_grows_over_the_limit_when_it_is_stored_is_refused() -> None:
    batch = batch_of(b"x" * 1000, codec=Codec.ZSTD)
    assert len(batch) < 200
    with pytest.raises(RecordTooLargeError):
        validate(batch, compression_type="uncompressed", max_message_bytes=500)


def test_a_topics_level_is_the_codecs() -> None:
    data = b"".join(b"some words and %d, " % (number % 97) for number in range(3000))
    sizes = {
        level: len(validate(batch_of(data), compression_type="gzip", compression_gzip_level=level))
        for level in (1, 9)
    }
    assert sizes[9] < sizes[1]
