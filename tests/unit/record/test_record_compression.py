from __future__ import annotations

import gzip
import tracemalloc
import zlib

import cramjam
import pytest

from streamlog.errors import CorruptRecordError
from streamlog.record import Codec, Columns, decode_batch, encode_batch
from streamlog.record.compression import compress, decompress

COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = b"the quick brown fox jumps over the lazy dog. " * 5_000
NOISE = b"".join(zlib.crc32(b"%d" % index).to_bytes(4, "big") for index in range(50_000))
ZEROS = bytes(50_000_000)

each_codec = pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name)


@each_codec
@pytest.mark.parametrize("data", [b"", b"x", TEXT, NOISE], ids=["none", "one", "text", "noise"])
def test_what_was_compressed_comes_back(codec: Codec, data: bytes) -> None:
    assert decompress(codec, compress(codec, data)) == data


@each_codec
def test_the_limit_is_the_most_that_comes_back(codec: Codec) -> None:
    for data in (TEXT, NOISE):
        assert decompress(codec, compress(codec, data), len(data)) == data
        with pytest.raises(CorruptRecordError, match=f"more than {len(data) - 1} bytes"):
            decompress(codec, compress(codec, data), len(data) - 1)


@each_codec
def test_a_decompression_bomb_is_refused_in_bounded_memory(codec: Codec) -> None:
    bomb = compress(codec, ZEROS)

    tracemalloc.start()
    try:
        with pytest.raises(CorruptRecordError, match="more than 1000000 bytes"):
            decompress(codec, bomb, 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000


@each_codec
def test_a_bomb_in_a_batch_leaves_the_columns_alone(codec: Codec) -> None:
    batch = encode_batch([b"k"], [ZEROS[:2_000_000]], [1], codec=codec)
    columns = Columns()

    with pytest.raises(CorruptRecordError, match="more than 1000000 bytes"):
        decode_batch(batch, 0, columns, max_decompressed_bytes=1_000_000)
    assert columns == Columns()
    decode_batch(batch, 0, columns)
    assert len(columns) == 1


@each_codec
@pytest.mark.parametrize("cut", [1, 5, 100])
def test_a_compressed_run_that_was_cut_is_refused(codec: Codec, cut: int) -> None:
    data = compress(codec, NOISE)

    with pytest.raises(CorruptRecordError, match=codec.name.lower()):
        decompress(codec, data[:-cut], 1 << 20)


@each_codec
def test_what_the_codec_cannot_read_is_refused(codec: Codec) -> None:
    with pytest.raises(CorruptRecordError, match=codec.name.lower()):
        decompress(codec, b"\xff" * 100, 1 << 20)


def test_snappy_is_written_as_java_writes_it() -> None:
    data = compress(Codec.SNAPPY, NOISE)

    assert data[:16] == b"\x82SNAPPY\x00" + b"\x00\x00\x00\x01" * 2
    first = int.from_bytes(data[16:20], "big")
    assert bytes(cramjam.snappy.decompress_raw(data[20 : 20 + first])) == NOISE[: 1 << 15]


def test_snappy_without_framing_is_read() -> None:
    raw = bytes(cramjam.snappy.compress_raw(TEXT))

    assert decompress(Codec.SNAPPY, raw) == TEXT
    with pytest.raises(CorruptRecordError, match="snappy: more than 1000 bytes"):
        decompress(Codec.SNAPPY, raw, 1_000)


def test_snappy_blocks_share_one_limit() -> None:
    with pytest.raises(CorruptRecordError, match="more than 100000 bytes"):
        decompress(Codec.SNAPPY, compress(Codec.SNAPPY, NOISE), 100_000)


def test_lz4_blocks_are_independent_which_java_asks_for() -> None:
    data = compress(Codec.LZ4, TEXT)

    assert data[:4] == b"\x04\x22\x4d\x18"
    assert data[4] & 0b0010_0000, "block independence"
    assert bytes(cramjam.lz4.decompress(data)) == TEXT


def test_lz4_frames_with_dependent_blocks_and_checksums_are_read() -> None:
    assert decompress(Codec.LZ4, bytes(cramjam.lz4.compress(TEXT))) == TEXT


def test_gzip_streams_of_several_members_are_read() -> None:
    assert decompress(Codec.GZIP, gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"
