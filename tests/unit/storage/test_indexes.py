"""The three index files, from literals."""

from __future__ import annotations

import struct

from streamlog.storage.offset_index import OffsetIndex
from streamlog.storage.segment_indexes import SegmentIndexes
from streamlog.storage.time_index import TimeIndex
from streamlog.storage.transaction_index import AbortedEntry, decode_aborted, encode_aborted


def offset_index(*entries: tuple[int, int], base_offset: int = 100) -> OffsetIndex:
    index = OffsetIndex(base_offset)
    for offset, position in entries:
        index.append(offset, position)
    return index


def test_an_offset_index_has_relative_offsets_and_positions_big_endian() -> None:
    index = offset_index((109, 5000), (130, 10000))
    assert index.encode() == bytes.fromhex("00000009 00001388 0000001e 00002710")
    assert index.encode(1) == bytes.fromhex("0000001e 00002710")


def test_an_offset_is_found_at_or_behind_the_entry_below_it() -> None:
    index = offset_index((109, 5000), (130, 10000))
    assert [index.lookup(offset) for offset in (100, 108, 109, 129, 130, 999)] == [
        0,
        0,
        5000,
        5000,
        10000,
        10000,
    ]


def test_a_boundary_lies_below_an_offset_and_a_position() -> None:
    index = offset_index((109, 5000), (130, 10000))
    assert index.boundary(131, 10000) == 10000
    assert index.boundary(130, 10000) == 5000
    assert index.boundary(131, 9999) == 5000
    assert index.boundary(109, 9999) == 0
    assert index.boundary(999, 4999) == 0


def test_an_offset_index_is_read_back_below_the_offset_that_is_trusted() -> None:
    data = offset_index((109, 5000), (130, 10000)).encode()
    whole = OffsetIndex.decode(100, data, end_offset=1 << 63)
    below = OffsetIndex.decode(100, data, end_offset=130)
    assert whole is not None
    assert whole.encode() == data
    assert below is not None
    assert (below.last_offset, below.last_position) == (109, 5000)


def test_an_offset_index_that_does_not_increase_or_is_cut_is_damaged() -> None:
    data = offset_index((109, 5000), (130, 10000)).encode()
    assert OffsetIndex.decode(100, data[:-1], end_offset=1 << 63) is None
    assert OffsetIndex.decode(100, data[8:] + data[:8], end_offset=1 << 63) is None
    assert OffsetIndex.decode(100, data + bytes(8), end_offset=1 << 63) is None


def test_a_time_index_keeps_only_rising_timestamps() -> None:
    index = TimeIndex(100)
    index.maybe_append(1000, 109)
    index.maybe_append(1000, 120)
    index.maybe_append(999, 125)
    index.maybe_append(1700000000000, 130)
    assert index.encode() == struct.pack(">qiqi", 1000, 9, 1700000000000, 30)


def test_a_time_is_looked_for_behind_the_entry_below_it() -> None:
    index = TimeIndex(100)
    index.maybe_append(1000, 109)
    index.maybe_append(2000, 130)
    assert [index.lookup(t) for t in (0, 1000, 1001, 2000, 2001)] == [100, 100, 109, 109, 130]


def test_a_time_index_is_read_back_or_found_damaged() -> None:
    data = struct.pack(">qiqi", 1000, 9, 2000, 30)
    whole = TimeIndex.decode(100, data, end_offset=1 << 63)
    below = TimeIndex.decode(100, data, end_offset=130)
    assert whole is not None
    assert whole.last_entry == (2000, 130)
    assert below is not None
    assert below.last_entry == (1000, 109)
    assert TimeIndex.decode(100, data[:-3], end_offset=1 << 63) is None
    assert TimeIndex.decode(100, data + bytes(12), end_offset=1 << 63) is None


def test_a_transaction_index_entry_is_34_bytes() -> None:
    entry = AbortedEntry(producer_id=7, first_offset=3, last_offset=9, last_stable_offset=10)
    data = encode_aborted([entry])
    assert data == struct.pack(">hqqqq", 0, 7, 3, 9, 10)
    assert decode_aborted(data, end_offset=10) == ([entry], True)
    assert decode_aborted(data, end_offset=9) == ([], True)


def test_a_transaction_index_is_read_up_to_its_first_damage() -> None:
    entries = [AbortedEntry(7, 3, 9, 10), AbortedEntry(8, 4, 12, 13)]
    data = encode_aborted(entries)
    assert decode_aborted(data[:-1], end_offset=99) == (entries[:1], False)
    assert decode_aborted(data + bytes(34), end_offset=99) == (entries, False)


def test_an_index_entry_is_due_when_more_than_the_interval_lies_behind_the_last() -> None:
    indexes = SegmentIndexes(0, 4096)
    for number in range(10):
        indexes.observe(number, 1000 + number, number * 1024)
    # As Kafka: 4,096 bytes are not more than 4,096.
    assert indexes.offsets.encode() == struct.pack(">ii", 5, 5 * 1024)
    assert indexes.times.encode() == struct.pack(">qi", 1005, 5)
    indexes.seal()
    assert indexes.times.encode() == struct.pack(">qiqi", 1005, 5, 1009, 9)


def test_only_what_the_files_lack_is_written() -> None:
    indexes = SegmentIndexes(0, 0)
    indexes.observe(0, 10, 0)
    indexes.observe(1, 11, 100)
    first = indexes.take_unwritten()
    assert first == (
        (".index", 0, struct.pack(">ii", 1, 100)),
        (".timeindex", 0, struct.pack(">qi", 11, 1)),
        (".txnindex", 0, b""),
    )
    assert indexes.take_unwritten() == ()
    indexes.observe(2, 12, 200)
    indexes.aborted.append(AbortedEntry(1, 0, 2, 3))
    assert indexes.take_unwritten() == (
        (".index", 8, struct.pack(">ii", 2, 200)),
        (".timeindex", 12, struct.pack(">qi", 12, 2)),
        (".txnindex", 0, struct.pack(">hqqqq", 0, 1, 0, 2, 3)),
    )


def test_entries_that_are_not_trusted_are_cut_off_at_the_next_write() -> None:
    offsets, times = struct.pack(">iiii", 1, 100, 2, 200), struct.pack(">qi", 11, 1)
    indexes = SegmentIndexes.decode(0, 0, offsets, times, end_offset=2)
    assert indexes is not None
    assert indexes.take_unwritten() == ((".index", 8, b""),)


def test_indexes_are_only_let_go_of_when_the_files_have_the_highest_timestamp_too() -> None:
    indexes = SegmentIndexes(100, 1000)
    indexes.observe(105, 7000, 0)
    assert [(suffix, data) for suffix, _, data in indexes.take_unwritten()] == [
        (".index", b""),
        (".timeindex", b""),
        (".txnindex", b""),
    ]
    assert not indexes.is_written  # no entry was due, so no file says 7000
    indexes.seal()
    indexes.take_unwritten()
    assert indexes.is_written
