"""A partition's log against a list, through appends, transactions, stops and crashes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamlog.record import Columns, ControlType, decode_batch, encode_batch
from streamlog.storage import LogDirectory, ReadOnlyDirectory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock

ROOT = "/log"
PRODUCERS = (11, 12, 13)


@dataclass(frozen=True)
class Batch:
    """What the model knows of a batch."""

    base_offset: int
    values: tuple[bytes, ...]
    timestamps: tuple[int, ...]
    producer_id: int = -1
    sequence: int = -1
    transactional: bool = False
    control: ControlType | None = None

    @property
    def next_offset(self) -> int:
        return self.base_offset + max(len(self.values), 1)


class PartitionLogMachine(RuleBasedStateMachine):
    """`batches` is the log, `durable` how much of it was acknowledged."""

    @initialize(
        segment_bytes=st.integers(100, 2000),
        interval=st.integers(0, 500),
        index_bytes=st.sampled_from([24, 120, 100_000]),
        segment_ms=st.sampled_from([100, 100_000]),
    )
    def begin(self, segment_bytes: int, interval: int, index_bytes: int, segment_ms: int) -> None:
        self.files = FaultyFiles()
        self.clock = ManualClock(1000)
        self.batches: list[Batch] = []
        self.durable = 0
        self.directory = self.open()
        self.directory.create_topic(
            "t",
            1,
            {
                "segment.bytes": str(segment_bytes),
                "index.interval.bytes": str(interval),
                "segment.index.bytes": str(index_bytes),
                "segment.ms": str(segment_ms),
            },
        )
        self.log = self.directory.partition("t", 0)

    def open(self) -> LogDirectory:
        return LogDirectory.open(
            ROOT, files=self.files, clock=self.clock, threaded=False, boot_id=""
        )

    @property
    def end(self) -> int:
        return self.batches[-1].next_offset if self.batches else 0

    def open_transactions(self, end: int | None = None) -> dict[int, int]:
        opened: dict[int, int] = {}
        for batch in self.batches:
            if end is not None and batch.base_offset >= end:
                break
            if batch.control is not None:
                opened.pop(batch.producer_id, None)
            elif batch.transactional:
                opened.setdefault(batch.producer_id, batch.base_offset)
        return opened

    def next_sequence(self, producer_id: int) -> int:
        return sum(len(b.values) for b in self.batches if b.producer_id == producer_id)

    @rule(
        values=st.lists(st.binary(max_size=60), min_size=1, max_size=5),
        timestamps=st.lists(st.integers(0, 500), min_size=5, max_size=5),
        producer_id=st.sampled_from((-1, *PRODUCERS)),
        transactional=st.booleans(),
    )
    def append(
        self, values: list[bytes], timestamps: list[int], producer_id: int, transactional: bool
    ) -> None:
        transactional = producer_id >= 0 and (
            transactional or producer_id in self.open_transactions()
        )
        times = tuple(timestamps[: len(values)])
        sequence = self.next_sequence(producer_id) if producer_id >= 0 else -1
        batch = Batch(self.end, tuple(values), times, producer_id, sequence, transactional)
        result = self.log.append(self.encode(batch), now_ms=0)
        assert result == (batch.base_offset, batch.next_offset - 1, False)
        self.batches.append(batch)

    def encode(self, batch: Batch) -> bytearray:
        return encode_batch(
            [None] * len(batch.values),
            batch.values,
            batch.timestamps,
            producer_id=batch.producer_id,
            producer_epoch=0 if batch.producer_id >= 0 else -1,
            base_sequence=batch.sequence,
            transactional=batch.transactional,
        )

    @rule(producer_id=st.sampled_from(PRODUCERS), kind=st.sampled_from([0, 1]))
    def end_transaction(self, producer_id: int, kind: int) -> None:
        marker = Batch(self.end, (), (), producer_id, control=ControlType(kind))
        result = self.log.append_control(ControlType(kind), producer_id, 0, 0, now_ms=0)
        assert result.base_offset == marker.base_offset
        self.batches.append(marker)

    @precondition(lambda self: any(b.producer_id >= 0 and b.values for b in self.batches))
    @rule()
    def append_the_last_batch_of_a_producer_again(self) -> None:
        last = next(b for b in reversed(self.batches) if b.producer_id >= 0 and b.values)
        result = self.log.append(self.encode(last), now_ms=0)
        assert result == (last.base_offset, last.next_offset - 1, True)

    @rule()
    def flush(self) -> None:
        self.directory.flusher.wait_durable()
        self.durable = self.end

    @rule()
    def stop_and_open(self) -> None:
        self.directory.close()
        self.directory = self.open()
        self.log = self.directory.partition("t", 0)
        self.durable = self.end
        assert self.log.log_end_offset == self.end

    @rule(adversary=st.sampled_from(list(Adversary)), seed=st.integers(0, 1000))
    def crash_and_open(self, adversary: Adversary, seed: int) -> None:
        cut = Cut(len(self.files.operations), adversary)
        survivors = self.files.cut(cut, seed=str(seed))
        self.directory.close()
        self.files = survivors
        self.directory = self.open()
        self.log = self.directory.partition("t", 0)
        end = self.log.log_end_offset
        assert end >= self.durable
        self.batches = [batch for batch in self.batches if batch.base_offset < end]
        self.durable = self.end
        assert end == self.end

    @invariant()
    def offsets_are_the_models(self) -> None:
        if not hasattr(self, "log"):
            return
        assert self.log.log_end_offset == self.end
        assert self.log.high_watermark == self.durable
        opened = {pid: first for pid, (_, first) in self.log.open_transactions().items()}
        assert opened == self.open_transactions()
        stable = min(self.open_transactions(self.durable).values(), default=self.durable)
        assert self.log.last_stable_offset == stable

    @rule(start=st.integers(0, 200), max_bytes=st.sampled_from([1, 300, 100_000]))
    def read(self, start: int, max_bytes: int) -> None:
        start = min(start, self.durable)
        expected = [
            (batch.base_offset + place, value)
            for batch in self.batches
            for place, value in enumerate(batch.values)
            if start <= batch.base_offset + place < self.durable
        ]
        assert read(self.log, start, max_bytes) == expected
        with ReadOnlyDirectory.open(ROOT, files=self.files) as beside:
            reader = beside.partition("t", 0)
            assert reader.high_watermark == self.durable
            assert reader.last_stable_offset == self.log.last_stable_offset
            assert read(reader, start, max_bytes) == expected

    @rule(max_bytes=st.sampled_from([1, 300, 100_000]))
    def read_committed(self, max_bytes: int) -> None:
        """Filters as a consumer does; what is left are the committed batches below the LSO."""
        stable, offset = self.log.last_stable_offset, 0
        found: list[int] = []
        aborted: set[int] = set()
        while offset < stable:
            fetched = self.log.read(offset, max_bytes, "read_committed")
            begins = sorted(fetched.aborted, key=lambda entry: entry.first_offset)
            for batch in self.batches:
                if not offset <= batch.base_offset < fetched.next_offset:
                    continue
                aborted |= {e.producer_id for e in begins if e.first_offset <= batch.base_offset}
                begins = [e for e in begins if e.first_offset > batch.base_offset]
                if batch.control is not None:
                    aborted.discard(batch.producer_id)
                elif not (batch.transactional and batch.producer_id in aborted):
                    found.append(batch.base_offset)
            aborted.clear()
            offset = fetched.next_offset
        assert found == [b.base_offset for b in self.committed() if b.base_offset < stable]

    def committed(self) -> list[Batch]:
        outcome: dict[int, bool] = {}
        kept: list[Batch] = []
        for batch in reversed(self.batches):
            if batch.control is not None:
                outcome[batch.producer_id] = batch.control is ControlType.COMMIT
            elif not batch.transactional or outcome.get(batch.producer_id, True):
                kept.append(batch)
        return kept[::-1]

    @rule(timestamp=st.integers(0, 510))
    def look_for_a_time(self, timestamp: int) -> None:
        expected = next(
            (
                (batch.base_offset + place, each)
                for batch in self.batches
                if batch.base_offset < self.durable
                for place, each in enumerate(batch.timestamps)
                if each >= timestamp
            ),
            None,
        )
        assert self.log.offset_for_timestamp(timestamp) == expected

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.close()


def read(log, start: int, max_bytes: int) -> list[tuple[int, bytes]]:
    columns, offset = Columns(), start
    while offset < log.high_watermark:
        fetched = log.read(offset, max_bytes)
        position = 0
        while position < len(fetched.data):
            position = decode_batch(fetched.data, position, columns, min_offset=start)
        assert fetched.next_offset > offset
        offset = fetched.next_offset
    return list(zip(columns.offsets, columns.values, strict=True))


TestPartitionLog = PartitionLogMachine.TestCase
TestPartitionLog.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
