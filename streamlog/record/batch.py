"""Whole batches: columns to bytes and back.

A column is a list with one entry a record: keys and values bytes or None, timestamps milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeVar

from streamlog.errors import CorruptRecordError
from streamlog.record.checksum import crc32c
from streamlog.record.compression import MAX_DECOMPRESSED_BYTES, compress, decompress
from streamlog.record.header import (
    CODEC_MASK,
    CRC_START,
    HEADER,
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    LOG_APPEND_TIME_BIT,
    MAGIC,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL_BIT,
    BatchHeader,
    Codec,
    TimestampType,
    check_batch,
    read_header,
    read_whole,
)
from streamlog.record.kernel import MAX_TIMESTAMP, Headers, decode_records, encode_records

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

MAX_BATCH_LENGTH: Final = (1 << 31) - 1

NO_HEADER: Final = bytes(HEADER_SIZE)  # keeps the place until the rest is known
BASE_OFFSET: Final = Struct(">q")
LEADER_EPOCH: Final = Struct(">i")
CRC: Final = Struct(">I")
CRC_AT: Final = 17
ATTRIBUTES: Final = Struct(">h")
ATTRIBUTES_AT: Final = 21
MAX_TIMESTAMP_FIELD: Final = Struct(">q")
MAX_TIMESTAMP_AT: Final = 35


@dataclass(slots=True, init=False)
class Columns:
    """Records as parallel lists of equal length.

    `headers` is None while no record has any. Not for two threads at a time.
    """

    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    offsets: list[int]
    headers: list[Headers] | None

    def __init__(
        self,
        keys: list[bytes | None] | None = None,
        values: list[bytes | None] | None = None,
        timestamps: list[int] | None = None,
        offsets: list[int] | None = None,
        headers: list[Headers] | None = None,
    ) -> None:
        # Written out because a default factory a list takes four times as long.
        self.keys = [] if keys is None else keys
        self.values = [] if values is None else values
        self.timestamps = [] if timestamps is None else timestamps
        self.offsets = [] if offsets is None else offsets
        self.headers = headers

    def __len__(self) -> int:
        return len(self.offsets)

    def truncate(self, length: int) -> None:
        """Drops everything behind the first `length` records."""
        for column in (self.keys, self.values, self.timestamps, self.offsets):
            del column[length:]
        if self.headers is not None:
            del self.headers[length:]


def encode_batch(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    timestamps: Sequence[int],
    headers: Sequence[Headers] | None = None,
    *,
    base_offset: int = 0,
    codec: Codec = Codec.NONE,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    timestamp_type: TimestampType = TimestampType.CREATE_TIME,
    partition_leader_epoch: int = 0,
    compression_level: int | None = None,
) -> bytearray:
    """One batch of all records, with consecutive offsets from `base_offset`.

    Uncompressed it is, byte for byte, what Kafka's Java client writes; so is what would decompress
    to more than `decode_batch` takes, whatever the codec. Raises `ValueError` for columns of
    unequal length, for no records, and for a timestamp below -1 or of 64 bits.
    """
    attributes = int(codec)
    if transactional:
        attributes |= TRANSACTIONAL_BIT
    if timestamp_type:
        attributes |= LOG_APPEND_TIME_BIT
    return assemble_batch(
        as_list(keys),
        as_list(values),
        as_list(timestamps),
        None if headers is None else as_list(headers),
        attributes=attributes,
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        partition_leader_epoch=partition_leader_epoch,
        compression_level=compression_level,
    )


def assemble_batch(
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[int],
    headers: list[Headers] | None,
    *,
    attributes: int,
    base_offset: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
    partition_leader_epoch: int,
    compression_level: int | None = None,
) -> bytearray:
    """`encode_batch` for attributes of any kind, those of control batches too."""
    count = len(keys)
    if not count == len(values) == len(timestamps) == (count if headers is None else len(headers)):
        raise ValueError("columns of unequal length")
    if not count:
        raise ValueError("a batch has at least one record")
    parts = [NO_HEADER]
    try:
        max_timestamp = encode_records(keys, values, timestamps, headers, parts)
    except (OverflowError, ValueError) as error:
        # Compiled or not, the kernel says it in other words.
        for timestamp in timestamps:
            if not NO_TIMESTAMP <= timestamp <= MAX_TIMESTAMP:
                raise ValueError(f"timestamp {timestamp} is not in [-1, 2^63 - 2]") from error
        raise
    codec = attributes & CODEC_MASK
    if codec:
        records = b"".join(parts[1:])
        if len(records) > MAX_DECOMPRESSED_BYTES:
            attributes ^= codec  # nobody could read it
        else:
            parts[1:] = [compress(Codec(codec), records, compression_level)]
    batch = bytearray().join(parts)
    length = len(batch) - LENGTH_OVERHEAD
    if length > MAX_BATCH_LENGTH:
        raise ValueError(f"a batch of {length} bytes; the format ends at {MAX_BATCH_LENGTH}")
    HEADER.pack_into(
        batch,
        0,
        base_offset,
        length,
        partition_leader_epoch,
        MAGIC,
        0,  # the CRC, which is set below
        attributes,
        count - 1,
        timestamps[0],
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    )
    CRC.pack_into(batch, CRC_AT, crc32c(batch, CRC_START))
    return batch


def patch_batch(
    batch: bytearray,
    base_offset: int,
    partition_leader_epoch: int,
    *,
    append_time: int | None = None,
) -> None:
    """Gives a batch its place in a log, in place.

    With `append_time` every record has that timestamp, whatever it was written with, and the CRC
    is computed again; offset and epoch lie outside the CRC.
    """
    BASE_OFFSET.pack_into(batch, 0, base_offset)
    LEADER_EPOCH.pack_into(batch, LENGTH_OVERHEAD, partition_leader_epoch)
    if append_time is not None:
        set_max_timestamp(batch, append_time, TimestampType.LOG_APPEND_TIME)


def set_max_timestamp(batch: bytearray, timestamp: int, timestamp_type: TimestampType) -> None:
    """Makes the header say of its records what they are, in place, with a new CRC if need be."""
    header = read_header(batch)
    if header.max_timestamp == timestamp and header.timestamp_type is timestamp_type:
        return
    attributes = header.attributes & ~LOG_APPEND_TIME_BIT
    if timestamp_type:
        attributes |= LOG_APPEND_TIME_BIT
    ATTRIBUTES.pack_into(batch, ATTRIBUTES_AT, attributes)
    MAX_TIMESTAMP_FIELD.pack_into(batch, MAX_TIMESTAMP_AT, timestamp)
    CRC.pack_into(batch, CRC_AT, crc32c(batch, CRC_START, header.size_bytes))


def decode_batch(
    buffer: bytes | bytearray | memoryview,
    position: int,
    columns: Columns,
    *,
    min_offset: int = 0,
    verify: bool = True,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> int:
    """Appends the records at or above `min_offset` of the batch at `position` to `columns`.

    Returns the position behind the batch. Control batches append nothing: they tell readers which
    transactions ended, see `read_control`. `verify` False leaves out the CRC, for bytes that were
    checked before. Fastest on `bytes`; anything else is copied, a batch at a time.

    Raises `CorruptRecordError`, or `UnsupportedCompressionError`; `columns` is then as before.
    """
    header = check_batch(buffer, position) if verify else read_whole(buffer, position)
    end = position + header.size_bytes
    if not header.is_control and header.next_offset > min_offset:
        append_records(header, buffer, position, columns, min_offset, max_decompressed_bytes)
    return end


def append_records(
    header: BatchHeader,
    buffer: bytes | bytearray | memoryview,
    position: int,
    columns: Columns,
    min_offset: int = 0,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> None:
    """Appends the records of a batch whose header is known and which is all there."""
    start, end = position + HEADER_SIZE, position + header.size_bytes
    if not isinstance(buffer, bytes) or header.attributes & CODEC_MASK:
        buffer = bytes(memoryview(buffer)[start:end])
        if header.attributes & CODEC_MASK:
            buffer = decompress(header.codec, buffer, max_decompressed_bytes)
        start, end = 0, len(buffer)
    length = len(columns)
    try:
        columns.headers = decode_records(
            buffer,
            start,
            end,
            header.record_count,
            header.last_offset_delta,
            header.base_offset,
            header.base_timestamp,
            min_offset,
            columns.keys,
            columns.values,
            columns.timestamps,
            columns.offsets,
            columns.headers,
        )
        if header.attributes & LOG_APPEND_TIME_BIT:
            times = columns.timestamps
            times[length:] = [header.max_timestamp] * (len(times) - length)
    except IndexError:
        fault = CorruptRecordError("a record goes beyond the batch", position=position)
        _give_back(columns, length, fault)
        raise fault from None
    except CorruptRecordError as fault:
        _give_back(columns, length, fault)
        raise


def _give_back(columns: Columns, length: int, fault: CorruptRecordError) -> None:
    """Drops the records of a damaged batch, whose whole ones say which is the first at fault."""
    fault.index = len(columns.timestamps) - length
    columns.truncate(length)


def as_list(column: Sequence[T]) -> list[T]:
    """The column as the list that the kernel wants; a list as it is."""
    return column if isinstance(column, list) else list(column)
