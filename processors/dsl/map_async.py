"""The node behind `Stream.map_async`, and what it refuses."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from processors.errors import TopologyError
from processors.topology.call import check_arguments
from processors.topology.duration import milliseconds
from processors.topology.nodes.map_async import AnswerCache, Asking, MapAsyncNode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from processors.topology.duration import Duration
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node
    from streamlog.serdes import Serde


def map_async_node(
    graph: Graph,
    parent: Node,
    function: Callable[[Any], Coroutine[Any, Any, Any]],
    key: Serde[Any],
    value: Serde[Any],
    *,
    concurrency: int,
    ordered: bool,
    timeout: Duration | None,
    retries: int,
    backoff: Duration,
    retry_on: type[Exception] | Sequence[type[Exception]],
    cache: int | None,
    cache_ttl: Duration | None,
    cache_key: Callable[[Any], Any] | None,
    name: str | None,
) -> MapAsyncNode:
    path = graph.stable_path(parent.path, "map_async", name)
    at = f"map_async at {path!r}"
    _check_async(at, function)
    check_arguments(at, function, "value")
    _check_number(f"{at}: concurrency", concurrency, 1)
    _check_number(f"{at}: retries", retries, 0)
    asking = Asking(
        function=function,
        concurrency=concurrency,
        timeout_ms=None if timeout is None else _positive(timeout, f"{at}: timeout"),
        retries=retries,
        backoff_ms=milliseconds(backoff, f"{at}: backoff"),
        retry_on=_error_types(at, retry_on),
        cache=_cache(at, cache, cache_ttl, cache_key),
    )
    return MapAsyncNode(
        path=path, parents=(parent,), asking=asking, ordered=bool(ordered), key=key, value=value
    )


def _check_async(at: str, function: object) -> None:
    if not callable(function):
        raise TopologyError(f"{at}: {function!r} cannot be called; give an async function")
    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - of the object, not whether it has one
        return
    inner = getattr(function, "func", None)  # a partial
    if inner is not None and iscoroutinefunction(inner):
        return
    name = getattr(function, "__qualname__", repr(function))
    raise TopologyError(
        f"{at}: {name} is no coroutine function, so there would be nothing to await; write it with "
        "`async def`, or use map() for a plain function"
    )


def _check_number(what: str, number: object, least: int) -> None:
    if type(number) is not int:
        raise TypeError(f"{what}={number!r}: give a whole number")
    if number < least:
        raise ValueError(f"{what}={number}: must be at least {least}")


def _positive(value: Duration, what: str) -> int:
    found = milliseconds(value, what)
    if found == 0:
        raise ValueError(f"{what}={value!r}: must be longer than zero")
    return found


def _error_types(at: str, given: Any) -> tuple[type[Exception], ...]:
    try:
        types: tuple[Any, ...] = (given,) if isinstance(given, type) else tuple(given)
    except TypeError:  # neither a class nor several
        types = (given,)
    for each in types:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise TypeError(f"{at}: retry_on={given!r}: give classes of exceptions")
    return types


def _cache(
    at: str, entries: int | None, ttl: Duration | None, key: Callable[[Any], Any] | None
) -> AnswerCache | None:
    if entries is None:
        for what, given in (("cache_ttl", ttl), ("cache_key", key)):
            if given is not None:
                raise ValueError(
                    f"{at}: {what} says how answers are kept; say how many: cache=1000"
                )
        return None
    _check_number(f"{at}: cache", entries, 1)
    ttl_ms = None if ttl is None else _positive(ttl, f"{at}: cache_ttl")
    return AnswerCache(entries=entries, ttl_ms=ttl_ms, key=key)
