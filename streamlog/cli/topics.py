"""`streamlog topics`: list, describe, create, adopt, alter, delete, and delete records."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.command_group import command_group
from streamlog.cli.completion import complete_topic
from streamlog.cli.options import (
    DEFAULT_LOG,
    ConfigOption,
    DefaultOption,
    JsonOption,
    LogOption,
    PartitionsOption,
    TopicArgument,
    YesOption,
    inherit_log,
    parse_changes,
    parse_pairs,
)
from streamlog.cli.output import confirm, show
from streamlog.client.contract import MAX_PARTITIONS

if TYPE_CHECKING:
    from streamlog.client.contract import Log, TopicDescription, TopicPartition

app = command_group(
    """List, describe, create, adopt, change and delete topics. Without a subcommand, list them.

    Examples:

        streamlog topics --log data

        streamlog topics create orders --partitions 4 --log data
    """
)


@app.command("list")
def list_(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    internal: Annotated[
        bool, typer.Option("--internal", help="Also the topics that streamlog keeps for itself.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """List topics with their partitions and how many offsets they hold.

    Example:

        streamlog topics list --internal --json
    """
    from streamlog.cli.opening import open_to_read

    with open_to_read(inherit_log(context, log)) as opened:
        rows = [_totals(opened, topic) for topic in opened.topics(internal=internal).values()]
    columns = {"topic": "name", "partitions": "partitions", "offsets": "offsets"}
    show(rows, columns, as_json=json_)


@app.command()
def describe(
    context: typer.Context,
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Configurations that were not set, too.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show a topic's configuration and the offsets of its partitions.

    `stable` is the end for readers of committed records, `end` the durable end.

    Example:

        streamlog topics describe orders --all
    """
    from streamlog.cli.opening import open_to_read

    with open_to_read(inherit_log(context, log)) as opened:
        description = opened.topic(topic)
        partitions = partition_rows(opened, description)
        entries = opened.topic_config(topic) if all_ else {}
    if json_:
        facts = {**_description(description), "offsets": partitions}
        if all_:
            facts["configs"] = {key: asdict(entry) for key, entry in entries.items()}
        print(json.dumps(facts))
        return
    print(f"topic       {description.name}")
    print(f"id          {description.topic_id}")
    print(f"partitions  {description.partitions}")
    for key, value in description.config.items():
        print(f"config      {key}={value}")
    for key, entry in entries.items():
        if entry.source != "topic":
            print(f"{entry.source:<10}  {key}={entry.value}")
    show(partitions, {name: name for name in ("partition", "start", "stable", "end")})


@app.command()
def create(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", show_default=False)],
    *,
    log: LogOption = DEFAULT_LOG,
    partitions: Annotated[int, typer.Option("--partitions", "-p", min=1, max=MAX_PARTITIONS)] = 1,
    config: ConfigOption = None,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="It may be there, with as many partitions.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Create a topic, and the log's directory where there is none.

    Example:

        streamlog topics create orders --partitions 4 --config max.message.bytes=2000000
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(inherit_log(context, log)) as opened:
        description = opened.create_topic(
            topic, partitions, config=parse_pairs(config or [], "--config"), exist_ok=exist_ok
        )
    if json_:
        print(json.dumps(_description(description)))


@app.command(no_args_is_help=True)
def adopt(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", show_default=False)],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            file_okay=False,
            help="A directory of `log.dirs` of a Kafka broker that is stopped, or a log.",
            show_default=False,
        ),
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    source_name: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="The topic's name there, if it is another."),
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Copy a topic out of the directory of a stopped Kafka broker, and the log if there is none.

    Records keep their offsets, timestamps and transactions; what was open there is ended as the
    broker had decided. All or nothing: damage is refused, and the broker's files are only read.
    The topic's configuration is not in that directory. Without `--config` this log's defaults
    hold, and retention deletes what is older than `log.retention.ms`.

    Examples:

        streamlog topics adopt orders /var/lib/kafka/data --config retention.ms=-1

        streamlog topics adopt orders-of-2023 /backup/kafka --source-name orders
    """
    from streamlog.cli.opening import open_to_write
    from streamlog.cli.view.progress import progress

    configs = parse_pairs(config or [], "--config")
    with (
        open_to_write(inherit_log(context, log)) as opened,
        progress(f"adopting {topic}", 0),
    ):
        description = opened.adopt_topic(topic, source, config=configs, source_name=source_name)
        adopted = _totals(opened, description)
    if json_:
        print(json.dumps({**_description(description), "offsets": adopted["offsets"]}))
    else:
        print(f"{adopted['offsets']:,} offsets in {adopted['partitions']} partitions of {topic}")


@app.command(no_args_is_help=True)
def alter(
    context: typer.Context,
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", "-p", min=1, max=MAX_PARTITIONS, help="Add partitions, up to so many."
        ),
    ] = None,
    config: ConfigOption = None,
    default: DefaultOption = None,
    json_: JsonOption = False,
) -> None:
    """Add partitions to a topic, or change its configuration.

    Records stay where they are: those of one key may be in two partitions afterwards.

    Examples:

        streamlog topics alter orders --config retention.ms=86400000

        streamlog topics alter orders --partitions 8 --default cleanup.policy
    """
    from streamlog.cli.opening import open_to_write

    changes = parse_changes(config, default)
    if partitions is None and not changes:
        raise typer.BadParameter("give --partitions, --config or --default")
    with open_to_write(inherit_log(context, log), create=False) as opened:
        description = opened.alter_topic(topic, partitions=partitions, config=changes)
    if json_:
        print(json.dumps(_description(description)))


@app.command(no_args_is_help=True)
def delete(
    context: typer.Context,
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC", autocompletion=complete_topic, show_default=False),
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Delete topics, with their records and the offsets that groups have committed for them.

    Example:

        streamlog topics delete orders --yes
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(inherit_log(context, log), create=False) as opened:
        rows = [_totals(opened, opened.topic(name)) for name in dict.fromkeys(topics)]
        about = [
            f"{r['name']}: {r['partitions']} partitions, {r['offsets']:,} offsets" for r in rows
        ]
        confirm("Delete all of it?", about, yes=yes)
        for row in rows:
            opened.delete_topic(row["name"])
    if json_:
        print(json.dumps(rows))


@app.command("delete-records", no_args_is_help=True)
def delete_records(
    context: typer.Context,
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    partition: PartitionsOption = None,
    before_offset: Annotated[
        int | None, typer.Option(metavar="OFFSET", min=0, help="Records below this offset.")
    ] = None,
    before_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Records before the first of that time: ISO 8601, milliseconds, or `2d` ago.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All records that are there now.")
    ] = False,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Delete the oldest records of a topic, up to an offset or a time.

    Examples:

        streamlog topics delete-records orders --before-time 30d --yes

        streamlog topics delete-records orders --partition 0 --before-offset 1000
    """
    from streamlog.cli.opening import open_to_write

    if (before_offset is not None) + (before_time is not None) + everything != 1:
        raise typer.BadParameter("give one of --before-offset, --before-time and --all")
    with open_to_write(inherit_log(context, log), create=False) as opened:
        partitions = choose_partitions(opened, topic, partition)
        ends = opened.end_offsets(partitions, isolation="read_uncommitted")
        wanted = ends
        if before_offset is not None:
            wanted = dict.fromkeys(partitions, before_offset)
        elif before_time is not None:
            moment = moment_of(before_time, "--before-time")
            wanted = first_offsets(opened, partitions, moment)
        starts = opened.beginning_offsets(partitions)
        wanted = {each: offset for each, offset in wanted.items() if offset > starts[each]}
        rows = [
            {"partition": each.partition, "start": starts[each], "new_start": offset}
            for each, offset in wanted.items()
        ]
        columns = {"partition": "partition", "start": "start", "new start": "new_start"}
        show(rows, columns, as_json=json_)
        confirm(f"Delete these records of {topic}?", yes=yes or not wanted)
        opened.delete_records(wanted)


def choose_partitions(log: Log, topic: str, chosen: list[int] | None) -> list[TopicPartition]:
    """The partitions of a topic, or those of the numbers. Raises `UnknownPartitionError`."""
    from streamlog.client.contract import TopicPartition
    from streamlog.errors import UnknownPartitionError

    count = log.topic(topic).partitions
    for number in chosen or []:
        if number >= count:
            raise UnknownPartitionError(topic, number, count)
    return [TopicPartition(topic, number) for number in chosen or range(count)]


def moment_of(text: str, option: str) -> int:
    """A moment that was typed, in milliseconds; a usage error where it is none."""
    from streamlog.cli.text.moments import parse_moment
    from streamlog.clock import SystemClock

    try:
        return parse_moment(text, SystemClock().now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def first_offsets(
    log: Log, partitions: list[TopicPartition], moment_ms: int
) -> dict[TopicPartition, int]:
    """The first offset at or after a moment, or the end, of each partition."""
    ends = log.end_offsets(partitions, isolation="read_uncommitted")
    found = log.offsets_for_time(partitions, moment_ms)
    return {each: ends[each] if at is None else at for each, at in found.items()}


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
