"""What sources are made of: topics, timestamps, where to begin."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from processors.errors import TopologyError
from processors.topology.duration import milliseconds
from processors.topology.nodes.endpoint import InvalidTimestamp, PatternNode, Start
from processors.topology.nodes.stateless import MergeNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.endpoint import SourceNode
    from streamlog.serdes import Serde


def source_options(
    topic: str,
    timestamp: Callable[[Any], int] | Literal["wall_clock"] | None,
    invalid_timestamp: InvalidTimestamp,
    start: datetime | timedelta | str | None,
    idle_timeout: Duration | None = None,
) -> dict[str, Any]:
    """The options of a source node."""
    if invalid_timestamp not in get_args(InvalidTimestamp):
        known = ", ".join(map(repr, get_args(InvalidTimestamp)))
        raise ValueError(
            f"stream({topic!r}): invalid_timestamp={invalid_timestamp!r}: choose one of {known}"
        )
    idle_ms = None
    if idle_timeout is not None:
        idle_ms = milliseconds(idle_timeout, f"stream({topic!r}): idle_timeout")
        if idle_ms == 0:
            raise ValueError(
                f"stream({topic!r}): idle_timeout={idle_timeout!r}: must be longer than zero; a "
                "partition is quiet for a moment behind each record"
            )
    if timestamp == "wall_clock":
        timestamp, invalid_timestamp = _no_time, "wall_clock"
    if isinstance(timestamp, str):
        raise ValueError(
            f"stream({topic!r}): timestamp={timestamp!r}: give a function of the value, or "
            "'wall_clock'"
        )
    return {
        "timestamp": timestamp,
        "invalid_timestamp": invalid_timestamp,
        "start": _start(topic, start),
        "idle_timeout_ms": idle_ms,
    }


def check_alike(found: SourceNode, options: dict[str, Any]) -> None:
    """A topic that is read again is read alike; what is not said again stays."""
    before = {name: getattr(found, name) for name in options}
    unsaid = {
        "timestamp": None,
        "invalid_timestamp": "fail",
        "start": None,
        "idle_timeout_ms": None,
    }
    if options not in (unsaid, before):
        raise TopologyError(
            f"topic {found.topic!r} is read already, with another timestamp=, invalid_timestamp=, "
            "start= or idle_timeout=: give them where it is first read"
        )


def merged(graph: Graph, sources: Sequence[SourceNode], name: str | None) -> MergeNode:
    """One node over several topics."""
    topics = [source.topic for source in sources]
    if len(set(topics)) < len(topics):
        raise TopologyError(f"topics {topics}: one of them is named twice")
    if len({source.key.name for source in sources}) > 1:
        raise TopologyError(f"topics {topics}: they are read with different kinds of keys")
    path = graph.stateless_path(topics[0], "with." + ".".join(topics[1:]), name)
    return MergeNode(path=path, parents=tuple(sources))


def pattern_node(
    graph: Graph,
    pattern: re.Pattern[str],
    key: Serde[Any],
    value: Serde[Any],
    name: str | None,
    options: dict[str, Any],
) -> PatternNode:
    """All topics that match; its path is the pattern without what no name may have."""
    legible = re.sub(r"[^A-Za-z0-9_-]+", "-", pattern.pattern).strip("-") or "all"
    chosen = source_options(
        pattern.pattern,
        options["timestamp"],
        options["invalid_timestamp"],
        options["start"],
        options["idle_timeout"],
    )
    return PatternNode(
        path=graph.stable_path("topics", legible, name),
        pattern=pattern.pattern,
        options={"key": key, "value": value, **chosen},
    )


def _no_time(value: object) -> int:
    return -1


def _start(topic: str, start: datetime | timedelta | str | None) -> Start | None:
    if start is None:
        return None
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError(f"stream({topic!r}): start={start!r} has no time zone; give it one")
        return Start("time", int(start.timestamp() * 1000))
    if start == "earliest" or start == "latest":
        return Start("earliest" if start == "earliest" else "latest")
    try:
        return Start("ago", milliseconds(start, f"stream({topic!r}): start"))
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{error}; start is 'earliest', 'latest', a datetime, or a duration before now"
        ) from None
