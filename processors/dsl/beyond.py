"""Operators that are processors of ours: dedupe, rate_limit, take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.dsl.arguments import at_least_one, check_functions
from processors.topology.duration import milliseconds
from processors.topology.nodes.processor import StatefulProcessValuesNode, StateStore
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.processor_kernel import Context
    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node
    from processors.topology.nodes.processor import StoreKind
    from streamlog.serdes import Serde


def dedupe_node(
    graph: Graph,
    parent: Node,
    identify: Callable[[Any], Any],
    within: Duration,
    identity: Serde[Any],
    name: str | None,
) -> StatefulProcessValuesNode:
    """Passes what was not seen within a time before."""
    path = graph.stable_path(parent.path, "dedupe", name)
    check_functions(f"dedupe at {path!r}", [identify], "value")
    within_ms = _at_least_one(milliseconds(within, f"{path}: within"), f"{path}: within")

    class Dedupe:
        def init(self, context: Context) -> None:
            self.context = context
            self.seen = context.store(f"{path}.seen")
            context.schedule(within_ms, self.forget)

        def process(self, value: Any) -> None:
            context, same = self.context, identify(value)
            try:
                found = self.seen.get(same)
            except SerializationError as error:
                raise TypeError(
                    f"{error}; identities are written as {identity.name}, and dedupe takes another "
                    "serde as identity="
                ) from error
            time = context.timestamp
            if found is None or abs(time - found) > within_ms:
                context.forward()
                self.seen.put(same, max(time, found or 0))

        def forget(self, now: int) -> None:
            for same, time in self.seen.items():
                if time < now - within_ms:
                    self.seen.delete(same)

    return _node(path, parent, Dedupe, identity, serde_for(int), "key_value")


def rate_limit_node(
    graph: Graph,
    parent: Node,
    limit: int,
    per: Duration,
    key: Serde[Any],
    name: str | None,
) -> StatefulProcessValuesNode:
    """Passes so many records a key and period of stream time."""
    path = graph.stable_path(parent.path, "rate_limit", name)
    _at_least_one(limit, f"{path}: limit")
    per_ms = _at_least_one(milliseconds(per, f"{path}: per"), f"{path}: per")

    class RateLimit:
        def init(self, context: Context) -> None:
            self.context = context
            self.passed = context.store(f"{path}.passed")

        def process(self, value: Any) -> None:
            context = self.context
            if context.key is None:
                return
            period = context.timestamp // per_ms * per_ms
            passed = self.passed.get(context.key, period, 0)
            if passed < limit and self.passed.put(context.key, passed + 1, period):
                context.forward()

    return _node(path, parent, RateLimit, key, serde_for(int), "window", per_ms)


def take_node(
    graph: Graph,
    parent: Node,
    count: int,
    within: Duration | None,
    key: Serde[Any],
    value: Serde[Any],
    name: str | None,
) -> StatefulProcessValuesNode:
    """Collects so many values of a key, or what came within a time of the first."""
    path = graph.stable_path(parent.path, "take", name)
    _at_least_one(count, f"{path}: n")
    within_ms = -1
    if within is not None:
        within_ms = _at_least_one(milliseconds(within, f"{path}: within"), f"{path}: within")

    class Take:
        """The store has what waits of each key, from its first record on under that one's time."""

        def init(self, context: Context) -> None:
            self.context = context
            self.waiting = context.store(f"{path}.waiting")
            if within is not None:
                context.schedule(within_ms, self.give_old)

        def process(self, value: Any) -> None:
            context = self.context
            if context.key is None or value is None:
                return
            found: tuple[list[Any], int] | None = self.waiting.timed(context.key)
            values: list[Any] = found[0] if found else []
            first = found[1] if found else context.timestamp
            if values and 0 <= within_ms <= context.timestamp - first:
                context.forward(values)
                values, first = [], context.timestamp
            values.append(value)
            if len(values) >= count:
                context.forward(values)
                self.waiting.delete(context.key)
            else:
                self.waiting.put(context.key, values, first)

        def give_old(self, now: int) -> None:
            for key, values, first in list(self.waiting.timed_items()):
                if first + within_ms <= now:
                    self.context.send(key, values, now, [])
                    self.waiting.delete(key)

    return _node(path, parent, Take, key, value, "timestamped", store="waiting")


_STORES = {"key_value": "seen", "window": "passed"}


def _node(
    path: str,
    parent: Node,
    made: type,
    key: Serde[Any],
    value: Serde[Any],
    kind: StoreKind,
    retention_ms: int | None = None,
    *,
    store: str | None = None,
) -> StatefulProcessValuesNode:
    declared = StateStore(
        name=f"{path}.{store or _STORES[kind]}",
        kind=kind,
        key=key,
        value=value,
        retention_ms=retention_ms,
    )
    return StatefulProcessValuesNode(
        path=path, parents=(parent,), function=made, attached=(declared,), values_only=True
    )


def _at_least_one(number: int, what: str) -> int:
    at_least_one(what, number)
    return number
