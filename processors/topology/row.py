"""A row of a stream as functions see it that need more than the value (compiled)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from processors.topology.timestamp import no_timestamp


def checked_headers(headers: Any) -> list[Any]:
    """Headers of a mapping or of pairs; texts are written as UTF-8.

    Raises:
        TypeError: they are neither, or one is none.
    """
    pairs: Any = headers
    if isinstance(headers, Mapping):
        pairs = cast("Mapping[Any, Any]", headers).items()  # of what, is looked at below
    try:
        return [(name, _header_bytes(name, value)) for name, value in pairs]
    except (TypeError, ValueError) as error:  # a pair has two
        raise TypeError(
            f"headers={headers!r}: give (name, value) pairs or a mapping; names are texts, values "
            f"bytes, texts or None ({error})"
        ) from None


def _header_bytes(name: Any, value: Any) -> Any:
    if not isinstance(name, str):
        raise TypeError(f"header {name!r}: names are texts")
    if isinstance(value, str):
        return value.encode()
    if value is None or isinstance(value, bytes):
        return value
    raise TypeError(f"header {name!r}: its value is {value!r}; give bytes, a text or None")


class Row:
    """Key, value, timestamp and headers. Two rows are equal where all of these are.

    It is not changed: `row.replace(value=...)` makes another one.

    >>> from processors import Row
    >>> Row("ann", 3, 1_000, []).replace(value=4)
    Row('ann', 4, 1000, [])

    Args:
        timestamp: Milliseconds since 1970, an int.
        headers: Pairs of a name and bytes, a text or None, or a mapping; looked at where the row is
            given on. A row that comes has pairs, in which a name may come several times.

    Raises:
        TypeError: the timestamp is no int.
    """

    __slots__ = ("headers", "key", "timestamp", "value")

    def __init__(self, key: Any, value: Any, timestamp: Any, headers: Any) -> None:
        if type(timestamp) is not int:  # compiled or not, and not as late as when it is given on
            raise no_timestamp(timestamp)
        self.key: Any = key
        self.value: Any = value
        self.timestamp: int = timestamp
        self.headers: Any = headers

    def replace(self, **changes: Any) -> Row:
        """A row that differs in what is named."""
        made = Row(
            changes.pop("key", self.key),
            changes.pop("value", self.value),
            changes.pop("timestamp", self.timestamp),
            changes.pop("headers", self.headers),
        )
        if changes:
            raise TypeError(f"a row has no {', '.join(changes)}")
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return False
        return (
            self.key == other.key
            and self.value == other.value
            and self.timestamp == other.timestamp
            and self.headers == other.headers
        )

    def __hash__(self) -> int:
        return hash((self.key, self.timestamp))

    def __repr__(self) -> str:
        return f"Row({self.key!r}, {self.value!r}, {self.timestamp!r}, {self.headers!r})"
