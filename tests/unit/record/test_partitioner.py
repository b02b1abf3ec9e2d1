from __future__ import annotations

import pytest

from streamlog.partitioner import murmur2, partition_for, partitions_for


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # the vectors of Kafka's own UtilsTest
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32


def test_the_sign_is_masked_before_the_partition_is_taken() -> None:
    assert partition_for(b"foobar", 10) == (-790332482 & 0x7FFFFFFF) % 10


def test_a_column_has_its_partitions_and_minus_one_for_null() -> None:
    keys = [b"21", None, b"foobar", b""]

    assert partitions_for(keys, 7) == [-1 if key is None else partition_for(key, 7) for key in keys]
    assert partitions_for(tuple(keys), 1) == [0, -1, 0, 0]
