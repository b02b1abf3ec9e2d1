"""Control batches: the markers that end a transaction in a partition.

One record; key: int16 version, int16 type; value: int16 version, int32 epoch of the coordinator
that wrote it. The batch is transactional and control, and has its producer's id and epoch. A
marker takes one offset and never reaches an application.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, error
from typing import Final, NamedTuple

from streamlog.errors import CorruptRecordError
from streamlog.record.batch import Columns, append_records, assemble_batch
from streamlog.record.header import CONTROL_BIT, NO_SEQUENCE, TRANSACTIONAL_BIT, check_batch

CONTROL_KEY: Final = Struct(">hh")
END_TRANSACTION_VALUE: Final = Struct(">hi")
CONTROL_VERSION: Final = 0


class ControlType(IntEnum):
    """What a control record says. `UNKNOWN` is for types that no log of ours has: skip them."""

    UNKNOWN = -1
    ABORT = 0
    COMMIT = 1


class ControlRecord(NamedTuple):
    """A transaction's end as a partition has it; `coordinator_epoch` is -1 for `UNKNOWN`.

    `UNKNOWN`, too, is what compaction has left of a marker: it ends nothing that is still there.
    """

    type: ControlType
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    offset: int
    timestamp: int


def encode_control_batch(
    kind: ControlType,
    producer_id: int,
    producer_epoch: int,
    coordinator_epoch: int,
    timestamp: int,
    base_offset: int = 0,
    partition_leader_epoch: int = 0,
) -> bytearray:
    """The batch that commits or aborts what the producer wrote to a partition."""
    return assemble_batch(
        [CONTROL_KEY.pack(CONTROL_VERSION, kind)],
        [END_TRANSACTION_VALUE.pack(CONTROL_VERSION, coordinator_epoch)],
        [timestamp],
        None,
        attributes=TRANSACTIONAL_BIT | CONTROL_BIT,
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=NO_SEQUENCE,
        partition_leader_epoch=partition_leader_epoch,
    )


def read_control(buffer: bytes | bytearray | memoryview, position: int = 0) -> ControlRecord:
    """The marker in the control batch at `position`.

    Raises `CorruptRecordError` for a batch that is damaged or no control batch.
    """
    header = check_batch(buffer, position)
    if not header.is_control or header.record_count > 1:
        raise CorruptRecordError("no control batch", position=position)
    if not header.record_count:
        identity = header.producer_id, header.producer_epoch
        return ControlRecord(
            ControlType.UNKNOWN, *identity, -1, header.last_offset, header.max_timestamp
        )
    columns = Columns()
    append_records(header, buffer, position, columns)
    key, value = columns.keys[0] or b"", columns.values[0] or b""
    kind, coordinator_epoch = ControlType.UNKNOWN, -1
    try:
        _, number = CONTROL_KEY.unpack_from(key)
        if number in (ControlType.ABORT, ControlType.COMMIT):
            kind = ControlType(number)
            _, coordinator_epoch = END_TRANSACTION_VALUE.unpack_from(value)
    except error:
        raise CorruptRecordError("a control record is too short", position=position) from None
    return ControlRecord(
        kind,
        header.producer_id,
        header.producer_epoch,
        coordinator_epoch,
        columns.offsets[0],
        columns.timestamps[0],
    )
