"""What a serde is, and the slow path that every column function shares.

A serde turns one kind of Python value into bytes and back. Columns are the normal case: each
serde tries one C-level pass over the list first and falls back to `convert_column` when that
raises, which handles None and finds the row to blame. Running a value twice is harmless, as
serdes are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streamlog.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Serde(Protocol[T]):
    """Writes values of one kind as bytes and reads them back. Usable from any thread."""

    @property
    def name(self) -> str:
        """What errors and `describe` call it."""
        ...

    @property
    def exact_keys(self) -> bool:
        """Whether a dictionary may know keys by their Python values instead of their bytes.

        True only if values that compare equal have equal bytes and the other way round, and
        nothing that the serde refuses compares equal to a value that it accepts.
        """
        ...

    @property
    def immutable(self) -> bool:
        """Whether values may be shared without a copy."""
        ...

    def serialize(self, value: T) -> bytes:
        """One value, never None: None is the null key or the tombstone and has no bytes.

        Raises:
            SerializationError: the value is not of the serde's kind.
        """
        ...

    def deserialize(self, data: bytes) -> T:
        """Raises `SerializationError` where the bytes are none that the serde writes."""
        ...

    def serialize_column(self, values: Sequence[T | None]) -> list[bytes | None]:
        """A list of equal length; None stays None.

        Raises:
            SerializationError: with `index`, the first row that failed.
        """
        ...

    def deserialize_column(self, column: Sequence[bytes | None]) -> list[T | None]:
        """A list of equal length; None stays None. Errors as in `serialize_column`."""
        ...


def convert_column(convert: Callable[[Any], Any], column: Sequence[Any]) -> list[Any]:
    """`convert` of each item that is not None; its error gains the item's index."""
    converted: list[Any] = []
    for index, item in enumerate(column):
        try:
            converted.append(None if item is None else convert(item))
        except SerializationError as error:
            raise SerializationError(error.serde, error.reason, index=index) from error
    return converted


def refuse(serde: str, value: object, wanted: str) -> SerializationError:
    """The error for a value of the wrong kind; None gets the hint that it needs no serde."""
    hint = " (None is a null key or a tombstone: pass it on as None)" if value is None else ""
    return SerializationError(serde, f"{wanted} expected, not {describe(value)}{hint}")


def describe(value: object) -> str:
    """Type and a short form of the value for an error message."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
