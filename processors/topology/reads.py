"""What is read of a node's rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reads:
    """The columns of a node's output that somebody reads; timestamps and tickets always are.

    Attributes:
        values: False means that no more is asked of a value than whether it is null.
        olds: The value that a table had before, beside each new one.
        view: The values that a table has are looked up by key, as of a row.
        emitted: The values that a table has given on are.
    """

    keys: bool = False
    values: bool = False
    headers: bool = False
    olds: bool = False
    view: bool = False
    emitted: bool = False

    def __or__(self, other: Reads) -> Reads:
        return Reads(
            self.keys or other.keys,
            self.values or other.values,
            self.headers or other.headers,
            self.olds or other.olds,
            self.view or other.view,
            self.emitted or other.emitted,
        )


ALL = Reads(keys=True, values=True, headers=True)
NOTHING = Reads()
