"""The stream of events that an agent iterates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from streamlog.client.contract import Record

Shape = Literal["value", "item", "record"]


class Events(Protocol):
    """What a stream stands on: it takes the next event in hand, and shows it."""

    async def next_event(self) -> None:
        """Ends the event in hand, then waits for the next."""
        ...

    def value(self) -> Any: ...

    def key(self) -> Any: ...

    def record(self) -> Record: ...


class AgentStream:
    """The values of an agent's events, in the order of their offsets.

    Asking for the next event ends the one before. `.items()` gives pairs of key and value,
    `.records()` whole records with timestamp, offset and headers.
    """

    def __init__(self, events: Events, shape: Shape = "value") -> None:
        self._events = events
        self._shape: Shape = shape

    def items(self) -> AgentStream:
        return AgentStream(self._events, "item")

    def records(self) -> AgentStream:
        return AgentStream(self._events, "record")

    def __aiter__(self) -> AgentStream:
        return self

    async def __anext__(self) -> Any:
        events = self._events
        await events.next_event()
        if self._shape == "value":
            return events.value()
        if self._shape == "item":
            return events.key(), events.value()
        return events.record()
