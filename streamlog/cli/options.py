"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlog.cli.completion import complete_serde, complete_topic

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

TopicArgument = Annotated[
    str, typer.Argument(metavar="TOPIC", autocompletion=complete_topic, show_default=False)
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


def check_serde(name: str | None, option: str) -> str | None:
    """The name, known to be one; a usage error otherwise."""
    from streamlog.serdes import serde_for

    if name is not None:
        try:
            serde_for(name)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from None
    return name
