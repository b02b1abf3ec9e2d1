"""Garbage collection while workers run.

Python's collector looks at all young objects after every 700 that are made, and at older ones
ever so often. A worker makes and keeps objects by the million, in no cycles: entries of caches,
rows on their way. Looking at them took 15 to 45 % of the time. So it looks less often, and what is
in cycles waits a little longer.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

YOUNG_OBJECTS: Final = 50_000


class _Running:
    """How many workers there are in the process, and what the thresholds were without."""

    workers = 0
    before: tuple[int, int, int] = (0, 0, 0)


@contextmanager
def rare_collections() -> Generator[None]:
    """The process collects rarely while any worker is in this block.

    Who has switched the collector off, or made it look rarely already, keeps that.
    """
    if not _Running.workers:
        _Running.before = gc.get_threshold()
        if 0 < _Running.before[0] < YOUNG_OBJECTS:
            gc.set_threshold(YOUNG_OBJECTS, *_Running.before[1:])
    _Running.workers += 1
    try:
        yield
    finally:
        _Running.workers -= 1
        if not _Running.workers:
            gc.set_threshold(*_Running.before)
