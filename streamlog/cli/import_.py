"""`streamlog import TOPIC`: lines of JSON, as `export` writes them, become records."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamlog.cli.export import FormatOption, choose_format
from streamlog.cli.options import (
    DEFAULT_LOG,
    CompressionOption,
    CreateOption,
    JsonOption,
    LogOption,
    TopicArgument,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from streamlog.cli.text.exchange import Exchanged
    from streamlog.client.contract import Log, Producer

RUN_RECORDS = 5_000
"""So many of a partition become batches at once."""


def import_(
    topic: TopicArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Else standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    create: CreateOption = None,
    by_key: Annotated[
        bool,
        typer.Option("--by-key", help="Choose partitions by the keys, not by what the lines say."),
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole/--as-it-comes",
            help="All of it in one transaction, or what comes before a mistake.",
        ),
    ] = True,
    compression: CompressionOption = "none",
    format_: FormatOption = None,
    json_: JsonOption = False,
) -> None:
    """Write a record for each line of an export, with its key, value, headers and timestamp.

    Records go to the partitions that they came from, in order; offsets are new. All are durable
    when the command ends, and seen at once: it is one transaction. A line that is no record, Ctrl-C
    or a crash leaves nothing of it, so it can be repeated. The transaction may take as long as
    `transaction.max.timeout.ms` (`streamlog config`); `--as-it-comes` takes as long as it takes,
    and readers see records as they come.

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
        with (
            _producer(opened, topic, compression, whole=whole) as producer,
            _source(kind, file) as records,
        ):
            columns = _Columns(producer, topic, None if by_key else count, str(file or "stdin"))
            try:
                for number, record in records:
                    columns.add(number, record)
            except BaseException:
                if not whole:
                    columns.send()
                    producer.flush()
                raise
            columns.send()
            if whole:
                producer.commit_transaction()
            else:
                producer.flush()
    if json_:
        print(json.dumps({"topic": topic, "records": columns.added}))
    else:
        print(f"{columns.added:,} records to {topic}", file=sys.stderr)


def _producer(log: Log, topic: str, compression: str, *, whole: bool) -> Producer:
    """With its transaction begun, where there is to be one; closing it aborts that."""
    if not whole:
        return log.producer(compression=compression)
    producer = log.producer(
        transactional_id=f"streamlog-import-{topic}",
        transaction_timeout_ms=int(log.config()["transaction.max.timeout.ms"].value),
        compression=compression,
    )
    producer.begin_transaction()
    return producer


class _Columns:
    """Records by partition, until they are many."""

    def __init__(self, producer: Producer, topic: str, partitions: int | None, source: str) -> None:
        self.added = 0
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._source = source
        self._waiting: dict[int | None, list[tuple[int, Exchanged]]] = {}

    def add(self, number: int, record: Exchanged) -> None:
        """Raises `LineError` for what the topic has no place for."""
        from streamlog.client.kernel import MAX_TIMESTAMP
        from streamlog.errors import LineError

        if not -1 <= (record.timestamp or 0) <= MAX_TIMESTAMP:
            reason = f"timestamp {record.timestamp} is not in milliseconds since 1970"
            raise LineError(self._source, number, reason)
        partition = None if self._partitions is None else record.partition
        if partition is not None and not 0 <= partition < (self._partitions or 0):
            reason = f"{self._topic} has partitions 0 to {(self._partitions or 0) - 1}, not "
            reason += f"{partition}; `--by-key` chooses them by the keys"
            raise LineError(self._source, number, reason)
        run = self._waiting.setdefault(partition, [])
        run.append((number, record))
        self.added += 1
        if len(run) >= RUN_RECORDS:
            self._send(partition, run)

    def send(self) -> None:
        """What is still waiting."""
        for partition, run in self._waiting.items():
            self._send(partition, run)

    def _send(self, partition: int | None, run: list[tuple[int, Exchanged]]) -> None:
        from streamlog.clock import SystemClock
        from streamlog.errors import LineError, RejectedRecordsError

        numbers, records = [number for number, _ in run], [record for _, record in run]
        run.clear()
        if not records:
            return
        now_ms = SystemClock().now_ms()
        try:
            self._producer.send_columns(
                self._topic,
                [record.key for record in records],
                [record.value for record in records],
                timestamps=[_time(record, now_ms) for record in records],
                headers=[record.headers for record in records],
                partition=partition,
            )
        except RejectedRecordsError as error:
            if error.partition is not None or not error.faults:
                raise  # the places are those of a batch
            fault = error.faults[0]
            raise LineError(self._source, numbers[fault.index], fault.reason) from None


def _time(record: Exchanged, now_ms: int) -> int:
    """Kafka's -1 stands for no timestamp."""
    return now_ms if record.timestamp is None or record.timestamp < 0 else record.timestamp


@contextmanager
def _source(kind: str, path: Path | None) -> Generator[Iterator[tuple[int, Exchanged]]]:
    """The records with the numbers of their lines, from 1 on."""
    from streamlog.cli import parquet
    from streamlog.cli.view.progress import progress

    if kind == "parquet" and path is not None:
        total, rows = parquet.read(path)
        with progress("importing", total, unit="records") as advance:
            yield _count(rows, advance)
        return
    size = path.stat().st_size if path is not None else 0
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


def _count(
    rows: Iterable[Exchanged], advance: Callable[[int], None]
) -> Iterator[tuple[int, Exchanged]]:
    for number, row in enumerate(rows, 1):
        advance(1)
        yield number, row
