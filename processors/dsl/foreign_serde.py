"""Serdes that users write: what they raise is turned into the error that the policies know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamlog.serdes import Serde

MEMBERS: Final = (
    "name",
    "exact_keys",
    "immutable",
    "serialize",
    "deserialize",
    "serialize_column",
    "deserialize_column",
)
_OURS: Final = ("streamlog", "processors")


class ForeignSerde:
    """A serde that may raise anything; a record must not stop an application that is to go on.

    Usable from any thread, as the serde is.
    """

    def __init__(self, serde: Serde[Any]) -> None:
        self.name = serde.name
        self.exact_keys = serde.exact_keys
        self.immutable = serde.immutable
        self._serde = serde

    def serialize(self, value: Any) -> bytes:
        return self._guarded(self._serde.serialize, value, 0)

    def deserialize(self, data: bytes) -> Any:
        return self._guarded(self._serde.deserialize, data, 0)

    def serialize_column(self, values: Sequence[Any]) -> list[Any]:
        return self._column(self._serde.serialize_column, self._serde.serialize, values)

    def deserialize_column(self, column: Sequence[Any]) -> list[Any]:
        return self._column(self._serde.deserialize_column, self._serde.deserialize, column)

    def _guarded(self, convert: Callable[[Any], Any], item: Any, index: int) -> Any:
        try:
            return convert(item)
        except SerializationError as error:
            raise SerializationError(error.serde, error.reason, index=index) from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise SerializationError(self.name, reason, index=index) from error

    def _column(
        self,
        whole: Callable[[Any], list[Any]],
        one: Callable[[Any], Any],
        column: Sequence[Any],
    ) -> list[Any]:
        try:
            return whole(column)
        except Exception:  # which row is to blame is found below; serdes are pure
            return [
                None if item is None else self._guarded(one, item, index)
                for index, item in enumerate(column)
            ]


def guarded(serde: Serde[Any]) -> Serde[Any]:
    """A serde as the engine takes it: ours, or one of somebody else's with its errors wrapped.

    Raises:
        TypeError: it lacks something that a serde has.
    """
    kind = cast("type[object]", type(serde))
    if kind.__module__.partition(".")[0] in _OURS:
        return serde
    missing = [name for name in MEMBERS if not hasattr(serde, name)]
    if missing:
        raise TypeError(f"no serde: {kind.__qualname__} lacks {', '.join(missing)}")
    return ForeignSerde(serde)
