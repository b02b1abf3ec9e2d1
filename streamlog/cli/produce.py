"""`streamlog produce TOPIC`: lines of text become records."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from streamlog.cli.options import (
    DEFAULT_LOG,
    CompressionOption,
    JsonOption,
    KeySerdeOption,
    LogOption,
    TopicArgument,
    ValueSerdeOption,
    check_serde,
)

if TYPE_CHECKING:
    from streamlog.cli.text.lines import LineForm
    from streamlog.client.contract import Producer


def produce(
    topic: TopicArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="PATH", help="Read this file instead of standard input."
        ),
    ] = None,
    key: KeySerdeOption = None,
    value: ValueSerdeOption = None,
    separator: Annotated[
        str, typer.Option(metavar="TEXT", help="Stands between key and value, with `--key`.")
    ] = ":",
    null: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The text that means null; as a value, a tombstone."),
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", "-p", min=0, help="Instead of the key's hash.")
    ] = None,
    compression: CompressionOption = "none",
    json_: JsonOption = False,
) -> None:
    """Write a record for each line. With `--key`, a line is `key:value`.

    All records are durable when the command ends. A line that is not of the form asked for ends
    it; the lines before are written.

    Examples:

        seq 1000 | streamlog produce numbers

        echo 'alice:120' | streamlog produce balances --key str --value int
    """
    from streamlog.cli.opening import open_to_write
    from streamlog.cli.text.lines import LineForm
    from streamlog.serdes import serde_for

    form = LineForm(
        key=check_serde(key, "--key"),
        value=check_serde(value, "--value") or "str",
        separator=separator,
        null=null,
    )
    lines = sys.stdin.buffer if file is None else file.open("rb")
    with (
        lines,
        open_to_write(log, create=False) as opened,  # without topics there is nothing to do
        opened.producer(
            key=serde_for(form.key) if form.key else None,
            value=serde_for(form.value),
            compression=compression,
        ) as producer,
    ):
        opened.topic(topic)  # unknown topics are refused before the first line is waited for
        source = "standard input" if file is None else str(file)
        sent = _send(lines, source, producer, topic, form=form, partition=partition)
    if json_:
        print(json.dumps({"topic": topic, "records": sent}))
    else:
        print(f"{sent:,} records to {topic}", file=sys.stderr)


def _send(
    lines: BinaryIO,
    source: str,
    producer: Producer,
    topic: str,
    *,
    form: LineForm,
    partition: int | None,
) -> int:
    from streamlog.cli.text.lines import parse_line
    from streamlog.errors import LineError, SerializationError

    number = 0
    interactive = lines.isatty()
    try:
        for number, line in enumerate(lines, 1):
            try:
                key, value = parse_line(line.rstrip(b"\r\n"), form)
                handle = producer.send(topic, key, value, partition=partition)
            except (ValueError, SerializationError) as error:
                raise LineError(source, number, str(error)) from None  # it says all there is
            if interactive:
                number_of_partition, offset = handle.result()
                print(f"{number_of_partition}@{offset}", file=sys.stderr)
    finally:
        producer.flush()
    return number
