"""Whether a serde gives back what it is given, and results of which it is looked at once.

JSON gives back lists for sets, texts for bytes and for keys that are numbers, null for what is no
finite number. A function would be called with one for the first record, and with the other behind
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, Final, cast

from processors.operators.copier import is_plain
from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from streamlog.serdes import Serde

REMEDY: Final = (
    "choose value=, a serde that does (float, a dataclass, set[bytes], dict[int, int], a Serde of "
    "your own)"
)
ALIKE: Final = (int, float, str)
"""Of these and their subclasses comes back what works alike, if it is equal."""


class KeptSerde:
    """A serde that nobody asked for, which looks at the first value that is not empty.

    Only that one: a comparison a record would cost more than the record. Columns, which is how a
    store writes, are not looked at. Usable from any thread, as the serde is.

    Args:
        at: The operator, as errors say it.
    """

    exact_keys = False
    immutable = False

    def __init__(self, at: str, serde: Serde[Any]) -> None:
        self.name = serde.name
        self.is_plain: Final = is_plain(serde)
        self.deserialize = serde.deserialize
        self.serialize_column = serde.serialize_column
        self.deserialize_column = serde.deserialize_column
        self._serialize = serde.serialize
        self._serde = serde
        self._at = at
        self._is_checked = False

    def serialize(self, value: Any) -> bytes:
        """Raises `SerializationError` also where it would come back as something else."""
        if not self._is_checked and value is not None:
            self._check(value)
        return self._serialize(value)

    def _check(self, value: Any) -> None:
        if isinstance(value, Sized) and not len(value):
            return
        found = fault_of(value, self._serde)
        if found is not None:
            raise SerializationError(
                self.name, f"{self._at}: it keeps a {type(value).__qualname__}, and {found}"
            )
        self._is_checked = True


def kept(at: str, serde: Serde[Any]) -> Serde[Any]:
    """A serde that nobody asked for, with its first value looked at where that may be needed."""
    return serde if serde.immutable else KeptSerde(at, serde)


def fault_of(value: Any, serde: Serde[Any]) -> str | None:
    """What a serde does to a value that it should not; None where it comes back as what it is."""
    try:
        change = _change(value, serde.deserialize(serde.serialize(value)))
    except SerializationError as error:
        return f"{serde.name} cannot keep it ({error.reason}); {REMEDY}"
    if change is None:
        return None
    part, back = (f"{type(each).__qualname__} {short(each)}" for each in change)
    return f"{serde.name} gives back {part} as {back}; {REMEDY}"


def _change(value: Any, back: Any) -> tuple[Any, Any] | None:
    """The first part of a value that came back as something else, and as what.

    A tuple may come back as a list, which is read alike.
    """
    if value is back or (isinstance(value, ALIKE) and value == back):
        return None
    kind, read = cast("type[Any]", type(value)), cast("type[Any]", type(back))
    if read is not kind and (kind, read) != (tuple, list):
        return value, back
    parts = _parts(value, back)
    if parts is None:
        return None if value == back else (value, back)
    changes = (_change(part, other) for part, other in parts)
    return next((change for change in changes if change is not None), None)


def _parts(value: Any, back: Any) -> Iterable[tuple[Any, Any]] | None:
    """The parts of both, side by side; None where they are compared as a whole."""
    if isinstance(value, dict):
        fields = cast("dict[Any, Any]", value)
        if fields.keys() != back.keys():
            return None
        return [(field, back[key]) for key, field in fields.items()]
    if isinstance(value, (list, tuple)):
        items = cast("list[Any]", value)
        return zip(items, back, strict=True) if len(items) == len(back) else None
    kind = cast("type[Any]", type(value))
    names: Iterable[str] = getattr(kind, "__struct_fields__", ()) or getattr(
        kind, "__dataclass_fields__", ()
    )
    return [(getattr(value, each, None), getattr(back, each, None)) for each in names] or None
