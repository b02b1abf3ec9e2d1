"""Where in its changelog a store's data stands.

| bytes | field |
|---|---|
| 1 | version (1) |
| 16 | topic id |
| 8 | offset, the next changelog record to apply |
| 4 | leader epoch |
| 8 | wall time of the checkpoint, milliseconds |
| 16 | boot id of the machine where the log is not synced (`durability="os"`), else zeros |

Big endian. The position is written in the same batch as the data that it describes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

_LAYOUT = struct.Struct(">B16sqiq16s")
_VERSION = 1
NO_BOOT_ID = UUID(int=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """The changelog (by topic id), the next offset in it, and when this was written."""

    topic_id: UUID
    offset: int
    epoch: int = 0
    wall_time_ms: int
    boot_id: UUID = NO_BOOT_ID

    def encode(self) -> bytes:
        return _LAYOUT.pack(
            _VERSION,
            self.topic_id.bytes,
            self.offset,
            self.epoch,
            self.wall_time_ms,
            self.boot_id.bytes,
        )


def decode_position(data: bytes) -> Position | None:
    """The position, or None for bytes that this version did not write: rebuild the store."""
    if len(data) != _LAYOUT.size:
        return None
    version, topic_id, offset, epoch, wall_time_ms, boot_id = _LAYOUT.unpack(data)
    if version != _VERSION:
        return None
    return Position(
        topic_id=UUID(bytes=topic_id),
        offset=offset,
        epoch=epoch,
        wall_time_ms=wall_time_ms,
        boot_id=UUID(bytes=boot_id),
    )
