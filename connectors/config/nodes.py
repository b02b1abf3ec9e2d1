"""YAML text to nodes that know their place.

Only the tree is PyYAML's; what a scalar means (text, number, duration) is decided by the field it
is read into, so `name: on` is the text "on" and `partitions: "4"` is not a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from connectors.config.faults import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.config.faults import Faults

START: Final = Place(1, 1)
_STANDARD_TAG: Final = "tag:yaml.org,2002:"
_NULL_TAG: Final = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as text.

    Attributes:
        quoted: Such text is never a number, a truth value or null.
        is_unresolved: An expression in it had no value; that is its fault, whatever it is to be.
    """

    place: Place
    text: str
    quoted: bool = False
    is_null: bool = False
    is_unresolved: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: list[Node]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Fields by name; `key_places` says where each name stands."""

    place: Place
    fields: dict[str, Node]
    key_places: dict[str, Place]


Node = Scalar | Sequence | Mapping


def kind_of(node: Node) -> str:
    """What a node is, for a message: `a list`, `the text 'x'`."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar(is_null=True):
            return "nothing"
        case Scalar(text=text):
            return f"{text!r}"


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def parse(text: str, faults: Faults) -> Node | None:
    """The document's root, or None where the text is no YAML (the fault says why)."""
    try:
        root = yaml.SafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        faults.add(_place(mark) if mark else START, "", f"not YAML: {reason}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        faults.add(Place(line, column), "", f"not YAML: {error.reason}")
    except RecursionError:
        faults.add(START, "", "nested too deeply")
    else:
        if root is None:
            faults.add(START, "", "the file is empty")
            return None
        return _Reader(faults).read(root, "")
    return None


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Reader:
    """Turns PyYAML's nodes into ours, once each: an alias shares its anchor's node."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._done: dict[int, Node] = {}
        self._open: set[int] = set()

    def read(self, node: yaml.Node, path: str) -> Node:
        identity = id(node)
        if identity in self._done:
            return self._done[identity]
        place = _place(node.start_mark)
        if identity in self._open:
            self._faults.add(place, path, "an alias within its own anchor")
            return Scalar(place, "", is_null=True)
        if not node.tag.startswith(_STANDARD_TAG):
            self._faults.add(place, path, f"tags such as {node.tag!r} are not supported")
        self._open.add(identity)
        result = self._done[identity] = self._convert(node, place, path)
        self._open.discard(identity)
        return result

    def _convert(self, node: yaml.Node, place: Place, path: str) -> Node:
        if isinstance(node, yaml.SequenceNode):
            items = [self.read(item, f"{path}[{n}]") for n, item in enumerate(node.value)]
            return Sequence(place, items)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, path)
        assert isinstance(node, yaml.ScalarNode)
        quoted = node.style is not None
        plain_null = node.tag == _NULL_TAG and not quoted
        return Scalar(place, node.value, quoted, plain_null)

    def _mapping(self, node: yaml.MappingNode, place: Place, path: str) -> Mapping:
        mapping = Mapping(place, {}, {})
        for name, key_place, value in self._entries(node, path):
            first = mapping.key_places.get(name)
            child = self.read(value, join(path, name))
            if first is None:
                mapping.fields[name] = child
                mapping.key_places[name] = key_place
            else:
                message = f"{name!r} is given twice, first in line {first.line}"
                self._faults.add(key_place, join(path, name), message)
        return mapping

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, Place, yaml.Node]]:
        for key, value in node.value:
            place = _place(key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                yield key.value, place, value
            else:
                self._faults.add(place, path, "a field's name must be a text")
