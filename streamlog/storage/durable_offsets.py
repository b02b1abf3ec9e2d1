"""How far each partition is durable, for whoever reads beside the owner.

After every flush window the owner writes the high watermarks of the partitions in it, unsynced,
one write a run of neighbouring slots. What is found here is never more than the truth, at most
less: so a reader in another process may go that far, and recovery knows that nothing below can
be torn.

| at | field of the file | type |
|---|---|---|
| 0 | magic: `SLDO` | 4 bytes |
| 4 | version: 1 | int32 |
| 8 | zeros | 40 bytes |
| 48 | slots of 48 bytes | |

| at | field of a slot | type |
|---|---|---|
| 0 | topic id | 16 bytes |
| 16 | partition | int32 |
| 20 | high watermark | int64 |
| 28 | last stable offset | int64 |
| 36 | zeros | 8 bytes |
| 44 | crc: CRC-32C of the 44 bytes before | uint32 |

Big endian. A slot whose CRC does not match is one that is being written, or was torn: it says
nothing.
"""

from __future__ import annotations

from contextlib import closing, suppress
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from streamlog.files import read_file
from streamlog.record import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.files import File, Files

MAGIC: Final = b"SLDO"
FILE_HEADER: Final = Struct(">4si40x")
SLOT: Final = Struct(">16siqq8x")
CRC: Final = Struct(">I")
SLOT_SIZE: Final = SLOT.size + CRC.size
VERSION: Final = 1

PartitionId = tuple[UUID, int]


class DurableOffset(NamedTuple):
    high_watermark: int
    last_stable_offset: int


def encode_slot(partition_id: PartitionId, offset: DurableOffset) -> bytes:
    topic_id, partition = partition_id
    fields = SLOT.pack(topic_id.bytes, partition, *offset)
    return fields + CRC.pack(crc32c(fields))


def decode_slots(content: bytes) -> list[tuple[PartitionId, DurableOffset] | None]:
    """One entry a slot, None for one that says nothing. No slots for a file of another kind."""
    if len(content) < FILE_HEADER.size or FILE_HEADER.unpack_from(content) != (MAGIC, VERSION):
        return []
    slots: list[tuple[PartitionId, DurableOffset] | None] = []
    for position in range(FILE_HEADER.size, len(content) - SLOT_SIZE + 1, SLOT_SIZE):
        fields = content[position : position + SLOT.size]
        (crc,) = CRC.unpack_from(content, position + SLOT.size)
        if crc != crc32c(fields):
            slots.append(None)
            continue
        topic_id, partition, high_watermark, last_stable = SLOT.unpack(fields)
        offset = DurableOffset(high_watermark, last_stable)
        slots.append(((UUID(bytes=topic_id), partition), offset))
    return slots


class DurableOffsetsReader:
    """Reads the file again and again; decodes it where it has changed."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path
        self._content = b""
        self._offsets: dict[PartitionId, DurableOffset] = {}
        self._places: dict[PartitionId, int] = {}

    def read(self) -> dict[PartitionId, DurableOffset]:
        """What the file says now; nothing where there is none."""
        content = read_file(self._files, self._path) if self._files.exists(self._path) else b""
        if content != self._content:
            slots = decode_slots(content)
            self._offsets = dict(slot for slot in slots if slot is not None)
            self._places = {slot[0]: place for place, slot in enumerate(slots) if slot is not None}
            self._content = content
        return self._offsets

    def read_one(self, partition_id: PartitionId) -> DurableOffset | None:
        """What the file says now of one partition, whose slot alone is read where it is known."""
        place = self._places.get(partition_id)
        if place is not None:
            with suppress(FileNotFoundError), closing(self._files.open(self._path)) as file:
                data = file.pread(SLOT_SIZE, FILE_HEADER.size + place * SLOT_SIZE)
                slots = decode_slots(FILE_HEADER.pack(MAGIC, VERSION) + data)
                if slots and slots[0] is not None and slots[0][0] == partition_id:
                    return slots[0][1]
        return self.read().get(partition_id)


class DurableOffsetsWriter:
    """Writes the file, slot by slot, in place. For the flusher's thread."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path
        self._file: File | None = None
        self._places: dict[PartitionId, int] = {}
        content = read_file(files, path) if files.exists(path) else b""
        slots = decode_slots(content)
        self._image = bytearray(content[: FILE_HEADER.size + len(slots) * SLOT_SIZE])
        if not slots:
            self._image = bytearray(FILE_HEADER.pack(MAGIC, VERSION))
        for place, slot in enumerate(slots):
            if slot is not None:
                self._places[slot[0]] = place

    def publish(self, offsets: Iterable[tuple[PartitionId, DurableOffset]]) -> None:
        """Writes the slots, all in one write from the first to the last that changed."""
        start, end = len(self._image), 0
        if self._file is None:
            self._file = self._files.open(self._path, "create")
            start, end = 0, FILE_HEADER.size
        for partition_id, offset in offsets:
            place = self._places.get(partition_id)
            if place is None:
                place = self._places[partition_id] = self._free_place()
            position = FILE_HEADER.size + place * SLOT_SIZE
            self._image[position : position + SLOT_SIZE] = encode_slot(partition_id, offset)
            start, end = min(start, position), max(end, position + SLOT_SIZE)
        if end:
            self._file.pwrite(bytes(self._image[start:end]), start)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _free_place(self) -> int:
        return (len(self._image) - FILE_HEADER.size) // SLOT_SIZE
