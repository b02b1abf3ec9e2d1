"""The 61 bytes before the records of a v2 batch, and the checks that need nothing else.

| at | field | type |
|---|---|---|
| 0 | base_offset | int64 |
| 8 | batch_length: bytes behind this field | int32 |
| 12 | partition_leader_epoch | int32 |
| 16 | magic: 2 | int8 |
| 17 | crc: CRC-32C of everything behind this field | uint32 |
| 21 | attributes | int16 |
| 23 | last_offset_delta | int32 |
| 27 | base_timestamp | int64 |
| 35 | max_timestamp | int64 |
| 43 | producer_id, -1 for none | int64 |
| 51 | producer_epoch | int16 |
| 53 | base_sequence | int32 |
| 57 | record_count | int32 |

Attributes: bits 0 to 2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon.
All numbers are big endian. The CRC leaves out the offset and the epoch, so a log can set both
without reading the records.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from streamlog.errors import CorruptRecordError, UnsupportedCompressionError
from streamlog.record.checksum import crc32c

HEADER: Final = Struct(">qiibIhiqqqhii")
HEADER_SIZE: Final = HEADER.size
LENGTH_OVERHEAD: Final = 12  # the two fields that batch_length does not count
MIN_BATCH_LENGTH: Final = HEADER_SIZE - LENGTH_OVERHEAD
CRC_START: Final = 21
MAGIC: Final = 2

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME_BIT: Final = 0x08
TRANSACTIONAL_BIT: Final = 0x10
CONTROL_BIT: Final = 0x20
DELETE_HORIZON_BIT: Final = 0x40

MAX_OFFSET: Final = (1 << 63) - 1  # exclusive: the offset behind the last record there can be

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1


class Codec(IntEnum):
    """How the records of a batch are compressed."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class TimestampType(IntEnum):
    """Who set the timestamps: the producer, or the log when it appended the batch."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class BatchHeader(NamedTuple):
    """The header's fields under Kafka's names. Immutable."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole batch, header included."""
        return self.batch_length + LENGTH_OVERHEAD

    @property
    def last_offset(self) -> int:
        """Offset of the last record that the batch was written with."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The offset behind the batch."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> Codec:
        """Raises `UnsupportedCompressionError` for 5 to 7, which v2 does not define."""
        number = self.attributes & CODEC_MASK
        if number > Codec.ZSTD:
            raise UnsupportedCompressionError(number)
        return Codec(number)

    @property
    def timestamp_type(self) -> TimestampType:
        return TimestampType(bool(self.attributes & LOG_APPEND_TIME_BIT))

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL_BIT)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL_BIT)

    @property
    def has_delete_horizon(self) -> bool:
        """Whether `base_timestamp` is the time from which compaction may drop tombstones."""
        return bool(self.attributes & DELETE_HORIZON_BIT)

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; -1 without one. Sequences wrap from 2^31-1 to 0."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF


def read_header(buffer: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    """The header at `position`. Neither the CRC nor whether the records are there is checked.

    Raises `CorruptRecordError` where there are no 61 bytes, or the magic is not 2, or a field has
    a value that no batch has.
    """
    if len(buffer) - position < HEADER_SIZE:
        raise CorruptRecordError("less than a batch header", position=position)
    header = BatchHeader._make(HEADER.unpack_from(buffer, position))
    if fault := find_fault(header):
        raise CorruptRecordError(fault, position=position)
    return header


def find_fault(header: BatchHeader) -> str | None:
    """What cannot be right about the header, CRC aside; None for nothing."""
    if (
        header.magic == MAGIC
        and header.batch_length >= MIN_BATCH_LENGTH
        and header.base_offset >= 0 <= header.last_offset_delta
        and header.base_offset + header.last_offset_delta < MAX_OFFSET
        and header.record_count >= 0
    ):
        return None  # the usual case first: every batch of a log comes by here
    if header.magic != MAGIC:
        return f"magic {header.magic} instead of {MAGIC}"
    if header.batch_length < MIN_BATCH_LENGTH:
        return f"batch length {header.batch_length}"
    if header.base_offset < 0 or header.next_offset > MAX_OFFSET:
        return f"base offset {header.base_offset}"
    if header.last_offset_delta < 0:
        return f"last offset delta {header.last_offset_delta}"
    return f"record count {header.record_count}"


def read_whole(buffer: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    """`read_header`, and raises `CorruptRecordError` as well where the batch is not all there."""
    header = read_header(buffer, position)
    if position + header.size_bytes > len(buffer):
        raise CorruptRecordError(
            f"{len(buffer) - position} of {header.size_bytes} bytes", position=position
        )
    return header


def check_batch(buffer: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    """`read_whole`, and raises `CorruptRecordError` as well where the CRC does not match.

    The records themselves are not looked at.
    """
    header = read_whole(buffer, position)
    crc = crc32c(buffer, position + CRC_START, position + header.size_bytes)
    if crc != header.crc:
        raise CorruptRecordError(
            f"CRC {crc:#010x}, the header says {header.crc:#010x}", position=position
        )
    return header
