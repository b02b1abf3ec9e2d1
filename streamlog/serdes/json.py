"""JSON through msgspec: untyped, or decoded straight into a Struct, dataclass or TypedDict."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast, is_typeddict

import msgspec

from streamlog.errors import SerializationError
from streamlog.serdes.kernel import apply_all, types_of
from streamlog.serdes.serde import convert_column, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

# What msgspec raises: its own errors, TypeError for unsupported types, ValueError for text that is
# no UTF-8, OverflowError for integers over 64 bits, RecursionError for a value within itself.
_FAILURES: Final = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
_NONE_TYPE: Final = type(None)


class JsonSerde:
    """One JSON text a value; with `kind`, what is read is checked against it and of that type.

    Keys are not exact: 1, 1.0 and True are three texts, and a dictionary knows one key.

    Args:
        kind: a `msgspec.Struct`, dataclass or TypedDict class, or any other type that msgspec
            decodes (`list[int]`); None for whatever the text holds.

    Raises:
        TypeError: msgspec cannot decode into `kind`.
    """

    exact_keys = False
    immutable = False

    def __init__(self, kind: Any = None) -> None:
        self.name = "json" if kind is None else f"json[{getattr(kind, '__name__', kind)}]"
        self.is_plain: Final = kind is None  # what is read is of no type of its own
        self._accepted = _instances_of(kind)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Any if kind is None else kind).decode

    def serialize(self, value: Any) -> bytes:
        if value is None or not isinstance(value, self._accepted):
            wanted = "a value" if self._accepted is object else self._accepted.__name__
            raise refuse(self.name, value, wanted)
        try:
            return self._encode(value)
        except _FAILURES as error:
            raise SerializationError(self.name, str(error)) from error

    def deserialize(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except _FAILURES as error:
            raise SerializationError(self.name, str(error)) from error

    def serialize_column(self, values: Sequence[Any]) -> list[bytes | None]:
        column = list(values)
        types = types_of(column)
        if _NONE_TYPE not in types and all(issubclass(kind, self._accepted) for kind in types):
            try:
                return apply_all(self._encode, column)
            except _FAILURES:
                pass  # find the row below
        return convert_column(self.serialize, values)

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[Any]:
        try:
            return apply_all(self._decode, list(column))  # None raises TypeError
        except _FAILURES:
            return convert_column(self.deserialize, column)


def _instances_of(kind: object) -> type:
    """What `serialize` asks of a value: a class of records by its class, all else is free.

    msgspec encodes anything; without this check a wrong object would only be found by a reader.
    """
    if is_typeddict(kind):
        return dict
    if isinstance(kind, type):
        record = cast("type[Any]", kind)  # what isinstance leaves is partly unknown to pyright
        if issubclass(record, msgspec.Struct) or is_dataclass(record):
            return record
    return object
