"""A row of a stream as functions see it that need more than the value (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlog.client.contract import Headers


class Row:
    """Key, value, timestamp and headers. Two rows are equal where all of these are.

    It is not changed: `row.replace(value=...)` makes another one.
    """

    __slots__ = ("headers", "key", "timestamp", "value")

    def __init__(self, key: Any, value: Any, timestamp: int, headers: Headers) -> None:
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
