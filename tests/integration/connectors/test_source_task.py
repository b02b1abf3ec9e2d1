"""What the runtime does for every source."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from connectors.api import (
    Batch,
    BlockingSource,
    CommitPoint,
    Exhausted,
    Idle,
    Plugin,
    Retry,
    Source,
    SourceColumns,
    SourceRecord,
)
from connectors.config.document import Commit, Errors, PluginConfig, SourceDocument, To
from connectors.config.document import Retry as RetryConfig
from connectors.errors import PoisonRecordError, RetryError
from connectors.runtime.source_task import SourceTask
from streamlog.coordination.transaction_record import decode_value
from streamlog.errors import TransactionalIdInUseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from connectors.api import SourceEvent
    from tests.integration.connectors.conftest import Bench

PARTITION = {"p": 1}


def task(create: Callable[[Any], Any], **more: Any) -> SourceTask:
    plugin = Plugin(kind="source", name="test", config=None, create=create)
    # What forces a commit is told by each test: not that it took a moment until something came.
    settings: dict[str, Any] = {"errors": Errors(), "commit": Commit(age_ms=3_600_000)} | more
    document = SourceDocument(
        name="test",
        source=PluginConfig(name="test", config=None),
        to=To(topic="out", value="str"),
        **settings,
    )
    return SourceTask(document, plugin)


def batch(position: int, *values: Any) -> Batch:
    return Batch([SourceRecord(value) for value in values], PARTITION, {"position": position})


class Scripted(Source[None]):
    """Yields what it is told to, from where it committed, and remembers what it is told."""

    def __init__(self, *script: SourceEvent | Exception) -> None:
        super().__init__(None)
        self.script = script
        self.acknowledged: list[Any] = []
        self.starts: list[int] = []
        self.closed = 0

    async def read(self) -> AsyncIterator[SourceEvent]:
        start = (self.context.offset(PARTITION) or {"position": 0})["position"]
        self.starts.append(start)
        for event in self.script:
            if isinstance(event, Exception):
                if len(self.starts) == 1:
                    raise event
            elif not isinstance(event, Batch) or event.offset["position"] > start:
                yield event

    async def committed(
        self, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        self.acknowledged += [offset["position"] for _, offset in offsets]

    async def close(self) -> None:
        self.closed += 1


def test_a_commit_point_forces_a_commit_and_the_source_hears_of_it(bench: Bench) -> None:
    source = Scripted(batch(1, "a"), batch(2, "b"), CommitPoint(), batch(3, "c"))
    statuses = bench.run_targets(task(lambda _: source))
    assert bench.values("out") == [b"a", b"b", b"c"]
    assert source.acknowledged == [2, 3]
    assert statuses["test"].commits == 2
    assert source.closed == 1


@pytest.mark.parametrize("event", [Idle(0.001), Exhausted(0.001)])
def test_a_source_that_has_nothing_more_for_now_is_committed(
    bench: Bench, event: SourceEvent
) -> None:
    source = Scripted(batch(1, "a"), event, batch(2, "b"))
    bench.run_targets(task(lambda _: source))
    assert source.acknowledged == [1, 2]


def test_a_size_forces_a_commit(bench: Bench) -> None:
    source = Scripted(batch(1, "1234"), batch(2, "56789"), batch(3, "0"))
    bench.run_targets(task(lambda _: source, commit=Commit(size_bytes=9, age_ms=3_600_000)))
    assert source.acknowledged == [2, 3]


def test_an_age_forces_a_commit_while_the_source_is_busy(bench: Bench) -> None:
    class Slow(Scripted):
        async def read(self) -> AsyncIterator[SourceEvent]:
            yield batch(1, "a")
            while not self.acknowledged:  # would never end without the commit
                await asyncio.sleep(0)
            yield batch(2, "b")

    source = Slow()
    bench.run_targets(task(lambda _: source, commit=Commit(age_ms=1)))
    assert source.acknowledged == [1, 2]


def test_a_retry_aborts_and_begins_where_it_was_committed(bench: Bench) -> None:
    source = Scripted(batch(1, "a"), CommitPoint(), batch(2, "b"), Retry("busy", after_ms=0))
    bench.run_targets(task(lambda _: source))
    assert bench.values("out") == [b"a", b"b"]
    assert source.starts == [0, 1]
    assert source.closed == 2


def test_retries_come_to_an_end(bench: Bench) -> None:
    source = Scripted(Retry("busy", after_ms=10))
    errors = Errors(retry=RetryConfig(for_ms=9))
    with pytest.raises(RetryError, match="'test' gave up after 1 attempts: busy"):
        bench.run_targets(task(lambda _: source, errors=errors))


def test_a_failure_aborts_closes_and_is_reported(bench: Bench) -> None:
    source = Scripted(batch(1, "a"), ZeroDivisionError("oops"))
    with pytest.raises(ZeroDivisionError, match="oops"):
        bench.run_targets(task(lambda _: source))
    assert bench.values("out") == []
    assert source.closed == 1
    bench.run_targets(task(lambda _: Scripted(batch(1, "a"))))  # the id is free again
    assert bench.values("out") == [b"a"]


def test_what_was_held_back_comes_when_the_run_drains(bench: Bench) -> None:
    class HoldsBack(Scripted):
        async def read(self) -> AsyncIterator[SourceEvent]:
            yield batch(1, "a")
            while not self.context.draining:
                yield Exhausted()
            yield batch(2, "b")

    bench.run_targets(task(lambda _: HoldsBack()))
    assert bench.values("out") == [b"a", b"b"]


def test_a_blocking_source_has_one_thread_of_its_own(bench: Bench) -> None:
    threads: set[str] = set()

    class Blocking(BlockingSource[None]):
        def read(self) -> Iterator[SourceEvent]:
            for number in (1, 2):
                threads.add(threading.current_thread().name)
                yield batch(number, str(number))

        def committed(self, offsets: object) -> None:
            threads.add(threading.current_thread().name)

        def close(self) -> None:
            threads.add(threading.current_thread().name)

    bench.run_targets(task(lambda _: Blocking(None)))
    assert bench.values("out") == [b"1", b"2"]
    assert len(threads) == 1
    assert threads != {threading.current_thread().name}


def test_keys_timestamps_and_headers_arrive(bench: Bench) -> None:
    first = SourceRecord("v", key="k", timestamp=7, headers=[("h", b"x")])
    columns = SourceColumns([b"w"], keys=[b"l"], timestamps=[8])
    source = Scripted(
        Batch([first, SourceRecord("u")], PARTITION, {"position": 1}),
        Batch(columns, PARTITION, {"position": 2}),
    )
    bench.run_targets(task(lambda _: source))
    one, two, three = bench.records("out")
    assert (one.key, one.value, one.timestamp, one.headers) == (b"k", b"v", 7, [("h", b"x")])
    assert two.timestamp > 8
    assert (three.key, three.timestamp) == (b"l", 8)


def test_a_value_that_its_serde_refuses_is_poison(bench: Bench) -> None:
    source = Scripted(batch(1, "a", 7, "c"))
    with pytest.raises(PoisonRecordError, match=r"record 1 of the batch of \{'p': 1\}"):
        bench.run_targets(task(lambda _: source))
    errors = Errors(tolerate="all", dead_letter="bad")
    bench.run_targets(task(lambda _: Scripted(batch(1, "a", 7, "c")), errors=errors))
    assert bench.values("out") == [b"a", b"c"]
    assert bench.values("bad") == [b"7"]


@pytest.mark.parametrize(("age_ms", "timeout_ms"), [(500, 60_500), (86_400_000, 660_000)])
def test_a_transaction_may_get_as_old_as_the_file_says(
    bench: Bench, age_ms: int, timeout_ms: int
) -> None:
    """It would be aborted after a minute, and the run with it."""
    bench.run_targets(task(lambda _: Scripted(batch(1, "a")), commit=Commit(age_ms=age_ms)))
    timeouts = {
        decode_value("connect-test-0", record.value).timeout_ms
        for record in bench.records("__transaction_state")
    }
    assert timeouts == {timeout_ms}


def test_two_connectors_of_one_name_are_refused(bench: Bench) -> None:
    """Rule 1: a second target with a live id."""

    async def run() -> None:
        first, second = (task(lambda _: Scripted(Exhausted())) for _ in range(2))
        context = bench.context(until_idle=False)
        running = asyncio.create_task(first.run(context))
        while first.status().state != "running":
            await asyncio.sleep(0)
        with pytest.raises(TransactionalIdInUseError):
            await second.run(context)
        first.request_stop()
        await running

    asyncio.run(run())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_stop_commits_what_is_in_hand_and_at_once_aborts_it(bench: Bench, at_once: bool) -> None:
    class Endless(Scripted):
        async def read(self) -> AsyncIterator[SourceEvent]:
            yield batch(1, "a")
            yield batch(2, "b")
            await asyncio.Event().wait()

    source = Endless()

    async def run() -> None:
        target = task(lambda _: source, commit=Commit(age_ms=3_600_000))
        running = asyncio.create_task(target.run(bench.context(until_idle=False)))
        while target.status().records_out < 2:
            await asyncio.sleep(0)
        target.request_stop(at_once=at_once)
        await running
        assert target.status().state == "stopped"

    asyncio.run(run())
    assert bench.values("out") == ([] if at_once else [b"a", b"b"])
    assert source.closed == 1
