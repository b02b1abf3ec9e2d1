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

The loops are written for the compiler: native integers, short varints read in place, no slice
before its bounds are known (compiled, a negative one is a SystemError), no sum that overflows.
Uncompiled, the same source does the same, slower.
Pure functions: usable from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from mypy_extensions import i64

Headers = list[tuple[str, bytes | None]]

TABLE_SIZE: Final = 8192  # the numbers from 0 whose varints have one or two bytes
MAX_TIMESTAMP: Final = (1 << 63) - 2  # no difference to -1 overflows
PLAIN_TIMESTAMP: Final = 1 << 62  # and no sum with a delta of 8 bytes


def varint(number: int) -> bytes:
    """The zigzag varint of a signed number of at most 64 bits."""
    raw = number << 1 if number >= 0 else (-number << 1) - 1
    packed = 0
    size = 1
    while raw > 127:
        packed |= (raw & 127 | 128) << 8 * (size - 1)
        raw >>= 7
        size += 1
    packed |= raw << 8 * (size - 1)
    return packed.to_bytes(size, "little")


VARINTS: Final = [varint(number) for number in range(TABLE_SIZE)]
NULL: Final = varint(-1)


def encode_records(
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[Any],
    headers: list[Headers] | None,
    parts: list[bytes],
) -> int:
    """Appends the bytes of all records to `parts` and returns the highest timestamp.

    Offset deltas are 0, 1, 2 and so on; the first timestamp is the base. The lists have equal
    length, at least 1. Raises `ValueError` for a timestamp below -1 ("none") or of 64 bits.
    """
    index: i64 = 0
    base_timestamp: i64 = timestamps[0]
    max_timestamp: i64 = -1
    timestamp: i64 = -1
    # Any: a column of one repeated object is not converted again and again. No time is this list.
    last_time: Any = parts
    last_key_size: i64 = -2
    last_value_size: i64 = -2
    key_size: i64 = 0
    value_size: i64 = 0
    size: i64 = 0
    time_part = key_length = value_length = NULL
    headers_part = b"\x00"
    # mypyc walks the lists natively only without strict= and enumerate.
    for key, value, time in zip(keys, values, timestamps):  # noqa: B905
        if time is not last_time:
            last_time = time
            timestamp = time
            if timestamp < -1 or timestamp > MAX_TIMESTAMP:
                raise ValueError(f"timestamp {timestamp}")
            if timestamp > max_timestamp:
                max_timestamp = timestamp
            timestamp -= base_timestamp
            time_part = VARINTS[timestamp] if 0 <= timestamp < TABLE_SIZE else varint(timestamp)
        offset_part = VARINTS[index] if index < TABLE_SIZE else varint(index)
        if headers is not None:
            headers_part = encode_headers(headers[index])

        key_size = -1 if key is None else len(key)
        if key_size != last_key_size:
            last_key_size = key_size
            key_length = VARINTS[key_size] if 0 <= key_size < TABLE_SIZE else varint(key_size)
        value_size = -1 if value is None else len(value)
        if value_size != last_value_size:
            last_value_size = value_size
            value_length = (
                VARINTS[value_size] if 0 <= value_size < TABLE_SIZE else varint(value_size)
            )
        if key is None:
            key, key_size = b"", 0
        if value is None:
            value, value_size = b"", 0

        size = 1 + key_size + value_size + len(time_part) + len(offset_part)
        size += len(key_length) + len(value_length) + len(headers_part)
        length = VARINTS[size] if size < TABLE_SIZE else varint(size)
        parts.append(
            b"%b\x00%b%b%b%b%b%b%b"
            % (
                length,
                time_part,
                offset_part,
                key_length,
                key,
                value_length,
                value,
                headers_part,
            )
        )
        index += 1  # noqa: SIM113
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


def packed_varint(buffer: bytes, position: i64, max_bytes: i64) -> i64:
    """The varint at `position` before its zigzag is undone, times 16, plus the number of its bytes.

    One number instead of two keeps the compiled loops free of tuples. `max_bytes` is 5, and more
    raise `CorruptRecordError`; or 8, and more give 0.
    """
    raw: i64 = 0
    size: i64 = 0
    byte: i64 = 128
    while byte > 127:
        if size == max_bytes:
            if max_bytes == 5:
                raise CorruptRecordError("a varint of more than 5 bytes", position=position)
            return 0
        byte = buffer[position + size]
        raw |= (byte & 127) << 7 * size
        size += 1
    return raw << 4 | size


def read_varint(buffer: bytes, position: i64) -> tuple[i64, i64]:
    """A zigzag varint of at most 5 bytes, and the position behind it."""
    packed = packed_varint(buffer, position, 5)
    raw = packed >> 4
    return raw >> 1 ^ -(raw & 1), position + (packed & 15)


def read_varlong(buffer: bytes, position: int) -> tuple[int, int]:
    """A zigzag varint of at most 10 bytes, of which 64 bits count, and the position behind it."""
    raw = 0
    for size in range(10):
        byte = buffer[position + size]
        raw |= (byte & 127) << 7 * size
        if byte < 128:
            raw &= (1 << 64) - 1
            return raw >> 1 ^ -(raw & 1), position + size + 1
    raise CorruptRecordError("a varint of more than 10 bytes", position=position)


def add_longs(one: int, other: int) -> int:
    """The sum as Java has it: modulo 2^64, in the range of a signed long."""
    return (one + other + (1 << 63)) % (1 << 64) - (1 << 63)


def decode_records(
    buffer: bytes,
    position: i64,
    end: i64,
    record_count: i64,
    last_offset_delta: i64,
    base_offset: i64,
    base_timestamp: i64,
    min_offset: i64,
    keys: list[bytes | None],
    values: list[bytes | None],
    timestamps: list[int],
    offsets: list[int],
    headers: list[Headers] | None,
) -> list[Headers] | None:
    """Appends the records in `buffer[position:end]` at or above `min_offset` to the columns.

    Returns the header column: the one given, or a new one as long as `keys` where this batch has
    the first record with headers. Raises `CorruptRecordError`, or `IndexError` where `end` is the
    buffer's end and the last record promises more; the columns may then hold some of the records.

    Varints of one and two bytes are read in place, again and again the same lines: a call each
    made the loop a sixth slower.
    """
    index: i64 = 0
    previous: i64 = -1
    size: i64 = 0
    packed: i64 = 0
    last_packed: i64 = 0
    start: i64 = 0
    stop: i64 = 0
    # Offset deltas ascend, so where the last one is the count's they can only be 0, 1, 2 and so on.
    consecutive = last_offset_delta == record_count - 1
    plain = -PLAIN_TIMESTAMP < base_timestamp < PLAIN_TIMESTAMP
    # Any: the compiled loop appends one int object again and again while the time stands still.
    timestamp: Any = base_timestamp
    while index < record_count:
        if position >= end:
            raise CorruptRecordError(f"{index} of {record_count} records", position=position)
        start = position
        packed = buffer[position]
        if packed < 128:
            position += 1
        elif buffer[position + 1] < 128:
            packed ^= buffer[position + 1] << 7 ^ 128
            position += 2
        else:
            packed = packed_varint(buffer, position, 5)
            position += packed & 15
            packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        stop = position + size
        if size < 0 or stop > end:
            raise CorruptRecordError(f"a record of {size} bytes", position=start)
        position += 1  # attributes

        packed = buffer[position]
        if packed < 128:
            position += 1
        elif buffer[position + 1] < 128:
            packed ^= buffer[position + 1] << 7 ^ 128
            position += 2
        else:
            packed = packed_varint(buffer, position, 8)
            position += packed & 15
            packed = packed >> 4 if packed else -1
            if packed < 0:
                delta, position = read_varlong(buffer, position)
                timestamp = add_longs(base_timestamp, delta)
                last_packed = -1
        if packed != last_packed:
            last_packed = packed
            packed = packed >> 1 ^ -(packed & 1)
            timestamp = base_timestamp + packed if plain else add_longs(base_timestamp, packed)

        packed = buffer[position]
        if packed < 128:
            position += 1
        elif buffer[position + 1] < 128:
            packed ^= buffer[position + 1] << 7 ^ 128
            position += 2
        else:
            packed = packed_varint(buffer, position, 5)
            position += packed & 15
            packed >>= 4
        packed = packed >> 1 ^ -(packed & 1)
        if packed <= previous or packed > last_offset_delta:
            raise CorruptRecordError(f"offset delta {packed} behind {previous}", position=start)
        previous = packed
        index += 1
        if base_offset + packed < min_offset:
            position = stop
            continue
        if not consecutive:
            offsets.append(base_offset + packed)

        packed = buffer[position]
        if packed < 128:
            position += 1
        elif buffer[position + 1] < 128:
            packed ^= buffer[position + 1] << 7 ^ 128
            position += 2
        else:
            packed = packed_varint(buffer, position, 5)
            position += packed & 15
            packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        if size < 0:
            keys.append(None)
        elif size > stop - position:
            raise CorruptRecordError(f"a key of {size} bytes", position=start)
        else:
            keys.append(buffer[position : position + size])
            position += size

        packed = buffer[position]
        if packed < 128:
            position += 1
        elif buffer[position + 1] < 128:
            packed ^= buffer[position + 1] << 7 ^ 128
            position += 2
        else:
            packed = packed_varint(buffer, position, 5)
            position += packed & 15
            packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        if size < 0:
            values.append(None)
        elif size > stop - position:
            raise CorruptRecordError(f"a value of {size} bytes", position=start)
        else:
            values.append(buffer[position : position + size])
            position += size

        if buffer[position] == 0:
            position += 1
            if headers is not None:
                headers.append([])
        else:
            if headers is None:
                headers = [[] for _ in timestamps]
            record_headers, position = decode_headers(buffer, position, stop)
            headers.append(record_headers)
        if position != stop:
            raise CorruptRecordError("a record is not as long as it says", position=start)
        timestamps.append(timestamp)
    if position != end:
        raise CorruptRecordError(f"bytes behind {record_count} records", position=position)
    if consecutive:
        offsets.extend(range(max(base_offset, min_offset), base_offset + record_count))
    return headers


def decode_headers(buffer: bytes, position: i64, stop: i64) -> tuple[Headers, i64]:
    """The headers of one record and the position behind them."""
    start = position
    count, position = read_varint(buffer, position)
    if count < 0 or count > stop - position:
        raise CorruptRecordError(f"{count} headers", position=start)
    headers: Headers = []
    for _ in range(count):
        size, position = read_varint(buffer, position)
        if size < 0 or size > stop - position:
            raise CorruptRecordError(f"a header key of {size} bytes", position=start)
        try:
            name = buffer[position : position + size].decode()
        except UnicodeDecodeError:
            raise CorruptRecordError("a header key is not UTF-8", position=start) from None
        position += size
        size, position = read_varint(buffer, position)
        if size < 0:
            headers.append((name, None))
            continue
        if size > stop - position:
            raise CorruptRecordError(f"a header value of {size} bytes", position=start)
        headers.append((name, buffer[position : position + size]))
        position += size
    return headers, position
