"""What commands print: a table or JSON on stdout, questions and remarks on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from streamlog.cli.text.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streamlog.cli.text.tables import Cell


def show(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Cell], *, as_json: bool = False
) -> None:
    """Prints rows as a table, or all that they have as JSON."""
    if as_json:
        print(json.dumps(rows))
    else:
        print(*table(rows, columns), sep="\n")


def confirm(question: str, about: Iterable[str] = (), *, yes: bool) -> None:
    """Says what it is about and asks, unless with `yes`.

    Raises `typer.Abort` for no, and where nobody can answer.
    """
    if not yes:
        for line in about:
            print(line, file=sys.stderr)
        typer.confirm(question, abort=True, err=True)
