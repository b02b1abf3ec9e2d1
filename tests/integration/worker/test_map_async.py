"""`map_async` on a real log: slow answers, stops in the middle, exactly once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import ProcessingError
from processors.runtime.worker import Worker
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from .conftest import Bench

IN = TopicPartition("in", 0)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.log.create_topic("in", 1)
    bench.log.create_topic("out", 1)
    return bench


class Remote:
    """Answers when its gate is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.asked: list[str] = []
        self.is_open = is_open
        self.at_once = 0
        self.most_at_once = 0
        self.ended = 0

    async def __call__(self, value: str) -> str:
        self.asked.append(value)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            while not self.is_open:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            return value.upper()
        finally:
            self.at_once -= 1
            self.ended += 1


def make(remote: Remote, **options: Any) -> App:
    app = App("a", chunk_size=16)
    stream = app.stream("in", value=str)
    stream.map_async(remote, name="asked", **options).to("out", value=str)
    return app


def outputs(bench: Bench) -> list[str]:
    return [record.value for record in bench.records("out", value=str)]


def test_every_record_is_answered_once_in_order_and_idle_means_that_none_waits(
    bench: Bench,
) -> None:
    remote = Remote()
    sent = [f"r{number}" for number in range(500)]
    bench.send("in", *sent)
    bench.run(make(remote, concurrency=5))
    assert outputs(bench) == [value.upper() for value in sent]
    assert remote.asked == sent
    assert 1 < remote.most_at_once <= 5


def test_commits_do_not_wait_for_a_slow_call_and_a_stop_leaves_rows_in_the_store(
    bench: Bench,
) -> None:
    slow = Remote(is_open=False)
    bench.send("in", "a", "b", "c")

    async def until_committed(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().committed.get(IN) == 3)
        assert worker.status().pending

    bench.drive(make(slow), until_committed)
    assert (outputs(bench), slow.ended) == ([], 3)
    bench.send("in", "d")
    remote = Remote()
    bench.run(make(remote))
    assert outputs(bench) == ["A", "B", "C", "D"]
    assert remote.asked == ["a", "b", "c", "d"]


def test_rows_that_waited_come_back_when_the_state_on_the_disk_is_lost(bench: Bench) -> None:
    bench.send("in", "a", "b")

    async def until_committed(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().committed.get(IN) == 2)

    bench.drive(make(Remote(is_open=False)), until_committed)
    for path in sorted((bench.state_dir / "a" / "rocksdb").iterdir()):
        path.unlink()
    bench.run(make(Remote()))
    assert outputs(bench) == ["A", "B"]
    bench.run(make(Remote()))
    assert outputs(bench) == ["A", "B"]


def test_a_stop_at_once_ends_calls_and_what_they_were_for_is_asked_again(bench: Bench) -> None:
    slow = Remote(is_open=False)
    bench.send("in", "a", "b", "c")
    worker = Worker(make(slow).plan())

    async def kill() -> None:
        running = asyncio.create_task(worker.run(bench.context()))
        await bench.wait(worker, lambda: len(slow.asked) == 3)
        worker.request_stop()
        worker.request_stop(at_once=True)
        await running

    asyncio.run(kill())
    assert (slow.at_once, slow.ended) == (0, 3)
    remote = Remote()
    bench.run(make(remote))
    assert outputs(bench) == ["A", "B", "C"]
    assert remote.asked == ["a", "b", "c"]


def test_while_too_much_waits_no_more_is_read(bench: Bench) -> None:
    remote = Remote(is_open=False)
    bench.send("in", *(str(number) for number in range(3_000)))
    most: list[int] = []

    async def script(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().records_in >= 1_024)
        for _ in range(50):
            await asyncio.sleep(0)
        most.append(worker.status().records_in)
        remote.is_open = True
        await bench.wait_idle(worker)

    bench.drive(make(remote, concurrency=2), script)
    assert 1_024 <= most[0] < 1_024 + 16
    assert outputs(bench) == [str(number) for number in range(3_000)]


def test_a_row_that_failed_for_good_ends_the_application_and_waits_for_the_next_start(
    bench: Bench,
) -> None:
    async def fails(value: str) -> str:
        raise ConnectionError("gone")

    bench.send("in", "a")
    app = App("a")
    app.stream("in", value=str).map_async(fails, name="asked").to("out", value=str)
    with pytest.raises(ProcessingError, match="in-0 at offset 0"):
        bench.run(app)
    bench.run(make(Remote()))
    assert outputs(bench) == ["A"]
