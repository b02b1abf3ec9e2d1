"""Stores of a driver as tests see them: they only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.state.cached import KeyValueState
from processors.state.segmented import SegmentedState
from processors.topology.sessions import SessionsSerde
from processors.topology.versions import NO_TIMESTAMP, Versions, VersionsSerde
from processors.topology.windows import SessionWindows
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from processors.state.state import State


class StoreView:
    """A store of all tasks, as a mapping of keys to values.

    >>> app = App("doc")
    >>> prices = app.table("prices", value=int, name="now")
    >>> store = TopologyTestDriver(app).run("prices", [("tea", 3), ("jam", 4)]).store("now")
    >>> store["tea"], store.get("ham"), "jam" in store, sorted(store), store.timestamp("jam")
    (3, None, True, ['jam', 'tea'], 1)
    """

    def __init__(self, states: Sequence[KeyValueState]) -> None:
        self._states = states

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`."""
        value = self._state(key).get(key)
        return default if value is None else value

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Task by task, in the order of the key bytes."""
        for state in self._states:
            yield from state.items()

    def keys(self) -> Iterator[Any]:
        """As `items`, only the keys."""
        return (key for key, _ in self.items())

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def timestamp(self, key: Any) -> int:
        """The timestamp of the key's value; -1 where it never had one."""
        return self._state(key).entry(key).timestamp

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def _state(self, key: Any) -> KeyValueState:
        encoded: bytes = self._states[0].key_serde.serialize(key)
        return self._states[partition_for(encoded, len(self._states))]


class VersionedView(StoreView):
    """A store of values over time, as a mapping of keys to their newest values.

    >>> app = App("doc")
    >>> prices = app.table("prices", value=int, versioned="1h", name="now")
    >>> store = TopologyTestDriver(app).run("prices", [("tea", 3, 5), ("tea", 4, 9)]).store("now")
    >>> store["tea"], store.get("tea", as_of=7), store.history("tea")
    (4, 3, [(3, 5), (4, 9)])
    """

    def get(self, key: Any, default: Any = None, *, as_of: int | None = None) -> Any:
        """The newest value, or the one that held at a time."""
        versions: Versions | None = super().get(key)
        if versions is None:
            return default
        value, _ = versions.newest() if as_of is None else versions.at(as_of)
        return default if value is None else value

    def history(self, key: Any) -> list[tuple[Any, int]]:
        """Values and the times since which they held, oldest first; None where there was none."""
        versions: Versions | None = super().get(key)
        return (
            [] if versions is None else list(zip(versions.values, versions.timestamps, strict=True))
        )

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Keys and newest values, task by task."""
        for key, versions in super().items():
            value, _ = versions.newest()
            if value is not None:
                yield key, value

    def timestamp(self, key: Any) -> int:
        """Since when the key's newest value has held."""
        versions: Versions | None = super().get(key)
        return NO_TIMESTAMP if versions is None else versions.newest()[1]


class SessionView:
    """Sessions of all tasks, or other windows that lie with their key.

    As a mapping its keys are `(key, start, end)`.

    >>> from processors import Session
    >>> app = App("doc")
    >>> clicks = app.stream("clicks", value=str).group_by_key()
    >>> visits = clicks.windowed_by(Session("1s")).count(name="visits")
    >>> store = TopologyTestDriver(app).run("clicks", [("ann", "/"), ("ann", "/a")]).store("visits")
    >>> store.fetch("ann"), store["ann", 0, 1]
    ([(0, 1, 2)], 2)

    Args:
        end_of: Gives the end of a window, by its start and the time of its last record.
    """

    def __init__(self, states: Sequence[SegmentedState], end_of: Callable[[int, int], int]) -> None:
        self._states = states
        self._end_of = end_of

    def __getitem__(self, place: tuple[Any, int, int]) -> Any:
        value = self.get(*place)
        if value is None:
            raise KeyError(place)
        return value

    def get(self, key: Any, start: int, end: int, default: Any = None) -> Any:
        """The value of just this session."""
        return dict(self.items()).get((key, start, end), default)

    def fetch(self, key: Any) -> list[tuple[int, int, Any]]:
        """(start, end, value) of a key's sessions."""
        return [(start, end, value) for (found, start, end), value in self.items() if found == key]

    def items(self) -> Iterator[tuple[tuple[Any, int, int], Any]]:
        """Task by task, as they are kept: of a key in the order of time."""
        for state in self._states:
            for time, key, kept, _ in state.rows():
                if isinstance(kept, Versions):  # of a session store: those that end at one time
                    for start, value in zip(kept.timestamps, kept.values, strict=True):
                        yield (key, start, time), value
                else:
                    for item in kept.items:
                        yield (key, item.start, self._end_of(item.start, item.end)), item.value

    def __len__(self) -> int:
        return sum(1 for _ in self.items())


class SegmentedView:
    """A store in order of time, of all tasks: what a key had at a time, such as a window's start.

    As a mapping its keys are `(key, time)`.

    >>> from processors import Tumbling
    >>> app = App("doc")
    >>> clicks = app.stream("clicks", value=str).group_by_key()
    >>> counts = clicks.windowed_by(Tumbling(10)).count(name="counts")
    >>> rows = [("ann", "/", 3), ("ann", "/a", 12)]
    >>> store = TopologyTestDriver(app).run("clicks", rows).store("counts")
    >>> store["ann", 10], store.fetch("ann", start=10)
    (1, [(10, 1)])
    """

    def __init__(self, states: Sequence[SegmentedState]) -> None:
        self._states = states

    def __getitem__(self, place: tuple[Any, int]) -> Any:
        value = self.get(*place)
        if value is None:
            raise KeyError(place)
        return value

    def get(self, key: Any, time: int, default: Any = None) -> Any:
        """The value of a key at exactly this time."""
        for state in self._states:
            if state.has(time):
                value = state.segment(time).get(key)
                if value is not None:
                    return value
        return default

    def fetch(self, key: Any, start: int = 0, end: int | None = None) -> list[tuple[int, Any]]:
        """Times and values of a key, from `start` to `end`, both included."""
        return [
            (time, value)
            for (found, time), value in self.items()
            if found == key and time >= start and (end is None or time <= end)
        ]

    def items(self) -> Iterator[tuple[tuple[Any, int], Any]]:
        """Task by task, by time and then in the order of the key bytes."""
        for state in self._states:
            for time, key, value, _ in state.rows():
                yield (key, time), value

    def timestamp(self, key: Any, time: int) -> int:
        """The timestamp of the value that a key had at this time."""
        for state in self._states:
            if state.has(time) and state.segment(time).get(key) is not None:
                return state.segment(time).entry(key).timestamp
        raise KeyError((key, time))

    def __len__(self) -> int:
        return sum(1 for _ in self.items())


def view_of(
    states: Sequence[State], kind: str, window: Any
) -> StoreView | SessionView | SegmentedView:
    """What shows the states of a store.

    Args:
        kind: What it is declared as.
        window: The arithmetic of the windows that it keeps; None where it is no aggregate's.
    """
    keyed = [state for state in states if isinstance(state, KeyValueState)]
    segmented = [state for state in states if isinstance(state, SegmentedState)]
    serde: Any = [*keyed, *segmented][0].value_serde
    if kind == "session" or isinstance(window, SessionWindows):
        return SessionView(segmented, lambda _, last: last)
    if isinstance(serde, VersionsSerde):
        return VersionedView([*keyed, *(state.segment(0) for state in segmented)])
    if isinstance(serde, SessionsSerde):
        return SessionView(segmented, lambda start, _: window.end(start))
    return StoreView(keyed) if keyed else SegmentedView(segmented)
