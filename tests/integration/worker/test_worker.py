"""A worker from start to stop on a real log: restarts, refusals, what it tells of itself."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import (
    DeserializationError,
    IncompatibleTopologyError,
    ProcessingError,
    TopologyError,
)
from processors.runtime import worker as worker_module
from processors.runtime.worker import Worker
from streamlog.client.contract import TopicPartition
from streamlog.errors import PartitionCountError, UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.worker.conftest import Bench

LINES = [f"w{number % 7} w{number % 11} w{number % 101}" for number in range(1_000)]
COUNTS = dict(Counter(" ".join(LINES).split()))


def test_no_age_takes_what_an_application_needs(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 2)
    bench.send("lines", "a")
    bench.run(word_count())
    changelog = bench.log.topic("word-count-counts-changelog").config
    assert changelog == {"cleanup.policy": "compact"}
    repartition = bench.log.topic("word-count-words-repartition").config
    assert repartition["retention.ms"] == "-1"


def test_a_second_run_continues_where_the_first_ended_and_changes_nothing(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 4)
    bench.send("lines", *LINES)
    first = bench.run(word_count())
    assert bench.table("word-counts") == COUNTS
    before = len(bench.records("word-counts"))
    again = bench.run(word_count())
    assert len(bench.records("word-counts")) == before
    assert (first.status().records_in, again.status().records_in) == (len(LINES), 0)
    assert again.status().commits == 0


def test_a_stop_in_the_middle_commits_what_was_processed_and_the_next_run_goes_on(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 4)
    bench.send("lines", *LINES)

    async def stop_early(worker: Worker) -> None:
        while worker.status().records_in < 100:  # asked at every turn of the loop
            await asyncio.sleep(0)

    app = word_count(chunk_size=10)
    for _ in range(3):
        worker = bench.drive(app, stop_early)
        committed = bench.log.committed_offsets("word-count")
        assert sum(committed.values()) < len(LINES)
        assert worker.status().state == "stopped"
    bench.run(app)
    assert bench.table("word-counts") == COUNTS


@pytest.mark.parametrize("how", ["second signal", "cancelled"])
def test_a_stop_at_once_aborts_and_stays_correct(
    bench: Bench, word_count: Callable[..., App], how: str
) -> None:
    bench.log.create_topic("lines", 4)
    bench.send("lines", *LINES)
    worker = Worker(word_count(chunk_size=10, commit_interval_ms=5).plan())

    async def kill() -> None:
        running = asyncio.create_task(worker.run(bench.context()))
        await bench.wait(worker, lambda: worker.status().records_in >= 100)
        if how == "cancelled":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            worker.request_stop()
            worker.request_stop(at_once=True)
            await running

    asyncio.run(kill())
    bench.run(word_count())
    assert bench.table("word-counts") == COUNTS


def test_new_lines_are_counted_while_it_runs(bench: Bench, word_count: Callable[..., App]) -> None:
    bench.log.create_topic("lines", 4)

    async def talk(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().state == "running")
        for at in range(0, len(LINES), 200):
            bench.send("lines", *LINES[at : at + 200])
            sent = dict(Counter(" ".join(LINES[: at + 200]).split()))
            await bench.wait(worker, lambda sent=sent: bench.table("word-counts") == sent)

    bench.drive(word_count(), talk)
    assert bench.table("word-counts") == COUNTS


def test_a_deleted_state_folder_is_restored_from_the_changelog_with_progress(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.runtime.restore.POLL_BYTES", 500)
    monkeypatch.setattr("processors.runtime.restore.RUN_ROWS", 10)
    bench.log.create_topic("lines", 4)
    bench.send("lines", *LINES)
    bench.run(word_count())
    shutil.rmtree(bench.state_dir / "word-count" / "rocksdb")
    bench.send("lines", "w1")
    seen: list[tuple[int, int]] = []

    async def watch(worker: Worker) -> None:
        while worker.status().state != "running":
            if restore := worker.status().restore:
                seen.append((restore.records, restore.total))
            await asyncio.sleep(0)
        await bench.wait_idle(worker)

    bench.drive(word_count(), watch)
    assert bench.table("word-counts") == {**COUNTS, "w1": COUNTS["w1"] + 1}
    assert seen == sorted(seen)
    assert 0 < seen[-1][0] <= seen[-1][1]


def test_a_changed_topology_on_old_state_is_refused_with_the_difference(bench: Bench) -> None:
    bench.log.create_topic("lines", 2)

    def make(store: str, *, loud: bool = False) -> App:
        app = App("changing")
        stream = app.stream("lines", value=str)
        if loud:
            stream = stream.filter(bool)
        stream.group_by(str.lower, name="words").count(name=store).to_stream().to("out")
        return app

    bench.run(make("counts"))
    bench.run(make("counts", loud=True))
    with pytest.raises(IncompatibleTopologyError, match="streamlog reset changing") as refused:
        bench.run(make("totals"))
    assert [line[:18] for line in refused.value.differences] == [
        "- store 'counts' (",
        "+ store 'totals' (",
    ]
    assert "changing-totals-changelog" not in bench.log.topics(), "nothing is made of it"


def test_another_number_of_partitions_is_refused_with_the_difference_or_its_remedy(
    bench: Bench,
) -> None:
    bench.log.create_topic("lines", 2)

    def make(partitions: int | None) -> App:
        app = App("growing")
        words = app.stream("lines", value=str).group_by(str, name="words", partitions=partitions)
        words.count(name="counts").to_stream().to("out")
        return app

    bench.run(make(None))
    with pytest.raises(IncompatibleTopologyError, match="'words': partitions was 2, is 5"):
        bench.run(make(5))
    shutil.rmtree(bench.state_dir)
    with pytest.raises(TopologyError, match=r"'words' needs 5 .* has 2, .*partitions=.*another"):
        bench.run(make(5))
    bench.run(make(2))


def test_a_topic_that_no_state_comes_of_may_come_and_go(bench: Bench) -> None:
    bench.log.create_topic("lines", 2)
    bench.log.create_topic("others", 1)
    bench.send("others", "b")

    def make(*, others: bool) -> App:
        app = App("growing")
        app.stream("lines", value=str).group_by_key().count(name="counts").to_stream().to("out")
        if others:
            app.stream("others", value=str).map(str.upper).to("loud", value=str)
        return app

    for others in (False, True, False, True):
        bench.run(make(others=others))
    assert [record.value for record in bench.records("loud", str)] == ["B"]


def test_an_unknown_source_topic_is_named_with_the_near_miss(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SOURCE_WAIT_MS", 0)
    bench.log.create_topic("lines2")
    with pytest.raises(UnknownTopicError, match=r"'lines'.*did you mean 'lines2'"):
        bench.run(word_count())


def test_a_source_topic_may_be_made_by_another_target_a_moment_later(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SOURCE_WAIT_MS", 600_000)

    async def make_topic(worker: Worker) -> None:
        await asyncio.sleep(0)  # the worker has looked, and waits
        bench.log.create_topic("lines", 2)
        bench.send("lines", "a")
        await bench.wait_idle(worker)

    bench.drive(word_count(), make_topic)
    assert bench.table("word-counts") == {"a": 1}


def test_a_sink_topic_with_other_partitions_than_asked_for_is_refused(bench: Bench) -> None:
    bench.log.create_topic("lines", 1)
    bench.log.create_topic("out", 2)
    app = App("asking")
    app.stream("lines", value=str).to("out", value=str, partitions=3)
    with pytest.raises(PartitionCountError, match="2 partitions, but 3"):
        bench.run(app)


def test_sinks_that_nobody_counted_get_the_partitions_of_their_tasks(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 3)
    bench.run(word_count())
    topics = bench.log.topics()
    assert topics["word-counts"].partitions == 3
    assert topics["word-count-counts-changelog"].partitions == 3


def test_an_exception_in_a_function_ends_the_run_and_what_was_committed_stays(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 1)
    bench.send("lines", *LINES[:50], "poison")

    def count(word: str) -> str:
        if word == "poison":
            raise ValueError(word)
        return word

    app = App("fragile", chunk_size=10)
    words = app.stream("lines", value=str).flat_map(str.split)
    words.group_by(count, name="words").count(name="counts").to_stream().to("out")
    with pytest.raises(ProcessingError, match="lines-0 at offset 50"):
        bench.run(app)
    assert bench.log.committed_offsets("fragile")[TopicPartition("lines", 0)] <= 50


def test_status_and_top_tell_what_a_person_wants_to_see(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.runtime.top.LOOK_S", 600)  # one look is enough
    bench.log.create_topic("lines", 2)
    bench.send("lines", *LINES)
    tops: list[Any] = []

    async def look(worker: Worker) -> None:
        await bench.wait_idle(worker)
        status = worker.status()
        assert status.kind == "app"
        assert status.exhausted
        assert status.commit_latency_ms is not None
        assert sum(status.committed.values()) == len(LINES)
        assert set(status.lag.values()) == {0}
        tops.append(worker.top(3))

    worker = bench.drive(word_count(), look)
    assert tops[0] == sorted(COUNTS.items(), key=lambda item: (-item[1], item[0]))[:3]
    assert worker.top(3) == tops[0]
    assert worker.status().records_out == len(bench.records("word-counts"))
    restarted = bench.run(word_count())
    assert restarted.top(3) == tops[0]


def test_the_top_of_a_table_that_takes_many_looks_is_told_at_the_end_and_not_before(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart finds the table in the byte store and nothing cached."""
    bench.log.create_topic("lines", 2)
    bench.send("lines", *LINES)
    bench.run(word_count())
    monkeypatch.setattr("processors.runtime.top.LOOK_S", 0)
    monkeypatch.setattr("processors.runtime.top.STEP_ROWS", 1)
    tops: list[Any] = []

    async def look(worker: Worker) -> None:
        await bench.wait_idle(worker)
        tops.append(worker.top(3))

    worker = bench.drive(word_count(), look)
    assert tops == [None]
    assert worker.top(3) == sorted(COUNTS.items(), key=lambda item: (-item[1], item[0]))[:3]


def test_a_run_that_fails_tells_no_top(bench: Bench, word_count: Callable[..., App]) -> None:
    """Its cache has counts that were never committed."""
    bench.log.create_topic("lines", 1)
    bench.send("lines", "a a a")
    bench.log.create_topic("others", 1)
    app = word_count(chunk_size=1, commit_interval_ms=60_000)
    app.stream("others", value=int).to("copies")
    worker = Worker(app.plan())

    async def spoil(worker: Worker) -> None:
        await bench.wait(worker, lambda: bool(worker.top(3)))
        bench.send("others", "no number")
        await bench.wait(worker, lambda: False)

    with pytest.raises(DeserializationError):
        bench.drive_worker(worker, spoil)
    assert worker.top(3) is None


def test_a_database_that_is_lost_while_the_tasks_run_is_rebuilt(
    bench: Bench, word_count: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flush fails, then the close, and the next life opens the same path in this process."""
    monkeypatch.setattr("processors.runtime.stores.FLUSH_PERIOD_MS", -1)
    bench.log.create_topic("lines", 2)

    async def lose(worker: Worker) -> None:
        bench.send("lines", *LINES[:50])
        await bench.wait_idle(worker)
        (bench.state_dir / "word-count" / "rocksdb").rename(bench.path / "elsewhere")
        bench.send("lines", *LINES[50:])
        await bench.wait_idle(worker)

    bench.drive(word_count(checkpoint_interval_ms=0), lose)
    assert bench.table("word-counts") == COUNTS


def test_a_slow_function_leaves_the_loop_its_turns(bench: Bench) -> None:
    """A chunk of it would take minutes, in which no stop is heard."""
    lines = 30_000
    bench.log.create_topic("lines", 1)
    bench.send("lines", *map(str, range(lines)))
    calls: list[str] = []

    def ask(line: str) -> str:
        calls.append(line)
        time.sleep(0.01)
        return line

    app = App("slow", chunk_size=lines)
    app.stream("lines", value=str).map(ask).to("out", value=str)

    async def look(worker: Worker) -> None:
        await bench.wait(worker, lambda: worker.status().commits > 0)

    bench.drive(app, look)
    assert 0 < len(calls) < lines
    assert bench.log.committed_offsets("slow") == {("lines", 0): len(calls)}


def test_an_application_runs_in_a_thread_that_hears_no_signals(
    bench: Bench, word_count: Callable[..., App]
) -> None:
    bench.log.create_topic("lines", 1)
    bench.send("lines", *LINES[:10])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(word_count().run, log=bench.log, until_idle=True).result()
    assert bench.table("word-counts") == dict(Counter(" ".join(LINES[:10]).split()))


def test_a_result_is_too_large_by_the_configuration_of_its_topic(bench: Bench) -> None:
    bench.log.create_topic("lines", 1)
    bench.log.create_topic("small", 1, config={"max.message.bytes": "1000"})
    bench.log.create_topic("large", 1, config={"max.message.bytes": "3000000"})
    bench.send("lines", "a" * 900, "b" * 2_000, "c" * 1_000_000)
    app = App("sizes", production="skip")
    lines = app.stream("lines", value=str)
    lines.to("small")
    lines.map(lambda line: 2 * line).to("large", value=str)
    worker = bench.run(app)
    assert [len(record.value) for record in bench.records("small", str)] == [900]
    assert [len(record.value) for record in bench.records("large", str)] == [
        1_800,
        4_000,
        2_000_000,
    ]
    assert worker.status().counters == {"skipped": 2}
