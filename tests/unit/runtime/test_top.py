"""The top of a table, over what is cached, evicted, fallen and deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from processors.runtime.top import KEPT, TopTable
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.state.position import Position
from streamlog.serdes import serde_for

POSITION = Position(topic_id=UUID(int=1), offset=0, wall_time_ms=0)


def make_state(key: Any = str) -> KeyValueState:
    return KeyValueState("counts", serde_for(key), serde_for(int), MemoryStore(), None)


def write(state: KeyValueState, **counts: int) -> None:
    for key, value in counts.items():
        state.put(key, value, 0)


def evict(state: KeyValueState) -> None:
    """Everything leaves the cache, as after a restart."""
    state.flush()
    state.on_committed()
    state.checkpoint(POSITION)
    state.on_aborted()


def test_the_largest_of_all_partitions_come_first_and_ties_go_by_the_key() -> None:
    states = [make_state(), make_state()]
    write(states[0], a=1, b=7)
    write(states[1], c=7, d=3)
    assert TopTable(states).top(3) == [("b", 7), ("c", 7), ("d", 3)]


def test_what_is_not_cached_at_the_first_look_is_found_by_a_scan() -> None:
    state = make_state()
    write(state, a=1, b=2)
    evict(state)
    table = TopTable([state])
    assert table.top(5) == [("b", 2), ("a", 1)]
    write(state, a=9)
    assert table.top(5) == [("a", 9), ("b", 2)]


def test_what_leaves_the_cache_stays_and_what_falls_or_goes_does_not() -> None:
    state = make_state()
    write(state, **{f"k{number}": number for number in range(KEPT + 20)})
    table = TopTable([state])
    table.top(3)
    evict(state)
    assert table.top(2) == [(f"k{KEPT + 19}", KEPT + 19), (f"k{KEPT + 18}", KEPT + 18)]
    write(state, **{f"k{KEPT + 19}": 0})
    state.delete(f"k{KEPT + 18}", 0)
    assert table.top(1) == [(f"k{KEPT + 17}", KEPT + 17)]


def test_keys_that_are_known_by_their_bytes_are_shown_as_keys() -> None:
    state = make_state(key="json")
    state.put(["a", 1], 5, 0)
    state.put(True, 7, 0)
    assert TopTable([state]).top(2) == [("True", 7), ("['a', 1]", 5)]
