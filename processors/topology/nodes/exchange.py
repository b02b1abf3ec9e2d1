"""Where rows go to the task of their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import Call
from processors.topology.nodes.node import Node
from processors.topology.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde


@dataclass(frozen=True, eq=False, kw_only=True)
class ExchangeNode(Node):
    """Where what follows needs all rows of a key in one task.

    It moves rows where the key was changed since they were last partitioned, and vanishes where it
    was not.

    Attributes:
        always: Whether it stays where no key was changed, as one that was asked for does.
        null_keys, null_values: Whether rows without a key, without a value go on.
        kind: What asked for it.
        partitioner: Gives the partition of each row, where it is not that of the key's bytes; the
            arguments are the key, the value and the number of partitions.
    """

    kind = "group_by"
    placement = "placed"
    key: Serde[Any]
    value: Serde[Any]
    partitions: int | None = None
    always: bool = False
    null_keys: bool = False
    null_values: bool = False
    partitioner: Callable[[Any, Any, int], int] | None = None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True, values=self.partitioner is not None)

    def calls(self) -> tuple[Call, ...]:
        if self.partitioner is None:
            return ()
        return (Call(self.partitioner, ("key", "value", "partitions")),)


class RepartitionNode(ExchangeNode):
    """An exchange that was asked for as such."""

    kind = "repartition"
