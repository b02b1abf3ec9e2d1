"""Rule 11: agents never hold the commit, and an event joins whole or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from processors import App, Keyed
from processors.errors import ProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.runtime.worker import Worker
    from tests.exactly_once.conftest import Machine

LINES = [f"w{number % 7} w{number % 11} w{number % 5}" for number in range(60)]


def word_count_of_agents(**options: Any) -> App:
    """The word count by two agents: one splits the lines, one counts in its own store."""
    app = App("agents", **options)
    counts = app.store("counts", value=int, default=int)

    @app.agent("lines", value=str, to="words", to_value=str)
    async def split(lines: Any) -> Any:
        async for line in lines:
            for word in line.split():
                yield Keyed(word, word)

    @app.agent("words", value=str, to="agent-counts", to_value=int)
    async def count(words: Any) -> Any:
        async for word in words:
            counts[word] += 1
            yield counts[word]

    assert split.name == "split"
    assert count.name == "count"
    return app


def test_one_slow_call_stops_no_other_task(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
) -> None:
    """An agent that waits for ever, in the application of the word count: that commits all its
    lines, with the events that the agent had finished before, and without the one in flight."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", *LINES)
    app = word_count()
    seen = app.store("seen", value=int, default=int)

    @app.agent("lines", value=str, to="heard", to_value=str)
    async def listen(lines: Any) -> Any:
        async for line in lines:
            seen["lines"] += 1
            yield line
            if seen["lines"] == 3:
                await asyncio.Event().wait()

    def done(worker: Worker) -> bool:
        status = worker.status()
        return status.commits > 0 and status.committed == {("lines", 0): 2}

    machine.run(app, until=done)
    assert machine.table("word-counts") == expected(LINES)
    assert [record.value for record in machine.records("heard", value=str)] == LINES[:2]
    group = machine.log.committed_offsets("word-count/listen")
    assert group == {("lines", 0): 2}
    assert machine.log.committed_offsets("word-count")["lines", 0] == len(LINES)  # type: ignore[index]


def test_agents_count_exactly_once_over_a_loss_of_power(
    machine: Machine, expected: Callable[[Sequence[str]], dict[str, int]]
) -> None:
    machine.log.create_topic("lines", 3)
    for at in range(0, len(LINES), 20):
        machine.send("lines", *LINES[at : at + 20])
        machine.run_and_cut(word_count_of_agents())
    machine.run(word_count_of_agents())
    assert machine.table("agent-counts") == expected(LINES)
    values: dict[str, list[int]] = {}
    for record in machine.records("agent-counts"):
        values.setdefault(record.key, []).append(record.value)
    assert all(each == list(range(1, len(each) + 1)) for each in values.values())


def test_an_event_in_flight_at_a_stop_is_taken_again(machine: Machine) -> None:
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a", "b")

    def make(*, waits: bool) -> App:
        app = App("waiting")
        counts = app.store("counts", value=int, default=int)

        @app.agent("lines", value=str, to="out", to_value=int)
        async def count(lines: Any) -> Any:
            async for line in lines:
                counts["n"] += 1
                yield counts["n"]
                if waits and line == "b":
                    await asyncio.Event().wait()

        return app

    machine.run(make(waits=True), until=lambda worker: worker.status().commits > 0)
    machine.run(make(waits=False))
    assert [record.value for record in machine.records("out")] == [1, 2]


def test_an_agent_that_raises_follows_the_policy_of_processing(machine: Machine) -> None:
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a", "bad", "c")

    def make(**policies: Any) -> App:
        app = App("raising", **policies)
        counts = app.store("counts", value=int, default=int)

        @app.agent("lines", value=str, to="out", to_value=int)
        async def count(lines: Any) -> Any:
            async for line in lines:
                counts["n"] += 1
                yield counts["n"]
                if line == "bad":
                    raise LookupError(line)

        return app

    with pytest.raises(ProcessingError, match=r"agent count.*lines-0 at offset 1"):
        machine.run(make())
    machine.run(make(processing="dead_letter"))
    assert [record.value for record in machine.records("out")] == [1, 2]
    (letter,) = machine.records("raising-dead-letters", value=bytes)
    assert letter.value == b"bad"


def test_an_agent_and_an_application_of_like_names_have_positions_of_their_own(
    machine: Machine,
) -> None:
    """The agent `count` of `word`, and `word-count`: both read all lines."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a", "b")
    word = App("word")

    @word.agent("lines", value=str, to="heard", to_value=str)
    async def count(lines: Any) -> Any:
        async for line in lines:
            yield line

    word_count = App("word-count")
    word_count.stream("lines", value=str).to("copied", value=str)
    assert count.name == "count"
    machine.run(word)
    machine.run(word_count)
    for topic in ("heard", "copied"):
        assert [record.value for record in machine.records(topic, value=str)] == ["a", "b"]
