"""The four codecs, in the framings that Java and librdkafka write and read.

| codec | what stands behind the header |
|---|---|
| gzip | a gzip stream (RFC 1952) |
| snappy | xerial framing as Java writes it, `\\x82SNAPPY\\0`, two int32 versions, then blocks of int32 length and raw snappy; one raw snappy block from others |
| lz4 | an LZ4 frame; Java reads only independent blocks, so that is what is written |
| zstd | a zstd frame (RFC 8878) |

Decompression stops at a limit, so a small batch cannot fill the memory. Pure: any thread.
"""  # noqa: E501 - a table row does not wrap

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import cramjam

from streamlog.errors import CorruptRecordError
from streamlog.record.header import Codec

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECOMPRESSED_BYTES: Final = 1 << 27

GZIP_WINDOW_BITS: Final = 31  # zlib's number for a 32 KiB window in gzip's wrapping

XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER: Final = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
XERIAL_BLOCK_BYTES: Final = 1 << 15

# Magic; version 1 and independent blocks; blocks of up to 64 KiB; the descriptor's checksum.
LZ4_HEADER: Final = b"\x04\x22\x4d\x18\x60\x40\x82"
LZ4_BLOCK_BYTES: Final = 1 << 16
LZ4_STORED_BIT: Final = 1 << 31
LZ4_END: Final = b"\x00\x00\x00\x00"

FIRST_GUESS_BYTES: Final = 1 << 16
GROWTH: Final = 4
GUARD: Final = b"\xa5\x5a\x3c\xc3" * 4


def compress(codec: Codec, data: bytes, level: int | None = None) -> bytes:
    """The data in the codec's framing.

    `level` is gzip's or zstd's own, None the usual one; snappy and lz4 have one level here.
    """
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return zlib.compress(data, -1 if level is None else level, GZIP_WINDOW_BITS)
        case Codec.SNAPPY:
            return _compress_snappy(data)
        case Codec.LZ4:
            return _compress_lz4(data)
        case Codec.ZSTD:
            return bytes(cramjam.zstd.compress(data, level))


def decompress(codec: Codec, data: bytes, limit: int = MAX_DECOMPRESSED_BYTES) -> bytes:
    """What was compressed, if it is no more than `limit` bytes.

    Raises `CorruptRecordError` for data that the codec cannot read, and for more than `limit`.
    """
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return _decompress_gzip(data, limit)
        case Codec.SNAPPY:
            return _decompress_snappy(data, limit)
        case Codec.LZ4:
            return _decompress_growing(cramjam.lz4.decompress_into, "lz4", data, limit)
        case Codec.ZSTD:
            return _decompress_growing(cramjam.zstd.decompress_into, "zstd", data, limit)


def _compress_snappy(data: bytes) -> bytes:
    parts = [XERIAL_HEADER]
    for start in range(0, len(data), XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + XERIAL_BLOCK_BYTES]))
        parts += len(block).to_bytes(4, "big"), block
    return b"".join(parts)


def _compress_lz4(data: bytes) -> bytes:
    # cramjam's own frames have dependent blocks, which Java refuses; its blocks have no levels.
    parts = [LZ4_HEADER]
    for start in range(0, len(data), LZ4_BLOCK_BYTES):
        stored = data[start : start + LZ4_BLOCK_BYTES]
        block = bytes(cramjam.lz4.compress_block(stored, store_size=False))
        if len(block) < len(stored):
            parts += len(block).to_bytes(4, "little"), block
        else:
            parts += (len(stored) | LZ4_STORED_BIT).to_bytes(4, "little"), stored
    parts.append(LZ4_END)
    return b"".join(parts)


def _decompress_gzip(data: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while data:  # a stream may have several members
        member = zlib.decompressobj(GZIP_WINDOW_BITS)
        try:
            part = member.decompress(data, limit - size + 1)
        except zlib.error as error:
            raise CorruptRecordError(f"gzip: {error}") from error
        size += len(part)
        if size > limit:
            raise _too_large("gzip", limit)
        if not member.eof:
            raise CorruptRecordError("gzip: the stream has no end")
        parts.append(part)
        data = member.unused_data
    return b"".join(parts)


def _decompress_snappy(data: bytes, limit: int) -> bytes:
    try:
        if not data.startswith(XERIAL_MAGIC):
            return _decompress_snappy_block(data, limit, limit)
        parts: list[bytes] = []
        room = limit
        position = len(XERIAL_HEADER)
        while position < len(data):
            start = position + 4
            position = start + int.from_bytes(data[position:start], "big")
            if position > len(data):
                raise CorruptRecordError("snappy: a block is not all there")
            parts.append(_decompress_snappy_block(data[start:position], room, limit))
            room -= len(parts[-1])
        return b"".join(parts)
    except cramjam.DecompressionError as error:
        raise CorruptRecordError(f"snappy: {error}") from error


def _decompress_snappy_block(block: bytes, room: int, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _too_large("snappy", limit)
    return bytes(cramjam.snappy.decompress_raw(block))


def _decompress_growing(
    decompress_into: Callable[[bytes, bytearray], int], codec: str, data: bytes, limit: int
) -> bytes:
    """Decompresses into a buffer that grows up to the limit.

    A frame need not say how large its content is (Java's do not), and only a buffer of fixed size
    holds the decoder back, so it starts over with a larger one when there was too little room.
    Whether that was it, the end of the buffer tells: a decoder that ran out of room has written
    over the guard there. (Its error has no kind, and its text is no contract.)
    """
    room = min(FIRST_GUESS_BYTES + GROWTH * len(data), limit)
    while True:
        buffer = bytearray(room)
        guard = GUARD[:room]
        buffer[room - len(guard) :] = guard
        try:
            size = decompress_into(data, buffer)
        except cramjam.DecompressionError as error:
            if buffer.endswith(guard):
                raise CorruptRecordError(f"{codec}: {error}") from error
            if room == limit:
                raise _too_large(codec, limit) from error
            room = min(room * GROWTH, limit)
        else:
            return bytes(memoryview(buffer)[:size])


def _too_large(codec: str, limit: int) -> CorruptRecordError:
    return CorruptRecordError(f"{codec}: more than {limit} bytes when decompressed")
