"""`streamlog topics`: list, describe, create."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption, TopicArgument
from streamlog.client.contract import MAX_PARTITIONS

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log, TopicDescription

app = typer.Typer(invoke_without_command=True)

InternalOption = Annotated[
    bool, typer.Option("--internal", help="Also the topics that streamlog keeps for itself.")
]


@app.callback()
def topics(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    internal: InternalOption = False,
    json_: JsonOption = False,
) -> None:
    """List, describe and create topics. Without a subcommand, list them.

    Examples:

        streamlog topics --log data

        streamlog topics create orders --partitions 4 --log data
    """
    if context.invoked_subcommand is None:
        _list(log, internal=internal, as_json=json_)


@app.command("list")
def list_(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    internal: InternalOption = False,
    json_: JsonOption = False,
) -> None:
    """List topics with their partitions and how many offsets they hold."""
    _list(_inherit(context, log), internal=internal, as_json=json_)


def _list(log: Path, *, internal: bool, as_json: bool) -> None:
    from streamlog.cli.opening import open_to_read
    from streamlog.cli.text.tables import aligned

    with open_to_read(log) as opened:
        rows = [_totals(opened, topic) for topic in opened.topics(internal=internal).values()]
    if as_json:
        print(json.dumps(rows))
        return
    cells = [(row["name"], f"{row['partitions']:,}", f"{row['offsets']:,}") for row in rows]
    for line in aligned(("topic", "partitions", "offsets"), cells, right={1, 2}):
        print(line)


@app.command()
def describe(
    context: typer.Context,
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    json_: JsonOption = False,
) -> None:
    """Show a topic's configuration and the offsets of its partitions.

    `stable` is the end for readers of committed records, `end` the durable end.
    """
    from streamlog.cli.opening import open_to_read
    from streamlog.cli.text.tables import aligned

    with open_to_read(_inherit(context, log)) as opened:
        description = opened.topic(topic)
        partitions = partition_rows(opened, description)
    if json_:
        print(json.dumps({**_description(description), "offsets": partitions}))
        return
    print(f"topic       {description.name}")
    print(f"id          {description.topic_id}")
    print(f"partitions  {description.partitions}")
    for key, value in description.config.items():
        print(f"config      {key}={value}")
    cells = [tuple(f"{value:,}" for value in row.values()) for row in partitions]
    for line in aligned(("partition", "start", "stable", "end"), cells, right={0, 1, 2, 3}):
        print(line)


@app.command()
def create(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", show_default=False)],
    *,
    log: LogOption = DEFAULT_LOG,
    partitions: Annotated[int, typer.Option("--partitions", "-p", min=1, max=MAX_PARTITIONS)] = 1,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "-c", metavar="KEY=VALUE", help="May be given several times."),
    ] = None,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="It may be there, with as many partitions.")
    ] = False,
) -> None:
    """Create a topic, and the log's directory where there is none.

    Example:

        streamlog topics create orders --partitions 4 --config max.message.bytes=2000000
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(_inherit(context, log)) as opened:
        opened.create_topic(
            topic, partitions, config=_parse_config(config or []), exist_ok=exist_ok
        )


def _inherit(context: typer.Context, log: Path) -> Path:
    """`--log` may stand before the subcommand too: there it counts unless it is given again."""
    source = context.get_parameter_source("log")
    given_here = source is not None and source.name == "COMMANDLINE"
    return log if given_here or context.parent is None else context.parent.params["log"]


def _parse_config(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not KEY=VALUE", param_hint="--config")
    return dict(pair.split("=", 1) for pair in pairs)


def _totals(log: Log, topic: TopicDescription) -> dict[str, Any]:
    rows = partition_rows(log, topic)
    return {
        "name": topic.name,
        "partitions": topic.partitions,
        "offsets": sum(row["end"] - row["start"] for row in rows),
    }


def partition_rows(log: Log, topic: TopicDescription) -> list[dict[str, int]]:
    from streamlog.client.contract import TopicPartition

    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    starts = log.beginning_offsets(partitions)
    stable = log.end_offsets(partitions)
    ends = log.end_offsets(partitions, isolation="read_uncommitted")
    return [
        {
            "partition": partition.partition,
            "start": starts[partition],
            "stable": stable[partition],
            "end": ends[partition],
        }
        for partition in partitions
    ]


def _description(topic: TopicDescription) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": str(topic.topic_id),
        "partitions": topic.partitions,
        "config": dict(topic.config),
    }
