"""Tables that are read from topics, derived from others or kept in a store, and their joins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from processors.errors import TopologyError
from processors.topology.call import BOTH_VALUES, VALUE, Call
from processors.topology.nodes.aggregate import TableNode
from processors.topology.nodes.node import Emit, StoreDeclaration
from processors.topology.reads import Reads
from processors.topology.versions import VersionsSerde
from streamlog.serdes import LONG

if TYPE_CHECKING:
    from collections.abc import Callable

How = Literal["inner", "left", "right", "outer"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredTableNode(TableNode):
    """Keeps the rows that come in, the last one of each key, where that is asked for.

    Attributes:
        keep: When it has a store: `always`, `read` where somebody looks up values or old ones, or
            `olds` only for the latter; look-ups are its parent's matter then.
        derived: Whether what it has follows from what its parents have. Then that is looked up
            there, as with `latest` they may have more than they have given on.
        checked: Whether values come as they were read, so that they need no check.
        what: What made the rows, as its drawing says.
    """

    kind = "table"
    meets = True
    keep: Literal["always", "read", "olds"] = "read"
    checked: bool = False
    emit: Emit = "every"
    what: str = "table"
    derived: bool = False

    def has_store(self, output: Reads) -> bool:
        if self.keep == "always" or output.olds:
            return True
        return self.keep == "read" and ((output.view and not self.derived) or output.emitted)

    def reads_of(self, parent: int, output: Reads) -> Reads:
        if not self.has_store(output):
            return output | Reads(keys=True)
        headers = output.headers and self.emit == "every"
        return Reads(keys=True, values=True, headers=headers, view=self.derived and output.view)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        if not self.has_store(output):
            return ()
        if "~" in self.path:
            raise TopologyError(
                f"{self.path}: what this table had before is asked for, so it needs a store, and "
                'another operator has its path without the "~": give it a name= of its own'
            )
        return (StoreDeclaration(name=self.path, kind="table", key=self.key, value=self.value),)

    def facts(self) -> str:
        return f"{self.what}: emits {self.emit}, key {self.key.name}, value {self.value.name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class VersionedTableNode(TableNode):
    """Keeps the versions of each key for a time.

    Attributes:
        history_ms: So long, behind the highest timestamp that it has seen.
        deletes: Whether a null value deletes its key; else it is left out.
    """

    kind = "versioned"
    meets = True
    per_task = True
    history_ms: int
    deletes: bool = True

    @property
    def history(self) -> int | None:
        return self.history_ms

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        declared = StoreDeclaration(
            name=self.path,
            kind="versioned",
            key=self.key,
            value=VersionsSerde(self.value),
            layout="segmented",
        )
        return (declared,)

    def facts(self) -> str:
        key, value = self.key.name, self.value.name
        return f"versioned table: history {self.history_ms} ms, key {key}, value {value}"


class DerivedTableNode(TableNode):
    """A table whose value of a key follows from the parent's value of that key."""

    @property
    def history(self) -> int | None:
        above = self.parents[0]
        return above.history if isinstance(above, TableNode) else None

    def reads_of(self, parent: int, output: Reads) -> Reads:
        keys = output.keys or output.view or output.emitted
        return output | Reads(keys=keys, values=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class TableFunctionNode(DerivedTableNode):
    function: Callable[[Any], Any]

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.function, VALUE),)


class TableMapNode(TableFunctionNode):
    kind = "map"


@dataclass(frozen=True, eq=False, kw_only=True)
class TableFilterNode(TableFunctionNode):
    """Keeps the entries for which the predicate's truth is `wanted`.

    It asks for old values, so that it deletes nothing that was not there: a store is cheaper than
    a tombstone for every record that does not qualify, as Kafka Streams gives without one.
    """

    kind = "filter"
    wanted: bool = True

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return super().reads_of(parent, output) | Reads(olds=True)


class TableItemsNode(DerivedTableNode):
    kind = "items"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return output | Reads(keys=True, values=True)


class ChangesNode(DerivedTableNode):
    """Values become `Change(old, new)`; its rows are no table any more."""

    kind = "changes"

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=output.keys, values=True, headers=output.headers, olds=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class TableJoinNode(TableNode):
    """Two tables joined by key; the right one is the second parent."""

    kind = "join"
    meets = True
    joiner: Callable[[Any, Any], Any]
    how: How

    @property
    def said(self) -> str:
        return self.path.removesuffix(".rows")

    @property
    def preserved(self) -> tuple[bool, bool]:
        """Of the left and the right side: whether values without a partner are kept."""
        return self.how in ("left", "outer"), self.how in ("right", "outer")

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(
            keys=True,
            values=True,
            headers=output.headers,
            olds=self.preserved[parent],
            view=output.view,
            emitted=True,
        )

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.joiner, BOTH_VALUES),)

    def facts(self) -> str:
        return f"{self.how} join of tables: {self.parents[0].path} and {self.parents[1].path}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpiryNode(TableNode):
    """A table whose entries are deleted when they have not changed for a time."""

    kind = "expire"
    meets = True
    per_task = True
    after_ms: int

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        return (
            StoreDeclaration(name=self.path, kind="table", key=self.key, value=self.value),
            StoreDeclaration(
                name=f"{self.path}.due",
                kind="expiry",
                key=self.key,
                value=LONG,
                layout="segmented",
            ),
        )

    def facts(self) -> str:
        return f"expires {self.after_ms} ms after the last change, key {self.key.name}"
