"""Columns of text for people and for `awk`: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from streamlog.cli.text.moments import format_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Row = Mapping[str, Any]
Cell = str | Callable[[Row], Any]
"""A field of a row, or what is made of the row. Whole numbers have commas and end flush."""


def table(rows: Sequence[Row], columns: Mapping[str, Cell]) -> Iterator[str]:
    """Lines: the headings of `columns`, and a line for each row; `-` where there is nothing."""
    values = [
        [row[cell] if isinstance(cell, str) else cell(row) for cell in columns.values()]
        for row in rows
    ]
    numbers = {
        column for column in range(len(columns)) if any(type(row[column]) is int for row in values)
    }
    return aligned(list(columns), [[_text(value) for value in row] for row in values], numbers)


def as_text(field: str) -> Cell:
    """A number that counts nothing, such as an id."""
    return lambda row: str(row[field])


def as_moment(field: str) -> Cell:
    """Milliseconds since the epoch, in words; `-` where there are none."""
    return lambda row: None if row[field] is None else format_moment(row[field])


def aligned(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()
) -> Iterator[str]:
    """Lines of a table, two spaces between columns; the columns in `right` end flush."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _text(value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
