"""Pauses between attempts, and answers that are kept: pure."""

from __future__ import annotations

import pytest

from processors.runtime.calls import LONGEST_BACKOFF_MS, Cache, choose_pause_ms, copied
from processors.topology.nodes.map_async import AnswerCache


def test_pauses_double_up_to_the_longest_one() -> None:
    found = [choose_pause_ms(100, attempt, 1.0) for attempt in range(12)]
    assert found[:4] == [100, 200, 400, 800]
    assert found[-1] == choose_pause_ms(100, 10_000, 1.0) == LONGEST_BACKOFF_MS


def test_a_longer_pause_that_was_asked_for_is_not_made_shorter() -> None:
    assert choose_pause_ms(3_600_000, 5, 1.0) == 3_600_000


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_chance_takes_at_most_half_of_a_pause(chance: float) -> None:
    assert 200 <= choose_pause_ms(100, 2, chance) <= 400
    assert choose_pause_ms(0, 2, chance) == 0


def test_a_cache_keeps_what_was_asked_for_last_and_knows_how_old_it_is() -> None:
    cache = Cache(AnswerCache(entries=2, ttl_ms=10))
    cache.put("a", 1, 0)
    cache.put("b", 2, 5)
    assert cache.find("a", 9) == (1,)
    cache.put("c", None, 9)
    assert cache.find("b", 9) is None
    assert cache.find("c", 18) == (None,)
    assert cache.find("a", 10) is None
    assert len(cache) == 1


def test_what_cannot_be_copied_is_shared() -> None:
    class Handle:
        def __deepcopy__(self, memo: object) -> Handle:
            raise TypeError("a connection")

    handle = Handle()
    assert copied(handle) is handle
    rows = [1]
    assert copied(rows) == rows
    assert copied(rows) is not rows
