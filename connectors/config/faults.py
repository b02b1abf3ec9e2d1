"""Faults in a configuration file: collected, sorted and shown together.

orders.yaml:5:5: source.file.slotname: unknown field 'slotname' (did you mean 'slot'?)
   |     slotname: s1
   |     ^
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from connectors.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Place(NamedTuple):
    """A position in a file; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, order=True, slots=True)
class Fault:
    """One fault. `path` is the way to it (`source.file.paths[0]`), empty for the whole file."""

    file: str
    place: Place
    path: str
    message: str
    source_line: str

    def __str__(self) -> str:
        line, column = self.place
        path = f"{self.path}: " if self.path else ""
        before = self.source_line[: column - 1]
        # Tabs are repeated under tabs, so that the caret stands right however wide they are.
        caret = "".join("\t" if character == "\t" else " " for character in before) + "^"
        return (
            f"{self.file}:{line}:{column}: {path}{self.message}\n"
            f"   | {self.source_line}\n"
            f"   | {caret}"
        )


class ConfigError(ConnectorError):
    """A configuration file with faults, sorted by their place."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(map(str, faults)))


class Faults:
    """The faults found so far in one file. Owned by the thread that reads the file."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = text.split("\n")
        self._faults: set[Fault] = set()

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, place: Place, path: str, message: str) -> None:
        self._faults.add(Fault(self.file, place, path, message, self.line(place.line)))

    def line(self, number: int) -> str:
        """The text of a line, or nothing behind the end of the file."""
        return self._lines[number - 1].rstrip("\r") if number <= len(self._lines) else ""

    def raise_if_any(self) -> None:
        """Raises `ConfigError` with all of them, in the order of the file."""
        if self._faults:
            raise ConfigError(sorted(self._faults))
