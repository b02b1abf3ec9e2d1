"""Copies of values that a store keeps (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from processors.operators.plain import UNKNOWN, copy_plain
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING

if TYPE_CHECKING:
    from streamlog.serdes import Serde

_LIMIT: Final = 1 << 62


class Copier:
    """Makes of a value what its serde would give back: it may be kept, and is shared with nobody.

    Mutable values make a round trip through their serde, plain JSON apart; immutable ones are only
    checked.
    """

    def __init__(self, serde: Serde[Any]) -> None:
        self._serialize: Any = serde.serialize
        self._deserialize: Any = serde.deserialize
        self._immutable: bool = serde.immutable
        self._plain: bool = is_plain(serde)
        self._long: bool = serde is LONG
        self._double: bool = serde is DOUBLE
        self._text: bool = serde is STRING
        self._bytes: bool = serde is BYTES

    def copy(self, value: Any) -> Any:
        """A value that is not None.

        Raises:
            SerializationError: the serde refuses it.
        """
        kind = cast("type[object]", type(value))
        if self._plain:
            if value is not None:
                copied = copy_plain(value)
                if copied is not UNKNOWN:
                    return copied
        elif self._long:
            if kind is int:
                number: int = value
                if -_LIMIT < number < _LIMIT:
                    return value
        elif self._text:
            if kind is str:
                text: str = value
                if text.isascii():
                    return value
        elif (self._double and kind is float) or (self._bytes and kind is bytes):
            return value
        read = self._deserialize(self._serialize(value))
        if self._immutable and type(read) is kind:
            return value
        return read


def is_plain(serde: Serde[Any]) -> bool:
    """Whether it writes values as JSON and reads what any JSON text holds."""
    plain: bool = getattr(serde, "is_plain", False)
    return plain
