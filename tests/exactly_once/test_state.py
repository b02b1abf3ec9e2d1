"""Rules 3 to 5: layers of state, positions with their data, checkpoints that are checked."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from processors.state.rocksdb import RocksDB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from processors import App
    from tests.exactly_once.conftest import Machine

Expected = "Callable[[Sequence[str]], dict[str, int]]"

LINES = [f"w{number % 7} w{number % 11} w{number % 101}" for number in range(300)]


def test_a_committed_entry_that_is_evicted_before_its_checkpoint_is_read_from_committed(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cache of a single entry: nearly every read of a count goes below it, mostly to what is
    committed and in no byte store yet."""
    monkeypatch.setattr("processors.runtime.start.CACHE_SHARE", 1 << 40)
    machine.log.create_topic("lines", 3)
    for at in range(0, len(LINES), 30):
        machine.send("lines", *LINES[at : at + 30])
    app = word_count(chunk_size=7, commit_interval_ms=0, checkpoint_interval_ms=1 << 30)
    (worker,) = machine.run(app)
    assert worker.status().commits > 10
    assert machine.table("word-counts") == expected(LINES)


def test_a_store_is_behind_its_changelog_after_a_kill_and_catches_up_from_its_position(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
    tmp_path: Path,
) -> None:
    """Every earlier snapshot of the database holds what its positions say, and nothing else."""
    machine.log.create_topic("lines", 2)
    machine.run(word_count())
    for at in range(0, 90, 30):
        machine.send("lines", *LINES[at : at + 30])
        machine.run(word_count())
        shutil.copytree(machine.state_dir, tmp_path / f"snapshot{at}")
    for at in (30, 0):
        machine.send("lines", *LINES[at : at + 5])
        shutil.rmtree(machine.state_dir)
        shutil.copytree(tmp_path / f"snapshot{at}", machine.state_dir)
        machine.run(word_count())
    assert machine.table("word-counts") == expected([*LINES[:90], *LINES[30:35], *LINES[:5]])


def test_a_changelog_that_was_made_again_rebuilds_the_store(
    machine: Machine,
    word_count: Callable[..., App],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store of another log's application of the same name: right offsets, wrong topic."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a a a")
    machine.run(word_count())
    (machine.state_dir / "word-count" / "manifest.json").unlink()
    other = type(machine)(machine.state_dir.parent)
    other.log.create_topic("lines", 1)
    other.send("lines", "b")
    with caplog.at_level(logging.WARNING):
        other.run(word_count())
    assert other.table("word-counts") == {"b": 1}
    assert "its changelog was deleted and made again" in caplog.text
    database = _database(machine)
    assert [key for key, _ in database.store("counts-0").range()] == [b"b"]
    database.close()
    other.log.close()


def test_a_position_beyond_the_changelog_rebuilds_the_store(
    machine: Machine,
    word_count: Callable[..., App],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As after a restored backup of the log: what the store counted has not happened."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a")
    machine.run(word_count())
    database = _database(machine)
    store = database.store("counts-0")
    position = store.position()
    assert position is not None
    store.write([(b"a", bytes(8) + b"99999999")], replace(position, offset=1_000))
    database.flush()
    database.close()
    machine.send("lines", "a")
    with caplog.at_level(logging.WARNING):
        machine.run(word_count())
    assert "its position 1000 is outside the changelog" in caplog.text
    assert machine.table("word-counts") == {"a": 2}


def test_after_another_boot_the_stores_of_an_unsynced_log_are_rebuilt(
    tmp_path: Path,
    machine: Machine,
    word_count: Callable[..., App],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`durability="os"`: the database was synced, the log was not. After a loss of power the store
    may hold what a transaction wrote that is not committed any more, at an offset that the
    changelog has."""
    unsynced = type(machine)(tmp_path / "unsynced", durability="os")
    unsynced.log.create_topic("lines", 1)
    unsynced.send("lines", "a")
    _boot(monkeypatch, 1)
    unsynced.run(word_count())
    with caplog.at_level(logging.WARNING):
        unsynced.run(word_count())
    assert caplog.text == "", "a process that ends takes nothing with it"

    store = (database := _database(unsynced)).store("counts-0")
    store.write([(b"ghost", bytes(8) + bytes(8))], store.position())
    database.close()
    _boot(monkeypatch, 2)
    with caplog.at_level(logging.WARNING):
        unsynced.run(word_count())
    assert "the machine was started anew" in caplog.text
    database = _database(unsynced)
    assert [key for key, _ in database.store("counts-0").range()] == [b"a"]
    database.close()
    unsynced.log.close()


def test_a_store_that_stopped_in_order_is_trusted_however_long_it_was_away(
    machine: Machine, word_count: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    """Its position covers the markers of its last commit, so no tombstone can be missing."""
    machine.log.create_topic("lines", 2)
    machine.send("lines", "a b", "b")
    machine.run(word_count())
    machine.clock.advance(48 * 3_600_000)
    machine.send("lines", "a")
    with caplog.at_level(logging.WARNING):
        machine.run(word_count())
    assert caplog.text == ""
    assert machine.table("word-counts") == {"a": 2, "b": 2}


def test_a_store_older_than_the_tombstones_of_its_changelog_is_rebuilt(
    machine: Machine, word_count: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    """What was deleted while it was away may have left no trace in the changelog."""
    machine.log.create_topic("lines", 1)
    machine.send("lines", "a")
    machine.run(word_count())
    kept = machine.state_dir.with_name("kept")
    shutil.copytree(machine.state_dir, kept)
    machine.send("lines", "b")
    machine.run(word_count())
    shutil.rmtree(machine.state_dir)
    kept.rename(machine.state_dir)
    machine.clock.advance(25 * 3_600_000)
    with caplog.at_level(logging.WARNING):
        machine.run(word_count())
    assert "it is 25 hours old" in caplog.text
    assert machine.table("word-counts") == {"a": 1, "b": 1}


def test_an_unsynced_log_is_synced_before_the_database_that_is_as_far(
    tmp_path: Path,
    machine: Machine,
    word_count: Callable[..., App],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`durability="os"`: a database on the disk whose position the log's disk has not is a store
    that is ahead of its changelog."""
    unsynced = type(machine)(tmp_path / "unsynced", durability="os")
    unsynced.log.create_topic("lines", 1)
    unsynced.send("lines", "a")
    left: list[set[str]] = []

    def flush(database: RocksDB) -> None:
        unsynced_paths: set[str] = set()
        for operation in unsynced.files.operations:
            if operation.kind == "write" and "changelog" in operation.path:
                unsynced_paths.add(operation.path)
            elif operation.kind == "datasync":
                unsynced_paths.discard(operation.path)
        left.append(unsynced_paths)
        really_flush(database)

    really_flush = RocksDB.flush
    monkeypatch.setattr(RocksDB, "flush", flush)
    unsynced.run(word_count())
    assert any("changelog" in each.path for each in unsynced.files.operations)
    assert left
    for paths in left:
        assert not {path for path in paths if path.endswith(".log")}
    unsynced.log.close()


def _database(machine: Machine) -> RocksDB:
    return RocksDB(machine.state_dir / "word-count" / "rocksdb")


def _boot(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    from uuid import UUID

    monkeypatch.setattr("processors.runtime.worker.read_boot_id", lambda: UUID(int=number))


@pytest.mark.parametrize("kind", ["truncated", "flipped", "gone", "nothing left"])
def test_a_damaged_database_is_set_aside_and_rebuilt_from_the_changelog(
    machine: Machine,
    word_count: Callable[..., App],
    expected: Callable[[Sequence[str]], dict[str, int]],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine.log.create_topic("lines", 2)
    machine.send("lines", *LINES)
    machine.run(word_count())
    path = machine.state_dir / "word-count" / "rocksdb"
    _damage(path, kind)
    machine.send("lines", *LINES[:50])
    with caplog.at_level(logging.WARNING):
        machine.run(word_count())
    assert machine.table("word-counts") == expected([*LINES, *LINES[:50]])
    assert ("damaged" in caplog.text) == (kind != "nothing left")


def _damage(path: Path, kind: str) -> None:
    if kind == "nothing left":
        shutil.rmtree(path)
        return
    for file in path.glob("*.sst"):
        data = bytearray(file.read_bytes())
        if kind == "gone":
            file.unlink()
        elif kind == "truncated":
            file.write_bytes(data[: len(data) // 2])
        else:
            data[len(data) // 4] ^= 0x55
            file.write_bytes(data)
