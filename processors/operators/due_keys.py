"""The keys that wait in a store in order of time, first the one that has waited longest.

    segment 1 + time // unit   keys that wait since then, or until then

Of one segment, the first of those that something may be due of, the keys are in memory, in exact
order; so are those that came since the last flush, where they get entries of their own.
"""

from __future__ import annotations

from bisect import bisect_left
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from processors.topology.held import Held

if TYPE_CHECKING:
    from processors.state.segmented import SegmentedState
    from streamlog.serdes import Serde

Due = tuple[int, bytes, Any]
"""Time, key bytes, key."""


class DueKeys:
    """The waiting keys of one task.

    Args:
        state: Has what waits in its segments from 1 on, as `Held`.
        own_entries: Whether these are entries of this index alone, which it writes and deletes. One
            that comes and goes between two flushes is never written. Otherwise they are what waits
            itself, and whoever holds and takes it writes them.

    Attributes:
        low: No key waits since before this.
    """

    def __init__(
        self, state: SegmentedState, key: Serde[Any], unit: int, *, own_entries: bool
    ) -> None:
        self.low = 0
        self._state = state
        self._key = key
        self._unit = unit
        self._own_entries = own_entries
        self._loaded: int | None = None
        self._waiting: list[Due] = []
        self._fresh: list[Due] = []
        self._taken: list[tuple[int, int, Any]] = []
        self._emptied: set[int] = set()

    def segment_of(self, time: int) -> int:
        return 1 + time // self._unit

    def reset(self) -> None:
        """At the start and after an abort: what waits is what the store has."""
        self.low = 0
        self._unload()
        self._fresh = []
        self._taken = []
        self._emptied.clear()

    def add(self, time: int, key_bytes: bytes, key: Any) -> None:
        """One more key waits; its entry, where it is not of this index, is about to be written."""
        self.low = min(self.low, time)
        if self._own_entries:
            heappush(self._fresh, (time, key_bytes, key))
        else:
            self._note(self.segment_of(time), (time, key_bytes, key))

    def first(self) -> Due | None:
        """The key that is next; None where none waits."""
        while not self._waiting:
            if self._loaded is not None:
                self._emptied.add(self._loaded)  # it goes at the flush, behind which it is new
                self._unload()
            start = self._next_segment()
            if start is None or (self._fresh and self._fresh[0][0] < (start - 1) * self._unit):
                break
            self._load(start)
        heap = self._heap()
        if not heap:
            return None
        self.low = heap[0][0]
        return heap[0]

    def pop(self) -> Due:
        """Takes what `first` has given."""
        heap = self._heap()
        due = heappop(heap)
        if self._own_entries and heap is self._waiting:
            self._taken.append((self.segment_of(due[0]), due[0], due[2]))
        return due

    def flush(self) -> None:
        """Brings the store up to what waits, before it is flushed itself."""
        for start, time, key in self._taken:
            if start not in self._emptied:
                self._state.segment(start).delete(key, time)
        for start in sorted(self._emptied):
            self._state.drop(start)
        self._taken = []
        self._emptied.clear()
        fresh, self._fresh = self._fresh, []
        for due in sorted(fresh):
            time, _, key = due
            start = self.segment_of(time)
            self._state.segment(start).put(key, Held(time, None, 0), time)
            self._note(start, due)

    def _note(self, start: int, due: Due) -> None:
        self._emptied.discard(start)
        if self._loaded is None:
            return
        if start < self._loaded:
            self._unload()
        elif start == self._loaded:
            heappush(self._waiting, due)

    def _heap(self) -> list[Due]:
        waiting, fresh = self._waiting, self._fresh
        return fresh if fresh and not (waiting and waiting[0] < fresh[0]) else waiting

    def _next_segment(self) -> int | None:
        starts = self._state.starts()
        for place in range(bisect_left(starts, 1), len(starts)):
            if starts[place] not in self._emptied:
                return starts[place]
        return None

    def _load(self, start: int) -> None:
        serialize = self._key.serialize
        rows = self._state.segment(start).rows()
        self._waiting = [(held.time, serialize(key), key) for key, held, _ in rows]
        heapify(self._waiting)
        self._loaded = start

    def _unload(self) -> None:
        self._loaded = None
        self._waiting = []
