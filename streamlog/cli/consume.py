"""`streamlog consume TOPIC`: records become lines of text."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from streamlog.cli.options import (
    DEFAULT_LOG,
    IsolationOption,
    KeySerdeOption,
    LogOption,
    PartitionsOption,
    TopicArgument,
    ValueSerdeOption,
    check_serde,
)
from streamlog.cli.topics import choose_partitions, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.client.contract import Consumer, Isolation, Log, Record, TopicPartition

POLL_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where to begin: at the first offset, at one (negative: so many before the end), at a time.

    Without any of them, at the end.
    """

    from_beginning: bool = False
    offset: int | None = None
    timestamp: int | None = None


def consume(
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", "-b", help="Start at the first record.")
    ] = False,
    offset: Annotated[
        int | None,
        typer.Option("--offset", "-o", help="Start there; -10 means ten before the end."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option(
            "--timestamp",
            "--since",
            metavar="TIME",
            help="Start at the first record of that time: ISO 8601, milliseconds, or `15m` ago.",
        ),
    ] = None,
    partition: PartitionsOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more at the end, until interrupted.")
    ] = False,
    max_: Annotated[
        int | None, typer.Option("--max", "-n", min=1, help="Stop after so many records.")
    ] = None,
    key: KeySerdeOption = None,
    value: ValueSerdeOption = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="`text`, `json`, or a template such as `'{partition}@{offset} {key} {value}'`.",
        ),
    ] = "text",
    json_: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Put each record's time first, in text.")
    ] = False,
    isolation: IsolationOption = "read_committed",
) -> None:
    """Print the records of a topic, also while another process owns the log.

    It ends at the end of the topic, unless told to `--follow`. Without a start
    (`--from-beginning`, `--offset`, `--timestamp`) it follows new records. Partitions are printed
    one after the other; within each, records are in order.

    Examples:

        streamlog consume word-counts --from-beginning --key str --value int

        streamlog consume orders --since 15m --follow --json
    """
    from streamlog.cli.opening import open_to_read

    if json_ and format_ not in {"text", "json"}:
        raise typer.BadParameter("give --json or --format")
    render = _renderer("json" if json_ else format_, timestamps=timestamps)
    start = _start(from_beginning=from_beginning, offset=offset, timestamp=timestamp)
    follow = follow or start == Start()
    with open_to_read(log) as opened:
        partitions = choose_partitions(opened, topic, partition)
        with opened.consumer(
            isolation=isolation,
            key=check_serde(key, "--key") or "bytes",
            value=check_serde(value, "--value") or "bytes",
            auto_commit=False,
        ) as consumer:
            consumer.assign(partitions)
            _seek(opened, consumer, start, isolation)
            ends = None if follow else opened.end_offsets(partitions, isolation=isolation)
            _print(_batches(consumer, ends), render, max_)


def _renderer(format_: str, *, timestamps: bool) -> Callable[[Record], str]:
    from streamlog.cli.text.rendering import renderer

    try:
        return renderer(format_, timestamps=timestamps)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--format") from None


def _start(*, from_beginning: bool, offset: int | None, timestamp: str | None) -> Start:
    if from_beginning + (offset is not None) + (timestamp is not None) > 1:
        raise typer.BadParameter("give one of --from-beginning, --offset and --timestamp")
    if timestamp is None:
        return Start(from_beginning=from_beginning, offset=offset)
    return Start(timestamp=moment_of(timestamp, "--timestamp"))


def _seek(log: Log, consumer: Consumer, start: Start, isolation: Isolation) -> None:
    from streamlog.errors import OffsetOutOfRangeError

    partitions = consumer.assignment()
    beginnings = log.beginning_offsets(partitions)
    ends = log.end_offsets(partitions, isolation=isolation)
    for partition in partitions:
        if start.timestamp is not None:
            consumer.seek_to_time(partition, start.timestamp)
        elif start.from_beginning:
            consumer.seek(partition, beginnings[partition])
        elif start.offset is None:
            consumer.seek(partition, ends[partition])
        elif start.offset < 0:
            consumer.seek(partition, max(beginnings[partition], ends[partition] + start.offset))
        elif beginnings[partition] <= start.offset <= ends[partition]:
            consumer.seek(partition, start.offset)
        else:
            raise OffsetOutOfRangeError(
                *partition, start.offset, start=beginnings[partition], end=ends[partition]
            )


def _batches(consumer: Consumer, ends: dict[TopicPartition, int] | None) -> Iterator[list[Record]]:
    """Records up to `ends`, or for ever where there are none.

    An end is an offset, so a partition is done when the position reaches it: behind the last
    record there may be control records and aborted data.
    """
    from streamlog.client.contract import TopicPartition

    while True:
        records = consumer.poll(0.0 if ends is not None else POLL_S)
        if ends is None:
            yield records
            continue
        yield [
            record
            for record in records
            if record.offset < ends[TopicPartition(record.topic, record.partition)]
        ]
        if all(consumer.position(partition) >= end for partition, end in ends.items()):
            return


def _print(
    batches: Iterator[list[Record]], render: Callable[[Record], str], limit: int | None
) -> None:
    """Until the records or `limit` end, the reader goes away or the user interrupts."""
    from streamlog.cli.view.pipe import until_the_reader_leaves

    with until_the_reader_leaves():
        for batch in batches:
            chosen = batch[:limit]
            sys.stdout.writelines(render(record) + "\n" for record in chosen)
            sys.stdout.flush()
            if limit is not None:
                limit -= len(chosen)
                if limit == 0:
                    return
