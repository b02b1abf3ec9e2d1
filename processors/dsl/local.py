"""Streams of what is in this process: channels and iterables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from processors.dsl.arguments import chosen_serde
from processors.dsl.sources import source_options
from processors.dsl.stream import Stream
from processors.errors import TopologyError
from processors.runtime.channel import ChannelFeed
from processors.runtime.rows import Rows
from processors.topology.call import check_call
from processors.topology.nodes.local import ChannelNode, IterableNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.graph import Graph
    from processors.topology.nodes.endpoint import InvalidTimestamp

K = TypeVar("K")
V = TypeVar("V")


class Channel(ChannelFeed, Generic[K, V]):
    """Takes records from other code of the process: `App.channel` makes it and says more."""

    def __init__(self, graph: Graph, name: str, key: Any, value: Any, max_records: int) -> None:
        super().__init__(
            name,
            f"channel:{name}",
            key=chosen_serde(f"channel {name!r}: key", key),
            value=chosen_serde(f"channel {name!r}: value", value),
            max_records=max_records,
        )
        self._graph = graph
        self._node = ChannelNode(
            path=graph.stable_path("", name, name),
            topic=self.topic,
            key=self.key,
            value=self.value,
        )
        graph.add(self._node)

    def stream(self) -> Stream[K, V]:
        """The records that are sent into it, each once however many streams there are of it."""
        return Stream(self._graph, self._node, self.key, self.value)

    def __repr__(self) -> str:
        return f"Channel({self.name!r})"


def iterable_rows(
    graph: Graph,
    name: str,
    rows: Iterable[Any] | Callable[[], Iterable[Any]],
    key: Any,
    value: Any,
    timestamp: Callable[[Any], int] | None,
    invalid_timestamp: InvalidTimestamp,
) -> tuple[Stream[Any, Any], Rows]:
    """The stream of an iterable, and what is read for it."""
    if isinstance(rows, Iterator):
        raise TopologyError(
            f"iterable {name!r}: {rows!r} can be read once only, and every start of the "
            "application reads it anew: give a function that makes it (lambda: ...), or a list"
        )
    if isinstance(rows, str | bytes):
        raise TopologyError(f"iterable {name!r}: {rows!r} is one value: give a list, [{rows!r}]")
    if callable(rows):
        check_call(f"iterable {name!r}", rows)
    elif not hasattr(rows, "__iter__"):
        raise TopologyError(
            f"iterable {name!r}: {rows!r} is neither an iterable nor a function that makes one"
        )
    node = IterableNode(
        path=graph.stable_path("", name, name),
        topic=f"iterable:{name}",
        key=chosen_serde(f"iterable {name!r}: key", key),
        value=chosen_serde(f"iterable {name!r}: value", value),
        **source_options(f"iterable:{name}", timestamp, invalid_timestamp, None),
    )
    graph.add(node)
    return Stream(graph, node, node.key, node.value), Rows(rows)
