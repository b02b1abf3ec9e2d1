"""The other stores of processors: with timestamps, by window, by session, with history."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from processors.operators.processor_kernel import Context, KeyValueStore
from processors.state.cached import KeyValueState
from processors.state.segmented import SegmentedState
from processors.topology.timestamp import checked_time, no_timestamp
from processors.topology.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processors.state.state import State
    from processors.topology.nodes.processor import StateStore

STREAM_TIME = "time"


class KeyedStore:
    """What is built on a `KeyValueStore`, which is compiled and so has no subclasses."""

    def __init__(self, state: KeyValueState, context: Context) -> None:
        self.name = state.name
        self.context = context
        self._plain = KeyValueStore(state, context)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`."""
        return self._plain.get(key, default)

    def put(self, key: Any, value: Any, timestamp: Any = None) -> bool:
        """Stores a value; None deletes. True: it is stored."""
        return self._plain.put(key, value, timestamp)

    def put_if_absent(self, key: Any, value: Any) -> Any:
        """Stores a value where there is none; returns the one that was there, or None."""
        found = self.get(key)
        if found is None:
            self.put(key, value)
        return found

    def delete(self, key: Any) -> Any:
        """Deletes a key; returns the value that it had, or None."""
        return self._plain.delete(key)

    def items(self, start: Any = None, end: Any = None) -> Iterator[tuple[Any, Any]]:
        """Keys and values in the order of the key bytes, from `start` to `end`, both included."""
        return self._plain.items(start, end)

    def with_prefix(self, prefix: str | bytes) -> Iterator[tuple[Any, Any]]:
        """Keys and values of the keys whose bytes begin with these."""
        return self._plain.with_prefix(prefix)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self.items())


class TimestampedStore(KeyedStore):
    """As a `KeyValueStore`; `timed` gives a value with its timestamp.

    >>> app = App("doc")
    >>> seen = app.state_store("seen", "timestamped", value=str)
    >>> def since(row, context):
    ...     store = context.store("seen")
    ...     before = store.timed(row.key)
    ...     store.put(row.key, row.value)
    ...     return row.key, None if before is None else row.timestamp - before[1]
    >>> app.stream("in", value=str).process(since, stores=[seen], value=int).to("out")
    >>> TopologyTestDriver(app).run("in", [("ann", "/", 5), ("ann", "/a", 12)]).items("out")
    [('ann', None), ('ann', 7)]
    """

    def timed(self, key: Any) -> tuple[Any, int] | None:
        """The value and its timestamp, or None."""
        value = self.get(key)
        return None if value is None else (value, self._plain.entry(key).timestamp)

    def timed_items(self) -> Iterator[tuple[Any, Any, int]]:
        """Keys, values and timestamps in the order of the key bytes."""
        return self._plain.rows()


class VersionedStore(KeyedStore):
    """Keys with their values over time. A write before the retained history is refused quietly.

    >>> app = App("doc")
    >>> prices = app.state_store("prices", "versioned", value=int, retention="1h")
    >>> def was(row, context):
    ...     store = context.store("prices")
    ...     store.put(row.key, row.value)
    ...     return row.key, store.get(row.key, as_of=6)
    >>> app.stream("in", value=int).process(was, stores=[prices], value=int).to("out")
    >>> TopologyTestDriver(app).run("in", [("tea", 3, 5), ("tea", 4, 9)]).values("out")
    [3, 3]
    """

    def __init__(self, state: KeyValueState, context: Context, retention_ms: int | None) -> None:
        super().__init__(state, context)
        self._value_serde = state.value_serde.versions
        self._retention_ms = retention_ms

    def get(self, key: Any, default: Any = None, *, as_of: int | None = None) -> Any:
        """The newest value, or the one that held at a time."""
        found = self.versioned(key, as_of=as_of)
        return default if found is None else found[0]

    def versioned(self, key: Any, *, as_of: int | None = None) -> tuple[Any, int] | None:
        """A value and the time since which it holds, or None."""
        versions: Versions | None = self._plain.entry(key).value
        if versions is None:
            return None
        value, since = versions.newest() if as_of is None else versions.at(as_of)
        return None if value is None else (self._copied(value), since)

    def put(self, key: Any, value: Any, timestamp: Any = None) -> bool:
        """Stores what holds from a time on; None: from then on there is none.

        Returns:
            Whether it was stored: False where it lies before the retained history.
        """
        time = self.context.timestamp if timestamp is None else checked_time(timestamp)
        entry = self._plain.entry(key)
        versions: Versions | None = entry.value
        highest = max(time, versions.timestamps[-1] if versions else -1)
        keep_from = -1 if self._retention_ms is None else highest - self._retention_ms
        if time < keep_from:
            return False
        versions = versions or Versions([], [])
        made = versions.put(time, None if value is None else self._copied(value), keep_from)
        if made.values == [None]:
            self._plain.write(entry, None, time)
        else:
            self._plain.write(entry, made, highest)
        return True

    def history(self, key: Any) -> list[tuple[Any, int]]:
        """Values and times, oldest first; None where there was no value from then on."""
        versions: Versions | None = self._plain.entry(key).value
        if versions is None:
            return []
        return list(zip(versions.values, versions.timestamps, strict=True))

    def delete(self, key: Any, timestamp: Any = None) -> Any:
        """From a time on there is no value; returns the newest one that there was."""
        found = self.get(key)
        self.put(key, None, timestamp)
        return found

    def items(self, start: Any = None, end: Any = None) -> Iterator[tuple[Any, Any]]:
        """Keys and newest values in the order of the key bytes."""
        for key, versions, _ in self._plain.rows(start, end):
            value, _ = versions.newest()
            if value is not None:
                yield key, value

    def _copied(self, value: Any) -> Any:
        return self._value_serde.deserialize(self._value_serde.serialize(value))

    def with_prefix(self, prefix: str | bytes) -> Iterator[tuple[Any, Any]]:
        """Keys and newest values of the keys whose bytes begin with these."""
        for key, versions in self._plain.with_prefix(prefix):
            value, _ = versions.newest()
            if value is not None:
                yield key, value


class TimeOrderedStore:
    """What window and session stores share: segments by time, and what is too old."""

    def __init__(self, state: SegmentedState, context: Context, retention_ms: int | None) -> None:
        self.name = state.name
        self.state = state
        self.context = context
        self._retention_ms = retention_ms

    def _oldest(self) -> int:
        """From this time on segments are kept."""
        if self._retention_ms is None:
            return 0
        return max(self.state.scalar(STREAM_TIME) - self._retention_ms, 0)

    def _advance(self, time: int) -> bool:
        """Notes a time, and tells whether it is not too old itself."""
        if time > self.state.scalar(STREAM_TIME):
            scalars = self.state.scalars
            if self.context.undo is not None:
                noted = scalars.entry(STREAM_TIME)
                self.context.undo.append((noted, noted.value, noted.timestamp))
            scalars.put(STREAM_TIME, time, 0)
        return time >= self._oldest()

    def expire(self) -> None:
        """Drops what is too old; nobody sees it any more.

        At the commit: a call that fails is taken back with the time that it has noted, and what was
        dropped would not come again.
        """
        starts = self.state.starts()
        for start in starts[: bisect_left(starts, self._oldest())]:
            self.state.drop(start)

    def _at(self, time: int) -> KeyValueStore | None:
        return KeyValueStore(self.state.segment(time), self.context)

    def _times(self, start: int, end: int | None) -> list[int]:
        first = max(start, self._oldest())
        return [
            time for time in self.state.starts() if first <= time and (end is None or time <= end)
        ]


class WindowStore(TimeOrderedStore):
    """One value a key and window, found by the window's start.

    >>> app = App("doc")
    >>> hours = app.state_store("hours", "window", value=int, retention="1d")
    >>> def per_hour(row, context):
    ...     store, hour = context.store("hours"), row.timestamp // 3_600_000 * 3_600_000
    ...     store.put(row.key, store.get(row.key, hour, 0) + 1, hour)
    ...     return row.key, len(store.fetch(row.key))
    >>> app.stream("in", value=str).process(per_hour, stores=[hours], value=int).to("out")
    >>> rows = [("ann", "/", 5), ("ann", "/", 6), ("ann", "/", 3_600_000)]
    >>> TopologyTestDriver(app).run("in", rows).values("out")
    [1, 1, 2]
    """

    def put(self, key: Any, value: Any, window_start: int) -> bool:
        """Stores a value; None deletes. False where the window is too old to be kept."""
        start = checked_time(window_start)
        if not self._advance(start):
            return False
        KeyValueStore(self.state.segment(start), self.context).put(key, value)
        return True

    def get(self, key: Any, window_start: int, default: Any = None) -> Any:
        """The value of the window that begins there, or `default`; of one too old, `default`."""
        if type(window_start) is not int:
            raise no_timestamp(window_start)
        if window_start < self._oldest() or not self.state.has(window_start):
            return default
        return KeyValueStore(self.state.segment(window_start), self.context).get(key, default)

    def fetch(self, key: Any, start: int = 0, end: int | None = None) -> list[tuple[int, Any]]:
        """Starts and values of a key's windows that begin from `start` to `end`, both included."""
        found = ((time, self.get(key, time)) for time in self._times(start, end))
        return [(time, value) for time, value in found if value is not None]

    def items(
        self, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[tuple[Any, int], Any]]:
        """(key, window start) and value, by start and then by key bytes."""
        for time in self._times(start, end):
            for key, value, _ in list(self.state.segment(time).rows()):
                yield (key, time), value


class SessionStore(TimeOrderedStore):
    """One value a key, session start and session end; kept by the end.

    >>> app = App("doc")
    >>> visits = app.state_store("visits", "session", value=int, retention="1d")
    >>> def extend(row, context):
    ...     store, now = context.store("visits"), row.timestamp
    ...     start, pages = now, 1
    ...     for begin, end, value in store.find(row.key, now - 100, now):
    ...         store.remove(row.key, begin, end)
    ...         start, pages = min(start, begin), pages + value
    ...     store.put(row.key, start, now, pages)
    ...     return row.key, store.fetch(row.key)
    >>> app.stream("in", value=str).process(extend, stores=[visits]).to("out")
    >>> TopologyTestDriver(app).run("in", [("ann", "/", 5), ("ann", "/a", 80)]).values("out")
    [[[5, 5, 1]], [[5, 80, 2]]]
    """

    def put(self, key: Any, start: int, end: int, value: Any) -> bool:
        """Stores a session's value; None deletes. False where it is too old to be kept."""
        first, last = checked_time(start), checked_time(end)
        if first > last:
            raise ValueError(f"session of {key!r}: it starts at {first} and ends at {last}")
        if not self._advance(last):
            return False
        store = KeyValueStore(self.state.segment(last), self.context)
        entry = store.entry(key)
        sessions: Versions = entry.value or Versions([], [])
        serde = self.state.value_serde.versions
        kept = None if value is None else serde.deserialize(serde.serialize(value))
        made = _without(sessions, first) if kept is None else sessions.put(first, kept, -1)
        store.write(entry, made if made.values else None, last)
        return True

    def get(self, key: Any, start: int, end: int, default: Any = None) -> Any:
        """The value of just this session, or `default`."""
        found = dict(self._of(key, end)) if end >= self._oldest() else {}
        return found.get(start, default)

    def remove(self, key: Any, start: int, end: int) -> None:
        """Deletes a session; nothing happens where there is none."""
        self.put(key, start, end, None)

    def fetch(self, key: Any) -> list[tuple[int, int, Any]]:
        """(start, end, value) of all sessions of a key, by their ends."""
        return self.find(key)

    def find(
        self, key: Any, earliest_end: int = 0, latest_start: int | None = None
    ) -> list[tuple[int, int, Any]]:
        """(start, end, value) of a key's sessions that end at or after one time and start at or
        before another: those that a record could belong to."""
        return [
            (start, end, value)
            for end in self._times(earliest_end, None)
            for start, value in self._of(key, end)
            if latest_start is None or start <= latest_start
        ]

    def items(self) -> Iterator[tuple[tuple[Any, int, int], Any]]:
        """(key, start, end) and value, by end and then by key bytes."""
        for end in self._times(0, None):
            for key, sessions, _ in list(self.state.segment(end).rows()):
                for start, value in zip(sessions.timestamps, sessions.values, strict=True):
                    yield (key, start, end), value

    def _of(self, key: Any, end: int) -> list[tuple[int, Any]]:
        if not self.state.has(end):
            return []
        store = KeyValueStore(self.state.segment(end), self.context)
        sessions: Versions | None = store.entry(key).value
        if sessions is None:
            return []
        serde = self.state.value_serde.versions
        return [
            (start, serde.deserialize(serde.serialize(value)))
            for start, value in zip(sessions.timestamps, sessions.values, strict=True)
        ]


def _without(sessions: Versions, start: int) -> Versions:
    kept = [
        (time, value)
        for time, value in zip(sessions.timestamps, sessions.values, strict=True)
        if time != start
    ]
    return Versions([time for time, _ in kept], [value for _, value in kept])


def open_store(declared: StateStore, state: State, context: Context) -> Any:
    """The store of one task, as its processor uses it."""
    if isinstance(state, SegmentedState):
        kind = WindowStore if declared.kind == "window" else SessionStore
        return kind(state, context, declared.retention_ms)
    assert isinstance(state, KeyValueState)
    if declared.kind == "versioned":
        return VersionedStore(state, context, declared.retention_ms)
    if declared.kind == "timestamped":
        return TimestampedStore(state, context)
    return KeyValueStore(state, context)
