"""`streamlog import TOPIC`: lines of JSON, as `export` writes them, become records."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamlog.cli.export import FormatOption, choose_format
from streamlog.cli.options import DEFAULT_LOG, LogOption, TopicArgument
from streamlog.client.contract import MAX_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from streamlog.cli.text.exchange import Exchanged
    from streamlog.client.contract import Producer

RUN_RECORDS = 5_000
"""So many of a partition become batches at once."""


def import_(
    topic: TopicArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            exists=True,
            dir_okay=False,
            help="Else standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    create: Annotated[
        int | None,
        typer.Option(
            "--create",
            metavar="PARTITIONS",
            min=1,
            max=MAX_PARTITIONS,
            help="Make the topic, and the log, where it is not there.",
        ),
    ] = None,
    by_key: Annotated[
        bool,
        typer.Option("--by-key", help="Choose partitions by the keys, not by what the lines say."),
    ] = False,
    compression: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"], typer.Option(help="Of the batches.")
    ] = "none",
    format_: FormatOption = None,
) -> None:
    """Write a record for each line of an export, with its key, value, headers and timestamp.

    Records go to the partitions that they came from, in order; offsets are new. All are durable
    when the command ends. A line that is no record ends it; the lines before are written.

    Examples:

        streamlog import orders orders.jsonl --create 4

        streamlog export orders --log old | streamlog import orders --log new
    """
    from streamlog.cli.opening import open_to_write

    kind = choose_format(format_, file)
    if kind == "parquet" and file is None:
        raise typer.BadParameter("Parquet needs a file", param_hint="FILE")
    with open_to_write(log, create=create is not None) as opened:
        if create is not None and topic not in opened.topics():
            opened.create_topic(topic, create)
        count = opened.topic(topic).partitions
        with opened.producer(compression=compression) as producer, _source(kind, file) as records:
            columns = _Columns(producer, topic, None if by_key else count, str(file or "stdin"))
            try:
                for number, record in records:
                    columns.add(number, record)
            finally:
                columns.send()
                producer.flush()
    print(f"{columns.added:,} records to {topic}", file=sys.stderr)


class _Columns:
    """Records by partition, until they are many."""

    def __init__(self, producer: Producer, topic: str, partitions: int | None, source: str) -> None:
        self.added = 0
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._source = source
        self._waiting: dict[int | None, list[Exchanged]] = {}

    def add(self, number: int, record: Exchanged) -> None:
        from streamlog.errors import LineError

        partition = None if self._partitions is None else record.partition
        if partition is not None and not 0 <= partition < (self._partitions or 0):
            reason = f"{self._topic} has partitions 0 to {(self._partitions or 0) - 1}, not "
            reason += f"{partition}; `--by-key` chooses them by the keys"
            raise LineError(self._source, number, reason)
        run = self._waiting.setdefault(partition, [])
        run.append(record)
        self.added += 1
        if len(run) >= RUN_RECORDS:
            self._send(partition, run)

    def send(self) -> None:
        for partition, run in self._waiting.items():
            self._send(partition, run)

    def _send(self, partition: int | None, run: list[Exchanged]) -> None:
        from streamlog.clock import SystemClock

        if not run:
            return
        now_ms = SystemClock().now_ms()
        self._producer.send_columns(
            self._topic,
            [record.key for record in run],
            [record.value for record in run],
            timestamps=[now_ms if each.timestamp is None else each.timestamp for each in run],
            headers=[record.headers for record in run],
            partition=partition,
        )
        run.clear()


@contextmanager
def _source(kind: str, path: Path | None) -> Generator[Iterator[tuple[int, Exchanged]]]:
    """The records with the numbers of their lines, from 1 on."""
    from streamlog.cli import parquet
    from streamlog.cli.view.progress import progress

    size = path.stat().st_size if path is not None else 0
    if kind == "parquet" and path is not None:
        yield enumerate(parquet.read(path), 1)
        return
    with (
        sys.stdin.buffer if path is None else path.open("rb") as file,
        progress("importing", size) as advance,
    ):
        yield _parse(file, str(path or "stdin"), advance)


def _parse(
    lines: Iterable[bytes], source: str, advance: Callable[[int], None]
) -> Iterator[tuple[int, Exchanged]]:
    """Raises `LineError` for a line that is no record; empty ones are passed over."""
    from streamlog.cli.text.exchange import from_line
    from streamlog.errors import LineError

    for number, line in enumerate(lines, 1):
        advance(len(line))
        if line.strip():
            try:
                yield number, from_line(line)
            except ValueError as error:
                raise LineError(source, number, str(error)) from None
