"""The `streamlog` command: its subcommands, and what an error becomes.

Exit codes: 0 success, 1 failure (a line `error: ...` on stderr says why), 2 a wrong command line,
3 damage found (`fsck`, `dump`), 130 and 143 stopped by SIGINT or SIGTERM before the end that was
asked for.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from streamlog.cli import (
    config,
    consume,
    dump,
    export,
    fsck,
    groups,
    import_,
    info,
    produce,
    reset,
    run,
    size,
    topics,
    transactions,
)
from streamlog.cli.failures import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="streamlog",
    help="Kafka's log, stream processing and connectors in a Python process.",
    epilog=(
        "Exit codes: 0 success, 1 failure, 2 wrong command line, 3 damage found (`fsck`, `dump`), "
        "130 and 143 stopped by SIGINT or SIGTERM before the end that was asked for."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", no_args_is_help=True)(run.run)
app.add_typer(topics.app, name="topics")
app.add_typer(groups.app, name="groups")
app.add_typer(transactions.app, name="transactions")
app.add_typer(config.app, name="config")
app.command("produce", no_args_is_help=True)(produce.produce)
app.command("consume", no_args_is_help=True)(consume.consume)
app.command("info")(info.info)
app.command("size")(size.size)
app.command("export", no_args_is_help=True)(export.export)
app.command("import", no_args_is_help=True)(import_.import_)
app.command("dump", no_args_is_help=True)(dump.dump)
app.command("fsck")(fsck.fsck)
app.command("reset", no_args_is_help=True)(reset.reset)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that cannot show a record's text is no reason to fail a run; stderr is so too.
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportUnknownMemberType] # of whatever buffer
    try:
        app(args=arguments, prog_name="streamlog")
    except SystemExit as ended:  # of the user's module too: `sys.exit("set TOKEN first")`
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    # Every error ends here, so that a person reads a message and no traceback.
    except Exception as error:
        for line in explain(error):
            print(line, file=sys.stderr)
        return 1
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamlog {info.installed_version('streamlog') or 'of a source tree'}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Kafka's log, stream processing and connectors in a Python process."""
