"""`streamlog export TOPIC`: its records as lines of JSON, or as Parquet."""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamlog.cli.options import (
    DEFAULT_LOG,
    IsolationOption,
    JsonOption,
    LogOption,
    PartitionsOption,
    TopicArgument,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from streamlog.client.contract import Consumer, FetchedColumns, TopicPartition

FormatOption = Annotated[
    Literal["jsonl", "parquet"] | None,
    typer.Option("--format", help="Else the file's name decides: `.parquet`, or JSON lines."),
]
READ_BYTES = 4 << 20


def export(
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", dir_okay=False, help="Instead of standard output."
        ),
    ] = None,
    partition: PartitionsOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From the first record of that time on: ISO 8601, or `2d` ago."
        ),
    ] = None,
    isolation: IsolationOption = "read_committed",
    format_: FormatOption = None,
    json_: JsonOption = False,
) -> None:
    """Write the records of a topic as lines of JSON, with all that `streamlog import` needs.

    Each line has partition, offset, timestamp, key, value and headers; bytes that are no UTF-8
    are `{"base64": ...}`. Works beside the process that owns the log. It ends at the end that the
    topic has when it starts. Parquet needs pyarrow: `pip install 'streamlog[parquet]'`. With
    `--json`, what is said behind an export to a file is JSON, too.

    Examples:

        streamlog export orders --output orders.jsonl

        streamlog export orders --since 1d | jq .value

        streamlog export orders --output orders.parquet
    """
    from streamlog.cli.opening import open_to_read
    from streamlog.cli.topics import choose_partitions, first_offsets, moment_of
    from streamlog.cli.view.progress import progress

    kind = choose_format(format_, output)
    if kind == "parquet" and output is None:
        raise typer.BadParameter("Parquet needs a file", param_hint="--output")
    written = 0
    with open_to_read(log) as opened:
        partitions = choose_partitions(opened, topic, partition)
        starts = opened.beginning_offsets(partitions)
        if since is not None:
            starts = first_offsets(opened, partitions, moment_of(since, "--since"))
        ends = opened.end_offsets(partitions, isolation=isolation)
        total = sum(max(ends[each] - starts[each], 0) for each in partitions)
        with (
            opened.consumer(isolation=isolation, auto_commit=False) as consumer,
            _target(kind, output) as take,
            progress(f"exporting {topic}", total, unit="offsets") as advance,
        ):
            consumer.assign(partitions)
            for each in partitions:
                consumer.seek(each, starts[each])
            for columns, passed in _columns(consumer, ends):
                take(columns)
                written += len(columns.offsets)
                advance(passed)
    if json_ and output is not None:
        print(json.dumps({"topic": topic, "records": written, "file": str(output)}))
    else:
        print(f"{written:,} records of {topic}", file=sys.stderr)


def choose_format(named: str | None, file: Path | None) -> str:
    """What `--format` says, or else the file's name."""
    if named is None:
        return "parquet" if file is not None and file.suffix == ".parquet" else "jsonl"
    return named


def _columns(
    consumer: Consumer, ends: dict[TopicPartition, int]
) -> Iterator[tuple[FetchedColumns, int]]:
    """Everything from the positions up to the ends, and how many offsets each part passes.

    These are more than its records where the topic is compacted or has transactions.
    """
    from streamlog.client.contract import TopicPartition

    at = {each: consumer.position(each) for each in ends}
    left = {each: end for each, end in ends.items() if at[each] < end}
    while left:
        for columns in consumer.poll_columns(partitions=list(left), max_bytes=READ_BYTES):
            partition = TopicPartition(columns.topic, columns.partition)
            reached = min(columns.next_offset, left[partition])
            yield _below(columns, left[partition]), reached - at[partition]
            at[partition] = reached
            if reached == left[partition]:
                del left[partition]


def _below(columns: FetchedColumns, end: int) -> FetchedColumns:
    """Without what was written since the start."""
    from dataclasses import replace

    count = bisect_left(columns.offsets, end)
    if count == len(columns.offsets):
        return columns
    return replace(
        columns,
        keys=columns.keys[:count],
        values=columns.values[:count],
        timestamps=columns.timestamps[:count],
        offsets=columns.offsets[:count],
        headers=None if columns.headers is None else columns.headers[:count],
    )


@contextmanager
def _target(kind: str, output: Path | None) -> Generator[Callable[[FetchedColumns], None]]:
    """What takes records. A file gets its name when it is complete."""
    from streamlog.cli import parquet
    from streamlog.cli.text.exchange import to_lines
    from streamlog.cli.view.pipe import until_the_reader_leaves

    if output is None:
        with until_the_reader_leaves():
            yield lambda columns: sys.stdout.buffer.writelines(to_lines(columns))
            sys.stdout.buffer.flush()
        return
    partial = output.with_name(f"{output.name}.partial")
    try:
        if kind == "parquet":
            with parquet.writer(partial) as take:
                yield take
        else:
            with partial.open("wb") as file:
                yield lambda columns: file.writelines(to_lines(columns))
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
