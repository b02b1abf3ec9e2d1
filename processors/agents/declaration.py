"""What `@app.agent` writes down: a function, the topic it reads and the topic it yields to."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from processors.topology.call import check_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde


class Keyed(NamedTuple):
    """Yielded by an agent to send a value under a key other than that of its event.

    >>> from processors import Keyed
    >>> app = App("doc")
    >>> @app.agent("orders", to="totals")
    ... async def by_shop(orders):
    ...     async for order in orders:
    ...         yield Keyed(order["shop"], order["total"])
    """

    key: Any
    value: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sink:
    """Where the values go that an agent yields. `partitions` is for a topic yet to be made."""

    topic: str
    key: Serde[Any]
    value: Serde[Any]
    partitions: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """An agent as declared. Its name is part of its consumer group: renaming starts it anew.

    Made by `App.agent`, which has the example.

    Attributes:
        function: The user's `async def`.
        topic, key, value: What it reads, and how.
        sink: Where what it yields goes; None where it yields nothing.
    """

    name: str
    function: Callable[[Any], Any]
    topic: str
    key: Serde[Any]
    value: Serde[Any]
    sink: Sink | None = None

    def __post_init__(self) -> None:
        if not (
            inspect.isasyncgenfunction(self.function) or inspect.iscoroutinefunction(self.function)
        ):
            raise TypeError(
                f"agent {self.name!r}: an agent is an `async def` function with one parameter, "
                "the stream of its events"
            )
        check_arguments(f"agent {self.name!r}", self.function, "events")
        if self.yields and self.sink is None:
            raise TypeError(
                f"agent {self.name!r} yields, but nothing says where to: name a topic with to="
            )

    @property
    def yields(self) -> bool:
        """Whether it gives values on."""
        return inspect.isasyncgenfunction(self.function)
