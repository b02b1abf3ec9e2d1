"""Which partition a key goes to: Kafka's default, murmur2 of the key's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.record.murmur2 import murmur2, partition_column, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["murmur2", "partition_for", "partitions_for"]


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key, the same as with Java's default partitioner."""
    return partition_of(key, partitions)


def partitions_for(keys: Sequence[bytes | None], partitions: int) -> list[int]:
    """The partition of every key; -1 for a null key, which may go anywhere."""
    return partition_column(keys if isinstance(keys, list) else list(keys), partitions)
