"""A row that waits for an answer, as bytes: what it is, and which record of a topic it came from.

MessagePack: an array of timestamp, key, value, headers, topic, partition, offset (-1 where the row
is a result of a store, whose changelog is the topic then).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class StoredRow(NamedTuple):
    """What is kept of it."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    topic: str
    partition: int
    offset: int


_decoder = msgspec.msgpack.Decoder(StoredRow)
_encoder = msgspec.msgpack.Encoder()


def pack_row(row: StoredRow) -> bytes:
    """The bytes of a row.

    >>> unpack_row(pack_row(StoredRow(5, b"k", None, [("h", b"1")], "orders", 0, 7))).offset
    7
    """
    return _encoder.encode(row)


def unpack_row(data: bytes) -> StoredRow:
    """The row that these bytes are."""
    return _decoder.decode(data)
