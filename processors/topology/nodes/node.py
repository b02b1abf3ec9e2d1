"""What every node tells the compiler of the graph.

A node says what it reads of its input, whether rows of one key must meet in it, and what it
stores. So a new family of operators is its nodes, its operators (`runtime/build.py` has the list)
and its methods on streams, and nothing else has to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from processors.topology.call import VALUE, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.reads import Reads
    from streamlog.serdes import Serde

Emit = Literal["latest", "every"]
Layout = Literal["keyed", "segmented"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreDeclaration:
    """A store that a node needs: one instance and one changelog partition a task.

    Attributes:
        kind: What changes its meaning, and is compared at a restart.
        layout: `keyed` is one entry a key; `segmented` is one a time and key, in order of time.
    """

    name: str
    kind: str
    key: Serde[Any]
    value: Serde[Any]
    layout: Layout = "keyed"


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One operator as written. Compared by identity.

    Attributes:
        kind: Its name in paths and drawings.
        placement: Whether its rows stand in the task of their key: as its input's do (`kept`), not
            (`changed`), or again (`placed`).
        meets: Whether rows of one key must come together in it, from all of its parents.
        per_task: Whether its results depend on what else its task sees, as stream time does.
        partner: The number of the parent that is the other side of a join; its manifest has it.
        time_parents: The numbers of the parents by whose time it goes; None for all.
        keeps_time: Whether what is known of time above it holds for its rows.
        everywhere: Whether one instance takes all partitions, into stores of one partition, and is
            looked up from all tasks.
    """

    kind: ClassVar[str]
    placement: ClassVar[Literal["kept", "changed", "placed"]] = "kept"
    meets: ClassVar[bool] = False
    per_task: ClassVar[bool] = False
    time_parents: ClassVar[tuple[int, ...] | None] = None
    keeps_time: ClassVar[bool] = True
    everywhere: ClassVar[bool] = False
    partner: ClassVar[int | None] = None
    path: str
    parents: tuple[Node, ...] = ()

    def reads_of(self, parent: int, output: Reads) -> Reads:
        """What it reads of the rows of its parent of that number, where `output` is read of it."""
        raise AssertionError(f"{self.path}: no input is read by a {self.kind}")

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        """The stores that it needs, where `output` is read of it."""
        return ()

    def calls(self) -> tuple[Call, ...]:
        """The user's functions, which must be plain ones."""
        return ()

    def facts(self) -> str:
        """What a drawing says of it."""
        return self.kind

    @property
    def said(self) -> str:
        """What errors call it: the path of what the user wrote, where it is a part of that."""
        return self.path


@dataclass(frozen=True, eq=False, kw_only=True)
class FunctionNode(Node):
    """A function of the value, or of what `given` says."""

    given: ClassVar[tuple[str, ...] | None] = VALUE
    function: Callable[[Any], Any]

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.function, self.given),)
