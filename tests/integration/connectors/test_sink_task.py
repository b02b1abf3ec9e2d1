"""What the runtime does for every sink."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from connectors.api import BlockingSink, Delivery, Plugin, Poison, Retry, Sink, SinkBatch
from connectors.config.document import Commit, Errors, From, PluginConfig, SinkDocument
from connectors.errors import PoisonRecordError
from connectors.runtime.sink_task import SinkTask
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.api import AnySink, SinkContext
    from streamlog.client.contract import Log
    from tests.integration.connectors.conftest import Bench

PARTITION = TopicPartition("in", 0)


def task(
    sink: AnySink, delivery: Delivery, *, errors: Errors | None = None, value: Any = "str"
) -> SinkTask:
    plugin = Plugin(kind="sink", name="test", config=None, create=lambda _: sink, delivery=delivery)
    document = SinkDocument(
        name="test",
        sink=PluginConfig(name="test", config=None),
        from_=From(topics=["in"], value=value),
        errors=errors or Errors(),
        commit=Commit(age_ms=1),
    )
    return SinkTask(document, plugin)


class Memory(Sink[None]):
    """Remembers what it was given; what it calls durable outlives the task."""

    def __init__(self, held: Mapping[TopicPartition, int] | None = None) -> None:
        super().__init__(None)
        self.held = dict(held or {})
        self.rows: list[tuple[int, Any]] = []
        self.flushes = 0
        self.closed = 0

    async def open(
        self, partitions: Sequence[TopicPartition], context: SinkContext
    ) -> Mapping[TopicPartition, int]:
        return self.held

    async def put(self, batch: SinkBatch) -> None:
        self.rows += zip(batch.offsets, batch.values, strict=True)
        self.held[batch.partition] = batch.next_offset

    async def flush(self) -> Mapping[TopicPartition, int]:
        self.flushes += 1
        return self.held

    async def close(self) -> None:
        self.closed += 1


def fill(log: Log, *values: bytes | None) -> None:
    log.create_topic("in", 1, exist_ok=True)
    with log.producer() as producer:
        for value in values:
            producer.send("in", value=value)


def test_an_ordinary_sink_continues_at_the_committed_offsets(bench: Bench) -> None:
    fill(bench.log, b"a", b"b")
    first = Memory()
    status = bench.run_targets(task(first, "at_least_once"))["test"]
    assert first.rows == [(0, "a"), (1, "b")]
    assert first.closed == 1
    assert status.committed == bench.log.committed_offsets("connect-test") == {PARTITION: 2}
    fill(bench.log, b"c")
    second = Memory()
    bench.run_targets(task(second, "at_least_once"))
    assert second.rows == [(2, "c")]


@pytest.mark.parametrize("held", [0, 1, 2])
def test_a_transactional_sink_continues_at_what_it_holds(bench: Bench, held: int) -> None:
    fill(bench.log, b"a", b"b")
    bench.run_targets(task(Memory(), "transactional"))
    sink = Memory({PARTITION: held})
    bench.run_targets(task(sink, "transactional"))
    assert sink.rows == [(0, "a"), (1, "b")][held:]
    assert bench.log.committed_offsets("connect-test") == {PARTITION: 2}


def test_the_committed_offset_passes_markers_and_aborted_records(bench: Bench) -> None:
    bench.log.create_topic("in", 1)
    with bench.log.producer(transactional_id="t") as producer:
        for value, keep in [(b"a", True), (b"b", False)]:
            producer.begin_transaction()
            producer.send("in", value=value)
            producer.flush()
            producer.commit_transaction() if keep else producer.abort_transaction()
    sink = Memory()
    bench.run_targets(task(sink, "transactional"))
    assert sink.rows == [(0, "a")]
    assert sink.held == {PARTITION: 4}


def test_a_topic_may_come_later(bench: Bench) -> None:
    async def run() -> None:
        sink = Memory()
        target = task(sink, "transactional")
        running = asyncio.create_task(target.run(bench.context()))
        while target.status().state != "running":
            await asyncio.sleep(0)
        assert target.status().committed == {}
        fill(bench.log, b"a")
        assert target.status().committed == {PARTITION: 0}  # so a run until idle goes on
        while target.status().committed != {PARTITION: 1}:
            await asyncio.sleep(0)
        target.request_stop()
        await running
        assert sink.rows == [(0, "a")]

    asyncio.run(run())


def test_a_value_that_cannot_be_read_fails_naming_topic_and_offset(bench: Bench) -> None:
    fill(bench.log, b"1", b"x", b"3")
    with pytest.raises(PoisonRecordError, match=r"in-0 offset 1: VALUE_CONVERTER: serde json"):
        bench.run_targets(task(Memory(), "transactional", value="json"))


def test_a_value_that_cannot_be_read_is_skipped_or_kept_as_it_was(bench: Bench) -> None:
    fill(bench.log, b"1", b"x", b"3", b"{")
    sink = Memory()
    skip = Errors(tolerate="all")
    status = bench.run_targets(task(sink, "transactional", errors=skip, value="json"))["test"]
    assert sink.rows == [(0, 1), (2, 3)]
    assert sink.held == {PARTITION: 4}
    assert status.counters == {"skipped": 2}
    sink = Memory()
    keep = Errors(tolerate="all", dead_letter="bad")
    bench.run_targets(task(sink, "transactional", errors=keep, value="json"))
    first, second = bench.records("bad")
    assert (first.value, second.value) == (b"x", b"{")
    headers = {name: (value or b"").decode() for name, value in first.headers}
    prefix = "__connect.errors."
    assert [headers[prefix + name] for name in ("topic", "partition", "offset", "stage")] == [
        *("in", "0", "1", "VALUE_CONVERTER")
    ]


class Fragile(Memory):
    """Refuses `x`, and dies in a flush when it is told to."""

    def __init__(self, *, dies: bool) -> None:
        super().__init__()
        self.dies = dies

    async def put(self, batch: SinkBatch) -> None:
        if "x" in batch.values:
            raise Poison("is x", index=batch.values.index("x"))
        await super().put(batch)

    async def flush(self) -> Mapping[TopicPartition, int]:
        if self.dies:
            raise OSError("power cut")
        return await super().flush()


def test_a_dead_letter_is_written_once_though_the_flush_behind_it_failed(bench: Bench) -> None:
    fill(bench.log, b"a", b"x", b"b")
    errors = Errors(tolerate="all", dead_letter="bad")
    with pytest.raises(OSError, match="power cut"):
        bench.run_targets(task(Fragile(dies=True), "transactional", errors=errors))
    assert bench.values("bad") == [b"x"]
    sink = Fragile(dies=False)
    bench.run_targets(task(sink, "transactional", errors=errors))
    assert sink.rows == [(0, "a"), (2, "b")]
    assert bench.values("bad") == [b"x"]


def test_a_sink_that_is_busy_gets_the_same_batch_again(bench: Bench) -> None:
    class Busy(BlockingSink[None]):
        puts: list[list[Any]] = []  # noqa: RUF012  one instance

        def put(self, batch: SinkBatch) -> None:
            self.puts.append(batch.values)
            if len(self.puts) < 3:
                raise Retry("busy", after_ms=0)

        def flush(self) -> Mapping[TopicPartition, int]:
            return {PARTITION: 1}

    sink = Busy(None)
    fill(bench.log, b"a")
    bench.run_targets(task(sink, "at_least_once"))
    assert sink.puts == [["a"]] * 3


@pytest.mark.parametrize("at_once", [False, True])
def test_a_stop_flushes_what_is_in_hand_and_at_once_leaves_it(bench: Bench, at_once: bool) -> None:
    fill(bench.log, b"a")

    async def run() -> Memory:
        sink = Memory()
        plugin = Plugin(
            kind="sink", name="t", config=None, create=lambda _: sink, delivery="transactional"
        )
        document = SinkDocument(
            name="test",
            sink=PluginConfig(name="t", config=None),
            from_=From(topics=["in"], value="str"),
            errors=Errors(),
            commit=Commit(age_ms=3_600_000),
        )
        target = SinkTask(document, plugin)
        running = asyncio.create_task(target.run(bench.context(until_idle=False)))
        while not target.status().pending:
            await asyncio.sleep(0)
        target.request_stop(at_once=at_once)
        await running
        return sink

    sink = asyncio.run(run())
    assert sink.flushes == (0 if at_once else 1)
    assert sink.closed == 1
