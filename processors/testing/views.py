"""Stores of a driver as tests see them: they only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processors.state.cached import KeyValueState
    from processors.state.segmented import SegmentedState


class StoreView:
    """A store of all tasks, as a mapping of keys to values."""

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
        value = self._state(key).get(key)
        return default if value is None else value

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Task by task, in the order of the key bytes."""
        for state in self._states:
            yield from state.items()

    def keys(self) -> Iterator[Any]:
        return (key for key, _ in self.items())

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def timestamp(self, key: Any) -> int:
        """The timestamp of the key's value."""
        return self._state(key).entry(key).timestamp

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def _state(self, key: Any) -> KeyValueState:
        encoded: bytes = self._states[0].key_serde.serialize(key)
        return self._states[partition_for(encoded, len(self._states))]


class SegmentedView:
    """A store in order of time, of all tasks: what a key had at a time, such as a window's start.

    As a mapping its keys are `(key, time)`.
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
