"""Where rows wait for the answer of something outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import VALUE, Call
from processors.topology.nodes.node import Node, StoreDeclaration
from processors.topology.reads import Reads
from streamlog.serdes import BYTES, LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streamlog.serdes import Serde


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerCache:
    """Answers that are given again.

    Attributes:
        entries: So many, those that were asked for last.
        ttl_ms: How old they may be; None for any age.
        key: What is one question, made of the value; None takes the value's bytes.
    """

    entries: int
    ttl_ms: int | None = None
    key: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """How the function of an asynchronous operator is called.

    Attributes:
        concurrency: So many calls at once, of the operator in the process.
        timeout_ms: Of one attempt.
        retries: How many attempts follow the first one.
        backoff_ms: The pause before the first of them; it doubles with each.
        retry_on: The errors after which there is another attempt.
    """

    function: Callable[[Any], Coroutine[Any, Any, Any]]
    concurrency: int
    timeout_ms: int | None
    retries: int
    backoff_ms: int
    retry_on: tuple[type[Exception], ...]
    cache: AnswerCache | None


@dataclass(frozen=True, eq=False, kw_only=True)
class MapAsyncNode(Node):
    """A coroutine function of the value; rows wait in a store until it has answered.

    Attributes:
        ordered: Whether results come in the order of the rows, or as the answers do.
        key, value: The serdes of what waits.
    """

    kind = "map_async"
    per_task = True
    asking: Asking
    ordered: bool
    key: Serde[Any]
    value: Serde[Any]

    def reads_of(self, parent: int, output: Reads) -> Reads:
        return Reads(keys=True, values=True, headers=output.headers)

    def stores(self, output: Reads) -> tuple[StoreDeclaration, ...]:
        kind = f"waiting rows: key {self.key.name}, value {self.value.name}"
        declared = StoreDeclaration(
            name=self.path, kind=kind, key=LONG, value=BYTES, layout="segmented"
        )
        return (declared,)

    def calls(self) -> tuple[Call, ...]:
        cache = self.asking.cache
        return () if cache is None or cache.key is None else (Call(cache.key, VALUE),)

    def facts(self) -> str:
        asking = self.asking
        named = getattr(asking.function, "__qualname__", type(asking.function).__qualname__)
        told = [f"{named}", f"at most {asking.concurrency} at once"]
        told.append("in order" if self.ordered else "as answers come")
        if asking.timeout_ms is not None:
            told.append(f"timeout {asking.timeout_ms} ms")
        if asking.retries:
            told.append(f"{asking.retries} retries from {asking.backoff_ms} ms on")
        if asking.cache is not None:
            ttl = asking.cache.ttl_ms
            told.append(f"cache {asking.cache.entries}" + ("" if ttl is None else f" for {ttl} ms"))
        return f"{self.kind}: {', '.join(told)}, key {self.key.name}, value {self.value.name}"
