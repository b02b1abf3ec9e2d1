"""Rule 13: no committed offset while there is state is an error, and never a reset."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from processors.errors import OffsetGapError
from streamlog.client.contract import TopicPartition
from streamlog.testing import Adversary, FaultyFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors import App
    from processors.runtime.worker import Worker
    from tests.exactly_once.conftest import Machine

LINES = TopicPartition("lines", 0)


def move_to_another_log(machine: Machine) -> None:
    """The same state beside a log in which the application has committed nothing."""
    machine.log.close()
    machine.files = FaultyFiles()
    machine.cut(0)
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a", "b")


def test_no_offset_while_there_is_a_manifest_is_an_error(
    machine: Machine, word_count: Callable[..., App]
) -> None:
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a")
    machine.run(word_count())
    move_to_another_log(machine)
    with pytest.raises(OffsetGapError, match=r"lines-0.*on_offset_gap.*streamlog reset word-count"):
        machine.run(word_count())
    assert machine.table("word-counts") == {}


def test_no_offset_while_there_is_a_changelog_is_an_error(
    machine: Machine, word_count: Callable[..., App]
) -> None:
    machine.log.create_topic("lines", 1)
    machine.log.create_topic("word-count-counts-changelog", 1)
    with machine.log.producer(key=str, value=int) as producer:
        producer.send("word-count-counts-changelog", "a", 7)
    with pytest.raises(OffsetGapError, match="lines-0"):
        machine.run(word_count())


@pytest.mark.parametrize(("choice", "counts"), [("earliest", {"a": 1, "b": 1}), ("latest", {})])
def test_the_user_may_choose_where_to_go_on(
    machine: Machine, word_count: Callable[..., App], choice: str, counts: dict[str, int]
) -> None:
    machine.log.create_topic("lines", 1)
    machine.run(word_count())
    move_to_another_log(machine)
    machine.run(word_count(on_offset_gap=choice))
    assert machine.table("word-counts") == counts
    assert machine.log.committed_offsets("word-count")[LINES] == 2


def test_a_first_start_that_dies_before_its_first_commit_is_a_first_start_again(
    machine: Machine, word_count: Callable[..., App]
) -> None:
    """The changelog may have records then, of a transaction that was never committed."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a", "a", "a")
    cuts: list[int] = []

    def begun(worker: Worker) -> bool:
        if worker.status().records_in and not cuts:
            cuts.append(len(machine.files.operations))
        return bool(cuts)

    for adversary in Adversary:
        machine.run(word_count(chunk_size=1, commit_interval_ms=1 << 30), until=begun)
        machine.cut(cuts.pop(), adversary)
        shutil.rmtree(machine.state_dir)
    machine.run(word_count())
    assert machine.table("word-counts") == {"a": 3}
