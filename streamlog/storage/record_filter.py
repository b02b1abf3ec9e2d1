"""The records of one batch that compaction keeps, as bytes (compiled, see compiled.py).

Records are copied as they stand, a run at a time: their deltas belong to the batch's base offset
and base timestamp, which stay. Only a batch that gets a delete horizon has its timestamps written
anew, as the horizon takes the place of its base timestamp (KIP-534).

Uncompiled, the same source does the same, slower. Pure functions: usable from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import CorruptRecordError
from streamlog.record.kernel import add_longs, packed_varint, read_varlong, varint

if TYPE_CHECKING:
    from mypy_extensions import i64


class KeptRecords:
    """What was kept of a batch: the bytes in `parts`, how many records, and what is among them.

    `max_timestamp_delta` is the highest, from the batch's base timestamp.
    """

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.count: i64 = 0
        self.has_tombstones: bool = False
        self.max_timestamp_delta: int = 0


def keep_records(
    buffer: bytes,
    position: i64,
    end: i64,
    record_count: i64,
    base_offset: i64,
    offsets: dict[bytes, int],
    end_offset: i64,
    drop_tombstones: bool,
) -> KeptRecords:
    """The records in `buffer[position:end]` that have the last offset of their key.

    `offsets` has that of every key below `end_offset`; records from there on are kept. A record
    without a key is dropped, and with `drop_tombstones` one without a value. Raises
    `CorruptRecordError`, or `IndexError` where the last record promises more than the buffer has.
    """
    kept = KeptRecords()
    parts = kept.parts
    index: i64 = 0
    packed: i64 = 0
    size: i64 = 0
    start: i64 = 0
    stop: i64 = 0
    offset: i64 = 0
    delta: i64 = 0
    max_delta: i64 = 0
    count: i64 = 0
    last: i64 = 0
    run: i64 = -1  # where the records being kept begin; -1 while they are dropped
    keep = False
    wide_delta = False
    while index < record_count:
        start = position
        packed = packed_varint(buffer, position, 5)
        position += packed & 15
        packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        stop = position + size
        if size < 0 or stop > end:
            raise CorruptRecordError(f"a record of {size} bytes", position=start)
        position += 1  # attributes

        packed = packed_varint(buffer, position, 8)
        if packed:
            position += packed & 15
            packed >>= 4
            delta = packed >> 1 ^ -(packed & 1)
        else:
            wide_delta = True
            while buffer[position] > 127:
                position += 1
            position += 1
            delta = 0

        packed = packed_varint(buffer, position, 5)
        position += packed & 15
        packed >>= 4
        offset = base_offset + (packed >> 1 ^ -(packed & 1))

        packed = packed_varint(buffer, position, 5)
        position += packed & 15
        packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        if size > stop - position:
            raise CorruptRecordError(f"a key of {size} bytes", position=start)
        keep = offset >= end_offset
        if size >= 0:
            if not keep:
                found = offsets.get(buffer[position : position + size])
                if found is None:
                    keep = True
                else:
                    last = found
                    keep = offset >= last
            position += size
        if keep:
            packed = packed_varint(buffer, position, 5)
            if packed & 16:  # a negative length: no value
                if drop_tombstones and offset < end_offset:
                    keep = False
                else:
                    kept.has_tombstones = True
        if keep:
            if run < 0:
                run = start
            if not count or delta > max_delta:
                max_delta = delta
            count += 1
        elif run >= 0:
            parts.append(buffer[run:start])
            run = -1
        index += 1
        position = stop
    if position != end:
        raise CorruptRecordError(f"bytes behind {record_count} records", position=position)
    if run >= 0:
        parts.append(buffer[run:end])
    kept.count = count
    kept.max_timestamp_delta = max_delta
    if wide_delta:
        kept.max_timestamp_delta = _max_timestamp_delta(b"".join(parts))
    return kept


def _max_timestamp_delta(records: bytes) -> int:
    """For deltas of more than 8 bytes, which hardly any batch has."""
    deltas: list[int] = []
    position: i64 = 0
    size: i64 = 0
    packed: i64 = 0
    while position < len(records):
        packed = packed_varint(records, position, 5)
        position += packed & 15
        packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        deltas.append(read_varlong(records, position + 1)[0])
        position += size
    return max(deltas, default=0)


def shift_timestamps(records: bytes, shift: int) -> bytes:
    """The records with `shift` added to every timestamp delta, and all else as it was."""
    parts: list[bytes] = []
    position: i64 = 0
    size: i64 = 0
    stop: i64 = 0
    behind: i64 = 0
    packed: i64 = 0
    last_delta = 0
    shifted = varint(shift)
    while position < len(records):
        packed = packed_varint(records, position, 5)
        position += packed & 15
        packed >>= 4
        size = packed >> 1 ^ -(packed & 1)
        stop = position + size
        delta, following = read_varlong(records, position + 1)
        behind = following
        if delta != last_delta:
            last_delta = delta
            shifted = varint(add_longs(delta, shift))
        parts.append(varint(1 + len(shifted) + stop - behind))
        parts.append(records[position : position + 1])
        parts.append(shifted)
        parts.append(records[behind:stop])
        position = stop
    return b"".join(parts)
