"""Where records come in from topics, and where they go out to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from processors.topology.call import VALUE, Call
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import ALL
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processors.topology.reads import Reads
    from processors.topology.row import Row
    from streamlog.serdes import Serde


InvalidTimestamp = Literal["fail", "skip", "partition_time", "wall_clock"]

PARTITION_TIME: Final = "time of a partition"
IDLE_TIME: Final = "time of an idle partition"
POSITION: Final = "position in an iterable"
OF_SOURCES: Final = (PARTITION_TIME, IDLE_TIME, POSITION)
"""The kinds of stores that sources have, which are of use to nobody else."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a topic: at an end of it, at a time, or so long before now."""

    where: Literal["earliest", "latest", "time", "ago"]
    ms: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceNode(Node):
    """A topic that is read.

    Attributes:
        timestamp: Makes the timestamp of a record of its value; None takes the record's own.
        invalid_timestamp: What happens where there is none.
        start: Where to begin where nothing is committed.
        pattern: What its name matches, where it was found by that.
        idle_timeout_ms: After so long without a record a partition is idle, and time goes on
            without it; None: never.
        in_log: Whether the topic is one of the log; otherwise it is the name of what is in this
            process (nodes/local.py).
    """

    kind = "source"
    placement = "placed"
    in_log: ClassVar[bool] = True
    topic: str
    key: Serde[Any]
    value: Serde[Any]
    timestamp: Callable[[Any], int] | None = None
    invalid_timestamp: InvalidTimestamp = "fail"
    start: Start | None = None
    pattern: str | None = None
    idle_timeout_ms: int | None = None

    def calls(self) -> tuple[Call, ...]:
        return () if self.timestamp is None else (Call(self.timestamp, VALUE),)

    @property
    def time_store(self) -> str:
        return f"{self.path}.partition-time"

    @property
    def idle_store(self) -> str:
        return f"{self.path}.idle-time"

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        wanted: list[tuple[str, str]] = []
        if self.invalid_timestamp == "partition_time":
            wanted.append((self.time_store, PARTITION_TIME))
        if self.idle_timeout_ms is not None:
            wanted.append((self.idle_store, IDLE_TIME))
        return tuple(
            StoreDeclaration(name=name, kind=kind, key=STRING, value=LONG) for name, kind in wanted
        )

    def facts(self) -> str:
        idle = "" if self.idle_timeout_ms is None else f", idle after {self.idle_timeout_ms} ms"
        return f"source: topic {self.topic}, key {self.key.name}, value {self.value.name}{idle}"


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternNode(Node):
    """All topics whose names match; when the application is compiled, it gets a source for each.

    Attributes:
        pattern: A regular expression for the whole name.
        options: Those of the sources.
    """

    kind = "topics"
    pattern: str
    options: Mapping[str, Any]

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output

    def facts(self) -> str:
        return f"topics: those that match {self.pattern}"


@dataclass(frozen=True, eq=False, kw_only=True)
class SinkNode(Node):
    """Topics that are written.

    Attributes:
        topics: Those that are known, and made where they do not exist.
        route: Gives the topic of each row, where it is not the one in `topics`.
        partition: Gives the partition of each row, or several, where it is not the key's; the
            arguments are the row and the number of partitions.
        partitions: Of topics that do not exist.
    """

    kind = "to"
    topics: tuple[str, ...]
    key: Serde[Any]
    value: Serde[Any]
    partitions: int | None = None
    route: Callable[[Row], str] | None = None
    partition: Callable[[Row, int], Any] | None = None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL

    def calls(self) -> tuple[Call, ...]:
        users = (self.route, ("row",)), (self.partition, ("row", "partitions"))
        return tuple(Call(each, given) for each, given in users if each is not None)

    def facts(self) -> str:
        topic = f"topic {self.topics[0]}" if self.route is None else "a topic a row"
        how = "" if self.partition is None else ", partitions by a function"
        return f"to: {topic}, key {self.key.name}, value {self.value.name}{how}"
