"""`streamlog config`: the configuration of the log itself, which a broker's would be."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from streamlog.cli.command_group import DescribeByDefault, command_group
from streamlog.cli.completion import complete_config
from streamlog.cli.options import (
    DEFAULT_LOG,
    ConfigOption,
    DefaultOption,
    JsonOption,
    LogOption,
    inherit_log,
    parse_changes,
)
from streamlog.cli.output import show

app = command_group(
    """Show and change the log's own configuration. Without a subcommand, show what was set.

    The keys are those of Kafka's broker. Topics begin with what the log says (`log.retention.ms`
    for `retention.ms`) and may have their own: `streamlog topics alter`.

    Examples:

        streamlog config --log data

        streamlog config alter --config log.retention.ms=86400000 --log data
    """,
    cls=DescribeByDefault,
)


@app.command()
def describe(
    context: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", autocompletion=complete_config, show_default=False),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    all_: Annotated[bool, typer.Option("--all", "-a", help="What was not set, too.")] = False,
    json_: JsonOption = False,
) -> None:
    """Show what was set, or some keys, or all of them.

    `source` is `log` where it was set, and else `default`.

    Examples:

        streamlog config describe --all

        streamlog config describe log.retention.ms --json
    """
    from streamlog.cli.opening import open_to_read
    from streamlog.errors import InvalidConfigError, did_you_mean

    with open_to_read(inherit_log(context, log)) as opened:
        entries = opened.config()
    for key in keys or []:
        if key not in entries:
            raise InvalidConfigError(None, key, f"unknown{did_you_mean(key, entries)}")
    chosen = keys or [key for key, entry in entries.items() if all_ or entry.source != "default"]
    if json_:
        print(json.dumps({key: asdict(entries[key]) for key in chosen}))
        return
    rows = [{"key": key, **asdict(entries[key])} for key in chosen]
    show(rows, {"key": "key", "value": "value", "source": "source"})


@app.command(no_args_is_help=True)
def alter(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    config: ConfigOption = None,
    default: DefaultOption = None,
    json_: JsonOption = False,
) -> None:
    """Set keys, or take them back to their defaults; all of them or, if one is wrong, none.

    Retention that becomes shorter deletes what is older, and nothing asks before it does.

    Examples:

        streamlog config alter --config log.retention.ms=86400000 --config log.segment.bytes=1000000

        streamlog config alter --default log.retention.ms
    """
    from streamlog.cli.opening import open_to_write

    changes = parse_changes(config, default)
    if not changes:
        raise typer.BadParameter("give --config or --default")
    with open_to_write(inherit_log(context, log), create=False) as opened:
        opened.alter_config(changes)
        entries = opened.config()
    if json_:
        print(json.dumps({key: asdict(entries[key]) for key in changes}))
