"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamlog.cli.completion import (
    complete_config,
    complete_serde,
    complete_setting,
    complete_topic,
)
from streamlog.client.contract import MAX_PARTITIONS

LogOption = Annotated[
    Path,
    typer.Option(
        "--log",
        "-l",
        metavar="DIR",
        envvar="STREAMLOG_LOG",
        help="The log's directory.",
        file_okay=False,
    ),
]
DEFAULT_LOG = Path("data")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")]

IsolationOption = Annotated[
    Literal["read_committed", "read_uncommitted"],
    typer.Option(help="Whether open and aborted transactions are seen."),
]

TopicArgument = Annotated[
    str, typer.Argument(metavar="TOPIC", autocompletion=complete_topic, show_default=False)
]

ConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="KEY=VALUE",
        autocompletion=complete_setting,
        help="May be given several times.",
    ),
]
DefaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--default",
        "-d",
        metavar="KEY",
        autocompletion=complete_config,
        help="Back to the default; may be given again.",
    ),
]

PartitionsOption = Annotated[
    list[int] | None,
    typer.Option("--partition", "-p", min=0, help="Only these; may be given several times."),
]

CreateOption = Annotated[
    int | None,
    typer.Option(
        "--create",
        metavar="PARTITIONS",
        min=1,
        max=MAX_PARTITIONS,
        help="Make the topic, and the log, where it is not there.",
    ),
]

CompressionOption = Annotated[
    Literal["none", "gzip", "snappy", "lz4", "zstd"], typer.Option(help="Of the batches.")
]

_SERDE = "`str`, `bytes`, `int`, `float` or `json`"
KeySerdeOption = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="SERDE", autocompletion=complete_serde, help=f"What keys are: {_SERDE}."
    ),
]
ValueSerdeOption = Annotated[
    str | None,
    typer.Option(
        "--value",
        metavar="SERDE",
        autocompletion=complete_serde,
        help=f"What values are: {_SERDE}.",
    ),
]


def inherit_log(context: typer.Context, log: Path) -> Path:
    """`--log` may stand before a subcommand too: there it counts unless it is given again."""
    source = context.get_parameter_source("log")
    given_here = source is not None and source.name == "COMMANDLINE"
    return log if given_here or context.parent is None else context.parent.params["log"]


def parse_pairs(pairs: list[str], option: str) -> dict[str, str]:
    """`KEY=VALUE` of an option that may be given several times; a usage error for another form."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not KEY=VALUE", param_hint=option)
    return dict(pair.split("=", 1) for pair in pairs)


def parse_changes(config: list[str] | None, default: list[str] | None) -> dict[str, str | None]:
    """`--config` and `--default`: values, and None for what goes back to its default."""
    values = parse_pairs(config or [], "--config")
    both = values.keys() & set(default or [])
    if both:
        raise typer.BadParameter(f"{min(both)} is given a value, too", param_hint="--default")
    return {**values, **dict.fromkeys(default or [])}


def check_serde(name: str | None, option: str) -> str | None:
    """The name, known to be one; a usage error otherwise."""
    from streamlog.serdes import serde_for

    if name is not None:
        try:
            serde_for(name)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from None
    return name
