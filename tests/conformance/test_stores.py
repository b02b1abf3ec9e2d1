"""One suite over every byte store: what `ByteStore` promises, kept by each."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.state.memory import MemoryStore
from processors.state.position import Position
from processors.state.rocksdb import RocksDB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processors.state.byte_store import ByteStore

AWKWARD_KEYS = [b"", b"\x00", b"a", b"a\x00", b"b", b"\xfe", b"\xff", b"\xff.position", b"\xff\xff"]
keys = st.one_of(st.sampled_from(AWKWARD_KEYS), st.binary(max_size=6))
writes = st.lists(st.lists(st.tuples(keys, st.none() | st.binary(max_size=9)), max_size=8))


def position(offset: int) -> Position:
    return Position(topic_id=UUID(int=1), offset=offset, wall_time_ms=5)


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ByteStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    database = RocksDB(tmp_path / "db")
    yield database.store("counts-0")
    database.close()


def test_a_new_store_is_empty_and_has_no_position(store: ByteStore) -> None:
    assert store.get_many([b"a", b""]) == [None, None]
    assert list(store.range()) == []
    assert store.position() is None


def test_values_come_in_the_order_of_the_keys_asked_for(store: ByteStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")], position(3))
    assert store.get_many([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]
    assert store.get_many([]) == []


def test_a_none_deletes_and_the_last_of_two_writes_wins(store: ByteStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None)], position(1))
    assert list(store.range()) == [(b"a", b"3")]
    store.write([(b"a", None), (b"never", None)], position(2))
    assert list(store.range()) == []
    assert store.position() == position(2)


def test_a_range_is_ordered_by_bytes_and_leaves_out_its_end(store: ByteStore) -> None:
    store.write([(key, b"v") for key in reversed(AWKWARD_KEYS)], position(1))
    assert [key for key, _ in store.range()] == AWKWARD_KEYS
    assert [key for key, _ in store.range(b"a", b"b")] == [b"a", b"a\x00"]
    assert [key for key, _ in store.range(b"\xff")] == [b"\xff", b"\xff.position", b"\xff\xff"]
    assert [key for key, _ in store.range(None, b"\xff")] == AWKWARD_KEYS[:6]


def test_what_is_wiped_goes_before_what_is_put(store: ByteStore) -> None:
    keys = [b"a", b"a\x00", b"a\xff", b"b", b"\x00\xff", b"\x00\xff\xff", b"\x01"]
    store.write([(key, b"old") for key in keys], position(1))
    store.write([(b"a\x00", b"new"), (b"b", None)], position(2), [b"a", b"\x00\xff"])
    assert list(store.range()) == [(b"\x01", b"old"), (b"a\x00", b"new")]
    assert store.get_many([b"a", b"a\xff", b"a\x00"]) == [None, None, b"new"]
    assert store.position() == position(2)


def test_an_empty_write_moves_the_position(store: ByteStore) -> None:
    store.write([], position(9))
    assert store.position() == position(9)
    store.flush()
    assert store.position() == position(9)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=writes)
def test_any_history_of_writes_reads_like_a_dict(
    store: ByteStore, history: list[list[tuple[bytes, bytes | None]]]
) -> None:
    store.write([(key, None) for key, _ in list(store.range())], None)
    model: dict[bytes, bytes] = {}
    for number, batch in enumerate(history):
        store.write(batch, position(number))
        for key, value in batch:
            model.pop(key, None)
            if value is not None:
                model[key] = value
    assert list(store.range()) == sorted(model.items())
    asked = [*AWKWARD_KEYS, *model]
    assert store.get_many(asked) == [model.get(key) for key in asked]
