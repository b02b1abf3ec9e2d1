"""`streamlog transactions`: list, describe and abort transactions, those that hang too."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.command_group import command_group
from streamlog.cli.completion import complete_transaction
from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption, inherit_log
from streamlog.cli.output import show
from streamlog.cli.text.tables import as_moment, as_text

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.cli.text.tables import Cell
    from streamlog.client.contract import TopicPartition, TransactionDescription

app = command_group(
    """List, describe and abort transactions. Without a subcommand, list them.

    Examples:

        streamlog transactions --open

        streamlog transactions abort billing-writer
    """
)

_OPEN = ("Ongoing", "PrepareCommit", "PrepareAbort")


@app.command("list")
def list_(
    context: typer.Context,
    *,
    log: LogOption = DEFAULT_LOG,
    open_: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    json_: JsonOption = False,
) -> None:
    """List transactional ids, with the state of their last transaction.

    Example:

        streamlog transactions list --open --json
    """
    from streamlog.cli.opening import open_to_read

    with open_to_read(inherit_log(context, log)) as opened:
        found = [each for each in opened.transactions() if not open_ or each.state in _OPEN]
    columns: dict[str, Cell] = {
        "transactional id": "transactional_id",
        "state": "state",
        "producer": as_text("producer_id"),
        "epoch": as_text("producer_epoch"),
        "partitions": lambda row: len(row["partitions"]),
        "started": as_moment("start_ms"),
        "changed": as_moment("last_update_ms"),
    }
    show([_facts(each) for each in found], columns, as_json=json_)


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
        if name in {"start_ms", "last_update_ms"}:
            name = name.removesuffix("_ms")
            value = None if value is None else format_moment(value)
        shown = ", ".join(str(each) for each in found.partitions) if name == "partitions" else value
        print(f"{name.replace('_', ' '):<16}  {'-' if shown in (None, '') else shown}")


def _facts(transaction: TransactionDescription) -> dict[str, Any]:
    return {**asdict(transaction), "partitions": [str(each) for each in transaction.partitions]}


@app.command()
def hanging(
    context: typer.Context, *, log: LogOption = DEFAULT_LOG, json_: JsonOption = False
) -> None:
    """List what is open in a partition without any transactional id to end it.

    As a reader beside the owner sees it: what is younger than a transaction may become
    (`transaction.max.timeout.ms`) is not judged.

    Example:

        streamlog transactions hanging
    """
    from streamlog.cli.opening import open_to_read

    with open_to_read(inherit_log(context, log)) as opened:
        found = opened.hanging_transactions()
    columns = {
        "partition": "partition",
        "producer": as_text("producer_id"),
        "epoch": as_text("producer_epoch"),
        "offset": "start_offset",
    }
    rows = [{**asdict(each), "partition": str(each.partition)} for each in found]
    show(rows, columns, as_json=json_)


@app.command(no_args_is_help=True)
def abort(
    context: typer.Context,
    transactional_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", autocompletion=complete_transaction, show_default=False),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    partition: Annotated[
        str | None, typer.Option(metavar="TOPIC-P", help="Of one that hangs: where.")
    ] = None,
    producer_id: Annotated[int | None, typer.Option(metavar="N", help="Whose it is.")] = None,
    producer_epoch: Annotated[int | None, typer.Option(metavar="N", help="Its epoch.")] = None,
    json_: JsonOption = False,
) -> None:
    """Abort the open transaction of a transactional id, or one that hangs in a partition.

    `streamlog transactions hanging` lists those. Whoever opens a log aborts whatever a process left
    open in it, and this command opens it: it says whether the one you named was there. What had
    been decided to commit is committed, and that is an error here.

    Examples:

        streamlog transactions abort billing-writer

        streamlog transactions abort --partition orders-0 --producer-id 12 --producer-epoch 3
    """
    place = (partition, producer_id, producer_epoch)
    hangs = any(each is not None for each in place)
    if (transactional_id is None) != hangs or (hangs and None in place):
        raise typer.BadParameter(
            "give a transactional id, or --partition, --producer-id and --producer-epoch"
        )
    path = inherit_log(context, log)
    if transactional_id is not None:
        aborted = _abort_id(path, transactional_id)
    else:
        assert partition is not None
        assert producer_id is not None
        assert producer_epoch is not None
        aborted = _abort_hanging(path, _parse_partition(partition), producer_id, producer_epoch)
    if json_:
        print(json.dumps(aborted))


def _abort_id(path: Path, transactional_id: str) -> dict[str, Any]:
    """What is known of the id then."""
    from streamlog.cli.opening import open_to_read, open_to_write
    from streamlog.errors import InvalidTransactionStateError

    with open_to_read(path) as beside:
        before = {each.transactional_id: each.state for each in beside.transactions()}
    with open_to_write(path, create=False) as opened:
        try:
            opened.abort_transaction(transactional_id)
        except InvalidTransactionStateError:
            if before.get(transactional_id) not in {"Ongoing", "PrepareAbort"}:
                raise  # else opening the log has done it
        known = {each.transactional_id: each for each in opened.transactions()}
    return _facts(known[transactional_id])


def _abort_hanging(
    path: Path, partition: TopicPartition, producer_id: int, producer_epoch: int
) -> dict[str, Any]:
    from streamlog.cli.opening import open_to_read, open_to_write
    from streamlog.errors import NotHangingError

    with open_to_read(path) as beside:
        was_open = any(
            (each.producer_id, each.producer_epoch) == (producer_id, producer_epoch)
            and each.transaction_start_offset is not None
            for each in beside.producers(partition)
        )
        committing = any(
            each.producer_id == producer_id and each.state == "PrepareCommit"
            for each in beside.transactions()
        )
    with open_to_write(path, create=False) as opened:
        try:
            opened.abort_hanging(partition, producer_id, producer_epoch)
        except NotHangingError:
            if committing or not was_open:
                raise  # else opening the log has done it
    return {
        "partition": str(partition),
        "producer_id": producer_id,
        "producer_epoch": producer_epoch,
    }


def _parse_partition(text: str) -> TopicPartition:
    from streamlog.client.contract import TopicPartition

    topic, _, number = text.rpartition("-")
    if not topic or not number.isdecimal():
        raise typer.BadParameter(f"{text!r} is not TOPIC-P", param_hint="--partition")
    return TopicPartition(topic, int(number))
