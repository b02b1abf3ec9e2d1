"""Kafka's record batch, format v2: bytes to columns and back. Pure; usable from any thread."""

from streamlog.record.batch import (
    Columns,
    decode_batch,
    encode_batch,
    patch_batch,
    set_max_timestamp,
)
from streamlog.record.checksum import crc32c
from streamlog.record.compression import MAX_DECOMPRESSED_BYTES
from streamlog.record.control import (
    ControlRecord,
    ControlType,
    encode_control_batch,
    read_control,
)
from streamlog.record.header import (
    HEADER_SIZE,
    BatchHeader,
    Codec,
    TimestampType,
    check_batch,
    read_header,
)
from streamlog.record.kernel import Headers
from streamlog.record.scanner import (
    Batch,
    BatchScanner,
    Corrupt,
    End,
    NeedData,
    Torn,
    scan,
)
from streamlog.record.single import BatchBuilder, SingleRecord, read_records

__all__ = [
    "HEADER_SIZE",
    "MAX_DECOMPRESSED_BYTES",
    "Batch",
    "BatchBuilder",
    "BatchHeader",
    "BatchScanner",
    "Codec",
    "Columns",
    "ControlRecord",
    "ControlType",
    "Corrupt",
    "End",
    "Headers",
    "NeedData",
    "SingleRecord",
    "TimestampType",
    "Torn",
    "check_batch",
    "crc32c",
    "decode_batch",
    "encode_batch",
    "encode_control_batch",
    "patch_batch",
    "read_control",
    "read_header",
    "read_records",
    "scan",
    "set_max_timestamp",
]
