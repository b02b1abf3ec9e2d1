"""Records as columns, to and from the bytes behind a batch's header (compiled, see compiled.py).

A record, all lengths and deltas being zigzag varints of at most five bytes (the timestamp's: ten):

    length              bytes of the record behind this field
    attributes          int8, unused: 0
    timestampDelta      from the batch's base timestamp
    offsetDelta         from the batch's base offset
    keyLength           -1 for null
    key
    valueLength         -1 for null
    value
    headersCount
    (headerKeyLength, headerKey as UTF-8, headerValueLength or -1, headerValue)*

The loops are written for the compiler: native integers, one-byte varints read in place, and no
slice before its bounds are known. Uncompiled, the same source does the same, slower.
Pure functions: usable from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from mypy_extensions import i64

Headers = list[tuple[str, bytes | None]]

VARINT_TABLE_SIZE: Final = 2048
MIN_LONG: Final = -(1 << 63)
MAX_TIMESTAMP: Final = (1 << 63) - 2  # no difference to -1 overflows


def varint(number: int) -> bytes:
    """The zigzag varint of a signed number of at most 64 bits."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    encoded: list[int] = []
    while rest > 127:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


VARINTS: Final = [varint(number) for number in range(VARINT_TABLE_SIZE)]
NULL: Final = varint(-1)


def encode_records(
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[int],
    headers: list[Headers] | None,
    parts: list[bytes],
) -> int:
    """Appends the bytes of all records to `parts` and returns the highest timestamp.

    Offset deltas are 0, 1, 2 and so on; the first timestamp is the base. The lists have equal
    length, at least 1. Raises `ValueError` for a timestamp below -1 ("none") or of 64 bits.
    """
    count: i64 = len(keys)
    index: i64 = 0
    base_timestamp: i64 = timestamps[0]
    max_timestamp: i64 = -1
    timestamp: i64 = -1
    last_timestamp: i64 = -2
    prefix = b"\x00\x00"  # attributes and timestamp delta
    key_part = NULL
    value_part = NULL
    no_headers = b"\x00"
    while index < count:
        timestamp = timestamps[index]
        if timestamp != last_timestamp:
            if timestamp < -1 or timestamp > MAX_TIMESTAMP:
                raise ValueError(f"timestamp {timestamp}")
            if timestamp > max_timestamp:
                max_timestamp = timestamp
            prefix = b"\x00" + varint(timestamp - base_timestamp)
            last_timestamp = timestamp
        offset = VARINTS[index] if index < VARINT_TABLE_SIZE else varint(index)
        key = keys[index]
        value = values[index]
        headers_part = no_headers if headers is None else encode_headers(headers[index])
        if key is None:
            key_size, key_length, key_part = 0, NULL, b""
        else:
            key_part = key
            key_size = len(key)
            key_length = VARINTS[key_size] if key_size < VARINT_TABLE_SIZE else varint(key_size)
        if value is None:
            value_size, value_length, value_part = 0, NULL, b""
        else:
            value_part = value
            value_size = len(value)
            value_length = (
                VARINTS[value_size] if value_size < VARINT_TABLE_SIZE else varint(value_size)
            )
        size = (
            len(prefix)
            + len(offset)
            + len(key_length)
            + key_size
            + len(value_length)
            + value_size
            + len(headers_part)
        )
        length = VARINTS[size] if size < VARINT_TABLE_SIZE else varint(size)
        parts.append(
            b"%b%b%b%b%b%b%b%b"
            % (
                length,
                prefix,
                offset,
                key_length,
                key_part,
                value_length,
                value_part,
                headers_part,
            )
        )
        index += 1
    return max_timestamp


def encode_headers(headers: Headers) -> bytes:
    """The headers of one record, their count first."""
    parts = [varint(len(headers))]
    for name, value in headers:
        encoded = name.encode()
        parts.append(varint(len(encoded)))
        parts.append(encoded)
        if value is None:
            parts.append(NULL)
        else:
            parts.append(varint(len(value)))
            parts.append(value)
    return b"".join(parts)


def read_varint(buffer: bytes, position: i64, max_bytes: i64) -> tuple[int, i64]:
    """A zigzag varint of at most `max_bytes` (5 or 10) and the position behind it."""
    result = 0
    shift = 0
    start = position
    while True:
        byte = buffer[position]
        position += 1
        result |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if position - start == max_bytes:
            raise CorruptRecordError("a varint is too long", position=start)
    if result >> (32 if max_bytes == 5 else 64):
        raise CorruptRecordError("a varint has too many bits", position=start)
    return result >> 1 ^ -(result & 1), position


def wrap_long(number: int) -> int:
    """The number modulo 2^64 in the range of a signed long: Java's addition."""
    return ((number - MIN_LONG) & ((1 << 64) - 1)) + MIN_LONG


def decode_records(
    buffer: bytes,
    position: i64,
    end: i64,
    record_count: i64,
    last_offset_delta: i64,
    base_offset: i64,
    base_timestamp: int,
    append_time: int | None,
    min_offset: i64,
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[int],
    offsets: list[int],
    headers: list[Headers] | None,
) -> list[Headers] | None:
    """Appends the records in `buffer[position:end]` at or above `min_offset` to the columns.

    Returns the header column: the one given, or a new one as long as `keys` where this is the
    first record with headers. `append_time` replaces every timestamp where it is not None.
    Raises `CorruptRecordError`, or `IndexError` where `end` is the buffer's end and the last
    record promises more; the columns may then hold some records of the batch.
    """
    index: i64 = 0
    previous: i64 = -1
    last_delta: i64 = 0
    delta: i64 = 0
    length: i64 = 0
    timestamp: int = base_timestamp if append_time is None else append_time
    while index < record_count:
        if position >= end:
            raise CorruptRecordError(
                f"{index} records instead of {record_count}", position=position
            )
        start = position
        length = buffer[position]
        if length > 127:
            number, position = read_varint(buffer, position, 5)
            length = number
        else:
            position += 1
            length = length >> 1 ^ -(length & 1)
        stop = position + length
        if length < 0 or stop > end:
            raise CorruptRecordError(f"a record of {length} bytes", position=start)
        position += 1  # attributes
        delta = buffer[position]
        if delta > 127:
            wide_delta, position = read_varint(buffer, position, 10)
            delta = wide_delta
        else:
            position += 1
            delta = delta >> 1 ^ -(delta & 1)
        if delta != last_delta:
            last_delta = delta
            if append_time is None:
                timestamp = wrap_long(base_timestamp + delta)
        delta = buffer[position]
        if delta > 127:
            number, position = read_varint(buffer, position, 5)
            delta = number
        else:
            position += 1
            delta = delta >> 1 ^ -(delta & 1)
        if delta <= previous or delta > last_offset_delta:
            raise CorruptRecordError(f"offset delta {delta} behind {previous}", position=start)
        previous = delta
        index += 1
        if base_offset + delta < min_offset:
            position = stop
            continue
        length = buffer[position]
        if length > 127:
            number, position = read_varint(buffer, position, 5)
            length = number
        else:
            position += 1
            length = length >> 1 ^ -(length & 1)
        key: bytes | None = None
        if length >= 0:
            if position + length > stop:
                raise CorruptRecordError(f"a key of {length} bytes", position=start)
            key = buffer[position : position + length]
            position += length
        length = buffer[position]
        if length > 127:
            number, position = read_varint(buffer, position, 5)
            length = number
        else:
            position += 1
            length = length >> 1 ^ -(length & 1)
        value: bytes | None = None
        if length >= 0:
            if position + length > stop:
                raise CorruptRecordError(f"a value of {length} bytes", position=start)
            value = buffer[position : position + length]
            position += length
        if buffer[position] == 0:
            position += 1
            if headers is not None:
                headers.append([])
        else:
            record_headers, position = decode_headers(buffer, position, stop)
            if headers is None:
                headers = [[] for _ in keys]
            headers.append(record_headers)
        if position != stop:
            raise CorruptRecordError("a record is not as long as it says", position=start)
        keys.append(key)
        values.append(value)
        timestamps.append(timestamp)
        offsets.append(base_offset + delta)
    if position != end:
        raise CorruptRecordError(f"bytes behind {record_count} records", position=position)
    return headers


def decode_headers(buffer: bytes, position: i64, stop: i64) -> tuple[Headers, i64]:
    """The headers of one record and the position behind them."""
    start = position
    count, position = read_varint(buffer, position, 5)
    if count < 0 or count > stop - position:
        raise CorruptRecordError(f"{count} headers", position=start)
    headers: Headers = []
    for _ in range(count):
        length, position = read_varint(buffer, position, 5)
        if length < 0 or length > stop - position:
            raise CorruptRecordError(f"a header key of {length} bytes", position=start)
        try:
            name = buffer[position : position + length].decode()
        except UnicodeDecodeError:
            raise CorruptRecordError("a header key is not UTF-8", position=start) from None
        position += length
        length, position = read_varint(buffer, position, 5)
        if length < 0:
            headers.append((name, None))
            continue
        if length > stop - position:
            raise CorruptRecordError(f"a header value of {length} bytes", position=start)
        headers.append((name, buffer[position : position + length]))
        position += length
    return headers, position
