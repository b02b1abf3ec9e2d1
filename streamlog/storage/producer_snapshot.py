"""The snapshot file: a partition's producers up to the offset in the file's name.

| at | field | type |
|---|---|---|
| 0 | version: 1 | int16 |
| 2 | crc: CRC-32C of everything behind this field | uint32 |
| 6 | count | int32 |
| 10 | entries of 46 bytes | |

| at | field of an entry | type |
|---|---|---|
| 0 | producer_id | int64 |
| 8 | producer_epoch | int16 |
| 10 | last_sequence | int32 |
| 14 | last_offset | int64 |
| 22 | offset_delta: last offset less first offset of the last batch | int32 |
| 26 | timestamp | int64 |
| 34 | coordinator_epoch | int32 |
| 38 | current_transaction_first_offset, -1 for none | int64 |

Big endian. Only the last batch of a producer is kept, as Kafka does.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from streamlog.record import crc32c
from streamlog.storage.producer_state import NO_OFFSET, ProducedBatch, ProducerEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = Struct(">hI")
COUNT: Final = Struct(">i")
ENTRY: Final = Struct(">qhiqiqiq")
VERSION: Final = 1
SEQUENCE_MASK: Final = (1 << 31) - 1


def encode_snapshot(entries: Iterable[ProducerEntry]) -> bytes:
    """The file's content."""
    encoded = [_encode_entry(entry) for entry in entries]
    body = COUNT.pack(len(encoded)) + b"".join(encoded)
    return PREFIX.pack(VERSION, crc32c(body)) + body


def decode_snapshot(data: bytes) -> list[ProducerEntry] | None:
    """The producers; None where the file is damaged."""
    if len(data) < PREFIX.size + COUNT.size:
        return None
    version, crc = PREFIX.unpack_from(data)
    body = data[PREFIX.size :]
    (count,) = COUNT.unpack_from(body)
    if version != VERSION or crc != crc32c(body) or len(body) != COUNT.size + count * ENTRY.size:
        return None
    return [_decode_entry(fields) for fields in ENTRY.iter_unpack(body[COUNT.size :])]


def _encode_entry(entry: ProducerEntry) -> bytes:
    last = entry.batches[-1] if entry.batches else None
    return ENTRY.pack(
        entry.producer_id,
        entry.epoch,
        last.last_sequence if last else -1,
        last.last_offset if last else -1,
        last.last_offset - last.first_offset if last else 0,
        entry.last_timestamp,
        entry.coordinator_epoch,
        entry.transaction_first_offset,
    )


def _decode_entry(fields: tuple[int, ...]) -> ProducerEntry:
    producer_id, epoch, sequence, offset, delta, timestamp, coordinator_epoch, first = fields
    entry = ProducerEntry(producer_id, epoch)
    if offset != NO_OFFSET:
        first_sequence = (sequence - delta) & SEQUENCE_MASK if sequence >= 0 else sequence
        entry.batches.append(
            ProducedBatch(first_sequence, sequence, offset - delta, offset, timestamp)
        )
    entry.last_timestamp = timestamp
    entry.coordinator_epoch = coordinator_epoch
    entry.transaction_first_offset = first
    return entry
