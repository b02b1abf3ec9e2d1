"""Caches share one bound."""

from __future__ import annotations

from processors.state.budget import CacheBudget
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from streamlog.serdes import LONG, STRING

BOUND = 100 * 400


def make_state() -> KeyValueState:
    return KeyValueState("counts", STRING, LONG, MemoryStore(), None, BOUND)


def fill(state: KeyValueState, count: int) -> None:
    for number in range(count):
        state.put(f"key-{number}", number, 0)
    state.flush()
    state.on_committed()


def test_one_that_is_over_its_own_bound_keeps_what_others_leave_free() -> None:
    large, small = make_state(), make_state()
    budget = CacheBudget([large, small])
    fill(large, 150)
    budget.trim()
    assert len(large.entries) == 150
    fill(small, 80)
    budget.trim()
    assert len(large.entries) < 100
    assert len(small.entries) == 80, "it is within its own bound"
    assert [large.get(f"key-{number}") for number in range(150)] == list(range(150))


def test_only_what_is_dirty_everywhere_asks_for_a_commit() -> None:
    large, small = make_state(), make_state()
    budget = CacheBudget([large, small])
    for number in range(90):
        large.put(f"key-{number}", number, 0)
    assert not budget.is_full()
    for number in range(40):
        small.put(f"key-{number}", number, 0)
    assert budget.is_full()
