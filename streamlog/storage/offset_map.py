"""The last offset of every key in a part of a log, in bounded memory (compiled, see compiled.py).

Keys are kept as they are, not as digests: Kafka's MD5 takes 24 bytes a key and a digest for every
record twice, a dict about 110 and the key, but no two keys are ever taken for one, nothing is
allocated before it is needed, and a key is found in a third of the time. Where the room ends the
map is full, and the log is cleaned as far as the map reaches; the next round goes on from there.

Uncompiled, the same source does the same, slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError
from streamlog.record.kernel import packed_varint

if TYPE_CHECKING:
    from mypy_extensions import i64

KEY_OVERHEAD_BYTES: Final = 120
"""Of a key: two objects, and its share of a table that grows by doubling. Measured: 107 to 125."""


class OffsetMap:
    """Keys to offsets. `end_offset` is how far it reaches: the offset behind the last one seen.

    Not for two threads at a time.
    """

    def __init__(self, room_bytes: i64) -> None:
        self.offsets: dict[bytes, int] = {}
        self.end_offset: i64 = 0
        self.used_bytes: i64 = 0
        self.room_bytes: i64 = room_bytes

    @property
    def is_full(self) -> bool:
        """Whether no key can be added. An empty map always takes one, however long."""
        return self.used_bytes >= self.room_bytes

    def add_records(
        self,
        buffer: bytes,
        position: i64,
        end: i64,
        record_count: i64,
        base_offset: i64,
        min_offset: i64,
    ) -> bool:
        """Takes in a batch's records, `buffer[position:end]`, from `min_offset` on.

        Whether there was room for all; else `end_offset` is that of the first one left out.
        Raises `CorruptRecordError`, or `IndexError` where the last record promises more than the
        buffer has; some of the records may then be in the map.
        """
        offsets = self.offsets
        index: i64 = 0
        packed: i64 = 0
        size: i64 = 0
        start: i64 = 0
        stop: i64 = 0
        offset: i64 = 0
        known: i64 = len(offsets)
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
            while buffer[position] > 127:  # the timestamp's delta
                position += 1
            position += 1
            packed = packed_varint(buffer, position, 5)
            position += packed & 15
            packed >>= 4
            offset = base_offset + (packed >> 1 ^ -(packed & 1))
            index += 1
            if offset >= min_offset:
                packed = packed_varint(buffer, position, 5)
                position += packed & 15
                packed >>= 4
                size = packed >> 1 ^ -(packed & 1)
                if size > stop - position:
                    raise CorruptRecordError(f"a key of {size} bytes", position=start)
                if size >= 0:
                    key = buffer[position : position + size]
                    if self.used_bytes >= self.room_bytes and key not in offsets:
                        self.end_offset = offset
                        return False
                    offsets[key] = offset
                    if len(offsets) != known:
                        known += 1
                        self.used_bytes += size + KEY_OVERHEAD_BYTES
            position = stop
        if position != end:
            raise CorruptRecordError(f"bytes behind {record_count} records", position=position)
        return True
