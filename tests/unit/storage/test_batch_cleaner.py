"""What compaction leaves of a batch, byte by byte where it matters."""

from __future__ import annotations

import pytest

from streamlog.errors import CorruptRecordError
from streamlog.record import (
    BatchHeader,
    Codec,
    Columns,
    ControlType,
    TimestampType,
    check_batch,
    decode_batch,
    encode_batch,
    encode_control_batch,
)
from streamlog.storage.batch_cleaner import BatchCleaner, LastRecord, map_batch
from streamlog.storage.cleaned_transactions import CleanedTransactions
from streamlog.storage.offset_map import KEY_OVERHEAD_BYTES, OffsetMap
from streamlog.storage.transaction_index import AbortedEntry

NOW = 1_700_000_000_000
RETENTION = 1000
FAR = 1 << 40  # a segment end that no batch has


def batch(keys: list[bytes | None], values: list[bytes | None], **fields: object) -> bytes:
    times = range(NOW, NOW + len(keys))
    return bytes(encode_batch(keys, values, times, **fields))  # type: ignore[arg-type]


def clean(
    data: bytes,
    *,
    newer: dict[bytes, int] | None = None,
    now_ms: int = NOW,
    aborted: list[AbortedEntry] | None = None,
    last_records: dict[int, LastRecord] | None = None,
    segment_end: int = FAR,
) -> bytes:
    """One batch alone, with keys that have a newer record further on."""
    offset_map = OffsetMap(1 << 20)
    map_batch(offset_map, CleanedTransactions(), data, 0, 0)
    offset_map.offsets.update(newer or {})
    transactions = CleanedTransactions()
    transactions.add_aborted(aborted or [])
    cleaner = BatchCleaner(
        offset_map,
        transactions,
        last_records or {},
        now_ms=now_ms,
        delete_retention_ms=RETENTION,
    )
    size, kept = cleaner.clean(data, 0, segment_end)
    assert size == len(data)
    return kept


def rows(data: bytes) -> list[tuple[int, bytes | None, bytes | None, int]]:
    columns = Columns()
    decode_batch(data, 0, columns)
    return list(zip(columns.offsets, columns.keys, columns.values, columns.timestamps, strict=True))


def test_a_batch_of_which_all_is_kept_stays_byte_for_byte() -> None:
    data = batch([b"a", b"b"], [b"1", b"2"], base_offset=7, producer_id=3, producer_epoch=0)
    assert clean(data) == data


def test_the_last_record_of_each_key_stays_where_it_is() -> None:
    data = batch([b"a", b"b", b"a", b"c"], [b"1", b"2", b"3", b"4"], base_offset=10)
    left = clean(data, newer={b"c": 99})
    assert rows(left) == [(11, b"b", b"2", NOW + 1), (12, b"a", b"3", NOW + 2)]


def test_the_header_tells_of_the_whole_batch_but_for_count_and_time() -> None:
    data = batch(
        [b"a", b"b", b"c"],
        [b"1", b"2", b"3"],
        base_offset=10,
        producer_id=5,
        producer_epoch=2,
        base_sequence=40,
        partition_leader_epoch=4,
    )
    before, after = check_batch(data), check_batch(clean(data, newer={b"c": 99}))
    assert after == before._replace(
        batch_length=after.batch_length,
        crc=after.crc,
        max_timestamp=NOW + 1,
        record_count=2,
    )
    assert (after.last_offset, after.last_sequence) == (12, 42)


@pytest.mark.parametrize("codec", Codec)
def test_a_compressed_batch_is_cleaned_and_stays_compressed(codec: Codec) -> None:
    data = batch([b"a", b"b"], [b"1" * 200, b"2" * 200], codec=codec)
    left = clean(data, newer={b"a": 50})
    assert check_batch(left).codec is codec
    assert rows(left) == [(1, b"b", b"2" * 200, NOW + 1)]


def test_headers_of_records_are_copied_with_them() -> None:
    data = bytes(
        encode_batch([b"a", b"b"], [b"1", b"2"], [NOW, NOW], [[("h", b"x")], [("g", None)]])
    )
    columns = Columns()
    decode_batch(clean(data, newer={b"a": 9}), 0, columns)
    assert columns.headers == [[("g", None)]]


def test_records_without_a_key_go() -> None:
    assert rows(clean(batch([None, b"a"], [b"1", b"2"]))) == [(1, b"a", b"2", NOW + 1)]


def test_records_behind_what_the_map_has_seen_stay() -> None:
    offset_map = OffsetMap(1)
    data = batch([b"a", b"b", b"a", None], [b"1", b"2", b"3", b"4"])
    assert map_batch(offset_map, CleanedTransactions(), data, 0, 0) == (len(data), False)
    assert offset_map.offsets == {b"a": 0}
    assert offset_map.end_offset == 1
    cleaner = BatchCleaner(
        offset_map, CleanedTransactions(), {}, now_ms=NOW, delete_retention_ms=RETENTION
    )
    assert cleaner.clean(data, 0, FAR) == (len(data), data)


def test_the_map_takes_known_keys_when_it_is_full() -> None:
    offset_map = OffsetMap(KEY_OVERHEAD_BYTES)
    data = batch([b"a", b"a", b"b"], [b"1", b"2", b"3"])
    assert map_batch(offset_map, CleanedTransactions(), data, 0, 0)[1] is False
    assert offset_map.offsets == {b"a": 1}
    assert offset_map.end_offset == 2
    assert offset_map.is_full


def test_the_map_leaves_out_what_was_cleaned_before() -> None:
    offset_map = OffsetMap(1 << 20)
    data = batch([b"a", b"b", b"c"], [b"1", b"2", b"3"], base_offset=5)
    map_batch(offset_map, CleanedTransactions(), data, 0, 6)
    assert offset_map.offsets == {b"b": 6, b"c": 7}
    assert offset_map.end_offset == 8


def test_a_tombstone_gets_the_time_from_which_it_may_go() -> None:
    data = batch([b"a", b"b"], [None, b"2"])
    left = clean(data)
    header = check_batch(left)
    assert header.has_delete_horizon
    assert header.base_timestamp == NOW + RETENTION
    assert header.max_timestamp == NOW + 1
    assert rows(left) == rows(data)


def test_a_tombstone_goes_at_its_time_and_not_before() -> None:
    left = clean(batch([b"a", b"b"], [None, b"2"]))
    assert clean(left, now_ms=NOW + RETENTION - 1) == left
    gone = clean(left, now_ms=NOW + RETENTION)
    assert rows(gone) == [(1, b"b", b"2", NOW + 1)]
    assert check_batch(gone).has_delete_horizon


def test_times_far_apart_survive_the_horizon() -> None:
    far = [1 << 60, 0, (1 << 62) + 5]
    data = bytes(encode_batch([b"a", b"b", b"c"], [None, b"2", b"3"], far))
    left = clean(data)
    assert [time for *_, time in rows(left)] == far
    assert check_batch(clean(data, newer={b"c": 9})).max_timestamp == 1 << 60


def test_append_time_is_every_records_time() -> None:
    data = batch([b"a", b"b"], [b"1", b"2"], timestamp_type=TimestampType.LOG_APPEND_TIME)
    assert check_batch(clean(data, newer={b"b": 9})).max_timestamp == NOW + 1


def test_an_aborted_transactions_data_go() -> None:
    data = batch([b"a"], [b"1"], producer_id=1, producer_epoch=0, transactional=True)
    assert clean(data, aborted=[AbortedEntry(1, 0, 5, 6)]) == b""
    assert clean(data, aborted=[AbortedEntry(2, 0, 5, 6)]) == data


def test_the_last_batch_of_a_producer_stays_without_its_records() -> None:
    data = batch([b"a"], [b"1"], base_offset=3, producer_id=1, producer_epoch=0, base_sequence=8)
    left = clean(data, newer={b"a": 9}, last_records={1: LastRecord(3, 0)})
    assert check_batch(left) == BatchHeader(
        base_offset=3,
        batch_length=49,
        partition_leader_epoch=0,
        magic=2,
        crc=check_batch(left).crc,
        attributes=0,
        last_offset_delta=0,
        base_timestamp=-1,
        max_timestamp=NOW,
        producer_id=1,
        producer_epoch=0,
        base_sequence=8,
        record_count=0,
    )
    assert clean(data, newer={b"a": 9}, last_records={1: LastRecord(4, 0)}) == b""
    assert clean(left, last_records={1: LastRecord(4, 0)}) == b""


def test_the_last_batch_of_a_segment_stays_without_its_records() -> None:
    data = batch([b"a", b"b"], [b"1", b"2"], base_offset=3)
    left = clean(data, newer={b"a": 9, b"b": 9}, segment_end=5)
    assert check_batch(left).record_count == 0
    assert check_batch(left).next_offset == 5
    assert clean(left, segment_end=5) == left
    assert clean(left) == b""


class Marker:
    """A marker that is cleaned again and again."""

    def __init__(self, kind: ControlType) -> None:
        self.data = bytes(encode_control_batch(kind, 1, 0, 0, NOW, base_offset=5))
        self.entry = AbortedEntry(1, 0, 5, 6)
        self.kept: list[AbortedEntry] = []

    def clean(self, *before: bytes, now_ms: int = NOW, last: LastRecord | None = None) -> bytes:
        transactions = CleanedTransactions()
        transactions.add_aborted([self.entry])
        last_records = {} if last is None else {1: last}
        cleaner = BatchCleaner(
            OffsetMap(1),
            transactions,
            last_records,
            now_ms=now_ms,
            delete_retention_ms=RETENTION,
        )
        for data in before:
            cleaner.clean(data, 0, FAR)
        _, self.data = cleaner.clean(self.data, 0, FAR)
        self.kept = transactions.take_kept()
        return self.data


def test_an_abort_marker_stays_as_long_as_a_round_has_met_its_data() -> None:
    data = batch([b"a"], [b"1"], producer_id=1, producer_epoch=0, transactional=True)
    marker = Marker(ControlType.ABORT)
    first = marker.data
    assert marker.clean(data) == first
    assert marker.kept == [marker.entry]
    assert check_batch(marker.clean()).base_timestamp == NOW + RETENTION
    assert marker.kept == []
    second = marker.data
    assert marker.clean(now_ms=NOW + RETENTION - 1) == second
    assert marker.clean(now_ms=NOW + RETENTION) == b""


def test_a_commit_marker_stays_as_long_as_its_data() -> None:
    data = batch([b"a"], [b"1"], producer_id=1, producer_epoch=0, transactional=True)
    marker = Marker(ControlType.COMMIT)
    marker.entry = AbortedEntry(9, 0, 5, 6)
    first = marker.data
    assert marker.clean(data) == first
    assert check_batch(marker.clean()).has_delete_horizon
    second = marker.data
    assert marker.clean(data, now_ms=NOW + RETENTION) == second
    assert marker.clean(now_ms=NOW + RETENTION) == b""


def test_a_marker_that_alone_tells_a_producers_epoch_stays_without_its_record() -> None:
    marker = Marker(ControlType.COMMIT)
    marker.clean()
    left = check_batch(marker.clean(now_ms=NOW + RETENTION, last=LastRecord(-1, 0)))
    assert (left.record_count, left.is_control, left.is_transactional) == (0, True, True)
    before = marker.data
    assert marker.clean(now_ms=NOW + RETENTION, last=LastRecord(-1, 0)) == before
    assert marker.clean(now_ms=NOW + RETENTION, last=LastRecord(-1, 1)) == b""


def test_a_damaged_batch_is_not_made_whole() -> None:
    data = bytearray(batch([b"a", b"b"], [b"1", b"2"]))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordError):
        clean(bytes(data), newer={b"a": 9})


@pytest.mark.parametrize("place", range(61, 79))
@pytest.mark.parametrize("byte", [0x00, 0x01, 0x7F, 0xFF])
def test_records_that_are_none_are_refused_or_cleaned(place: int, byte: int) -> None:
    from streamlog.record.batch import CRC, CRC_AT
    from streamlog.record.checksum import crc32c

    data = bytearray(batch([b"a", b"b"], [b"1", b"2"]))
    data[place] = byte
    CRC.pack_into(data, CRC_AT, crc32c(data, 21))
    try:
        clean(bytes(data), newer={b"a": 9})
    except CorruptRecordError:
        return
