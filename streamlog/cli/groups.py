"""`streamlog groups`: list, describe, reset and delete consumer groups, and remove members."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.command_group import command_group
from streamlog.cli.completion import complete_group, complete_topic
from streamlog.cli.options import (
    DEFAULT_LOG,
    DryRunOption,
    JsonOption,
    LogOption,
    YesOption,
    inherit_log,
)
from streamlog.cli.output import confirm, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from streamlog.cli.text.tables import Cell
    from streamlog.client.contract import (
        GroupDescription,
        Log,
        OffsetChoice,
        PartitionLag,
        TopicPartition,
    )

app = command_group(
    """List, describe, reset and delete consumer groups. Without a subcommand, list them.

    Examples:

        streamlog groups --log data

        streamlog groups describe billing
    """
)

GroupArgument = Annotated[
    str, typer.Argument(metavar="GROUP", autocompletion=complete_group, show_default=False)
]
TopicsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        "-t",
        metavar="TOPIC[:P,P]",
        autocompletion=complete_topic,
        help="Only this topic, or these partitions of it; may be given several times.",
    ),
]


@app.command("list")
def list_(
    context: typer.Context, *, log: LogOption = DEFAULT_LOG, json_: JsonOption = False
) -> None:
    """List groups: their state, how many members they have, how far they are behind.

    Example:

        streamlog groups list --json
    """
    from streamlog.cli.opening import open_to_read

    path = inherit_log(context, log)
    with open_to_read(path) as opened:
        rows = [
            {
                "group": group.group_id,
                "state": group.state,
                "members": len(group.members),
                "partitions": len(group.offsets),
                "lag": sum(each.lag for each in opened.group_lag(group).values()),
            }
            for group in _without_the_dead(path, opened.groups().values())
        ]
    columns = {name: name for name in ("group", "state", "members", "partitions", "lag")}
    show(rows, columns, as_json=json_)


@app.command(no_args_is_help=True)
def describe(
    context: typer.Context,
    group: GroupArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    json_: JsonOption = False,
) -> None:
    """Show a group's members, committed offsets and lag.

    Example:

        streamlog groups describe billing --json
    """
    from streamlog.cli.opening import open_to_read

    path = inherit_log(context, log)
    with open_to_read(path) as opened:
        (described,) = _without_the_dead(path, [opened.group(group)])
        lags = opened.group_lag(described)
    if json_:
        print(json.dumps(_facts(described, lags)))
        return
    print(*_lines(described), sep="\n")
    owners = {each: member for member in described.members for each in member.assignment}
    rows = [
        {
            "partition": str(partition),
            "committed": lag.committed,
            "end": lag.end_offset,
            "lag": lag.lag,
            "member": owners[partition].member_id if partition in owners else None,
        }
        for partition, lag in lags.items()
    ]
    show(rows, {name: name for name in ("partition", "committed", "end", "lag", "member")})


def _without_the_dead(path: Path, groups: Iterable[GroupDescription]) -> Iterator[GroupDescription]:
    """The groups, less the members of a process that was killed.

    It could not say that they leave: whoever opens the log next does. Static ones stay, and those
    of other programs, whose hosts are known.
    """
    from streamlog.cli.disk import find_owner

    alive = find_owner(path) is not None
    for group in groups:
        members = tuple(
            each for each in group.members if alive or each.group_instance_id or each.client_host
        )
        state = group.state if members or not group.members else "Empty"
        yield replace(group, members=members, state=state)


def _facts(group: GroupDescription, lags: dict[TopicPartition, PartitionLag]) -> dict[str, Any]:
    facts = {
        name: getattr(group, name)
        for name in ("group_id", "state", "protocol_type", "protocol", "generation_id", "leader")
    }
    members = [
        {**asdict(member), "assignment": [str(each) for each in member.assignment]}
        for member in group.members
    ]
    offsets = [
        {"topic": topic, "partition": number, **asdict(lag), "lag": lag.lag}
        for (topic, number), lag in lags.items()
    ]
    return {**facts, "members": members, "offsets": offsets}


def _lines(group: GroupDescription) -> list[str]:
    lines = [f"group       {group.group_id}", f"state       {group.state}"]
    if group.protocol:
        lines += [f"protocol    {group.protocol}", f"generation  {group.generation_id}"]
    for member in group.members:
        static = f" (static: {member.group_instance_id})" if member.group_instance_id else ""
        lines.append(f"member      {member.member_id}{static}")
    return lines


@app.command(no_args_is_help=True)
def reset(
    context: typer.Context,
    group: GroupArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    topics: TopicsOption = None,
    to_earliest: Annotated[bool, typer.Option(help="To the first record.")] = False,
    to_latest: Annotated[bool, typer.Option(help="Behind the last record.")] = False,
    to_offset: Annotated[int | None, typer.Option(metavar="OFFSET", min=0)] = None,
    shift_by: Annotated[
        int | None, typer.Option(metavar="N", help="So many offsets on; back with `-N`.")
    ] = None,
    to_datetime: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="ISO 8601, milliseconds, or `15m` ago."),
    ] = None,
    by_duration: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="So long before now: `90s`, `15m`, `2h`, `P1DT2H`."),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Let a group go on elsewhere. It must have no members; exactly one place has to be given.

    Without `--topic`, in every partition that the group has committed. Offsets outside of a
    partition become its first or last one. Shows what will be, and asks.

    Examples:

        streamlog groups reset billing --to-earliest --dry-run

        streamlog groups reset billing --topic orders:0,1 --shift-by -100 --yes
    """
    from streamlog.cli.opening import open_to_read, open_to_write
    from streamlog.client.contract import OffsetChoice
    from streamlog.errors import NonEmptyGroupError

    try:
        choice = OffsetChoice(
            to_earliest=to_earliest,
            to_latest=to_latest,
            to_offset=to_offset,
            shift_by=shift_by,
            to_time_ms=_moment(to_datetime, "--to-datetime"),
            by_duration_ms=_duration(by_duration),
        )
    except ValueError:
        raise typer.BadParameter(
            "give one of --to-earliest, --to-latest, --to-offset, --shift-by, --to-datetime and "
            "--by-duration"
        ) from None
    path = inherit_log(context, log)
    with open_to_read(path) if dry_run else open_to_write(path, create=False) as opened:
        wanted = _plan(opened, group, choice, topics or [], as_json=json_)
        if dry_run or not wanted:
            return
        known = opened.groups().get(group)
        if known is not None and known.members:
            raise NonEmptyGroupError(group, "reset it")
        confirm(f"Reset {group}?", yes=yes)
        opened.alter_group_offsets(group, wanted)


def _plan(
    log: Log, group: str, choice: OffsetChoice, topics: list[str], *, as_json: bool
) -> dict[TopicPartition, int]:
    """Prints where the group is and will be."""
    from streamlog.errors import UnknownGroupError

    known = log.groups()
    if group not in known and not topics:
        raise UnknownGroupError(group, known)
    partitions = [each for text in topics for each in _parse_partitions(log, text)] or None
    committed = log.committed_offsets(group)
    wanted = log.choose_group_offsets(group, choice, partitions)
    rows = [
        {
            "topic": partition.topic,
            "partition": partition.partition,
            "committed": committed.get(partition),
            "new": offset,
        }
        for partition, offset in sorted(wanted.items())
    ]
    columns: dict[str, Cell] = {
        "partition": lambda row: f"{row['topic']}-{row['partition']}",
        "committed": "committed",
        "new": "new",
    }
    show(rows, columns, as_json=as_json)
    return wanted


@app.command("remove-members", no_args_is_help=True)
def remove_members(
    context: typer.Context,
    group: GroupArgument,
    *,
    log: LogOption = DEFAULT_LOG,
    instance: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this static member; may be given several times."),
    ] = None,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Remove static members whose processes will not come back, so that others get their share.

    Such a member stays in its group until its session has ended, and the time when nobody has the
    log open does not count. As long as there is one, the group can be neither reset nor deleted.

    Example:

        streamlog groups remove-members billing --instance till-3 --yes
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(inherit_log(context, log), create=False) as opened:
        known = [each.group_instance_id for each in opened.group(group).members]
        chosen = instance or [each for each in known if each is not None]
        if chosen:
            confirm(f"Remove {', '.join(chosen)} from {group}?", yes=yes)
            opened.remove_group_members(group, chosen)
    if json_:
        print(json.dumps([{"group": group, "group_instance_id": each} for each in chosen]))


@app.command(no_args_is_help=True)
def delete(
    context: typer.Context,
    groups: Annotated[
        list[str],
        typer.Argument(metavar="GROUP", autocompletion=complete_group, show_default=False),
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    topics: TopicsOption = None,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Forget groups without members, with all their offsets, or with those of `--topic` only.

    Example:

        streamlog groups delete billing --yes
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(inherit_log(context, log), create=False) as opened:
        known = {name: opened.group(name) for name in dict.fromkeys(groups)}
        chosen = {each for text in topics or [] for each in _parse_partitions(opened, text)}
        forgotten = {
            name: [each for each in group.offsets if not topics or each in chosen]
            for name, group in known.items()
        }
        about = [f"{name}: offsets of {len(parts)} partitions" for name, parts in forgotten.items()]
        confirm("Delete all of it?", about, yes=yes)
        for name, partitions in forgotten.items():
            if topics:
                opened.alter_group_offsets(name, dict.fromkeys(partitions))
            else:
                opened.delete_group(name)
    if json_:
        print(
            json.dumps(
                [
                    {"group": name, "partitions": [str(each) for each in partitions]}
                    for name, partitions in forgotten.items()
                ]
            )
        )


def _parse_partitions(log: Log, text: str) -> list[TopicPartition]:
    """`orders`, or `orders:0,2`."""
    from streamlog.cli.topics import choose_partitions

    topic, colon, numbers = text.partition(":")
    try:
        chosen = [int(number) for number in numbers.split(",")] if colon else None
    except ValueError:
        chosen = [-1]
    if chosen is not None and min(chosen) < 0:
        raise typer.BadParameter(f"{text!r} is not TOPIC or TOPIC:0,1", param_hint="--topic")
    return choose_partitions(log, topic, chosen)


def _moment(text: str | None, option: str) -> int | None:
    from streamlog.cli.topics import moment_of

    return None if text is None else moment_of(text, option)


def _duration(text: str | None) -> int | None:
    from streamlog.cli.text.moments import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--by-duration") from None
