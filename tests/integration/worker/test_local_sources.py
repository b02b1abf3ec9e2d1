"""Channels and iterables on a worker and a real log: back-pressure, restarts, positions."""

from __future__ import annotations

import asyncio
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App
from processors.errors import IterableError, ProcessingError
from streamlog.cli.main import main
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from processors.runtime.worker import Worker


def counting(rows: Any, **options: Any) -> App:
    app = App("counting", **options)
    stream = app.from_iterable(rows, name="rows", value=int)
    stream.group_by_key().sum(name="sums", emit="every").to_stream().to("sums")
    return app


def test_a_channel_is_counted_once_while_threads_and_the_loop_send(bench) -> None:
    app = App("a")
    channel = app.channel("clicks", value=int, max_records=10)
    channel.stream().group_by_key().sum(name="sums").to_stream().to("sums")

    async def script(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().state == "running")
        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(100):
            await channel.send_async(number, key="k")
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        await bench.wait_idle(worker)

    def send() -> None:
        for number in range(100):
            channel.send(number, key="k")

    worker = bench.drive(app, script)
    assert bench.table("sums") == {"k": 3 * sum(range(100))}
    assert worker.status().records_in == 300
    assert channel.backlog() == 0


def test_what_was_sent_before_the_start_is_read_and_is_not_idle_before(bench) -> None:
    app = App("a")
    channel = app.channel("clicks", value=int)
    channel.stream().to("out", value=int)
    for number in range(5):
        channel.send(number)
    bench.run(app)
    assert [record.value for record in bench.records("out")] == [0, 1, 2, 3, 4]
    channel.send(5)
    bench.run(app)  # another run in the process goes on, and what is committed does not come again
    assert [record.value for record in bench.records("out")] == [0, 1, 2, 3, 4, 5]


def test_a_channel_gives_again_what_was_taken_in_a_run_that_failed(bench) -> None:
    app = App("a")
    channel = app.channel("clicks", value=int)
    broken = [True]

    def check(value: int) -> int:
        if value == 3 and broken:
            raise RuntimeError("not now")
        return value

    channel.stream().map(check).to("out", value=int)
    for number in range(5):
        channel.send(number)
    with pytest.raises(ProcessingError, match="channel:clicks-0 at offset 3"):
        bench.run(app)
    broken.clear()
    bench.run(app)
    assert [record.value for record in bench.records("out")] == [0, 1, 2, 3, 4]


def test_a_channel_forgets_what_a_commit_makes_durable_while_the_run_fails(bench) -> None:
    app = App("a", chunk_size=256, commit_interval_ms=1)
    channel = app.channel("clicks", value=int, max_records=10_000)
    broken = [8_999, 6_000, 3_000]

    def check(value: int) -> int:
        if broken and value == broken[-1]:
            raise RuntimeError("in a round that runs ahead of a commit")
        return value

    channel.stream().map(check).to("out", value=int)
    for number in range(9_000):
        channel.send(number)
    while broken:
        with pytest.raises(ProcessingError):
            bench.run(app)
        broken.pop()
    bench.run(app)
    assert [record.value for record in bench.records("out")] == list(range(9_000))


def test_an_agent_sends_into_a_channel(bench) -> None:
    bench.log.create_topic("in")
    app = App("a")
    channel = app.channel("inner", value=str)
    channel.stream().map(str.upper).to("out", value=str)

    @app.agent("in", value=str)
    async def relay(words: Any) -> None:
        async for word in words:
            await channel.send_async(word)

    bench.send("in", "a", "b")
    bench.run(app)
    assert [record.value for record in bench.records("out", str)] == ["A", "B"]


def test_an_iterable_goes_on_behind_what_was_committed(bench) -> None:
    rows = [("k", 1), ("k", 2)]
    bench.run(counting(rows))
    rows += [("k", 3), ("l", 4)]
    bench.run(counting(rows))
    bench.run(counting(lambda: iter(rows)))
    assert [record.value for record in bench.records("sums")] == [1, 3, 6, 4]


def test_the_position_in_an_iterable_is_restored_with_the_state(bench) -> None:
    rows = [("k", number) for number in range(3_000)]
    bench.run(counting(rows, commit_interval_ms=0, chunk_size=100))
    shutil.rmtree(bench.state_dir)
    rows.append(("k", 1))
    bench.run(counting(rows))
    assert bench.table("sums") == {"k": sum(range(3_000)) + 1}
    assert len(bench.records("sums")) == 3_001


def test_an_iterable_that_fails_goes_on_where_it_was_committed(bench) -> None:
    fails = [True]

    def rows() -> Any:
        for number in range(5_000):
            if number == 4_500 and fails:
                raise OSError("gone")
            yield "k", number

    with pytest.raises(IterableError, match="at row 4500: OSError: gone"):
        bench.run(counting(rows, commit_interval_ms=0, chunk_size=100))
    fails.clear()
    bench.run(counting(rows))
    assert bench.table("sums") == {"k": sum(range(5_000))}
    assert len(bench.records("sums")) == 5_000


@pytest.mark.parametrize("at", [0, 3, 4_096, 4_500])
@pytest.mark.parametrize("row", ["raises", "is refused"])
def test_the_rows_before_one_that_fails_are_processed_and_committed(
    bench, row: str, at: int
) -> None:
    fails = [True]

    def rows() -> Any:
        for number in range(5_000):
            if number == at and fails:
                if row == "raises":
                    raise OSError("gone")
                yield "k", "no number"
            yield "k", number

    bench.log.create_topic("sums")
    for _ in range(2):
        with pytest.raises(IterableError, match=f"iterable 'rows' at row {at}: "):
            bench.run(counting(rows))
        assert len(bench.records("sums")) == at
    fails.clear()
    bench.run(counting(rows))
    assert bench.table("sums") == {"k": sum(range(5_000))}
    assert len(bench.records("sums")) == 5_000


def test_a_reset_begins_an_iterable_anew(bench) -> None:
    rows = [("k", 1), ("k", 2)]
    bench.run(counting(rows))
    bench.log.close()
    assert main(["reset", "counting", "--yes", "--log", str(bench.path / "log")]) == 0
    bench.log = streamlog.open(bench.path / "log")
    bench.run(counting(rows))
    assert [record.value for record in bench.records("sums")] == [1, 3, 1, 3]


def test_an_iterable_that_became_shorter_is_refused(bench) -> None:
    bench.run(counting([("k", 1), ("k", 2), ("k", 3)]))
    with pytest.raises(IterableError, match="it ends here, and 3 rows of it were processed before"):
        bench.run(counting([("k", 1)]))


def test_an_endless_iterable_commits_on_its_way(bench) -> None:
    def rows() -> Any:
        number = 0
        while True:
            number += 1
            yield "k", number

    out = TopicPartition("sums", 0)

    async def script(worker: Worker) -> None:
        await bench.wait(
            worker,
            lambda: "sums" in bench.log.topics() and bench.log.end_offsets([out])[out] > 5_000,
        )

    bench.drive(counting(rows, commit_interval_ms=20), script)
    assert [record.value for record in bench.records("sums")][:4] == [1, 3, 6, 10]


def test_an_application_of_channels_alone_runs_until_idle(bench) -> None:
    app = App("a", log=bench.log)
    app.channel("clicks", value=int).stream().to("out", value=int)
    app.run(until_idle=True)
    assert bench.records("out") == []
