"""A store of segments is a dictionary of dictionaries, through commits, aborts and checkpoints.

In particular a dropped segment: its rows go from the byte store as a range, at the next checkpoint;
until then nothing may be read from there.
"""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.state.memory import MemoryStore
from processors.state.rocksdb import RocksDB
from processors.state.segmented import SegmentedState
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from processors.state.byte_store import ByteStore

Content = dict[int, dict[str, int]]

STARTS = [0, 7, 255, 256]
KEYS = ["", "a", "b", "\u00e4"]

steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(STARTS), st.sampled_from(KEYS), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.sampled_from(STARTS), st.sampled_from(KEYS)),
    st.tuples(st.just("read"), st.sampled_from(STARTS), st.sampled_from(KEYS)),
    st.tuples(st.just("drop"), st.sampled_from(STARTS)),
    st.just(("commit",)),
    st.just(("checkpoint",)),
    st.sampled_from([("abort",), ("evict",), ("restart",)]),
)


def new_state(store: ByteStore) -> SegmentedState:
    return SegmentedState("windows", serde_for(str), serde_for(int), store, None)


def content(state: SegmentedState) -> Content:
    found: Content = {}
    for start, key, value, _ in state.rows():
        found.setdefault(start, {})[key] = value
    return found


def filled(model: Content) -> Content:
    return {start: rows for start, rows in model.items() if rows}


def run(history: list[tuple[object, ...]], store: ByteStore) -> None:
    state = new_state(store)
    now: Content = {}
    committed: Content = {}
    stored: Content = {}
    for step in history:
        match step:
            case ("put", int(start), str(key), int(value)):
                state.segment(start).put(key, value, 1)
                now.setdefault(start, {})[key] = value
            case ("delete", int(start), str(key)):
                state.segment(start).delete(key, 1)
                now.get(start, {}).pop(key, None)
            case ("read", int(start), str(key)):
                assert state.segment(start).get(key) == now.get(start, {}).get(key)
            case ("drop", int(start)):
                state.drop(start)
                now.pop(start, None)
            case ("commit",):
                state.flush()
                state.on_committed()
                committed = copy.deepcopy(now)
            case ("abort",):
                state.flush()
                state.on_aborted()
                now = copy.deepcopy(committed)
            case ("checkpoint",):
                state.checkpoint(None)
                stored = copy.deepcopy(committed)
            case ("evict",):
                for segment in list(state.segments.values()):
                    segment.evict_clean()
            case _:  # the restart of a process that is behind its changelog
                state = new_state(store)
                now, committed = copy.deepcopy(stored), copy.deepcopy(stored)
        assert content(state) == filled(now)
    assert content(new_state(store)) == filled(stored)


# Evicted between a drop and its flush: the layers below still have what was dropped.
@example(
    [("put", 0, "a", 1), ("commit",), ("drop", 0), ("read", 0, "b"), ("evict",), ("read", 0, "a")]
)
@given(st.lists(steps, max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_history_reads_like_a_dictionary_of_dictionaries(
    history: list[tuple[object, ...]],
) -> None:
    run(history, MemoryStore())


@given(st.lists(steps, min_size=30, max_size=60))
@settings(max_examples=40, deadline=None)
def test_so_it_does_over_rocksdb(history: list[tuple[object, ...]]) -> None:
    with TemporaryDirectory() as folder:
        database = RocksDB(Path(folder) / "db")
        run(history, database.store("windows-0"))
        database.close()
