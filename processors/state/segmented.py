"""A store in order of time: one segment a time, in each segment one entry a key (compiled).

    segment 0      segment 60000    segment 120000       scalars
    ann -> 3       ann -> 1         bob -> 2             stream time -> 125210
    bob -> 1

Windows are segments by their start; buffers are segments by the time of what waits in them. What
ends together is together, so that closing windows, expiry and time-ordered reading look at what is
due and at nothing else.

In bytes, here and in the changelog, a key has the segment's time in front of it (8 bytes, big
endian, not negative). Behind the byte 0xff stand the operator's own numbers, such as its stream
time, which so are in the same transaction as what they were made from.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Final

from processors.state.cached import DEFAULT_CACHE_BYTES, KeyValueState
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_extensions import i64

    from processors.state.byte_store import ByteStore
    from processors.state.position import Position
    from streamlog.client.contract import TopicPartition
    from streamlog.serdes import Serde

SCALARS: Final = b"\xff"

_TIME: Final = struct.Struct(">q")


class SegmentedState:
    """The time-ordered store of one task. Owned by one thread.

    A segment is a `KeyValueState`. Ask `segment` again for every chunk: between chunks `trim`
    forgets the ones that have nothing in memory.

    Attributes:
        scalars: Numbers by name.
    """

    def __init__(
        self,
        name: str,
        key_serde: Serde[Any],
        value_serde: Serde[Any],
        store: ByteStore,
        changelog: TopicPartition | None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.name: str = name
        self.key_serde: Any = key_serde
        self.value_serde: Any = value_serde
        self.changelog: Any = changelog
        self.cache_bytes: i64 = cache_bytes
        self.complete: bool = False
        self.segments: dict[int, KeyValueState] = {}
        self._dropped: dict[int, KeyValueState] = {}
        self._store: Any = store
        self._starts: list[int] | None = None
        self.scalars: KeyValueState = KeyValueState(
            name, STRING, LONG, store, changelog, cache_bytes, SCALARS
        )

    @property
    def store(self) -> Any:
        return self._store

    @store.setter
    def store(self, store: Any) -> None:
        self._store = store
        self.scalars.store = store

    # Segments.

    def segment(self, start: i64) -> KeyValueState:
        """The segment of a time, made if there is none."""
        found = self.segments.get(start)
        if found is not None:
            return found
        assert start >= 0, "times are not negative"
        made = self._dropped.pop(start, None)
        if made is None:
            made = KeyValueState(
                self.name,
                self.key_serde,
                self.value_serde,
                self._store,
                self.changelog,
                self.cache_bytes,
                _TIME.pack(start),
            )
            made.complete = not self.has(start)
        if not self.has(start):
            insort(self.starts(), start)
        self.segments[start] = made
        return made

    def starts(self) -> list[int]:
        """The times of all segments that may have rows, ascending. Not to be changed."""
        if self._starts is None:
            found = set(self._stored_starts())
            found.difference_update(self._dropped)
            found.update(self.segments)
            self._starts = sorted(found)
        return self._starts

    def has(self, start: i64) -> bool:
        """Whether the segment of a time may have rows."""
        starts = self.starts()
        place = bisect_left(starts, start)
        return place < len(starts) and starts[place] == start

    def drop(self, start: i64) -> None:
        """Deletes every row of a segment."""
        starts = self.starts()
        place = bisect_left(starts, start)
        if place < len(starts) and starts[place] == start:
            segment = self.segment(start)
            segment.clear()
            del starts[place]
            self._dropped[start] = segment
            del self.segments[start]

    def rows(self, *, committed: bool = False) -> Iterator[tuple[int, Any, Any, int]]:
        """Segment, key, value and timestamp, by segment and then by key bytes."""
        for start in list(self.starts()):
            for key, value, timestamp in self.segment(start).rows(committed=committed):
                yield start, key, value, timestamp

    def _stored_starts(self) -> Iterator[int]:
        after = b""
        while True:
            first = next(iter(self._store.range(after, SCALARS)), None)
            if first is None:
                return
            start = _TIME.unpack(first[0][:8])[0]
            yield start
            after = _TIME.pack(start + 1)

    # Scalars.

    def scalar(self, name: str, default: int = -1) -> int:
        value: Any = self.scalars.get(name)
        return default if value is None else value

    def set_scalar(self, name: str, value: int) -> None:
        if self.scalars.get(name) != value:
            self.scalars.put(name, value, 0)

    # The commit.

    def flush(self) -> list[KeyValueState]:
        """What had changed: segments, dropped ones among them, and the scalars."""
        changed = self._changed()
        for part in changed:
            part.flush()
        return changed

    def has_dirty(self) -> bool:
        return bool(self._changed())

    def has_committed(self) -> bool:
        for part in self._parts():  # noqa: SIM110 - a generator is not compiled to this loop
            if part.has_committed():
                return True
        return False

    @property
    def committed_bytes(self) -> int:
        return sum([each.committed_bytes for each in self._parts()])

    def committing_records(self) -> tuple[list[Any], list[Any], list[int]]:
        keys: list[bytes] = []
        values: list[Any] = []
        timestamps: list[int] = []
        for part in self._parts():
            records = part.committing_records()
            keys += records[0]
            values += records[1]
            timestamps += records[2]
        return keys, values, timestamps

    def on_committed(self) -> None:
        for part in self._parts():
            if part.committing:
                part.on_committed()

    def on_aborted(self) -> None:
        """The transaction will never be: forgets everything since the last commit."""
        for part in self._parts():
            part.on_aborted()
        self.segments.update(self._dropped)
        # Empty as of the last commit, whatever the byte store has of them until the checkpoint.
        self._dropped = {
            start: each
            for start, each in self.segments.items()
            if each.wiped and not each.committed
        }
        self.segments = {start: each for start, each in self.segments.items() if each.committed}
        self._starts = None

    def checkpoint(self, position: Position | None) -> None:
        wiped = [part.prefix for part in self._parts() if part.wiped]
        self._store.write(self.checkpoint_items(), position, wiped)
        for part in self._parts():
            part.on_checkpoint()
        self._dropped = {start: each for start, each in self._dropped.items() if not each.is_idle()}

    def checkpoint_items(self) -> Iterable[tuple[bytes, bytes | None]]:
        items: list[tuple[bytes, bytes | None]] = []
        for part in self._parts():
            items += part.checkpoint_items()
        return items

    def _changed(self) -> list[KeyValueState]:
        return [each for each in self._parts() if each.has_dirty()]

    def _parts(self) -> list[KeyValueState]:
        return [*self.segments.values(), *self._dropped.values(), self.scalars]

    # Memory.

    def cached_bytes(self) -> int:
        return sum([each.cached_bytes() for each in self.segments.values()])

    def dirty_bytes(self) -> int:
        return sum([each.dirty_bytes() for each in self.segments.values()])

    def trim(self) -> int:
        """Where the cache is over its bound, down to half: the oldest segments leave first."""
        excess = self.cached_bytes()
        if excess <= self.cache_bytes:
            return 0
        excess -= self.cache_bytes // 2
        evicted = 0
        for start in sorted(self.segments):
            segment = self.segments[start]
            before, bytes_before = len(segment.entries), segment.cached_bytes()
            segment.evict_clean()
            evicted += before - len(segment.entries)
            excess -= bytes_before - segment.cached_bytes()
            if segment.is_idle():
                del self.segments[start]
            if excess <= 0:
                break
        return evicted
