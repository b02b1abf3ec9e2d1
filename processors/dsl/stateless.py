"""What the stateless methods of streams are made of."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from processors.dsl.arguments import check_functions, chosen_serde
from processors.errors import TopologyError
from processors.topology.call import check_call
from processors.topology.graph import check_name
from processors.topology.nodes.stateless import BranchNode
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node
    from processors.topology.row import Row
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde

_PLAIN = (str, bytes, int, float)


def key_serde(what: str, chosen: Any, function: Any) -> Serde[Any]:
    """The serde of keys that a function makes: the one asked for, or by what it says it returns.

    A function that says nothing, or something else than text, bytes or a number, makes texts.
    """
    if chosen is not None:
        return chosen_serde(what, chosen)
    if function in _PLAIN:
        return serde_for(function)
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError):  # names that only a type checker knows; no function
        returned = None
    return serde_for(returned if returned in _PLAIN else str)


def projection(names: Sequence[str], renamed: Mapping[str, Any], path: str) -> Callable[[Any], Any]:
    """A function that gives the chosen fields of a value as a dict."""
    wanted: dict[str, Any] = {name: name for name in names} | dict(renamed)
    if not wanted:
        raise TopologyError(f"{path}: no field is named; give names: select('user', 'amount')")
    for name, source in wanted.items():
        if not isinstance(source, str) and not callable(source):
            raise TopologyError(
                f"{path}: {name}={source!r}: give the name of a field, or a function of the value"
            )
        if not isinstance(source, str):
            check_call(f"{path}: {name}", source, "value")

    def project(value: Any) -> Any:
        return None if value is None else {name: _field(value, at) for name, at in wanted.items()}

    return project


def _field(value: Any, source: Any) -> Any:
    if not isinstance(source, str):
        return source(value)
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)[source]  # JSON's objects have texts as names
    return getattr(value, source)


def printer(label: str | None, file: Any) -> Callable[[tuple[Any, Any]], None]:
    """Prints key and value; without `file`, to what is the standard output then."""
    head = "" if label is None else f"[{label}]: "

    def show(item: tuple[Any, Any]) -> None:
        print(f"{head}{item[0]}, {item[1]}", file=sys.stdout if file is None else file)

    return show


def header_function(
    at: str,
    headers: Mapping[str, bytes | str | None] | Callable[[Row], Any],
) -> Callable[[Row], Any]:
    """A function of the row; of headers that never change, one that puts them behind the others."""
    if not isinstance(headers, Mapping):
        return headers
    given = cast("Mapping[str, bytes | str | None]", headers)  # what is no function
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, bytes | str | None):  # pyright: ignore[reportUnnecessaryIsInstance] # whatever the caller's types say
            raise TypeError(f"{at}: header {name!r}: {value!r}: give bytes, a text or None")
    added: Headers = [
        (name, value.encode() if isinstance(value, str) else value) for name, value in given.items()
    ]
    return lambda row: [*row.headers, *added]


def branch_node(
    graph: Graph,
    parent: Node,
    predicates: Sequence[Callable[[Any], Any]],
    named: Mapping[str, Callable[[Any], Any]],
    default: str | bool,
    name: str | None,
) -> BranchNode:
    path = graph.stateless_path(parent.path, "branch", name)
    if bool(predicates) == bool(named):
        raise TopologyError(
            f"{path}: give predicates, branch(is_large, is_small), or give them names, "
            "branch(large=is_large, small=is_small); one of the two"
        )
    check_functions(f"branch at {path!r}", [*predicates, *named.values()], "value")
    branches: list[tuple[str, Callable[[Any], Any] | None]] = [
        *((str(number), predicate) for number, predicate in enumerate(predicates)),
        *named.items(),
    ]
    if default is not False:
        rest = str(len(branches)) if default is True and predicates else default
        rest = "rest" if rest is True else str(rest)
        if rest in named:
            raise TopologyError(f"{path}: default={rest!r} is the name of a branch already")
        branches.append((rest, None))
    for side, _ in branches:
        check_name(f"{path}: branch", side)
    return BranchNode(path=path, parents=(parent,), branches=tuple(branches))
