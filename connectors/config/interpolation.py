r"""`${...}` in scalars, replaced after the YAML is parsed, so that no value can change its shape.

| written             | becomes                                                       |
|---------------------|---------------------------------------------------------------|
| `${VAR}`            | the environment variable; a fault if it is not set            |
| `${VAR:-default}`   | the same, or the default (which may hold `${...}`) if unset or empty |
| `${env:VAR}`        | as `${VAR}`                                                   |
| `${file:PATH}`      | the file's text without its last newline                      |
| `${file:PATH:KEY}`  | the value of `KEY=` in a properties file                      |
| `${python:stdlib}`  | a path of this Python's, by its name in `sysconfig`           |
| `$${`               | a literal `${`                                                |
"""

from __future__ import annotations

import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from connectors.config.faults import Place
from connectors.config.nodes import Mapping, Node, Scalar, Sequence, join
from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Environment

    from connectors.config.faults import Faults


class Unresolved(NamedTuple):
    """An expression without a value: where it begins in the text, and why."""

    position: int
    reason: str


class Interpolation:
    """Replaces the expressions of a document; the environment is the caller's.

    Stateless after construction, usable from any thread.
    """

    def __init__(self, environment: Environment[str, str]) -> None:
        self._environment = environment
        self._providers: dict[str, Callable[[str], str]] = {
            "env": self._variable,
            "file": _file,
            "python": _python_path,
        }

    def apply(self, node: Node, faults: Faults, path: str = "") -> Node:
        """The same tree with every scalar resolved; what has no value is a fault."""
        match node:
            case Sequence(place, items):
                resolved = [self.apply(i, faults, f"{path}[{n}]") for n, i in enumerate(items)]
                return Sequence(place, resolved)
            case Mapping(place, fields, key_places):
                entries = {n: self.apply(v, faults, join(path, n)) for n, v in fields.items()}
                return Mapping(place, entries, key_places)
            case Scalar(text=text) if "${" in text:
                resolved, unresolved = self.resolve(text)
                for position, reason in unresolved:
                    faults.add(_place_within(node, position, faults), path, reason)
                # No longer quoted: "${PARTITIONS}" may be a number.
                is_unresolved = bool(unresolved)
                return replace(node, text=resolved, quoted=False, is_unresolved=is_unresolved)
            case _:
                return node

    def resolve(self, text: str) -> tuple[str, list[Unresolved]]:
        """The text with its expressions replaced, and those that could not be."""
        parts: list[str] = []
        unresolved: list[Unresolved] = []
        position = 0
        while (found := text.find("${", position)) >= 0:
            if found > position and text[found - 1] == "$":
                parts.append(text[position : found - 1] + "${")
                position = found + 2
                continue
            parts.append(text[position:found])
            end = _closing_brace(text, found + 2)
            if end < 0:
                unresolved.append(
                    Unresolved(found, "'${' without its '}' (write $${ for a literal)")
                )
                return "".join(parts), unresolved
            value, inner = self._evaluate(text[found + 2 : end])
            parts.append(value)
            unresolved.extend(Unresolved(found, reason) for reason in inner)
            position = end + 1
        return "".join(parts) + text[position:], unresolved

    def _evaluate(self, expression: str) -> tuple[str, list[str]]:
        """The value, and the reasons why there is none."""
        name, has_default, default = expression.partition(":-")
        try:
            value = self._value(name)
        except LookupError as error:
            if not has_default:
                return "", [str(error.args[0])]
            value = ""
        if value or not has_default:
            return value, []
        resolved, unresolved = self.resolve(default)
        return resolved, [reason for _, reason in unresolved]

    def _value(self, name: str) -> str:
        """Raises LookupError with the reason as its only argument."""
        kind, colon, argument = name.partition(":")
        if not colon:
            return self._variable(name)
        if kind not in self._providers:
            known = ", ".join(self._providers)
            near = did_you_mean(kind, self._providers)
            raise LookupError(f"unknown provider {kind!r}{near}; known: {known}")
        return self._providers[kind](argument)

    def _variable(self, name: str) -> str:
        if name not in self._environment:
            raise LookupError(
                f"environment variable {name} is not set (write ${{{name}:-default}} to give one)"
            )
        return self._environment[name]


def _closing_brace(text: str, position: int) -> int:
    """The place of the brace that closes the one before `position`, or -1."""
    depth = 1
    for index in range(position, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1


def _file(argument: str) -> str:
    name, _, key = argument.partition(":")
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise LookupError(f"cannot read {name}: {reason}") from error
    return _property(name, text, key) if key else text.removesuffix("\n")


def _property(name: str, text: str, key: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!")
    values = {before.strip(): after.strip() for before, _, after in pairs}
    if key not in values:
        raise LookupError(f"no key {key!r} in {name}{did_you_mean(key, values)}")
    return values[key]


def _python_path(name: str) -> str:
    paths = sysconfig.get_paths()
    if name not in paths:
        raise LookupError(f"no path {name!r} of Python's{did_you_mean(name, paths)}")
    return paths[name]


def _place_within(node: Scalar, position: int, faults: Faults) -> Place:
    """Where the expression stands, if its line in the file shows it; else the scalar's place."""
    expression = node.text[position:].split("\n", 1)[0]
    column = faults.line(node.place.line).find(expression[:40], node.place.column - 1)
    return Place(node.place.line, column + 1) if column >= 0 else node.place
