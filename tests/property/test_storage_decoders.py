"""Bytes that anybody may have written: our decoders answer, or raise what they say they raise."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from streamlog.storage.checkpoint_file import decode_offsets, encode_offsets
from streamlog.storage.durable_offsets import DurableOffset, decode_slots, encode_slot
from streamlog.storage.offset_index import OffsetIndex
from streamlog.storage.producer_snapshot import decode_snapshot, encode_snapshot
from streamlog.storage.producer_state import ProducedBatch, ProducerEntry
from streamlog.storage.time_index import TimeIndex
from streamlog.storage.transaction_index import AbortedEntry, decode_aborted, encode_aborted
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from uuid import UUID

LONG = st.integers(-(1 << 63), (1 << 63) - 1)
OFFSET = st.integers(0, (1 << 63) - 1)
EPOCH = st.integers(-1, (1 << 15) - 1)
INT = st.integers(0, (1 << 31) - 1)


@given(st.binary(max_size=300), LONG)
def test_any_bytes_are_an_answer_or_damage(data: bytes, end_offset: int) -> None:
    OffsetIndex.decode(0, data, end_offset=end_offset)
    TimeIndex.decode(0, data, end_offset=end_offset)
    decode_aborted(data, end_offset=end_offset)
    decode_snapshot(data)
    decode_slots(data)
    decode_slots(b"SLDO\0\0\0\1" + bytes(40) + data)
    with contextlib.suppress(ValueError):
        decode_offsets(data)


@given(st.lists(st.tuples(INT, INT), unique_by=(lambda e: e[0], lambda e: e[1])))
def test_an_offset_index_round_trips_and_finds_the_entry_below(
    pairs: list[tuple[int, int]],
) -> None:
    offsets, positions = sorted(p[0] for p in pairs), sorted(p[1] for p in pairs)
    index = OffsetIndex(5)
    for offset, position in zip(offsets, positions, strict=True):
        index.append(5 + offset, position)
    again = OffsetIndex.decode(5, index.encode(), end_offset=1 << 63)
    assert again is not None
    for target in (*offsets, 0, 1 << 30):
        expected = max(
            (p for o, p in zip(offsets, positions, strict=True) if o <= target), default=0
        )
        assert again.lookup(5 + target) == expected


@given(
    st.lists(
        st.tuples(
            LONG, st.integers(-1, 1 << 14), INT, st.integers(0, 1 << 40), LONG, st.booleans()
        ),
        unique_by=lambda fields: fields[0],
    )
)
def test_a_snapshot_round_trips(rows: list[tuple[int, int, int, int, int, bool]]) -> None:
    entries: list[ProducerEntry] = []
    for producer_id, epoch, sequence, offset, timestamp, in_transaction in rows:
        entry = ProducerEntry(producer_id, epoch)
        entry.batches.append(ProducedBatch(sequence, sequence, offset, offset, timestamp))
        entry.last_timestamp = timestamp
        entry.transaction_first_offset = offset if in_transaction else -1
        entries.append(entry)
    decoded = decode_snapshot(encode_snapshot(entries))
    assert decoded is not None
    assert [(e.producer_id, e.epoch, e.batches, e.transaction_first_offset) for e in decoded] == [
        (e.producer_id, e.epoch, e.batches, e.transaction_first_offset) for e in entries
    ]


@given(st.lists(st.tuples(LONG, OFFSET, st.integers(1, 1 << 20), LONG), max_size=10))
def test_a_transaction_index_round_trips(rows: list[tuple[int, int, int, int]]) -> None:
    entries: list[AbortedEntry] = []
    last = 0
    for producer_id, first, step, stable in rows:
        last += step
        entries.append(AbortedEntry(producer_id, min(first, last - 1), last, stable))
    assert decode_aborted(encode_aborted(entries), end_offset=1 << 63) == (entries, True)


@given(st.dictionaries(st.tuples(st.from_regex(r"[a-zA-Z0-9._-]+", fullmatch=True), INT), OFFSET))
def test_a_checkpoint_round_trips(offsets: dict[tuple[str, int], int]) -> None:
    named = {TopicPartition(*name): offset for name, offset in offsets.items()}
    assert decode_offsets(encode_offsets(named)) == named


@given(st.uuids(), INT, OFFSET, OFFSET)
def test_a_slot_round_trips(topic_id: UUID, partition: int, high: int, stable: int) -> None:
    slot = encode_slot((topic_id, partition), DurableOffset(high, stable))
    content = b"SLDO\0\0\0\1" + bytes(40) + slot
    assert decode_slots(content) == [((topic_id, partition), (high, stable))]
