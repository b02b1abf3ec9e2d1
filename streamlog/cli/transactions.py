"""`streamlog transactions`: list, describe and abort transactions, those that hang too."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.completion import complete_transaction
from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption, inherit_log

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import TopicPartition, TransactionDescription

app = typer.Typer(invoke_without_command=True)

_OPEN = ("Ongoing", "PrepareCommit", "PrepareAbort")

OpenOption = Annotated[bool, typer.Option("--open", help="Only those that have not ended.")]


@app.callback()
def transactions(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    open_: OpenOption = False,
    json_: JsonOption = False,
) -> None:
    """List, describe and abort transactions. Without a subcommand, list them.

    Examples:

        streamlog transactions --open

        streamlog transactions abort billing-writer
    """
    if context.invoked_subcommand is None:
        _list(log, only_open=open_, as_json=json_)


@app.command("list")
def list_(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    open_: OpenOption = False,
    json_: JsonOption = False,
) -> None:
    """List transactional ids, with the state of their last transaction.

    Example:

        streamlog transactions list --open --json
    """
    _list(inherit_log(context, log), only_open=open_, as_json=json_)


def _list(log: Path, *, only_open: bool, as_json: bool) -> None:
    from streamlog.cli.opening import open_to_read
    from streamlog.cli.text.moments import format_moment
    from streamlog.cli.text.tables import aligned

    with open_to_read(log) as opened:
        found = [each for each in opened.transactions() if not only_open or each.state in _OPEN]
    if as_json:
        print(json.dumps([_facts(each) for each in found]))
        return
    cells = [
        (
            each.transactional_id,
            each.state,
            str(each.producer_id),
            str(each.producer_epoch),
            f"{len(each.partitions):,}",
            format_moment(each.last_update_ms),
        )
        for each in found
    ]
    headings = ("transactional id", "state", "producer", "epoch", "partitions", "changed")
    for line in aligned(headings, cells, right={2, 3, 4}):
        print(line)


@app.command(no_args_is_help=True)
def describe(
    context: typer.Context,
    transactional_id: Annotated[
        str, typer.Argument(metavar="ID", autocompletion=complete_transaction, show_default=False)
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    json_: JsonOption = False,
) -> None:
    """Show the last transaction of a transactional id.

    Example:

        streamlog transactions describe billing-writer --json
    """
    from streamlog.cli.opening import open_to_read
    from streamlog.cli.text.moments import format_moment
    from streamlog.errors import UnknownTransactionalIdError

    with open_to_read(inherit_log(context, log)) as opened:
        known = {each.transactional_id: each for each in opened.transactions()}
    found = known.get(transactional_id)
    if found is None:
        raise UnknownTransactionalIdError(transactional_id, known)
    if json_:
        print(json.dumps(_facts(found)))
        return
    for name, value in _facts(found).items():
        if name.endswith("_ms") and name != "timeout_ms" and value is not None:
            name, value = name.removesuffix("_ms"), format_moment(value)
        shown = ", ".join(str(each) for each in found.partitions) if name == "partitions" else value
        print(f"{name.replace('_', ' '):<16}  {'-' if shown in (None, '') else shown}")


def _facts(transaction: TransactionDescription) -> dict[str, Any]:
    return {**asdict(transaction), "partitions": [str(each) for each in transaction.partitions]}


@app.command()
def hanging(
    context: typer.Context, *, log: LogOption = DEFAULT_LOG, json_: JsonOption = False
) -> None:
    """List what is open in a partition without any transactional id to end it.

    Only the process that owns the log can tell: refused while one has it open.

    Example:

        streamlog transactions hanging
    """
    from streamlog.cli.opening import open_to_write
    from streamlog.cli.text.tables import aligned

    with open_to_write(inherit_log(context, log), create=False) as opened:
        found = opened.hanging_transactions()
    if json_:
        rows = [{**asdict(each), "partition": str(each.partition)} for each in found]
        print(json.dumps(rows))
        return
    cells = [
        (str(e.partition), str(e.producer_id), str(e.producer_epoch), f"{e.start_offset:,}")
        for e in found
    ]
    for line in aligned(("partition", "producer", "epoch", "offset"), cells, right={1, 2, 3}):
        print(line)


@app.command(no_args_is_help=True)
def abort(
    context: typer.Context,
    transactional_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", autocompletion=complete_transaction, show_default=False),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    partition: Annotated[
        str | None, typer.Option(metavar="TOPIC-P", help="Of one that hangs: where.")
    ] = None,
    producer_id: Annotated[int | None, typer.Option(metavar="N", help="Whose it is.")] = None,
    producer_epoch: Annotated[int | None, typer.Option(metavar="N", help="Its epoch.")] = None,
) -> None:
    """Abort the open transaction of a transactional id, or one that hangs in a partition.

    `streamlog transactions hanging` lists those. Transactions that a process left open are aborted
    when the log is opened, so there is seldom a need.

    Examples:

        streamlog transactions abort billing-writer

        streamlog transactions abort --partition orders-0 --producer-id 12 --producer-epoch 3
    """
    from streamlog.cli.opening import open_to_write

    place = (partition, producer_id, producer_epoch)
    hangs = any(each is not None for each in place)
    if (transactional_id is None) != hangs or (hangs and None in place):
        raise typer.BadParameter(
            "give a transactional id, or --partition, --producer-id and --producer-epoch"
        )
    parsed = None if partition is None else _parse_partition(partition)
    with open_to_write(inherit_log(context, log), create=False) as opened:
        if transactional_id is not None:
            opened.abort_transaction(transactional_id)
        elif parsed is not None and producer_id is not None and producer_epoch is not None:
            opened.abort_hanging(parsed, producer_id, producer_epoch)


def _parse_partition(text: str) -> TopicPartition:
    from streamlog.client.contract import TopicPartition

    topic, _, number = text.rpartition("-")
    if not topic or not number.isdecimal():
        raise typer.BadParameter(f"{text!r} is not TOPIC-P", param_hint="--partition")
    return TopicPartition(topic, int(number))
