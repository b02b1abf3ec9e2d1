"""Commands with subcommands: `topics`, `groups`, `transactions`, `config`.

One subcommand runs where none is named, so `streamlog topics --json` lists topics. `--log` may
stand before a subcommand or behind it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from streamlog.cli.options import DEFAULT_LOG, LogOption


class ListByDefault(TyperGroup):
    """`list` runs where no subcommand is named."""

    default: ClassVar[str] = "list"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer hides the type
        if not ctx.resilient_parsing:  # a shell that completes wants to hear of all subcommands
            place = _behind_log(args)
            first = args[place] if place < len(args) else None
            if first is None or (first.startswith("-") and first not in ctx.help_option_names):
                args = [*args[:place], self.default, *args[place:]]
        return super().parse_args(ctx, args)


class DescribeByDefault(ListByDefault):
    """`describe` runs where no subcommand is named."""

    default = "describe"


def command_group(help_: str, *, cls: type[ListByDefault] = ListByDefault) -> typer.Typer:
    """An application to which subcommands are added; they find the log by `inherit_log`."""
    app = typer.Typer(cls=cls)
    app.callback(help=help_)(_take_log)
    return app


def _take_log(*, log: LogOption = DEFAULT_LOG) -> None:
    """Nothing: `inherit_log` looks for the option here."""


def _behind_log(args: list[str]) -> int:
    """Where the arguments go on behind every `--log DIR` that stands first."""
    place = 0
    while place < len(args):
        if args[place] in {"--log", "-l"}:
            place += 2
        elif args[place].startswith(("--log=", "-l")):
            place += 1
        else:
            break
    return min(place, len(args))
