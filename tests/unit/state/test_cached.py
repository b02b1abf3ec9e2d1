"""The four layers of a keyed store: what is read where, and what a commit and an abort leave."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from processors.state.budget import CacheBudget
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.state.position import Position, decode_position
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Sequence

POSITION = Position(topic_id=UUID(int=7), offset=42, wall_time_ms=1_000)


def make_state(
    store: MemoryStore | None = None, *, key: object = str, cache_bytes: int = 1 << 20
) -> KeyValueState:
    return KeyValueState(
        "counts",
        serde_for(key),
        serde_for(int),
        store if store is not None else MemoryStore(),
        None,
        cache_bytes,
    )


def add(state: KeyValueState, key: object, timestamp: int = 1) -> None:
    entry = state.entry(key)
    entry.value = (entry.value or 0) + 1
    entry.timestamp = max(entry.timestamp, timestamp)
    state.mark(entry)


def commit(state: KeyValueState) -> None:
    state.flush()
    state.on_committed()


def test_a_missing_key_is_an_entry_without_value() -> None:
    entry = make_state().entry("a")
    assert (entry.value, entry.timestamp, entry.key_bytes, entry.dirty) == (None, -1, b"a", False)


def test_flush_returns_entries_in_first_dirty_order_and_encodes_them_once() -> None:
    state = make_state()
    for key in ("b", "a", "b"):
        add(state, key, 5)
    assert [entry.key for entry in state.flush()] == ["b", "a"]
    keys, values, timestamps = state.committing_records()
    assert keys == [b"b", b"a"]
    assert values == [(2).to_bytes(8, "big"), (1).to_bytes(8, "big")]
    assert timestamps == [5, 5]
    assert state.flush() == []


def test_a_write_during_the_sync_is_dirty_after_the_commit() -> None:
    state = make_state()
    add(state, "a")
    state.flush()
    add(state, "a")
    state.on_committed()
    assert [entry.value for entry in state.dirty] == [2]
    assert dict(state.items(committed=True)) == {"a": 1}
    assert dict(state.items()) == {"a": 2}


def test_a_key_flushed_twice_in_one_commit_has_two_changelog_records() -> None:
    state = make_state()
    add(state, "a")
    state.flush()
    add(state, "a")
    state.flush()
    keys, values, _ = state.committing_records()
    assert keys == [b"a", b"a"]
    assert values == [(1).to_bytes(8, "big"), (2).to_bytes(8, "big")]
    state.on_committed()
    assert dict(state.items(committed=True)) == {"a": 2}
    assert state.committing_records() == ([], [], [])


def test_an_abort_forgets_cache_and_committing_and_keeps_committed() -> None:
    state = make_state()
    add(state, "a")
    commit(state)
    add(state, "a")
    state.flush()
    add(state, "b")
    state.on_aborted()
    assert state.get("a") == 1
    assert state.get("b") is None
    assert state.flush() == []
    assert state.committing_records() == ([], [], [])


def test_an_entry_evicted_before_its_checkpoint_is_read_from_committed() -> None:
    state = make_state(cache_bytes=1)
    add(state, "a", 9)
    commit(state)
    assert state.trim() == 1
    assert not state.entries
    entry = state.entry("a")
    assert (entry.value, entry.timestamp) == (1, 9)


def test_an_entry_evicted_while_its_commit_syncs_is_read_from_committing() -> None:
    state = make_state(cache_bytes=1)
    add(state, "a")
    state.flush()
    state.trim()
    assert state.get("a") == 1


def test_dirty_entries_are_never_evicted_and_say_that_a_commit_must_come() -> None:
    state = make_state(cache_bytes=1)
    add(state, "a")
    assert CacheBudget([state]).is_full()
    assert state.trim() == 0
    assert state.get("a") == 1
    commit(state)
    assert not CacheBudget([state]).is_full()


def test_trim_keeps_what_was_written_last() -> None:
    state = make_state(cache_bytes=40 * 400)
    for index in range(100):
        add(state, f"old{index}")
    commit(state)
    commit(state)
    for index in range(20):
        add(state, f"new{index}")
    commit(state)
    state.trim()
    assert all(f"new{index}" in state.entries for index in range(20))
    assert state.cached_bytes() <= state.cache_bytes


def test_a_checkpoint_moves_committed_into_the_store_with_its_position() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, "a", 3)
    commit(state)
    add(state, "b")
    state.checkpoint(POSITION)
    assert list(store.range()) == [(b"a", (3).to_bytes(8, "big") + (1).to_bytes(8, "big"))]
    assert store.position() == POSITION
    assert state.committed == {}
    assert state.get("a") == 1
    assert dict(state.items()) == {"a": 1, "b": 1}


def test_a_deleted_key_is_a_tombstone_in_every_layer() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, "a")
    commit(state)
    state.checkpoint(POSITION)
    state.delete("a", 8)
    assert dict(state.items()) == {}
    state.flush()
    assert state.committing_records() == ([b"a"], [None], [8])
    state.on_committed()
    state.on_aborted()
    assert state.get("a") is None
    assert dict(state.items()) == {}
    state.checkpoint(POSITION)
    assert list(store.range()) == []


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[bytes]] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads.append(list(keys))
        return super().get_many(keys)


def test_a_column_of_keys_is_loaded_with_one_read() -> None:
    store = CountingStore()
    reads = store.reads
    state = make_state(store)
    add(state, "a", 3)
    commit(state)
    state.checkpoint(POSITION)
    state.on_aborted()
    reads.clear()
    add(state, "c")
    reads.clear()
    entries = state.lookup(["a", "b", "c", "a"])
    assert [entry.value for entry in entries] == [1, None, 1, 1]
    assert entries[0] is entries[3]
    assert reads == [[b"a", b"b"]]


def test_what_was_below_is_read_only_where_there_was_something() -> None:
    store = CountingStore()
    state = make_state(store)
    for key in ("kept", "deleted"):
        add(state, key, 3)
    commit(state)
    state.checkpoint(POSITION)
    state.evict_clean()
    state.delete("deleted", 4)
    state.flush()
    for key in ("kept", "deleted", "new"):
        add(state, key, 5)
    store.reads.clear()
    entries = [state.entry(key) for key in ("new", "kept", "deleted")]
    assert state.read_below(entries) == ([None, 1, None], [-1, 3, -1])
    assert store.reads == [[b"kept"]]


def test_what_a_clear_has_not_yet_deleted_below_is_read_as_it_was() -> None:
    state = make_state()
    for key in ("a", "b"):
        add(state, key, 3)
    commit(state)
    state.clear()
    add(state, "a", 4)
    entries = state.lookup(["b", "a", "c"])
    assert state.read_below(entries) == ([1, 1, None], [3, 3, -1])
    state.flush()
    assert state.read_below(state.lookup(["a", "b"])) == ([1, None], [4, -1])


def test_keys_that_are_equal_in_python_and_not_in_bytes_are_different_keys() -> None:
    state = make_state(key="json")
    for key in (1, True, 1.0, 1):
        add(state, key)
    assert [entry.value for entry in state.lookup([1, True, 1.0])] == [2, 1, 1]


def test_a_value_that_cannot_be_written_leaves_everything_as_it_was() -> None:
    state = make_state()
    entry = state.entry("a")
    entry.value = "no number"
    state.mark(entry)
    with pytest.raises(SerializationError):
        state.flush()
    assert state.dirty == [entry]
    assert entry.dirty
    assert state.committing_records() == ([], [], [])


def test_a_position_is_what_was_encoded_and_unknown_bytes_are_none() -> None:
    assert decode_position(POSITION.encode()) == POSITION
    assert decode_position(b"") is None
    assert decode_position(b"\x09" + POSITION.encode()[1:]) is None
