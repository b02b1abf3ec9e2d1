"""The user's own operators, and the stores that are attached to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from processors.topology.call import Call
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import ALL
from processors.topology.versions import VersionsSerde
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.nodes.node import Layout
    from processors.topology.reads import Reads
    from streamlog.serdes import Serde

PROCESSOR_TIME: Final = "processor time"

StoreKind = Literal["key_value", "timestamped", "window", "session", "versioned"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StateStore:
    """A store for a processor, as its application declares it.

    Attributes:
        retention_ms: How long before the highest time in it a window, session or version is kept;
            None keeps all.
    """

    name: str
    kind: StoreKind
    key: Serde[Any]
    value: Serde[Any]
    retention_ms: int | None = None

    def declaration(self) -> StoreDeclaration:
        layout: Layout = "segmented" if self.kind in ("window", "session") else "keyed"
        value: Serde[Any] = self.value
        if self.kind in ("session", "versioned"):
            value = VersionsSerde(self.value)  # a session's start stands where a version's time is
        return StoreDeclaration(
            name=self.name, kind=self.kind, key=self.key, value=value, layout=layout
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ProcessNode(Node):
    """A function of a row and a context, or a class that is made once a task.

    Attributes:
        attached: Its stores, which nobody else uses.
        values_only: Whether it sees values and gives values: then keys stay.
    """

    kind = "process"
    placement = "changed"
    function: Callable[..., Any]
    attached: tuple[StateStore, ...] = ()
    values_only: bool = False

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return ALL

    def calls(self) -> tuple[Call, ...]:
        return (Call(self.function, None),)

    def facts(self) -> str:
        named = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return f"{self.kind}: {named}"


class ProcessValuesNode(ProcessNode):
    """One that leaves keys alone."""

    kind = "process_values"
    placement = "kept"


class StatefulProcessNode(ProcessNode):
    """One with stores or with a sense of time, which it keeps in a store of its own."""

    per_task = True

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        time = StoreDeclaration(name=self.time_store, kind=PROCESSOR_TIME, key=STRING, value=LONG)
        return (time, *(store.declaration() for store in self.attached))

    @property
    def time_store(self) -> str:
        return f"{self.path}.time"


class StatefulProcessValuesNode(StatefulProcessNode):
    """As well, and leaves keys alone."""

    kind = "process_values"
    placement = "kept"
