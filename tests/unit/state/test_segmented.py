"""A store in order of time: segments, scalars, four layers."""

from __future__ import annotations

from processors.state.budget import CacheBudget
from processors.state.memory import MemoryStore
from processors.state.segmented import SegmentedState
from streamlog.serdes import serde_for


def make_state(store: MemoryStore | None = None, *, cache_bytes: int = 1 << 20) -> SegmentedState:
    return SegmentedState(
        "windows", serde_for(str), serde_for(int), store or MemoryStore(), None, cache_bytes
    )


def add(state: SegmentedState, start: int, key: str) -> None:
    entry = state.segment(start).entry(key)
    entry.value = (entry.value or 0) + 1
    entry.timestamp = start
    entry.state.mark(entry)


def commit(state: SegmentedState) -> None:
    state.flush()
    state.on_committed()


def content(state: SegmentedState) -> list[tuple[int, str, int]]:
    return [(start, key, value) for start, key, value, _ in state.rows()]


def test_rows_come_by_segment_and_then_by_key() -> None:
    state = make_state()
    for start, key in [(20, "a"), (0, "b"), (20, "a"), (0, "a")]:
        add(state, start, key)
    assert content(state) == [(0, "a", 1), (0, "b", 1), (20, "a", 2)]


def test_one_key_has_an_entry_in_every_segment() -> None:
    state = make_state()
    add(state, 0, "a")
    assert state.segment(10).find("a") is None
    found = state.segment(0).find("a")
    assert found is not None
    assert found.value == 1


def test_what_was_written_is_found_in_a_new_process() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, 10, "a")
    add(state, 1 << 40, "b")
    state.set_scalar("stream time", 77)
    commit(state)
    state.checkpoint(None)
    again = make_state(store)
    assert again.starts() == [10, 1 << 40]
    assert content(again) == [(10, "a", 1), (1 << 40, "b", 1)]
    assert again.scalar("stream time") == 77
    assert again.segment(10).entry("a").value == 1


def test_the_changelog_alone_gives_the_same_store() -> None:
    state, copy = make_state(), MemoryStore()
    for step in range(3):
        add(state, 10 * step, "a")
        if step:
            state.drop(10 * (step - 1))
        state.set_scalar("stream time", step)
        state.flush()
        keys, values, timestamps = state.committing_records()
        copy.write(
            [
                (key, None if value is None else timestamp.to_bytes(8, "big") + value)
                for key, value, timestamp in zip(keys, values, timestamps, strict=True)
            ],
            None,
        )
        state.on_committed()
    again = make_state(copy)
    assert content(again) == content(state) == [(20, "a", 1)]
    assert again.scalar("stream time") == 2


def test_a_dropped_segment_is_empty_at_once_and_after_the_commit() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, 0, "a")
    add(state, 0, "b")
    commit(state)
    state.checkpoint(None)
    add(state, 0, "c")
    state.drop(0)
    assert content(state) == []
    assert not state.has(0)
    add(state, 0, "b")
    assert content(state) == [(0, "b", 1)]
    commit(state)
    state.checkpoint(None)
    assert content(make_state(store)) == [(0, "b", 1)]


def test_what_is_dropped_twice_between_two_commits_is_gone() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, 0, "a")
    commit(state)
    state.checkpoint(None)
    for key in ("b", "a"):
        state.drop(0)
        add(state, 0, key)
    state.drop(0)
    add(state, 0, "c")
    assert content(state) == [(0, "c", 1)]
    commit(state)
    state.checkpoint(None)
    assert content(make_state(store)) == [(0, "c", 1)]


def test_an_abort_brings_back_what_was_dropped() -> None:
    state = make_state()
    add(state, 0, "a")
    commit(state)
    add(state, 5, "b")
    state.set_scalar("stream time", 5)
    state.drop(0)
    state.flush()
    state.on_aborted()
    assert content(state) == [(0, "a", 1)]
    assert state.scalar("stream time") == -1


def test_an_abort_leaves_no_segment_that_only_the_aborted_transaction_had() -> None:
    state = make_state()
    add(state, 10, "a")
    commit(state)
    state.checkpoint(None)
    add(state, 20, "b")
    commit(state)
    add(state, 30, "c")
    state.on_aborted()
    assert state.starts() == [10, 20]
    assert content(state) == [(10, "a", 1), (20, "b", 1)]


def test_an_abort_brings_back_no_segment_whose_end_is_committed() -> None:
    store = MemoryStore()
    state = make_state(store)
    add(state, 10, "a")
    commit(state)
    state.checkpoint(None)
    state.drop(10)
    commit(state)
    for written_again in (False, True):
        if written_again:
            add(state, 10, "b")
        state.on_aborted()
        assert state.starts() == []
        assert state.segment(10).find("a") is None
        state.on_aborted()
    assert state.has_committed()
    state.checkpoint(None)
    assert make_state(store).starts() == state.starts() == []


def test_that_rows_are_to_be_deleted_waits_for_a_checkpoint_too() -> None:
    state = make_state()
    add(state, 10, "a")
    commit(state)
    state.checkpoint(None)
    assert state.committed_bytes == 0
    state.drop(10)
    commit(state)
    assert state.committed_bytes > 0
    state.checkpoint(None)
    assert state.committed_bytes == 0


def test_a_change_behind_a_flush_is_in_the_next_one() -> None:
    state = make_state()
    add(state, 0, "a")
    state.flush()
    add(state, 0, "a")
    assert state.has_dirty()
    state.on_committed()
    assert content(state) == [(0, "a", 2)]
    state.flush()
    assert state.committing_records()[1] == [(2).to_bytes(8, "big")]


def test_the_cache_goes_down_to_half_and_nothing_is_lost() -> None:
    state = make_state(cache_bytes=40 * 400)
    for number in range(200):
        add(state, number // 10, f"key-{number}")
    assert CacheBudget([state]).is_full()
    assert state.trim() == 0, "what is dirty stays"
    commit(state)
    assert state.trim() > 0
    assert state.cached_bytes() <= 40 * 400 // 2 + 10 * 400
    assert len(content(state)) == 200
    state.checkpoint(None)
    state.trim()
    for number in range(200):
        add(state, number // 10, f"key-{number}")
    assert {value for _, _, value in content(state)} == {2}


def test_keys_that_are_equal_in_python_are_told_apart_by_their_bytes() -> None:
    state = SegmentedState("s", serde_for("json"), serde_for(int), MemoryStore(), None)
    for key in (1, True, 1.0):
        entry = state.segment(0).entry(key)
        entry.value = (entry.value or 0) + 1
        entry.state.mark(entry)
    assert sorted(content(state), key=repr) == [(0, 1, 1), (0, 1.0, 1), (0, True, 1)]
