"""While workers run, Python's collector looks less often; afterwards as before."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from processors.runtime.collector import YOUNG_OBJECTS, rare_collections

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_lasts_from_the_first_worker_to_the_last() -> None:
    first, second = rare_collections(), rare_collections()
    with first:
        assert gc.get_threshold() == (YOUNG_OBJECTS, 10, 10)
        second.__enter__()
    assert gc.get_threshold() == (YOUNG_OBJECTS, 10, 10)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [(0, 10, 10), (1_000_000, 5, 5)])
def test_who_has_chosen_otherwise_keeps_it(chosen: tuple[int, int, int]) -> None:
    gc.set_threshold(*chosen)
    with rare_collections():
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen
