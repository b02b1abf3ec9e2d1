"""What is encoded comes back, for every kind of record, codec and place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from streamlog.record import (
    Codec,
    Columns,
    ControlType,
    Headers,
    check_batch,
    decode_batch,
    encode_batch,
    encode_control_batch,
    patch_batch,
    read_control,
)

T = TypeVar("T")

# Sizes around those where a varint takes another byte.
blobs = st.none() | st.binary(max_size=70) | st.sampled_from([b"x" * 63, b"y" * 64, b"z" * 8_192])
times = st.integers(-1, 2**63 - 2) | st.integers(1_700_000_000_000, 1_700_000_000_200)
offsets = st.integers(0, 2**63 - 100)
header_lists: st.SearchStrategy[Headers] = st.lists(
    st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=3
)


@dataclass
class Rows:
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    headers: list[Headers] | None


@st.composite
def row_lists(draw: st.DrawFn) -> Rows:
    count = draw(st.integers(1, 12))

    def column(each: st.SearchStrategy[T]) -> list[T]:
        return draw(st.lists(each, min_size=count, max_size=count))

    headers = column(header_lists) if draw(st.booleans()) else None
    return Rows(column(blobs), column(blobs), column(times), headers)


def expected(rows: Rows, base_offset: int, min_offset: int = 0) -> Columns:
    """What decoding gives: no header column where no record left has headers."""
    first = min(max(min_offset - base_offset, 0), len(rows.keys))
    headers = rows.headers[first:] if rows.headers else []
    return Columns(
        rows.keys[first:],
        rows.values[first:],
        rows.timestamps[first:],
        list(range(base_offset + first, base_offset + len(rows.keys))),
        headers if any(headers) else None,
    )


@given(row_lists(), st.sampled_from(Codec), offsets, st.integers(-2, 14))
def test_records_come_back(rows: Rows, codec: Codec, base_offset: int, skipped: int) -> None:
    batch = encode_batch(
        rows.keys, rows.values, rows.timestamps, rows.headers, base_offset=base_offset, codec=codec
    )

    for min_offset in (0, base_offset + skipped):
        columns = Columns()
        assert decode_batch(bytes(batch), 0, columns, min_offset=min_offset) == len(batch)
        assert columns == expected(rows, base_offset, min_offset)


@given(st.lists(st.tuples(row_lists(), st.sampled_from(Codec)), min_size=1, max_size=4))
def test_batches_one_after_another_make_one_run_of_columns(runs: list[tuple[Rows, Codec]]) -> None:
    data = bytearray()
    offset = 0
    for rows, codec in runs:
        data += encode_batch(
            rows.keys, rows.values, rows.timestamps, rows.headers, base_offset=offset, codec=codec
        )
        offset += len(rows.keys)

    columns = Columns()
    position = 0
    while position < len(data):
        position = decode_batch(bytes(data), position, columns)

    all_rows = Rows(
        [key for rows, _ in runs for key in rows.keys],
        [value for rows, _ in runs for value in rows.values],
        [timestamp for rows, _ in runs for timestamp in rows.timestamps],
        [each for rows, _ in runs for each in rows.headers or [[] for _ in rows.keys]],
    )
    assert columns == expected(all_rows, 0)


@given(
    row_lists(),
    offsets,
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 2**63 - 2),
    st.sampled_from(Codec),
)
def test_a_batch_keeps_its_records_wherever_it_is_put(
    rows: Rows, base_offset: int, epoch: int, append_time: int | None, codec: Codec
) -> None:
    batch = encode_batch(rows.keys, rows.values, rows.timestamps, rows.headers, codec=codec)

    patch_batch(batch, base_offset, epoch, append_time=append_time)

    assert check_batch(batch).partition_leader_epoch == epoch
    columns = Columns()
    decode_batch(batch, 0, columns)
    if append_time is not None:
        rows.timestamps = [append_time] * len(rows.keys)
    assert columns == expected(rows, base_offset)


@given(
    st.sampled_from([ControlType.ABORT, ControlType.COMMIT]),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**15 - 1),
    st.integers(-1, 2**31 - 1),
    times,
    st.integers(0, 2**63 - 2),
)
def test_markers_come_back(
    kind: ControlType, producer_id: int, epoch: int, coordinator: int, time: int, offset: int
) -> None:
    batch = encode_control_batch(kind, producer_id, epoch, coordinator, time, offset)

    assert read_control(batch) == (kind, producer_id, epoch, coordinator, offset, time)
