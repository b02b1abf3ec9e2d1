"""The producer's queues, cuts and scatter, and that no size is ever guessed too small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.client.kernel import (
    Queue,
    bound_bytes,
    cut_rows,
    scatter,
    single_batch_bytes,
)
from streamlog.errors import RecordTooLargeError
from streamlog.partitioner import partition_for
from streamlog.record import encode_batch

FIELDS = st.none() | st.binary(max_size=300)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
HEADERS = st.none() | st.lists(st.tuples(TEXT, FIELDS), max_size=3)


class NobodyWaits:
    def wait_rows(self, rows, timeout):
        raise AssertionError("nothing to wait for")


def queue(partitions=1, batch_bytes=1000, max_batch_bytes=2000):
    return Queue(NobodyWaits(), "t", partitions, batch_bytes, max_batch_bytes)


def columns(taken):
    return [
        (rows.partition, rows.keys, rows.values, rows.timestamps, rows.headers) for rows in taken
    ]


@given(FIELDS, FIELDS, HEADERS)
def test_a_records_size_is_exact_alone_and_never_less_than_in_any_batch(key, value, headers):
    batch = encode_batch([key], [value], [5], None if headers is None else [headers])
    assert single_batch_bytes(key, value, headers) == len(batch)
    assert 61 + bound_bytes(key, value, headers) >= len(batch)


@given(
    st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=50),
    st.integers(100, 2000),
    st.lists(st.integers(0, 2**62), min_size=50, max_size=50),
)
def test_cut_batches_cover_all_rows_in_order_and_stay_below_the_limit(rows, limit, times):
    keys, values = map(list, zip(*rows, strict=True))
    large = []
    ends = cut_rows(keys, values, None, limit, large)
    assert ends[-1] == len(rows)
    assert ends == sorted(set(ends))
    for start, end in zip([0, *ends], ends, strict=False):
        batch = encode_batch(keys[start:end], values[start:end], times[start:end])
        assert len(batch) <= limit or (end == start + 1 and start in large)


@pytest.mark.parametrize("bad", ["text", 7, bytearray(b"x")])
def test_a_column_of_anything_but_bytes_is_refused_with_its_row(bad):
    with pytest.raises(TypeError, match=r"values\[1\]"):
        cut_rows(None, [b"a", bad], None, 1000, [])
    with pytest.raises(TypeError, match=r"keys\[1\]"):
        cut_rows([b"a", bad], [None, None], None, 1000, [])
    with pytest.raises(TypeError, match=r"keys\[1\]"):
        scatter([b"a", bad], [None, None], None, None, 0, 2, 0)


def test_no_rows_make_no_batch():
    assert cut_rows(None, [], None, 1000, []) == []


@given(st.lists(st.tuples(FIELDS, FIELDS, HEADERS), max_size=40), st.integers(1, 5))
def test_scatter_puts_every_row_where_its_key_belongs_in_order(rows, partitions):
    rows = [(key, value, headers or []) for key, value, headers in rows]
    times = list(range(len(rows)))
    keys, values, headers = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    split = scatter(keys, values, times, headers, 0, partitions, partitions - 1)
    for part in split:
        expected = [
            (key, value, time, head)
            for (key, value, head), time in zip(rows, times, strict=True)
            if part.partition == (partitions - 1 if key is None else partition_for(key, partitions))
        ]
        assert (
            list(zip(part.keys, part.values, part.timestamps, part.headers, strict=True))
            == expected
        )
    assert sum(len(part.values) for part in split) == len(rows)


def test_rows_without_timestamps_have_the_time_they_were_sent():
    (rows,) = scatter([b"k", b"k"], [b"1", b"2"], None, None, 1234, 5, 0)
    assert (rows.timestamps, rows.headers) == ([1234, 1234], None)


def test_a_queue_gives_back_each_partitions_rows_in_order():
    waiting = queue(partitions=2)
    waiting.add(b"k", b"1", 10, None, 1)
    waiting.add(None, b"2", 11, None, 0)
    waiting.add(None, None, 12, [("h", b"x")], 1)
    assert columns(waiting.take()) == [
        (0, [None], [b"2"], [11], None),
        (1, [b"k", None], [b"1", None], [10, 12], [[], [("h", b"x")]]),
    ]
    assert waiting.take() == []


def test_a_batch_without_room_is_full_and_a_new_one_begins():
    waiting = queue(batch_bytes=300)
    for value in (b"a" * 100, b"b" * 100, b"c"):
        waiting.add(None, value, 0, None, 0)
    assert [rows.values for rows in waiting.take_full()] == [[b"a" * 100]]
    assert [rows.values for rows in waiting.take()] == [[b"b" * 100, b"c"]]


def test_a_record_over_the_batch_size_travels_alone_and_one_over_the_limit_is_refused():
    waiting = queue(batch_bytes=300, max_batch_bytes=single_batch_bytes(None, b"x" * 900, None))
    waiting.add(None, b"x" * 900, 0, None, 0)
    waiting.add(None, b"y", 0, None, 0)
    with pytest.raises(RecordTooLargeError):
        waiting.add(None, b"x" * 901, 0, None, 0)
    assert [rows.values for rows in waiting.take()] == [[b"x" * 900], [b"y"]]


def test_keyless_records_stay_with_a_partition_until_it_has_a_batch():
    waiting = queue(partitions=3, batch_bytes=1000)
    for _ in range(20):
        waiting.add(None, b"x" * 100, 0, None, -1)
    sizes = [(rows.partition, len(rows.values)) for rows in waiting.take()]
    assert sizes == [(0, 7), (1, 7), (2, 6)]


def test_a_key_chooses_kafkas_partition():
    waiting = queue(partitions=4)
    waiting.add(b"lot-7", b"", 0, None, -1)
    assert [rows.partition for rows in waiting.take()] == [partition_for(b"lot-7", 4)]
