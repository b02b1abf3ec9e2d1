"""`app.store(...)`: a keyed store that agents read and write like a dictionary.

A store has a partition for every partition of the agents' topics, and an event sees the one of
its own partition: give the topic keys that the store's keys follow from.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from processors.errors import ProcessorsError
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from processors.state.cached import KeyValueState
    from streamlog.serdes import Serde


class OutsideEventError(ProcessorsError):
    """A store was used where no event is being handled, so that nothing could be committed."""

    def __init__(self, store: str) -> None:
        self.store = store
        super().__init__(
            f"store {store!r} was used outside an event: read and write it in an agent, between "
            "taking an event and asking for the next"
        )


class WriteSets(Protocol):
    """Who handles an event now."""

    def write_set(self, store: str) -> WriteSet | None:
        """What the event in hand has written to a store; None between events."""
        ...


CURRENT: ContextVar[WriteSets | None] = ContextVar("agent", default=None)
"""The instance whose code is running; every instance runs in an asyncio task of its own."""


class WriteSet:
    """One event's writes to one store, over the store's state. Owned by one instance.

    Values are copied on their way in and out where they can be changed in place, so nothing but
    `write` changes the state.
    """

    def __init__(self, state: KeyValueState) -> None:
        self.state = state
        self._serde: Serde[Any] = state.value_serde
        self._writes: dict[Any, tuple[Any, bytes | None]] = {}

    def read(self, key: Any) -> Any:
        """The value as this event sees it, or None."""
        written = self._writes.get(self._cache_key(key)) if self._writes else None
        if written is None:
            value = self.state.get(key)
            if value is None or self._serde.immutable:
                return value
            return self._serde.deserialize(self._serde.serialize(value))
        _, data = written
        return None if data is None else self._serde.deserialize(data)

    def write(self, key: Any, value: Any) -> None:
        """Puts, or deletes where `value` is None. Raises what the serdes raise."""
        data = None if value is None else self._serde.serialize(value)
        self.state.entry(key)  # refuses a key of the wrong kind now, and not at the end
        self._writes[self._cache_key(key)] = (key, data)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values as this event sees them: first those of the state, then the new ones."""
        pending = dict(self._writes)
        for key, value in self.state.items():
            written = pending.pop(self._cache_key(key), None)
            if written is None:
                yield key, value
            elif written[1] is not None:
                yield key, self._serde.deserialize(written[1])
        for key, data in pending.values():
            if data is not None:
                yield key, self._serde.deserialize(data)

    def join(self, timestamp: int) -> None:
        """The event has ended: its writes become the state's."""
        for key, data in self._writes.values():
            entry = self.state.entry(key)
            entry.value = None if data is None else self._serde.deserialize(data)
            entry.timestamp = max(entry.timestamp, timestamp)
            self.state.mark(entry)
        self._writes.clear()

    def discard(self) -> None:
        self._writes.clear()

    def _cache_key(self, key: Any) -> Any:
        return key if self.state.exact_keys else self.state.key_serde.serialize(key)


class Store(MutableMapping[Any, Any]):
    """A store as its application declares it; usable inside an event only.

    `default` is a value, or a function that makes one (`int`, `float`, `list`), for keys that
    are missing. Values that can be changed in place are copies: assign them back.

        balances = app.store("balances", default=float)

        @app.agent("orders", value=Order)
        async def settle(orders):
            async for order in orders:
                balances[order.account] += order.amount
    """

    def __init__(
        self, name: str, *, key: Serde[Any], value: Serde[Any], default: Any = None
    ) -> None:
        self.name = name
        self.key_serde = key
        self.value_serde = value
        self._default = default

    def __getitem__(self, key: Any) -> Any:
        value = self._read(key)
        if value is not None:
            return value
        if self._default is None:
            raise KeyError(key)
        if callable(self._default):
            return self._default()
        if self.value_serde.immutable:
            return self._default
        return self.value_serde.deserialize(self.value_serde.serialize(self._default))

    def __setitem__(self, key: Any, value: Any) -> None:
        if value is None:
            raise ValueError(f"store {self.name!r}: None is no value; delete the key instead")
        try:
            self._here().write(key, value)
        except SerializationError as error:
            raise self._refusal(error) from error

    def __delitem__(self, key: Any) -> None:
        if self._read(key) is None:
            raise KeyError(key)
        self._here().write(key, None)

    def __contains__(self, key: object) -> bool:
        return self._read(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`: the store's own default is not asked here."""
        value = self._read(key)
        return default if value is None else value

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self._here().items())

    def __len__(self) -> int:
        return sum(1 for _ in self._here().items())

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    def _read(self, key: Any) -> Any:
        try:
            return self._here().read(key)
        except SerializationError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: SerializationError) -> SerializationError:
        return SerializationError(
            error.serde,
            f"{error.reason}; store {self.name!r} has keys as {self.key_serde.name} and values as "
            f"{self.value_serde.name}: app.store(..., key=, value=) chooses others",
        )

    def _here(self) -> WriteSet:
        instance = CURRENT.get()
        found = None if instance is None else instance.write_set(self.name)
        if found is None:
            raise OutsideEventError(self.name)
        return found
