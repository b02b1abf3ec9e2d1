"""The transaction index of a segment: the transactions whose abort marker is in it.

| at | field | type |
|---|---|---|
| 0 | version: 0 | int16 |
| 2 | producer_id | int64 |
| 10 | first_offset of the transaction | int64 |
| 18 | last_offset: the marker's | int64 |
| 26 | last_stable_offset when the marker was written | int64 |

Big endian; made at the first abort. A reader whose upper bound is not above an entry's last
stable offset needs no later entry.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

ENTRY: Final = Struct(">hqqqq")
ENTRY_SIZE: Final = ENTRY.size
VERSION: Final = 0


class AbortedTransaction(NamedTuple):
    """What a read_committed reader skips: the producer's batches from there to its marker."""

    producer_id: int
    first_offset: int


class AbortedEntry(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def encode_aborted(entries: list[AbortedEntry]) -> bytes:
    return b"".join(ENTRY.pack(VERSION, *entry) for entry in entries)


def decode_aborted(data: bytes, *, end_offset: int) -> tuple[list[AbortedEntry], bool]:
    """The entries whose marker is below `end_offset`, and whether the whole file is intact.

    Nothing behind the first entry that cannot be right is looked at.
    """
    entries: list[AbortedEntry] = []
    last_offset = -1
    for position in range(0, len(data) - ENTRY_SIZE + 1, ENTRY_SIZE):
        version, *fields = ENTRY.unpack_from(data, position)
        entry = AbortedEntry(*fields)
        if version != VERSION or not last_offset < entry.last_offset > entry.first_offset:
            return entries, False
        last_offset = entry.last_offset
        if last_offset < end_offset:
            entries.append(entry)
    return entries, len(data) % ENTRY_SIZE == 0
