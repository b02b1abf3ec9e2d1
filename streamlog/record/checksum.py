"""CRC-32C, the checksum of record batches (and of Kafka's snapshot files)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_BYTES: Final = 1 << 15

# The library has no types.
_extend = cast("Callable[[int, bytes], int]", google_crc32c.extend)  # pyright: ignore[reportUnknownMemberType]


def crc32c(buffer: bytes | bytearray | memoryview, start: int = 0, end: int | None = None) -> int:
    """The CRC-32C of `buffer[start:end]`.

    The library takes nothing but whole bytes objects, so the range is copied, in steps small enough
    for the cache and for malloc to keep (a fresh 100 KiB costs more in page faults than its CRC).
    """
    if end is None:
        end = len(buffer)
    if type(buffer) is bytes and end - start <= STEP_BYTES:
        return _extend(0, buffer[start:end])
    source = buffer if type(buffer) is bytes else memoryview(buffer)
    crc = 0
    for position in range(start, end, STEP_BYTES):
        part = source[position : min(position + STEP_BYTES, end)]
        crc = _extend(crc, part if type(part) is bytes else bytes(part))
    return crc
