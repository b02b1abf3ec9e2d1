"""Rule 12: memory and topic are the same path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors import App
    from processors.runtime.worker import Worker
    from tests.exactly_once.conftest import Machine

LINES = [f"w{number % 7} w{number % 11} w{number % 5}" for number in range(100)]


def test_every_exchange_through_its_topic_gives_the_same_counts(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
) -> None:
    machine.log.create_topic("lines", 3)
    machine.send("lines", *LINES)
    machine.run(word_count(exchange="topic", chunk_size=7), word_count("other-count"))
    assert machine.table("word-counts") == expected(LINES)
    assert machine.table("other-counts") == expected(LINES)
    ends = machine.log.end_offsets(
        [TopicPartition(name, 0) for name in machine.log.topics() if name.endswith("repartition")]
    )
    assert sorted(end > 0 for end in ends.values()) == [False, True]


@pytest.mark.parametrize("commits", [1, 2])
def test_what_an_owner_before_left_in_the_topic_is_drained_first(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
    commits: int,
) -> None:
    """Stopped after a commit that has sent rows to the repartition topic and not yet read them."""
    machine.log.create_topic("lines", 3)
    machine.send("lines", *LINES[:50])

    def stop(worker: Worker) -> bool:
        return worker.status().commits >= commits

    machine.run(word_count(exchange="topic", chunk_size=10, commit_interval_ms=0), until=stop)
    machine.send("lines", *LINES[50:])
    machine.run(word_count(exchange="memory"))
    assert machine.table("word-counts") == expected(LINES)
