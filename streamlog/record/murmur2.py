"""Kafka's murmur2, for one key and for a column of keys (compiled, see compiled.py).

The hash is the one of `org.apache.kafka.common.utils.Utils.murmur2`, so a key goes to the same
partition as with Java's default partitioner. All arithmetic stays below 2^63, so the masks make
the compiled and the uncompiled form equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64

MASK: Final = 0xFFFFFFFF
MULTIPLIER: Final = 0x5BD1E995
SEED: Final = 0x9747B28C


def murmur2(data: bytes) -> i64:
    """The 32-bit hash as an unsigned number."""
    length: i64 = len(data)
    hashed: i64 = SEED ^ (length & MASK)
    position: i64 = 0
    whole: i64 = length & ~3
    word: i64 = 0
    while position < whole:
        word = data[position + 3]
        word = word << 8 | data[position + 2]
        word = word << 8 | data[position + 1]
        word = word << 8 | data[position]
        word = word * MULTIPLIER & MASK
        word ^= word >> 24
        word = word * MULTIPLIER & MASK
        hashed = hashed * MULTIPLIER & MASK ^ word
        position += 4
    if position < length:
        word = 0
        while length > position:
            length -= 1
            word = word << 8 | data[length]
        hashed = (hashed ^ word) * MULTIPLIER & MASK
    hashed ^= hashed >> 13
    hashed = hashed * MULTIPLIER & MASK
    return hashed ^ hashed >> 15


def partition_of(key: bytes, partitions: i64) -> i64:
    """The partition of a key among `partitions`, which is at least 1."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partition_column(keys: list[bytes | None], partitions: i64) -> list[int]:
    """The partition of every key; -1 for a null key, which any partition may take."""
    return [-1 if key is None else partition_of(key, partitions) for key in keys]
