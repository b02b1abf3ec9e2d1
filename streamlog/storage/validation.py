"""What may be appended: the checks of Kafka's broker on a produce request, in its order. Pure.

The faults of bytes from a wire, first come, first told; a wire server answers with `kafka_error`
of what is raised:

| fault | error |
|---|---|
| no whole batch, more than one, magic 0 or 1, a base offset other than 0 | INVALID_RECORD |
| a length below the least, a magic that nobody knows, a wrong CRC | CORRUPT_MESSAGE |
| over max.message.bytes, as sent or as compressed again | MESSAGE_TOO_LARGE |
| over segment.bytes | RECORD_LIST_TOO_LARGE |
| a count that is none or not that of the offsets, a control batch, a producer without sequence | INVALID_RECORD |
| a codec from 5 to 7 | UNSUPPORTED_COMPRESSION_TYPE |
| records that are not as the header says | INVALID_RECORD, with the record's index where it is known |
| no key in a compacted topic | INVALID_RECORD, with the records' indexes |
| a timestamp out of the topic's bounds, or said to be the log's | INVALID_TIMESTAMP, likewise |

Sequences and epochs are the partition's to judge, see `producer_state`.
"""  # noqa: E501 - a table row does not wrap

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from streamlog.errors import (
    BatchTooLargeError,
    CorruptRecordError,
    InvalidRecordError,
    InvalidTimestampError,
    RecordFault,
    RecordTooLargeError,
)
from streamlog.record import (
    HEADER_SIZE,
    BatchHeader,
    Codec,
    Columns,
    TimestampType,
    crc32c,
    decode_batch,
    encode_batch,
    set_max_timestamp,
)
from streamlog.record.header import CRC_START, HEADER, LENGTH_OVERHEAD, MAGIC, NO_TIMESTAMP
from streamlog.storage.config_keys import MAX_LONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.storage.topic_config import TopicConfig
    from streamlog.topic import TopicPartition

PREFIX: Final = Struct(">qiib")  # up to the magic
MIN_LENGTH: Final = 14
"""Of the smallest message of magic 0, which is what Kafka compares a length with first."""
MAX_TIMESTAMP_FIELD: Final = Struct(">q")
MAX_TIMESTAMP_AT: Final = 35


def validate_produce(
    batch: bytes | bytearray | memoryview,
    config: TopicConfig,
    now_ms: int,
    topic_partition: TopicPartition,
    *,
    every_record: bool = True,
) -> bytearray:
    """The batch to append for bytes that a client sent: a copy, compressed as the topic asks.

    `every_record` False leaves records alone that neither the topic's configuration nor another
    codec asks to look at; damage in them then shows when they are read.

    Raises `InvalidRecordError`, `CorruptRecordError`, `RecordTooLargeError`, `BatchTooLargeError`,
    `UnsupportedCompressionError`, `InvalidTimestampError`; see the table above.
    """
    size = _size_of_single_batch(batch, topic_partition)
    kept = bytearray(batch[:size])
    if int.from_bytes(kept[:8], "big"):
        offset = int.from_bytes(kept[:8], "big", signed=True)
        raise InvalidRecordError(topic_partition, f"base offset {offset} instead of 0")
    _check_size(kept, config, topic_partition)
    header = _check_header(kept, topic_partition)
    codec = choose_codec(config, header.codec)
    if every_record or codec is not header.codec or _asks_for_records(header, config, now_ms):
        columns = _decode(kept, topic_partition)
        check_records(
            columns.keys,
            columns.timestamps,
            config,
            now_ms,
            topic_partition,
            timestamp_type=header.timestamp_type,
        )
        if codec is not header.codec:
            kept = _compress_again(columns, header, codec, config)
            _check_size(kept, config, topic_partition)
        elif not config.log_append_time:
            set_max_timestamp(kept, max(columns.timestamps), TimestampType.CREATE_TIME)
    if len(kept) > config.segment_bytes:
        raise BatchTooLargeError(
            topic_partition, size_bytes=len(kept), limit_bytes=config.segment_bytes
        )
    return kept


def check_records(
    keys: Sequence[bytes | None],
    timestamps: Sequence[int],
    config: TopicConfig,
    now_ms: int,
    place: TopicPartition | str,
    *,
    timestamp_type: TimestampType = TimestampType.CREATE_TIME,
) -> None:
    """Raises `InvalidRecordError` or `InvalidTimestampError` that names all records at fault.

    A record has one fault, the missing key first; the second error where one has the other.
    """
    keyless = _keyless(keys) if config.compact and None in keys else {}
    untimely = _out_of_bounds(timestamps, config, now_ms, timestamp_type)
    if not keyless and not untimely:
        return
    faults = tuple(RecordFault(*fault) for fault in sorted({**untimely, **keyless}.items()))
    reason = f"{len(faults)} of {len(keys)} records are refused"
    if untimely.keys() - keyless.keys():
        raise InvalidTimestampError(place, reason, faults)
    raise InvalidRecordError(place, reason, faults)


def check_columns(
    keys: Sequence[bytes | None],
    timestamps: Sequence[int],
    batch: bytearray,
    config: TopicConfig,
    now_ms: int,
    topic_partition: TopicPartition,
) -> None:
    """`check_records` for a batch of our own making; looks at records only where it must."""
    after_ms = config.message_timestamp_after_max_ms
    if (
        config.compact
        or config.message_timestamp_before_max_ms < MAX_LONG
        or MAX_TIMESTAMP_FIELD.unpack_from(batch, MAX_TIMESTAMP_AT)[0] - now_ms > after_ms
    ):
        check_records(keys, timestamps, config, now_ms, topic_partition)


def choose_codec(config: TopicConfig, sent: Codec) -> Codec:
    """How a batch is stored that a producer compressed by `sent`: compression.type."""
    return _CODECS.get(config.compression_type, sent)


def level_of(config: TopicConfig, codec: Codec) -> int | None:
    """The topic's level for what the log compresses itself; None is the codec's own."""
    match codec:
        case Codec.GZIP:
            return config.compression_gzip_level
        case Codec.ZSTD:
            return config.compression_zstd_level
        case _:
            return None


def _size_of_single_batch(
    batch: bytes | bytearray | memoryview, topic_partition: TopicPartition
) -> int:
    """Where the first batch ends. A batch behind it that is not whole is left out, as by Kafka."""
    size = _next_batch(batch, 0)
    if size is None:
        raise InvalidRecordError(topic_partition, "there is no whole batch")
    magic = batch[PREFIX.size - 1]
    if magic != MAGIC:
        raise InvalidRecordError(topic_partition, f"magic {magic} instead of {MAGIC}")
    if _next_batch(batch, size) is not None:
        raise InvalidRecordError(topic_partition, "there is more than one batch")
    return size


def _next_batch(buffer: bytes | bytearray | memoryview, position: int) -> int | None:
    """The size of the batch at `position`; None where it is not all there."""
    remaining = len(buffer) - position
    if remaining < LENGTH_OVERHEAD:
        return None
    length = int.from_bytes(buffer[position + 8 : position + LENGTH_OVERHEAD], "big", signed=True)
    if length < MIN_LENGTH:
        raise CorruptRecordError(f"batch length {length}", position=position)
    if remaining < PREFIX.size:
        return None
    *_, magic = PREFIX.unpack_from(buffer, position)
    if not 0 <= magic <= MAGIC:
        raise CorruptRecordError(f"magic {magic}", position=position)
    size = length + LENGTH_OVERHEAD
    return size if size <= remaining else None


def _check_size(batch: bytearray, config: TopicConfig, topic_partition: TopicPartition) -> None:
    if len(batch) > config.max_message_bytes:
        raise RecordTooLargeError(
            *topic_partition, size_bytes=len(batch), limit_bytes=config.max_message_bytes
        )


def _check_header(batch: bytearray, topic_partition: TopicPartition) -> BatchHeader:
    """The header of a batch that a client may send; its own CRC and the numbers in it are right."""
    if len(batch) < HEADER_SIZE:
        raise CorruptRecordError(f"a batch of {len(batch)} bytes")
    header = BatchHeader._make(HEADER.unpack_from(batch))
    crc = crc32c(batch, CRC_START)
    if crc != header.crc:
        raise CorruptRecordError(f"CRC {crc:#010x}, the header says {header.crc:#010x}")
    if fault := _find_fault(header):
        raise InvalidRecordError(topic_partition, fault)
    return header


def _find_fault(header: BatchHeader) -> str | None:
    offsets, count = header.last_offset_delta + 1, header.record_count
    if offsets <= 0 or count <= 0:
        return f"{count} records in {offsets} offsets"
    if offsets != count:
        return f"{count} records, but {offsets} offsets"
    if header.is_control:
        return "only the log itself writes control records"
    if header.producer_id >= 0 > header.base_sequence:
        return f"sequence {header.base_sequence} of producer {header.producer_id}"
    return None


def _asks_for_records(header: BatchHeader, config: TopicConfig, now_ms: int) -> bool:
    """Whether the topic's rules cannot be judged by the header."""
    return (
        config.compact
        or header.timestamp_type is TimestampType.LOG_APPEND_TIME
        or config.message_timestamp_before_max_ms < MAX_LONG
        or header.max_timestamp - now_ms > config.message_timestamp_after_max_ms
    )


def _decode(batch: bytearray, topic_partition: TopicPartition) -> Columns:
    columns = Columns()
    try:
        decode_batch(batch, 0, columns, verify=False)
    except CorruptRecordError as error:
        if error.index is None:
            raise  # what the codec cannot read
        faults = (RecordFault(error.index, error.reason),)
        raise InvalidRecordError(topic_partition, "malformed", faults) from error
    return columns


def _compress_again(
    columns: Columns, header: BatchHeader, codec: Codec, config: TopicConfig
) -> bytearray:
    return encode_batch(
        columns.keys,
        columns.values,
        columns.timestamps,
        columns.headers,
        codec=codec,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        transactional=header.is_transactional,
        compression_level=level_of(config, codec),
    )


def _keyless(keys: Sequence[bytes | None]) -> dict[int, str]:
    reason = "no key, and the topic is compacted"
    return {index: reason for index, key in enumerate(keys) if key is None}


def _out_of_bounds(
    timestamps: Sequence[int], config: TopicConfig, now_ms: int, timestamp_type: TimestampType
) -> dict[int, str]:
    """Indexes of the timestamps that the topic does not take, with the reason."""
    claims_append_time = timestamp_type is TimestampType.LOG_APPEND_TIME
    if config.log_append_time and not claims_append_time:
        return {}
    lowest = now_ms - config.message_timestamp_before_max_ms
    highest = now_ms + config.message_timestamp_after_max_ms
    unbounded = config.message_timestamp_before_max_ms == MAX_LONG
    if (
        not claims_append_time
        and max(timestamps) <= highest
        and (unbounded or lowest <= min(timestamps))
    ):
        return {}
    faults: dict[int, str] = {}
    for index, timestamp in enumerate(timestamps):
        if config.log_append_time or timestamp == NO_TIMESTAMP:
            if claims_append_time:
                faults[index] = "only the log itself sets its append time"
        elif not lowest <= timestamp <= highest:
            faults[index] = (
                f"timestamp {timestamp} is outside [{lowest}, {highest}] "
                "(message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
            )
    return faults


_CODECS: Final = {"uncompressed": Codec.NONE} | {
    codec.name.lower(): codec for codec in Codec if codec is not Codec.NONE
}
