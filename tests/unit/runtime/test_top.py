"""The top of a table, over what is cached, evicted, fallen and deleted."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from processors.runtime import top
from processors.runtime.top import KEPT, TopTable
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.state.position import Position
from streamlog.serdes import serde_for

POSITION = Position(topic_id=UUID(int=1), offset=0, wall_time_ms=0)
MANY = 5 * KEPT


def make_state(key: Any = str) -> KeyValueState:
    return KeyValueState("counts", serde_for(key), serde_for(int), MemoryStore(), None)


def write(state: KeyValueState, **counts: int) -> None:
    for key, value in counts.items():
        state.put(key, value, 0)


def evict(state: KeyValueState, *, checkpoint: bool = True) -> None:
    """Everything is committed and leaves the cache."""
    state.flush()
    state.on_committed()
    if checkpoint:
        state.checkpoint(POSITION)
    state.cache_bytes = 0
    state.trim()
    assert not state.entries


def numbered(first: int, end: int) -> dict[str, int]:
    return {f"k{number}": number for number in range(first, end)}


@pytest.fixture
def one_row_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "STEP_ROWS", 1)
    monkeypatch.setattr(top, "LOOK_S", 0)


def look_until_known(table: TopTable, count: int) -> tuple[list[tuple[str, Any]], int]:
    """What the table tells at last, and the looks that told nothing."""
    looks = 0
    while (known := table.top(count)) is None:
        looks += 1
    return known, looks


def test_the_largest_of_all_partitions_come_first_and_ties_go_by_the_key() -> None:
    states = [make_state(), make_state()]
    write(states[0], a=1, b=7)
    write(states[1], c=7, d=3)
    assert TopTable(states).top(3) == [("b", 7), ("c", 7), ("d", 3)]


def test_what_is_not_cached_is_read() -> None:
    state = make_state()
    write(state, a=1, b=2)
    evict(state)
    write(state, c=3)
    evict(state, checkpoint=False)
    table = TopTable([state])
    assert table.top(5) == [("c", 3), ("b", 2), ("a", 1)]
    write(state, a=9)
    assert table.top(5) == [("a", 9), ("c", 3), ("b", 2)]


@pytest.mark.usefixtures("one_row_a_look")
def test_nothing_is_told_before_all_is_read() -> None:
    states = [make_state(), make_state()]
    for number, state in enumerate(states):
        write(state, **numbered(10 * number, 10 * number + 10))
        evict(state)
    assert look_until_known(TopTable(states), 2) == ([("k19", 19), ("k18", 18)], 20)


@pytest.mark.usefixtures("one_row_a_look")
def test_what_changes_between_looks_is_told_as_it_is_at_last() -> None:
    """Changed before and behind the reader, with and without a checkpoint, evicted each time."""
    state = make_state()
    write(state, **numbered(10, 30))
    evict(state)
    table = TopTable([state])
    for _ in range(10):
        assert table.top(5) is None
    write(state, k10=100, k12=0, k29=0, k28=50, new=60, k00=70)
    evict(state, checkpoint=False)
    assert table.top(5) is None
    state.delete("k11", 0)
    state.delete("k27", 0)
    write(state, k28=40)
    evict(state)
    write(state, k26=30)
    known, _ = look_until_known(table, 6)
    assert known == [("k10", 100), ("k00", 70), ("new", 60), ("k28", 40), ("k26", 30), ("k25", 25)]


def test_what_leaves_the_cache_stays_and_what_falls_or_goes_does_not() -> None:
    state = make_state()
    write(state, **numbered(0, KEPT + 20))
    table = TopTable([state])
    table.top(3)
    evict(state)
    assert table.top(2) == [(f"k{KEPT + 19}", KEPT + 19), (f"k{KEPT + 18}", KEPT + 18)]
    write(state, **{f"k{KEPT + 19}": 0})
    state.delete(f"k{KEPT + 18}", 0)
    assert table.top(1) == [(f"k{KEPT + 17}", KEPT + 17)]


def test_an_entry_that_rises_and_is_evicted_between_two_looks_is_seen() -> None:
    state = make_state()
    write(state, **numbered(0, MANY))
    evict(state)
    table = TopTable([state])
    table.top(1)
    write(state, k3=10_000)
    evict(state)
    assert table.top(1) == [("k3", 10_000)]
    write(state, k3=1)
    evict(state)
    assert table.top(1) == [(f"k{MANY - 1}", MANY - 1)]


def test_where_too_many_have_fallen_what_was_forgotten_is_read_again() -> None:
    state = make_state()
    write(state, **numbered(0, MANY))
    evict(state)
    table = TopTable([state])
    table.top(10)
    write(state, **dict.fromkeys(numbered(MANY - KEPT, MANY), 0))
    evict(state)
    assert table.top(2) == [
        (f"k{MANY - KEPT - 1}", MANY - KEPT - 1),
        (f"k{MANY - KEPT - 2}", MANY - KEPT - 2),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_top_is_that_of_the_table(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = random.Random(seed)
    monkeypatch.setattr(top, "STEP_ROWS", choice.choice([1, 3, 50]))
    monkeypatch.setattr(top, "LOOK_S", 0)
    monkeypatch.setattr(top, "KEPT", choice.choice([3, 10]))
    monkeypatch.setattr(top, "REMEMBERED", 12)
    states = [make_state(), make_state()]
    table = TopTable(states)
    for _ in range(150):
        state = choice.choice(states)
        match choice.randrange(6):
            case 0:
                evict(state, checkpoint=choice.random() < 0.5)
            case 1:
                expected = sorted((-value, key) for each in states for key, value in each.items())
                known, _ = look_until_known(table, 3)
                assert known == [(key, -value) for value, key in expected[:3]]
            case 2:
                table.top(3)
            case _:
                number = choice.randrange(20) * 2 + (state is states[0])
                state.put(f"k{number}", choice.choice([None, *range(9)]), 0)


def test_keys_that_are_known_by_their_bytes_are_shown_as_keys() -> None:
    state = make_state(key="json")
    state.put(["a", 1], 5, 0)
    state.put(True, 7, 0)
    assert TopTable([state]).top(2) == [("True", 7), ("['a', 1]", 5)]
