"""Rules 6 and 10: restore to the right end, and time that is state."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from processors.state.rocksdb import RocksDB
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from processors import App
    from processors.runtime.worker import Worker
    from tests.exactly_once.conftest import Machine


def test_a_predecessors_last_transaction_is_restored_though_its_markers_were_lost(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
) -> None:
    """Acknowledged, and the power gone before a marker was synced: the last stable offset of the
    changelog lies before it, the high watermark behind it."""
    machine.log.create_topic("lines", 2)
    machine.send("lines", "a b", "b c")

    cuts: list[int] = []

    def committed(worker: Worker) -> bool:
        if worker.status().commits and not cuts:
            cuts.append(len(machine.files.operations))
        return bool(cuts)

    machine.run(word_count(), until=committed)
    machine.cut(cuts[0])
    shutil.rmtree(machine.state_dir)
    machine.send("lines", "c")
    machine.run(word_count(on_offset_gap="fail"))
    assert machine.table("word-counts") == expected(["a b", "b c", "c"])


def test_a_tail_of_markers_is_read_past(machine: Machine, word_count: Callable[..., App]) -> None:
    """The last offset of a changelog is always a marker's: waiting for a record there hangs."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a b")
    machine.run(word_count())
    shutil.rmtree(machine.state_dir)
    machine.run(word_count())
    changelog = TopicPartition("word-count-counts-changelog", 0)
    ends = machine.log.end_offsets([changelog], isolation="read_uncommitted")
    database = RocksDB(machine.state_dir / "word-count" / "rocksdb")
    position = database.store("counts-0").position()
    assert position is not None
    assert position.offset == ends[changelog] == 3
    database.close()


def test_a_stop_does_not_wait_for_a_restore_and_the_next_start_goes_on_with_it(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [f"w{number}" for number in range(200)]
    machine.log.create_topic("lines", 1)
    for at in range(0, len(lines), 20):
        machine.send("lines", *lines[at : at + 20])
        machine.run(word_count())
    shutil.rmtree(machine.state_dir)
    monkeypatch.setattr("processors.runtime.restore.POLL_BYTES", 1)
    monkeypatch.setattr("processors.runtime.restore.RUN_BYTES", 1)

    def half(worker: Worker) -> bool:
        restore = worker.status().restore
        return restore is not None and restore.records >= restore.total / 2 > 0

    (worker,) = machine.run(word_count(), until=half)
    assert worker.status().state == "stopped"
    changelog = TopicPartition("word-count-counts-changelog", 0)
    end = machine.log.end_offsets([changelog])[changelog]
    database = RocksDB(machine.state_dir / "word-count" / "rocksdb")
    position = database.store("counts-0").position()
    database.close()
    assert position is not None
    assert 0 < position.offset < end * 3 / 4
    machine.send("lines", "w0")
    machine.run(word_count())
    assert machine.table("word-counts") == expected([*lines, "w0"])


def test_timestamps_of_a_table_survive_in_the_changelog(
    machine: Machine, word_count: Callable[..., App]
) -> None:
    """A result's time is the highest of its records: one that is restored is no younger."""
    machine.log.create_topic("lines", 1)
    with machine.log.producer() as producer:
        producer.send("lines", "k", "a", timestamp=9_000)
    machine.run(word_count())
    shutil.rmtree(machine.state_dir)
    with machine.log.producer() as producer:
        producer.send("lines", "k", "a", timestamp=5_000)
    machine.run(word_count())
    assert [(each.value, each.timestamp) for each in machine.records("word-counts")] == [
        (1, 9_000),
        (2, 9_000),
    ]
