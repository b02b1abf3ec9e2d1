"""From what a user writes (`str`, `int`, `Order`, `"json"`) to a serde."""

from __future__ import annotations

from typing import Any, Final

from streamlog.errors import did_you_mean
from streamlog.serdes.primitive import BYTES, DOUBLE, LONG, STRING
from streamlog.serdes.serde import Serde, describe

_BY_TYPE: Final[dict[Any, Serde[Any]]] = {str: STRING, bytes: BYTES, int: LONG, float: DOUBLE}
_BY_NAME: Final[dict[str, Serde[Any]]] = {
    "str": STRING,
    "bytes": BYTES,
    "int": LONG,
    "float": DOUBLE,
}
NAMES: Final = (*_BY_NAME, "json")


def serde_for(spec: Any) -> Serde[Any]:
    """The serde that `spec` asks for.

    Args:
        spec: a serde, which is returned as it is; `str`, `bytes`, `int` (Kafka's Long) or `float`
            (Double); one of `NAMES`; or a `msgspec.Struct`, dataclass or TypedDict class (or any
            type that msgspec knows), written as JSON.

    Raises:
        ValueError: an unknown name.
        TypeError: anything else that is no serde.
    """
    if isinstance(spec, str):
        return _by_name(spec)
    if isinstance(spec, type) or _is_type_expression(spec):
        return _BY_TYPE.get(spec) or _json(spec)
    if all(hasattr(spec, name) for name in ("serialize_column", "deserialize_column", "name")):
        return spec
    raise TypeError(f"no serde: {describe(spec)}; use {', '.join(NAMES)}, a class or a Serde")


def _by_name(name: str) -> Serde[Any]:
    if name == "json":
        return _json(None)
    if name not in _BY_NAME:
        raise ValueError(
            f"unknown serde {name!r}{did_you_mean(name, NAMES)}; known: {', '.join(NAMES)}"
        )
    return _BY_NAME[name]


def _json(kind: Any) -> Serde[Any]:
    # Lazy: msgspec costs several milliseconds to import and many programs move only bytes.
    from streamlog.serdes.json import JsonSerde

    try:
        return JsonSerde(kind)
    except (TypeError, NameError, AttributeError) as error:  # the latter of its annotations
        raise TypeError(f"no serde for {describe(kind)}: {error}") from error


def _is_type_expression(spec: Any) -> bool:
    """`list[int]`, `int | None`, `Any`: types that are no classes."""
    return getattr(spec, "__origin__", None) is not None or type(spec).__module__ in (
        "types",
        "typing",
    )
