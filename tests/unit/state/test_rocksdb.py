"""What one RocksDB for all stores of a worker keeps through kills, damage and bulk writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

import processors
from processors.errors import CorruptStoreError
from processors.state.position import Position
from processors.state.rocksdb import BULK_ROWS, RocksDB, set_aside

ROOT = Path(processors.__file__).parents[1]


def position(offset: int) -> Position:
    return Position(topic_id=UUID(int=1), offset=offset, wall_time_ms=5)


def rows(count: int, value: bytes = b"v") -> list[tuple[bytes, bytes | None]]:
    return [(b"k%07d" % index, value) for index in range(count)]


def test_stores_are_apart_and_come_back_with_their_positions(tmp_path: Path) -> None:
    database = RocksDB(tmp_path / "db")
    database.store("a-0").write([(b"k", b"a")], position(1))
    database.store("b-0").write([(b"k", b"b")], position(2))
    database.close()
    database = RocksDB(tmp_path / "db")
    assert database.names() == {"a-0", "b-0"}
    assert database.store("a-0").get_many([b"k"]) == [b"a"]
    assert database.store("b-0").get_many([b"k"]) == [b"b"]
    assert database.store("b-0").position() == position(2)
    database.close()


def test_a_dropped_store_is_empty_and_has_no_position(tmp_path: Path) -> None:
    database = RocksDB(tmp_path / "db")
    database.store("a-0").write(rows(10), position(1))
    database.drop("a-0")
    database.drop("never")
    assert database.names() == set()
    store = database.store("a-0")
    assert list(store.range()) == []
    assert store.position() is None
    database.close()


def test_a_bulk_write_overwrites_deletes_and_carries_its_position(tmp_path: Path) -> None:
    database = RocksDB(tmp_path / "db")
    store = database.store("a-0")
    store.write([(b"k0000001", b"old"), (b"z", b"kept")], position(1))
    many = [*rows(BULK_ROWS), (b"k0000002", None), (b"k0000003", b"last")]
    (tmp_path / "db" / "ingest.sst").write_bytes(b"left by a crash")
    store.write(many, position(2))
    assert store.get_many([b"k0000001", b"k0000002", b"k0000003", b"z"]) == [
        b"v",
        None,
        b"last",
        b"kept",
    ]
    assert store.position() == position(2)
    store.write(rows(BULK_ROWS, b"second"), position(3))
    store.write([(b"k0000004", b"small")], position(4))
    assert store.get_many([b"k0000001", b"k0000004"]) == [b"second", b"small"]
    database.close()
    database = RocksDB(tmp_path / "db")
    store = database.store("a-0")
    assert sum(1 for _ in store.range()) == BULK_ROWS + 1
    assert store.position() == position(4)
    database.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from processors.state.position import Position
from processors.state.rocksdb import RocksDB
database = RocksDB(Path(sys.argv[1]), memory_bytes=1 << 20)
flush_at = int(sys.argv[2])
for number in range(1, 300):
    for name in ("a-0", "b-0"):
        rows = [(b"%d" % key, b"%d" % number + b"." * 200) for key in range(40)]
        position = Position(topic_id=UUID(int=1), offset=number, wall_time_ms=0)
        database.store(name).write(rows, position)
    if number == flush_at:
        database.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("flush_at", [0, 7, 299])
def test_after_sigkill_every_store_holds_exactly_what_its_position_says(
    tmp_path: Path, flush_at: int
) -> None:
    path = tmp_path / "db"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(flush_at)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    database = RocksDB(path)
    for name in ("a-0", "b-0"):
        store = database.store(name)
        stands_at = store.position()
        data = dict(store.range())
        if stands_at is None:
            assert data == {}
            continue
        assert stands_at.offset >= flush_at
        assert {value.rstrip(b".") for value in data.values()} == {b"%d" % stands_at.offset}
        assert len(data) == 40
    database.close()


def damaged(path: Path, pattern: str, kind: str) -> None:
    file = sorted(path.glob(pattern))[-1]
    data = bytearray(file.read_bytes())
    if kind == "gone":
        file.unlink()
    elif kind == "truncated":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 4] ^= 0x55
        file.write_bytes(data)


@pytest.mark.parametrize("kind", ["gone", "truncated", "flipped"])
@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST*", "CURRENT"])
def test_damage_is_reported_or_leaves_a_state_that_stood_once(
    tmp_path: Path, pattern: str, kind: str
) -> None:
    path = tmp_path / "db"
    database = RocksDB(path)
    for number in (1, 2):
        database.store("a-0").write(rows(5_000, b"%d" % number), position(number))
        database.flush()
    database.close()
    damaged(path, pattern, kind)
    try:
        database = RocksDB(path)
    except CorruptStoreError:
        pass
    else:
        with pytest.raises(CorruptStoreError):
            _read_like_its_position(database)
        database.close()
    assert set_aside(path).exists()
    assert not path.exists()
    database = RocksDB(path)
    assert database.names() == set()
    database.close()


def _read_like_its_position(database: RocksDB) -> None:
    """Raises `CorruptStoreError` for damage, and for an older state, which is no damage."""
    store = database.store("a-0")
    stands_at = store.position()
    data = dict(store.range())
    if stands_at is None or stands_at.offset < 2:
        expected = dict(rows(5_000, b"1")) if stands_at is not None else {}
        assert data == expected
        raise CorruptStoreError("", "an older state")
    assert store.get_many([key for key, _ in rows(5_000)]) == [b"2"] * 5_000


def test_an_iterator_reports_the_damage_that_it_ends_at(tmp_path: Path) -> None:
    path = tmp_path / "db"
    database = RocksDB(path)
    database.store("a-0").write(rows(5_000), position(1))
    database.flush()
    database.close()
    damaged(path, "*.sst", "flipped")
    database = RocksDB(path)
    with pytest.raises(CorruptStoreError):
        list(database.store("a-0").range())
    database.close()


def test_a_database_that_cannot_be_flushed_is_closed_all_the_same(tmp_path: Path) -> None:
    database = RocksDB(tmp_path / "db")
    for name in ("a-0", "b-0"):
        database.store(name).write(rows(10), position(1))
    set_aside(tmp_path / "db")
    with pytest.raises(CorruptStoreError) as kept:
        database.flush()
    database.close()
    RocksDB(tmp_path / "db").close()
    assert kept.value.path == str(tmp_path / "db")


def test_who_keeps_an_error_does_not_keep_the_database_open(tmp_path: Path) -> None:
    database = RocksDB(tmp_path / "db")
    store = database.store("a-0")
    store.write(rows(20_000, b"v" * 100), position(1))
    database.flush()
    (file,) = (tmp_path / "db").glob("*.sst")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x55
    file.write_bytes(data)
    with pytest.raises(CorruptStoreError) as kept_read:
        list(store.range())
    # A failed flush makes every write fail after it.
    set_aside(tmp_path / "db")
    store.write(rows(1), position(2))
    with pytest.raises(CorruptStoreError):
        database.flush()
    with pytest.raises(CorruptStoreError) as kept_write:
        store.write(rows(1), position(3))
    database.close()
    RocksDB(tmp_path / "db").close()
    assert kept_read.tb is not None
    assert kept_write.tb is not None
