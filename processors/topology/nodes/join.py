"""Joins of streams: with streams, tables and global tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from processors.topology.call import BOTH_VALUES, Call
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import Reads
from processors.topology.timed_rows import TimedRowsSerde

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.nodes.table import How
    from streamlog.serdes import Serde


LEAST_SPAN_MS: Final = 1_000
MOST_SPANS: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinWindow:
    """A row of the left side at `ts` meets rows of the right side from ts - before to ts + after.

    Either may be negative, but not their sum. Rows may be late by `grace`.
    """

    before: int
    after: int
    grace: int

    @property
    def span(self) -> int:
        """The time that a segment of a buffer has.

        A window is in two or three of them, and what is kept in not very many.
        """
        size = self.before + self.after + 1
        return max(size, (size + self.grace) // MOST_SPANS, LEAST_SPAN_MS)

    @property
    def has_now(self) -> bool:
        """Whether two rows of one time meet, and so every row itself."""
        return self.before >= 0 and self.after >= 0

    def __str__(self) -> str:
        return f"before {self.before} ms, after {self.after} ms, grace {self.grace} ms"


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamJoinNode(Node):
    """Two streams, or one with itself.

    Attributes:
        is_self: Whether both sides are the same rows.
        left_value, right_value: How the buffers keep values.
        left_is_read, right_is_read: Whether the values are as these serdes read them.
    """

    kind = "join"
    meets = True
    per_task = True
    partner = 1
    joiner: Callable[[Any, Any], Any]
    how: How
    window: JoinWindow
    key: Serde[Any]
    left_value: Serde[Any]
    right_value: Serde[Any]
    left_is_read: bool = False
    right_is_read: bool = False
    is_self: bool = False

    @property
    def keeps_alike(self) -> bool:
        """Whether it is a stream with itself, and one store would do."""
        return self.is_self and self.left_value is self.right_value

    def waits(self, *, is_left: bool) -> bool:
        """Whether rows of a side wait for their window to close without a match.

        Those of a stream with itself need not where each meets itself.
        """
        return self.preserves(is_left=is_left) and not (self.is_self and self.window.has_now)

    def preserves(self, *, is_left: bool) -> bool:
        """Whether rows of a side go on without a match."""
        return self.how == "outer" or self.how == ("left" if is_left else "right")

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        left, right = self.left_value, self.right_value
        declared = (self._store("left", left), self._store("right", right))
        return (*declared, *self._unmatched())

    def single_stores(self) -> tuple[StoreDeclaration, ...]:
        """Those that it needs where both sides are kept as one."""
        return (self._store("rows", self.left_value), *self._unmatched())

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.joiner, BOTH_VALUES),)

    def facts(self) -> str:
        return f"{self.how} join: {self.window}"

    def _unmatched(self) -> tuple[StoreDeclaration, ...]:
        if not self.waits(is_left=True) and not self.waits(is_left=False):
            return ()
        names = dict.fromkeys([self.left_value.name, self.right_value.name])
        return (self._store("unmatched", self.left_value, " and ".join(names)),)

    def _store(self, part: str, value: Serde[Any], name: str | None = None) -> StoreDeclaration:
        return StoreDeclaration(
            name=f"{self.path}.{part}",
            kind=f"join, {self.window}",
            key=self.key,
            value=TimedRowsSerde(name or value.name),
            layout="segmented",
        )


def single_stores(node: Node) -> tuple[StoreDeclaration, ...]:
    """The stores of a join whose sides are kept as one."""
    assert isinstance(node, StreamJoinNode)
    return node.single_stores()


@dataclass(frozen=True, eq=False, kw_only=True)
class TableLookupNode(Node):
    """A stream whose rows look up their key in a table; the table causes no rows.

    Attributes:
        keep: Whether a row goes on where the table has nothing.
    """

    kind = "join"
    meets = True
    partner = 1
    time_parents: ClassVar[tuple[int, ...] | None] = (0,)
    joiner: Callable[[Any, Any], Any]
    keep: bool

    @property
    def table(self) -> TableNode:
        table = self.parents[1]
        assert isinstance(table, TableNode)
        return table

    def reads_of(self, parent: int, output: Reads) -> Reads:
        if parent == 1:
            return Reads(view=True)
        return Reads(keys=True, values=True, headers=output.headers)

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.joiner, BOTH_VALUES),)

    def facts(self) -> str:
        return f"{'left' if self.keep else 'inner'} join with table {self.parents[1].path}"


@dataclass(frozen=True, eq=False, kw_only=True)
class GraceLookupNode(TableLookupNode):
    """As above, of rows that wait first, so that the versions of their times can arrive.

    Attributes:
        grace: So long, behind the highest timestamp that was put to wait.
        value: How values are kept.
        is_read: Whether the values are as this serde reads them.
    """

    per_task = True
    time_parents: ClassVar[tuple[int, ...] | None] = None
    grace: int
    key: Serde[Any]
    value: Serde[Any]
    is_read: bool

    @property
    def unit(self) -> int:
        """The time that a segment of what waits has."""
        return max(self.grace // MOST_SPANS, LEAST_SPAN_MS)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        declared = StoreDeclaration(
            name=f"{self.path}.waiting",
            kind=f"join, grace {self.grace} ms",
            key=self.key,
            value=TimedRowsSerde(self.value.name),
            layout="segmented",
        )
        return (declared,)

    def facts(self) -> str:
        return f"{super().facts()}, grace {self.grace} ms"


class AsOfNode(GraceLookupNode):
    """As above, where the table's rows move time on as well."""

    kind = "join_asof"
