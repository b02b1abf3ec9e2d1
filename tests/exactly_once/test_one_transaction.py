"""Rules 1 and 2: one application, one transaction, and a commit that goes down the graph."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from processors import App
from processors.errors import ProcessingError
from processors.runtime.worker import Worker
from streamlog.errors import TransactionalIdInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.exactly_once.conftest import Machine

LINES = ["a b c", "b c", "c"]


def test_a_poison_record_of_one_application_aborts_nothing_of_another(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
) -> None:
    machine.log.create_topic("lines", 3)
    machine.send("lines", *LINES)
    poisoned = App("poisoned")
    poisoned.stream("lines", value=str).map(lambda line: 1 // (line != "c")).to("never", value=int)
    healthy = word_count()

    async def run_both() -> list[BaseException | None]:
        context = machine.context()
        workers = [Worker(poisoned.plan()), Worker(healthy.plan())]
        tasks = [asyncio.create_task(worker.run(context)) for worker in workers]
        while not (tasks[0].done() and workers[1].status().commits):
            await asyncio.sleep(0)
        workers[1].request_stop()
        return await asyncio.gather(*tasks, return_exceptions=True)

    failed, finished = asyncio.run(run_both())
    assert isinstance(failed, ProcessingError)
    assert finished is None
    assert machine.table("word-counts") == expected(LINES)
    assert machine.records("never") == []


def test_a_second_target_with_a_live_id_is_refused(
    machine: Machine, word_count: Callable[..., App]
) -> None:
    machine.log.create_topic("lines", 1)
    machine.send("lines", *LINES)

    async def run_two() -> None:
        context = machine.context()
        first, second = Worker(word_count().plan()), Worker(word_count().plan())
        running = asyncio.create_task(first.run(context))
        while first.status().state != "running":
            await asyncio.sleep(0)
        with pytest.raises(TransactionalIdInUseError, match="word-count"):
            await second.run(context)
        while not first.status().commits:
            await asyncio.sleep(0)
        first.request_stop()
        await running

    asyncio.run(run_two())
    assert machine.table("word-counts") == {"a": 1, "b": 2, "c": 3}


def test_the_last_updates_of_a_count_of_counts_survive_a_kill(machine: Machine) -> None:
    """`count().to_stream().group_by(...).count()`: the second count hears of the first only when
    that flushes, which must be before its own flush and in the same transaction."""
    machine.log.create_topic("words", 3)

    def make() -> App:
        app = App("levels")
        words = app.stream("words", value=str).group_by(lambda word: word, name="by-word")
        counts = words.count(name="counts")
        parity = counts.to_stream().group_by(lambda count: str(count % 2), name="by-parity")
        parity.count(name="changes").to_stream().to("changes")
        return app

    machine.send("words", "a", "b", "b", "c")
    machine.run_and_cut(make())
    first = machine.table("changes")
    assert sum(first.values()) == 3
    machine.send("words", "a")
    machine.run_and_cut(make())
    second = machine.table("changes")
    assert sum(second.values()) == 4
    machine.run(make())
    assert machine.table("changes") == second
