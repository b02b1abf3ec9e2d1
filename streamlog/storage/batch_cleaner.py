"""What compaction leaves of one batch (KIP-98, KIP-534). Pure.

| the batch | what is left |
|---|---|
| of an aborted transaction | nothing |
| data | the records that have the last offset of their key, at their offsets |
| with tombstones, for the first time | the same, and the time from which they may go |
| with tombstones, behind that time | the same without them |
| a marker whose transaction has no batch any more | the same twice: first the time, then nothing |
| without records, but the last one of a producer, or of the cleaned segment | its header |

A batch that loses records keeps base offset, last offset and sequences, so a producer's duplicate
is known and a reader never misses an offset. The header of a batch without records is all that
says so much: a segment's last batch stays, so that each segment ends where the next one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.errors import CorruptRecordError
from streamlog.record import (
    HEADER_SIZE,
    BatchHeader,
    Codec,
    TimestampType,
    check_batch,
    read_control,
)
from streamlog.record.batch import CRC, CRC_AT
from streamlog.record.checksum import crc32c
from streamlog.record.compression import compress, decompress
from streamlog.record.header import (
    CODEC_MASK,
    CRC_START,
    DELETE_HORIZON_BIT,
    HEADER,
    LENGTH_OVERHEAD,
    MAGIC,
    NO_TIMESTAMP,
)
from streamlog.record.kernel import add_longs
from streamlog.storage.record_filter import keep_records, shift_timestamps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.record import ControlRecord
    from streamlog.storage.cleaned_transactions import CleanedTransactions
    from streamlog.storage.offset_map import OffsetMap


class LastRecord(NamedTuple):
    """Of a producer that is still known: its last data, or -1 where only its epoch is known."""

    last_offset: int
    epoch: int


def map_batch(
    offset_map: OffsetMap,
    transactions: CleanedTransactions,
    buffer: bytes,
    position: int,
    min_offset: int,
) -> tuple[int, bool]:
    """Takes the last offset of each key in a batch into the map.

    Returns the position behind it, and whether the map had room for all of it. Raises
    `CorruptRecordError`.
    """
    header = check_batch(buffer, position)
    end = position + header.size_bytes
    if header.is_control:
        transactions.is_removable(header, _control(header, buffer, position))
    elif not transactions.is_aborted(header):
        records, start, stop = _records(header, buffer, position)
        try:
            whole = offset_map.add_records(
                records, start, stop, header.record_count, header.base_offset, min_offset
            )
        except IndexError:
            raise _beyond(position) from None
        if not whole:
            return end, False
    offset_map.end_offset = max(offset_map.end_offset, header.next_offset)
    return end, True


class BatchCleaner:
    """Cleans the batches of one round, which come in order. Not for two threads at a time."""

    def __init__(
        self,
        offset_map: OffsetMap,
        transactions: CleanedTransactions,
        last_records: Mapping[int, LastRecord],
        *,
        now_ms: int,
        delete_retention_ms: int,
    ) -> None:
        self._offsets = offset_map.offsets
        self._end_offset = offset_map.end_offset
        self._transactions = transactions
        self._last_records = last_records
        self._now_ms = now_ms
        self._horizon_ms = now_ms + delete_retention_ms

    def clean(self, buffer: bytes, position: int, segment_end: int) -> tuple[int, bytes]:
        """The size of the batch at `position`, and what is left of it.

        `segment_end` is the offset behind the segment that is written: the batch that ends there
        stays, be it empty. Raises `CorruptRecordError`.
        """
        header = check_batch(buffer, position)
        if header.is_control:
            kept = self._clean_marker(header, buffer, position)
        elif self._transactions.is_aborted(header):
            kept = b""
        else:
            kept = self._clean_data(header, buffer, position)
        if not kept and (header.next_offset == segment_end or self._is_last(header)):
            kept = empty_batch(header)
        return header.size_bytes, kept

    def _is_last(self, header: BatchHeader) -> bool:
        """Whether it is what tells the last sequence or the epoch of its producer."""
        last = self._last_records.get(header.producer_id)
        if last is None:
            return False
        if last.last_offset >= 0:
            return header.last_offset == last.last_offset
        return header.is_control and header.producer_epoch == last.epoch

    def _clean_marker(self, header: BatchHeader, buffer: bytes, position: int) -> bytes:
        control = _control(header, buffer, position)
        removable = self._transactions.is_removable(header, control)
        if control is None:
            return b""
        if removable and not header.has_delete_horizon:
            return self._with_horizon(header, *_records(header, buffer, position))
        if removable and header.base_timestamp <= self._now_ms:
            return b""
        return buffer[position : position + header.size_bytes]

    def _clean_data(self, header: BatchHeader, buffer: bytes, position: int) -> bytes:
        records, start, stop = _records(header, buffer, position)
        horizon_passed = header.has_delete_horizon and header.base_timestamp <= self._now_ms
        try:
            kept = keep_records(
                records,
                start,
                stop,
                header.record_count,
                header.base_offset,
                self._offsets,
                self._end_offset,
                horizon_passed,
            )
        except IndexError:
            raise _beyond(position) from None
        if not kept.count:
            return b""
        whole = kept.count == header.record_count
        if not whole and header.timestamp_type is TimestampType.CREATE_TIME:
            latest = add_longs(header.base_timestamp, kept.max_timestamp_delta)
            header = header._replace(max_timestamp=latest)
        header = header._replace(record_count=kept.count)
        if kept.has_tombstones and not header.has_delete_horizon:
            joined = b"".join(kept.parts)
            return self._with_horizon(header, joined, 0, len(joined))
        if whole:
            return buffer[position : position + header.size_bytes]
        return _assemble(header, b"".join(kept.parts))

    def _with_horizon(self, header: BatchHeader, records: bytes, start: int, stop: int) -> bytes:
        shift = add_longs(header.base_timestamp, -self._horizon_ms)
        header = header._replace(
            attributes=header.attributes | DELETE_HORIZON_BIT, base_timestamp=self._horizon_ms
        )
        return _assemble(header, shift_timestamps(records[start:stop], shift))


def empty_batch(header: BatchHeader) -> bytes:
    """The batch without its records: offsets, sequences, producer and time are as they were."""
    attributes = header.attributes & ~(CODEC_MASK | DELETE_HORIZON_BIT)
    header = header._replace(attributes=attributes, base_timestamp=NO_TIMESTAMP, record_count=0)
    return _assemble(header, b"")


def filler_batch(base_offset: int, last_offset: int) -> bytes:
    """A batch without records, where a log that is not ours has nothing for these offsets."""
    header = BatchHeader(
        base_offset=base_offset,
        batch_length=0,
        partition_leader_epoch=0,
        magic=MAGIC,
        crc=0,
        attributes=0,
        last_offset_delta=last_offset - base_offset,
        base_timestamp=NO_TIMESTAMP,
        max_timestamp=NO_TIMESTAMP,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        record_count=0,
    )
    return _assemble(header, b"")


def _assemble(header: BatchHeader, records: bytes) -> bytes:
    """The batch, with its length and CRC; records are compressed where the header says so."""
    if header.codec is not Codec.NONE:
        records = compress(header.codec, records)
    length = HEADER_SIZE + len(records) - LENGTH_OVERHEAD
    batch = bytearray(HEADER.pack(*header._replace(batch_length=length, crc=0)))
    batch += records
    CRC.pack_into(batch, CRC_AT, crc32c(batch, CRC_START))
    return bytes(batch)


def _records(header: BatchHeader, buffer: bytes, position: int) -> tuple[bytes, int, int]:
    """The bytes that have the records, where these begin and where they end."""
    start, end = position + HEADER_SIZE, position + header.size_bytes
    if not header.attributes & CODEC_MASK or not header.record_count:
        return buffer, start, end
    records = decompress(header.codec, buffer[start:end])
    return records, 0, len(records)


def _control(header: BatchHeader, buffer: bytes, position: int) -> ControlRecord | None:
    return read_control(buffer, position) if header.record_count else None


def _beyond(position: int) -> CorruptRecordError:
    return CorruptRecordError("a record goes beyond the batch", position=position)
