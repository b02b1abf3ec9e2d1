"""What compaction leaves of any log is what a few lines say.

Rounds over the same log at later and later times, with more or less room for keys: after each,
every record that is left, and where, is compared with the model, batch boundaries and all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.record import (
    Codec,
    Columns,
    ControlType,
    decode_batch,
    encode_batch,
    encode_control_batch,
    read_header,
)
from streamlog.storage.batch_cleaner import BatchCleaner, map_batch
from streamlog.storage.cleaned_transactions import CleanedTransactions
from streamlog.storage.offset_map import KEY_OVERHEAD_BYTES, OffsetMap
from streamlog.storage.transaction_index import AbortedEntry

RETENTION_MS = 100
START_MS = 10_000

keys = st.sampled_from([b"a", b"b", b"c", b"d" * 40, None])
values = st.sampled_from([b"", b"value" * 30, None])
records = st.lists(st.tuples(keys, values, st.integers(0, 1 << 40)), min_size=1, max_size=5)
batches = st.tuples(
    records,
    st.sampled_from(Codec),
    st.sampled_from([None, "abort", "commit"]),
    st.booleans(),  # whether the transaction ends behind it
)
rounds = st.tuples(st.integers(0, 150), st.integers(1, 6 * (KEY_OVERHEAD_BYTES + 1)))


@dataclass
class Row:
    """A record as it was appended."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    batch: int  # the base offset of its batch


@dataclass
class Model:
    """The few lines."""

    rows: list[Row]
    aborted: set[int]  # batches
    horizons: dict[int, int] = field(default_factory=dict)

    def clean(self, end: int, now_ms: int) -> None:
        rows = [row for row in self.rows if row.batch not in self.aborted]
        last = {row.key: row.offset for row in rows if row.offset < end}
        self.rows = [
            row
            for row in rows
            if row.offset >= end
            or (
                row.key is not None
                and row.offset == last[row.key]
                and (row.value is not None or now_ms < self.horizons.get(row.batch, now_ms + 1))
            )
        ]
        for row in self.rows:
            if row.value is None:
                self.horizons.setdefault(row.batch, now_ms + RETENTION_MS)


class Log:
    """Batches, and the transactions among them that were aborted."""

    def __init__(self, plan: list[tuple[list, Codec, str | None, bool]]) -> None:  # type: ignore[type-arg]
        self.batches: list[bytes] = []
        self.aborted: list[AbortedEntry] = []
        self.end = 0
        rows: list[Row] = []
        dropped: set[int] = set()
        open_at: dict[str, int] = {}
        for content, codec, outcome, ends in plan:
            if outcome is not None:
                open_at.setdefault(outcome, self.end)
                if outcome == "abort":
                    dropped.add(self.end)
            columns = zip(*content, strict=True)
            batch = encode_batch(
                *(list(column) for column in columns),
                base_offset=self.end,
                codec=codec,
                producer_id=-1 if outcome is None else len(outcome),
                producer_epoch=-1 if outcome is None else 0,
                base_sequence=-1 if outcome is None else self.end,
                transactional=outcome is not None,
            )
            for place, (key, value, timestamp) in enumerate(content):
                rows.append(Row(self.end + place, key, value, timestamp, self.end))
            self.add(batch)
            if ends and outcome in open_at:
                self.end_transaction(outcome, open_at.pop(outcome))
        for outcome, first in open_at.items():
            self.end_transaction(outcome, first)
        self.model = Model(rows, dropped)

    def add(self, batch: bytes | bytearray) -> None:
        self.batches.append(bytes(batch))
        self.end = read_header(batch).next_offset

    def end_transaction(self, outcome: str, first: int) -> None:
        kind = ControlType.ABORT if outcome == "abort" else ControlType.COMMIT
        if kind is ControlType.ABORT:
            self.aborted.append(AbortedEntry(len(outcome), first, self.end, self.end))
        self.add(encode_control_batch(kind, len(outcome), 0, 0, START_MS, self.end))

    def clean(self, now_ms: int, room_bytes: int) -> int:
        """One round over all of it; how far it reached."""
        offset_map = OffsetMap(room_bytes)
        transactions = self._transactions()
        for batch in self.batches:
            _, whole = map_batch(offset_map, transactions, batch, 0, 0)
            if not whole:
                break
        transactions = self._transactions()
        cleaner = BatchCleaner(
            offset_map, transactions, {}, now_ms=now_ms, delete_retention_ms=RETENTION_MS
        )
        left = [cleaner.clean(batch, 0, self.end)[1] for batch in self.batches]
        self.batches = [batch for batch in left if batch]
        self.aborted = transactions.take_kept()
        return offset_map.end_offset

    def _transactions(self) -> CleanedTransactions:
        transactions = CleanedTransactions()
        transactions.add_aborted(self.aborted)
        return transactions

    def rows(self) -> list[tuple[int, bytes | None, bytes | None, int]]:
        columns = Columns()
        for batch in self.batches:
            decode_batch(batch, 0, columns)
        return list(
            zip(columns.offsets, columns.keys, columns.values, columns.timestamps, strict=True)
        )


@settings(max_examples=150, deadline=None)
@given(plan=st.lists(batches, min_size=1, max_size=12), times=st.lists(rounds, max_size=5))
def test_what_survives_is_what_the_model_says(plan: list, times: list[tuple[int, int]]) -> None:  # type: ignore[type-arg]
    log = Log(plan)
    now_ms = START_MS
    for passed_ms, room_bytes in times:
        now_ms += passed_ms
        end = log.clean(now_ms, room_bytes)
        log.model.clean(end, now_ms)
        expected = [(row.offset, row.key, row.value, row.timestamp) for row in log.model.rows]
        assert log.rows() == expected
        headers = [read_header(batch) for batch in log.batches]
        assert headers[-1].next_offset == log.end
        for header in headers:
            times_left = [
                row.timestamp for row in log.model.rows if row.batch == header.base_offset
            ]
            if times_left:
                assert header.max_timestamp == max(times_left)
    if len(times) >= 2:
        markers = [header for header in map(read_header, log.batches) if header.is_control]
        last = log.end - 1
        ended = {entry.last_offset for entry in log.aborted}
        assert ended <= {marker.last_offset for marker in markers}
        assert all(entry.last_offset <= last for entry in log.aborted)


@settings(max_examples=50, deadline=None)
@given(plan=st.lists(batches, min_size=1, max_size=12))
def test_rounds_that_follow_at_once_change_nothing_more(plan: list) -> None:  # type: ignore[type-arg]
    log = Log(plan)
    for _ in range(2):  # the second gives the markers of dropped data their horizon
        log.clean(START_MS, 1 << 20)
    before = log.batches
    log.clean(START_MS, 1 << 20)
    assert log.batches == before
