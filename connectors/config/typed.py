"""Nodes to frozen dataclasses, with every fault found in one pass.

A configuration class is an ordinary frozen, keyword-only dataclass. Its fields may be `str`,
`int`, `float`, `bool`, a `Literal`, a type of `scalars`, another such dataclass, `list[...]`,
`dict[str, ...]`, or a union of these that the shape of the YAML decides. A field without default
is required. `Annotated[..., Key("for")]` gives a field another name in the file.

What one field cannot say alone, a method `faults()` says, once all fields are well-formed:

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.mode == "upsert" and self.format == "text":
            yield "format", "upsert needs json lines"
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from connectors.config.nodes import Mapping, Node, Scalar, Sequence, join, kind_of
from connectors.config.scalars import Refused, ScalarType
from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from dataclasses import Field

    from connectors.config.faults import Faults

T = TypeVar("T")


class Invalid:
    """Stands for a value that could not be read; the fault is recorded."""


INVALID: Final = Invalid()


@dataclass(frozen=True, slots=True)
class Key:
    """The name of a field in the file, where it differs from the attribute's."""

    name: str


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a configuration class as the reader needs it."""

    attribute: str
    type: Any
    required: bool


def read_config(kind: type[T], node: Node, path: str, faults: Faults) -> T | Invalid:
    """An instance of the configuration class `kind`, or `INVALID` with every fault recorded."""
    return TypedReader(faults).read_dataclass(kind, node, path)


def read_fields(kind: type[Any]) -> dict[str, _Field]:
    """A configuration class's fields by their names in the file."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        _key_of(field, hints[field.name]): _Field(
            field.name,
            hints[field.name],
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    }


def _key_of(field: Field[Any], hint: Any) -> str:
    keys = [extra.name for extra in _extras(hint) if isinstance(extra, Key)]
    return keys[-1] if keys else field.name


def _extras(hint: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", getattr(hint, "__metadata__", ()))  # only Annotated has it


def misspelt_names(unknown: Iterable[str], known: Collection[str]) -> frozenset[str]:
    """The nearest known name of each unknown one: it is not missing, it is misspelt."""
    nearest = (get_close_matches(name, known, n=1) for name in unknown)
    return frozenset(name for names in nearest for name in names)


class TypedReader:
    """Reads nodes by types. One a file; owned by the thread that reads it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def read_dataclass(self, kind: type[T], node: Node, path: str) -> T | Invalid:
        if isinstance(node, Scalar) and node.is_null:
            node = Mapping(node.place, {}, {})
        if not isinstance(node, Mapping):
            self._faults.add(node.place, path, f"expected a mapping, got {kind_of(node)}")
            return INVALID
        known = read_fields(kind)
        before = len(self._faults)
        misspelt = self._report_unknown(known, node, path)
        values = dict(self._read_known(known, node, path, misspelt))
        valid = {name: value for name, value in values.items() if value is not INVALID}
        if all(f.attribute in valid for f in known.values() if f.required):
            instance = kind(**valid)
            self._ask(instance, node, path, values.keys() - valid.keys())
            if len(self._faults) == before:
                return instance
        return INVALID

    def _report_unknown(self, known: Collection[str], node: Mapping, path: str) -> frozenset[str]:
        """Returns the known names that unknown ones probably stand for."""
        unknown = [name for name in node.fields if name not in known]
        for name in unknown:
            message = f"unknown field {name!r}{did_you_mean(name, known)}"
            self._faults.add(node.key_places[name], join(path, name), message)
        return misspelt_names(unknown, known)

    def _read_known(
        self, known: dict[str, _Field], node: Mapping, path: str, misspelt: Collection[str]
    ) -> Iterator[tuple[str, Any]]:
        for name, field in known.items():
            child = node.fields.get(name)
            absent = child is None or (isinstance(child, Scalar) and child.is_null)
            if child is not None and not absent:
                yield field.attribute, self.read(field.type, child, join(path, name))
            elif field.required and name not in misspelt:
                place = node.key_places.get(name, node.place)
                self._faults.add(place, join(path, name), "is required")

    def _ask(self, instance: object, node: Mapping, path: str, invalid: Collection[str]) -> None:
        """Lets the class itself look at the whole, with defaults for what is invalid."""
        ask = cast(  # duck-typed: a configuration class need not have it
            "Callable[[], Iterator[tuple[str, str]]] | None", getattr(instance, "faults", None)
        )
        for name, message in ask() if ask is not None else ():
            if name not in invalid:
                place = node.fields[name].place if name in node.fields else node.place
                self._faults.add(place, join(path, name), message)

    def read(self, kind: Any, node: Node, path: str) -> Any:
        """A value of the type, or `INVALID`."""
        if isinstance(node, Scalar) and node.is_unresolved:
            return INVALID
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            scalar_type = [extra for extra in _extras(kind) if isinstance(extra, ScalarType)]
            if scalar_type:
                return self._scalar(scalar_type[-1], node, path)
            return self.read(arguments[0], node, path)
        if origin in (Union, UnionType):
            return self._union(arguments, node, path)
        if origin is Literal:
            return self._literal(cast("tuple[str, ...]", arguments), node, path)
        if origin is list:
            return self._list(arguments[0], node, path)
        if origin is dict:
            return self._dict(arguments[1], node, path)
        if is_dataclass(kind):
            return self.read_dataclass(cast("type[Any]", kind), node, path)
        return self._scalar(_PLAIN[kind], node, path)

    def _union(self, kinds: tuple[Any, ...], node: Node, path: str) -> Any:
        """The first member whose shape is the node's; without any, the first one complains."""
        members = [kind for kind in kinds if kind is not NoneType]
        fitting = [kind for kind in members if isinstance(node, _shape_of(kind))]
        return self.read((fitting or members)[0], node, path)

    def _literal(self, choices: tuple[str, ...], node: Node, path: str) -> Any:
        if isinstance(node, Scalar) and node.text in choices:
            return node.text
        near = did_you_mean(node.text, choices) if isinstance(node, Scalar) else ""
        expected = f"expected one of {', '.join(choices)}, got {kind_of(node)}{near}"
        self._faults.add(node.place, path, expected)
        return INVALID

    def _list(self, kind: Any, node: Node, path: str) -> Any:
        if isinstance(node, Sequence):
            return [self.read(kind, item, f"{path}[{n}]") for n, item in enumerate(node.items)]
        hint = f"; write [{node.text}]" if isinstance(node, Scalar) else ""
        self._faults.add(node.place, path, f"expected a list, got {kind_of(node)}{hint}")
        return INVALID

    def _dict(self, kind: Any, node: Node, path: str) -> Any:
        if isinstance(node, Mapping):
            return {name: self.read(kind, v, join(path, name)) for name, v in node.fields.items()}
        self._faults.add(node.place, path, f"expected a mapping, got {kind_of(node)}")
        return INVALID

    def _scalar(self, kind: ScalarType, node: Node, path: str) -> Any:
        if isinstance(node, Scalar) and not node.is_null:
            text_only = node.quoted and not kind.takes_quoted
            try:
                if not text_only:
                    return kind.parse(node.text)
            except Refused as refused:
                self._faults.add(node.place, path, str(refused))
                return INVALID
            except ValueError:
                pass  # reported below
            got = f"the text {node.text!r}" if text_only else kind_of(node)
        else:
            got = kind_of(node)
        self._faults.add(node.place, path, f"expected {kind.expected}, got {got}")
        return INVALID


def _parse_bool(text: str) -> bool:
    match text.lower():
        case "true" | "yes" | "on":
            return True
        case "false" | "no" | "off":
            return False
        case _:
            raise ValueError(text)


_PLAIN: Final[dict[Any, ScalarType]] = {
    str: ScalarType("a text", str, takes_quoted=True),
    int: ScalarType("a whole number", int),
    float: ScalarType("a number", float),
    bool: ScalarType("true or false", _parse_bool),
}


def _shape_of(kind: Any) -> type[Node]:
    """Which kind of node a type is written as."""
    if get_origin(kind) is list:
        return Sequence
    if get_origin(kind) is dict or is_dataclass(kind):
        return Mapping
    return Scalar
