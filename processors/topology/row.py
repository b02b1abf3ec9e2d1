"""A row of a stream as functions see it that need more than the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from streamlog.client.contract import Headers


class Row(NamedTuple):
    """Key, value, timestamp and headers. `row._replace(value=...)` makes another one."""

    key: Any
    value: Any
    timestamp: int
    headers: Headers
